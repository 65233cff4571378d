"""One system on a broker of its own: its producer, its worker and the evidence of its tasks."""

from __future__ import annotations

import collections
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..servers import beanstalkd_server, eventually, redis_server
from .systems import System

APPS = Path(__file__).parent / "apps"

#: Seconds that anything may take before it counts as broken.
PATIENCE = 300.0


class Trial:
    """One system, running in its environment."""

    def __init__(self, system: System, programs: Path, folder: Path, broker: str) -> None:
        self.system = system
        self.folder = folder
        self.broker = broker
        self.programs = programs
        self.evidence = folder / "evidence"
        self.evidence.touch()
        self.variables = {
            **{name: text for name, text in os.environ.items() if not name.startswith("GATOR_")},
            "PYTHONPATH": str(APPS),
            "BENCH_EVIDENCE": str(self.evidence),
            "BENCH_BROKER": broker,
            "GATOR_DSN": broker,
            **system.variables,
        }

    def produce(self, deed: str, *arguments: object) -> dict[str, Any]:
        """Have the system's producer do something, see apps/producer.py."""
        words = [str(argument) for argument in arguments]
        done = subprocess.run(
            [self.programs / "python", "producer.py", self.system.app, deed, *words],
            cwd=APPS,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.system.label} could not {deed}:\n{done.stderr[-2000:]}")
        values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return values

    @contextmanager
    def worker(self, *options: str) -> Iterator[Worker]:
        """Run the system's worker, and end it."""
        program, *rest = self.system.command
        worker = Worker(self, [str(self.programs / program), *rest, *options])
        try:
            yield worker
        finally:
            worker.end()

    def shares(self) -> list[int]:
        """How many bytes each process of the worker wrote, the most first."""
        return sorted(collections.Counter(self.evidence.read_bytes()).values(), reverse=True)


class Worker:
    """A running worker: the leader of a session of its own, so that all its processes are found."""

    def __init__(self, trial: Trial, command: list[str]) -> None:
        self._trial = trial
        self._log = trial.folder / "worker.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=APPS,
                env=trial.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, size: int) -> float:
        """Wait until the evidence has so many bytes; return the time that it had, or a
        millisecond later."""
        evidence = self._trial.evidence
        deadline = time.monotonic() + PATIENCE
        while evidence.stat().st_size < size:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self._trial.system.label} stopped at {evidence.stat().st_size} of {size} "
                    f"bytes:\n{self._log.read_text()[-2000:]}"
                )
            time.sleep(0.001)
        return time.monotonic()

    def rate(self, count: int) -> float:
        """Tasks a second from the first byte, so without the start, until `count` are there."""
        evidence = self._trial.evidence
        before = evidence.stat().st_size
        started = self.until(before + 1)
        first = evidence.stat().st_size
        ended = self.until(before + count)
        return (evidence.stat().st_size - first) / (ended - started)

    def end(self) -> None:
        """Ask it to end, then see that nothing of its session is left."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        for pid in session(self.pid):
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        eventually(lambda: not session(self.pid), "a worker's processes end")


def session(leader: int) -> list[int]:
    """The processes of a session that live, the leader first."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if fields[0] != "Z" and int(fields[3]) == leader:
                found.append(int(place.name))
    return sorted(found, key=lambda pid: (pid != leader, pid))


@contextmanager
def running(system: System, programs: Path, cache: Path) -> Iterator[Trial]:
    """Start the broker of a system, empty, and remove all that is left at the end.

    Args:
        cache: a folder on a disk. In memory a durable SQLite would show rates that it hasn't got.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=cache))
    try:
        with ExitStack() as stack:
            yield Trial(system, programs, folder, _broker(system.broker, folder, stack))
    finally:
        shutil.rmtree(folder)


def _broker(name: str, folder: Path, stack: ExitStack) -> str:
    if name == "redis":
        return stack.enter_context(redis_server(folder)).dsn
    if name == "beanstalk":
        return stack.enter_context(beanstalkd_server()).dsn
    return f"sqlite:///{folder / 'queue.db'}"
