"""Kill workers, their children and producers at random, then prove that nothing is lost.

One trial a broker: producers push without pause and note each id once its push returned, trees of
workers run tasks that note their start and end, and a seeded killer ends random processes. Then the
workers drain the queue, and the oracle compares the notes with what the broker still holds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from alligator import Gator
from alligator.backends.base import Record, State
from alligator.exceptions import BrokerError

from ..servers import beanstalkd_server, redis_server
from . import deeds
from .mortal import DEATHS, POINTS
from .oracle import Event, Kill, Verdict, judge, percentile, seconds
from .processes import COROUTINES, Tree, end, start_producer

#: Seconds that leases last where time ends them.
LEASE = 2

TREES, PRODUCERS = 3, 2

#: Threads of the children of every third tree; those of the others have their main thread only.
THREADS = 3

#: Seconds between kills, at most; a tree needs a quarter of one to be back at work.
PAUSE = 0.2

#: Seconds for the last tasks. beanstalkd keeps the copy of a failing task for 60 if its worker is
#: killed between the two steps of the failing.
DRAIN_SECONDS = 90.0

#: A trial ends with so many problems: more would be the same ones.
MOST_PROBLEMS = 5

#: How a worker may end that is told something before it is Python's turn to listen.
DEAF = (-signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGHUP)

#: What a task of ours may fail of: how that begins.
EXPECTED_FAILURES = ("worker died: SIGKILL", "worker died: 3 times", "ValueError: as asked")

Process = subprocess.Popen[bytes]

HEADINGS = [
    "broker",
    "kills",
    "acknowledged",
    "executed",
    "duplicates",
    "lost",
    "recovery_p50",
    "recovery_p99",
]


class Trial:
    """One broker under fire.

    Args:
        dsn: of an empty broker.
        folder: for the evidence; empty.
        kills: how many.
        seed: decides whom and when to kill.
        limit: seconds after which the killing ends though fewer were killed.
        trees: how many workers.
    """

    def __init__(
        self, dsn: str, folder: Path, kills: int, seed: int, limit: float, trees: int = TREES
    ) -> None:
        self._dsn = dsn
        self._gator = Gator(dsn)
        # A stopped process may have the turn to write to the file: no reason to wait long.
        self._watcher = Gator(f"{dsn}{'&' if '?' in dsn else '?'}timeout=1")
        self._folder = folder
        self._wanted = kills
        self._chance = random.Random(seed)
        self._limit = limit
        self._kills: list[Kill] = []
        self._tokens = 0
        self._most_in_flight = 1
        self._problems: list[str] = []
        self._width = trees
        self._trees: list[Tree] = []
        self._producers: list[Process] = []
        self._producer_names = (f"s{seed}p{number}" for number in itertools.count())

    def run(self) -> Verdict:
        """Kill, drain and judge. Every process that was started is gone afterwards."""
        with self._gator, self._watcher:
            try:
                self._gator.client.ping()
                self._trees += [self._tree(at) for at in range(self._width)]
                self._producers += [self._producer() for _ in range(PRODUCERS)]
                self._rage()
                self._stop()
                self._drain()
            finally:
                for producer in self._producers:
                    end(producer)
                for tree in self._trees:
                    tree.end()
            return self._verdict()

    # -- killing ----------------------------------------------------------------------------

    def _rage(self) -> None:
        ways: list[tuple[Callable[[], None], int]] = [
            (self._kill_child, 50),
            (self._kill_supervisor, 12),
            (self._kill_stopped_supervisor, 8),
            (self._kill_producer, 10),
            (self._lay_token, 20),
            (self._reload, 3),
            (self._stop_one, 3),
        ]
        until = time.monotonic() + self._limit
        while len(self._kills) + self._tokens < self._wanted and not self._hopeless():
            if time.monotonic() > until:
                print(f"{len(self._kills)} kills in {self._limit:g} s", file=sys.stderr)
                break
            time.sleep(self._chance.uniform(0, PAUSE))
            (way,) = self._chance.choices(*zip(*ways, strict=True))
            way()
            self._mend()

    def _kill_child(self) -> None:
        tree = self._chance.choice(self._trees)
        children = tree.children()
        if not children:
            return
        pid = self._chance.choice(children)
        at = time.monotonic_ns()
        if tree.kill_child(pid):
            self._kills.append(Kill("child", (pid,), tree.width, at, time.monotonic_ns()))

    def _kill_supervisor(self, seconds: float = 0.0, at: int | None = None) -> None:
        """Kill a supervisor, and by that its children.

        It is stopped first, so that what it held can be counted: to die while stopped is to die at
        the moment of the stop.

        Args:
            seconds: how long it stays stopped. Its children go on with what they hold, and their
                outcomes reach nobody.
            at: which tree's; a random one when left out.
        """
        if at is None:
            at = self._chance.randrange(len(self._trees))
        tree = self._trees[at]
        with suppress(ProcessLookupError):
            tree.process.send_signal(signal.SIGSTOP)
        children = tree.children()
        in_flight = self._count_running()
        time.sleep(seconds)
        killed = time.monotonic_ns()
        tree.end()
        gone, pid = time.monotonic_ns(), tree.process.pid
        self._kills.append(Kill("supervisor", children, in_flight, killed, gone, pid))
        self._note(tree.complaint(-signal.SIGKILL, *DEAF))
        self._trees[at] = self._tree(at)

    def _kill_stopped_supervisor(self) -> None:
        # Either all that its children hold ends first, or its leases do too, and others run it.
        self._kill_supervisor(self._chance.choice((0.02, 0.1, 0.3, LEASE * 1.2)))

    def _kill_producer(self) -> None:
        at = self._chance.randrange(len(self._producers))
        self._producers[at].kill()
        self._producers[at].wait()
        now = time.monotonic_ns()
        self._kills.append(Kill("producer", (), 0, now, now))
        self._producers[at] = self._producer()

    def _lay_token(self) -> None:
        """Have the next process that reaches a point die there."""
        token = self._folder / self._chance.choice(POINTS)
        if not token.exists():
            token.touch()
            self._tokens += 1

    def _reload(self) -> None:
        """Have a worker replace its children, which is no kill and may cost nothing."""
        with suppress(ProcessLookupError):
            self._chance.choice(self._trees).process.send_signal(signal.SIGHUP)

    def _stop_one(self) -> None:
        """Stop a worker as one would; nor is this a kill."""
        at = self._chance.randrange(len(self._trees))
        self._trees[at].process.terminate()
        end(self._trees[at].process, 20)
        self._note(self._trees[at].complaint(*DEAF))
        self._trees[at] = self._tree(at)

    def _mend(self) -> None:
        """Replace what ended by itself, and say so unless it may."""
        for at, tree in enumerate(self._trees):
            if tree.process.poll() is not None:
                self._note(tree.complaint(*DEAF))
                self._trees[at] = self._tree(at)
        for at, producer in enumerate(self._producers):
            if producer.poll() is not None:
                self._note(f"a producer ended by itself, {producer.returncode}")
                self._producers[at] = self._producer()

    def _count_running(self) -> int:
        """How many leases there are; at most as many tasks are in flight in any one tree."""
        with suppress(BrokerError):
            running = self._watcher.client.counts("all").running
            self._most_in_flight = max(self._most_in_flight, running)
            return running
        return self._most_in_flight

    def _tree(self, at: int = 0, *options: str) -> Tree:
        """Start a worker for this place among the trees."""
        threads = THREADS if at % 3 == 2 else 1
        return Tree(self._dsn, self._folder, *options, threads=threads)

    def _producer(self) -> Process:
        return start_producer(self._dsn, self._folder, next(self._producer_names))

    def _hopeless(self) -> bool:
        return len(self._problems) >= MOST_PROBLEMS

    def _note(self, problem: str | None) -> None:
        if problem:
            self._problems.append(problem)

    # -- the end ----------------------------------------------------------------------------

    def _stop(self) -> None:
        """Stop the producers, then the workers, as one would."""
        (self._folder / "stop").touch()
        for producer in self._producers:
            end(producer, 20)
            if producer.returncode:
                self._note(f"a producer failed: {(self._folder / 'producer.log').read_text()}")
        for point in POINTS:
            with suppress(FileNotFoundError):
                (self._folder / point).unlink()
                self._tokens -= 1
        for tree in self._trees:
            tree.process.terminate()
        for tree in self._trees:
            end(tree.process, 20)
            self._note(tree.complaint(*DEAF))

    def _drain(self) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while self._unsettled() and time.monotonic() < until and not self._hopeless():
            burst = self._tree(0, "--burst")
            self._trees.append(burst)
            end(burst.process, max(0.0, until - time.monotonic()))
            self._note(burst.complaint())

    def _unsettled(self) -> int:
        counts = self._gator.client.counts("all")
        held = (counts.waiting, counts.delayed, counts.retrying, counts.blocked, counts.running)
        return sum(held)

    def _verdict(self) -> Verdict:
        failed = dict(self._records(State.FAILED))
        queued = [
            name for state in State if state is not State.FAILED for name, _ in self._records(state)
        ]
        for name, record in failed.items():
            error = record.failures[-1].error if record.failures else "no reason"
            if not error.startswith(EXPECTED_FAILURES):
                self._note(f"{name} is in the failed set: {error}")
        events = [Event.read(line) for line in deeds.lines(self._folder / "evidence")]
        acknowledged = deeds.lines(self._folder / "acknowledged")
        kills = [*self._kills, *self._deaths()]
        verdict = judge(acknowledged, events, kills, failed.keys(), queued)
        verdict.problems += self._problems
        return verdict

    def _deaths(self) -> Iterator[Kill]:
        for line in deeds.lines(self._folder / DEATHS):
            point, pid, at = line.split(" ")
            yield Kill(point, (int(pid),), THREADS + COROUTINES, int(at), int(at))

    def _records(self, state: State) -> Iterator[tuple[str, Record]]:
        cursor = None
        while True:
            page = self._gator.client.peek("all", state, 500, cursor)
            for record in page.records:
                yield json.loads(record.body)["args"][1], record
            cursor = page.cursor
            if cursor is None:
                return


@contextmanager
def broker(name: str, folder: Path) -> Iterator[str]:
    """Run an empty, durable broker with its files in `folder`; give its DSN."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'queue.db'}"
    elif name == "redis":
        with redis_server(folder, "--appendonly", "yes", "--appendfsync", "always") as server:
            yield f"{server.dsn}?lease={LEASE}"
    else:
        with beanstalkd_server("-b", str(folder), "-f0") as server:
            yield f"{server.dsn}?lease={LEASE}"


def torment(name: str, kills: int, seed: int, limit: float) -> Verdict:
    """Try one broker: "sqlite", "redis" or "beanstalk". Leaves neither a process nor a file."""
    with (
        tempfile.TemporaryDirectory(prefix="gator-files-") as files,
        tempfile.TemporaryDirectory(prefix="gator-evidence-") as evidence,
        broker(name, Path(files)) as dsn,
    ):
        return Trial(dsn, Path(evidence), kills, seed, limit).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the brokers and report a line each; 1 when one lost something, or misbehaved."""
    options = _read(arguments)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    print(*HEADINGS, sep="\t", flush=True)
    passed = True
    for name in options.brokers:
        verdict = torment(name, options.kills, options.seed, options.limit or 30 + options.kills)
        print(name, *verdict.row(), sep="\t", flush=True)
        for line in (*(f"lost: {name}" for name in verdict.lost), *verdict.problems):
            print(f"{name}: {line}", file=sys.stderr)
        if options.verbose:
            _tell_more(name, verdict)
        if verdict.unexplained:
            print(f"{name}: twice without a kill: {verdict.unexplained}", file=sys.stderr)
        passed = passed and verdict.passed
    return 0 if passed else 1


def _tell_more(name: str, verdict: Verdict) -> None:
    print(f"{name}: at most {verdict.in_flight} in flight at kills", file=sys.stderr)
    for kind, found in verdict.by_kind().items():
        shares = " ".join(seconds(percentile(found, share)) for share in (0, 0.5, 0.9, 1))
        print(f"{name}: recovery after {kind}: {len(found)}, {shares}", file=sys.stderr)


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/faults/run", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="for each broker (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of whom and when (%(default)s)")
    parser.add_argument(
        "--limit", type=float, help="seconds of killing for each broker (30, and 1 for each kill)"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="recovery by kind of kill")
    read_brokers(parser)
    return parser.parse_args(arguments)


def read_brokers(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which brokers to try."""
    known = ("sqlite", "redis", "beanstalk")
    parser.add_argument(
        "--brokers", default=known, type=lambda text: _known(text.split(","), known), help="a,b,c"
    )


def _known(names: list[str], known: Sequence[str]) -> list[str]:
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
