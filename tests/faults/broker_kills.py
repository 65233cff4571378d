"""Kill the brokers themselves at random while producers push and workers run what they push.

Redis and beanstalkd are servers, so the server is killed and started again on its files. SQLite is
a file, so the processes that write to it are killed, half of them in the middle of a transaction.
Then the workers drain the queue, and the oracle compares, as in the harness.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from ..servers import Server, beanstalkd_server, eventually, redis_server
from . import deeds
from .harness import HEADINGS, Process, Trial, read_brokers
from .oracle import Event, Kill, Recovery, Verdict

#: Seconds between a server's start and its next kill, at most.
UPTIME = 0.6

#: What a server's end may have run twice: on beanstalkd, whatever workers held. Redis keeps leases
#: over its own end, and has the answer for a settle that is sent once more.
HELD = {"redis": 0, "beanstalk": 1_000_000}

#: Seconds; longer than any stall, so that no lease runs out while its server is away.
LEASE = 60


class ServerTrial(Trial):
    """A trial in which only the server is killed.

    Args:
        stall: seconds for which it is stopped, once, halfway.
    """

    def __init__(
        self, server: Server, folder: Path, kills: int, seed: int, limit: float, stall: float
    ) -> None:
        super().__init__(
            f"{server.dsn}?lease={LEASE}&timeout=2", folder, kills, seed, limit, trees=2
        )
        self._server = server
        self._stall = stall
        self._up_again: list[int] = []

    def _rage(self) -> None:
        # A worker that cannot reach its broker when it starts ends, by design.
        eventually(self._all_work, "the workers begin")
        until = time.monotonic() + self._limit
        while len(self._kills) < self._wanted and time.monotonic() < until:
            time.sleep(self._chance.uniform(0, UPTIME))
            if self._stall and len(self._kills) == self._wanted // 2:
                self._stop_for(self._stall)
                self._stall = 0.0
            self._kill_server()
            self._mend()
            if self._hopeless():
                break

    def _all_work(self) -> bool:
        at_work = {Event.read(line).supervisor for line in deeds.lines(self._folder / "evidence")}
        return at_work >= {tree.process.pid for tree in self._trees}

    def _kill_server(self) -> None:
        at = time.monotonic_ns()
        self._server.kill()
        gone = time.monotonic_ns()
        self._kills.append(Kill("server", (), HELD[self._server.name], at, gone))
        time.sleep(self._chance.choice((0, 0, 0.3)))
        self._server.start()
        self._up_again.append(time.monotonic_ns())

    def _stop_for(self, seconds: float) -> None:
        self._server.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._server.process.send_signal(signal.SIGCONT)

    def _verdict(self) -> Verdict:
        verdict = super()._verdict()
        verdict.recoveries = sorted(self._recoveries())
        return verdict

    def _recoveries(self) -> Iterator[Recovery]:
        """From each kill to the first task that started once the server was up again."""
        events = map(Event.read, deeds.lines(self._folder / "evidence"))
        starts = sorted((event.at, event.name) for event in events if event.word == "started")
        for kill, up in zip(self._kills, self._up_again, strict=True):
            first = next(((at, name) for at, name in starts if at > up), None)
            if first is not None:
                yield Recovery((first[0] - kill.at) / 1e9, kill.kind, first[1])


class FileTrial(Trial):
    """A trial in which the processes that write to the file are killed, at moments as random as the
    scheduler makes them, and every other one while it holds the turn to write."""

    #: Looks at a process before it is killed wherever it is.
    LOOKS = 200

    def __init__(self, dsn: str, folder: Path, kills: int, seed: int, limit: float) -> None:
        super().__init__(dsn, folder, kills, seed, limit, trees=2)
        self._path = dsn.removeprefix("sqlite:///")
        self.in_transaction = 0

    def _rage(self) -> None:
        until = time.monotonic() + self._limit
        while len(self._kills) < self._wanted and time.monotonic() < until:
            time.sleep(self._chance.uniform(0, 0.1))
            if self._chance.random() < 0.5:
                self._kill_a_producer()
            else:
                self._kill_a_worker()
            self._mend()
            if self._hopeless():
                break

    def _kill_a_producer(self) -> None:
        at = self._chance.randrange(len(self._producers))
        self._catch(self._producers[at])
        self._producers[at].kill()
        self._producers[at].wait()
        now = time.monotonic_ns()
        self._kills.append(Kill("producer", (), 0, now, now))
        self._producers[at] = self._producer()

    def _kill_a_worker(self) -> None:
        at = self._chance.randrange(len(self._trees))
        self._catch(self._trees[at].process)
        self._kill_supervisor(at=at)

    def _catch(self, process: Process) -> None:
        """Stop a process; when so drawn, again and again until it is in the middle of a write."""
        wanted = self._chance.random() < 0.5
        for _ in range(self.LOOKS):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGSTOP)
            writing = self._writes(process)
            if writing or not wanted:
                self.in_transaction += writing
                return
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            time.sleep(self._chance.uniform(0, 0.003))

    def _writes(self, process: Process) -> bool:
        """Whether it has the write lock, as proc(5) tells: id, kind, ..., pid, device:inode, ..."""
        with suppress(FileNotFoundError):
            inode = os.stat(f"{self._path}-lock").st_ino
            for line in Path("/proc/locks").read_text().splitlines():
                parts = line.split()
                if parts[1] == "FLOCK" and parts[4] == str(process.pid):
                    return parts[5].endswith(f":{inode}")
        return False

    def _verdict(self) -> Verdict:
        verdict = super()._verdict()
        with closing(sqlite3.connect(self._path)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            verdict.problems.append(f"integrity_check: {found[:3]}")
        return verdict


def torment(name: str, kills: int, seed: int, limit: float, stall: float = 0.0) -> Verdict:
    """Try one broker: "sqlite", "redis" or "beanstalk". Leaves neither a process nor a file."""
    with ExitStack() as stack:
        files, evidence = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"gator-{what}-")))
            for what in ("files", "evidence")
        )
        if name == "sqlite":
            trial = FileTrial(f"sqlite:///{files / 'queue.db'}", evidence, kills, seed, limit)
            verdict = trial.run()
            told = f"{trial.in_transaction} of {verdict.kills} kills in the middle of a write"
            print(f"sqlite: {told}", file=sys.stderr)
            return verdict
        start = (
            redis_server(files, "--appendonly", "yes", "--appendfsync", "always")
            if name == "redis"
            else beanstalkd_server("-b", str(files), "-f0")
        )
        server = stack.enter_context(start)
        return ServerTrial(server, evidence, kills, seed, limit, stall).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the brokers and report a line each; 1 when one lost something, or misbehaved."""
    options = _read(arguments)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    print(*HEADINGS, sep="\t", flush=True)
    passed = True
    for name in options.brokers:
        kills = options.broker_kills
        verdict = torment(name, kills, options.seed, 60 + 3 * kills, options.stall)
        print(name, *verdict.row(), sep="\t", flush=True)
        for line in (*(f"lost: {name}" for name in verdict.lost), *verdict.problems):
            print(f"{name}: {line}", file=sys.stderr)
        passed = passed and verdict.passed
    return 0 if passed else 1


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/faults/run", description=__doc__)
    parser.add_argument(
        "--broker-kills", type=int, default=100, help="for each broker (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of whom and when (%(default)s)")
    parser.add_argument(
        "--stall", type=float, default=0.0, help="seconds to stop each server for, once"
    )
    read_brokers(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
