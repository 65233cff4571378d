"""The processes of a trial: worker trees and producers, started, found, killed and ended by id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from ..servers import eventually
from .mortal import DIE_AT

ROOT = Path(__file__).resolve().parents[2]

#: What a worker says when its children were killed before they were ready: it ends, by design, so
#: that a broken --import shows at once.
NEVER_READY = "end before they are ready"

#: Tracebacks that are no task's own. A child whose supervisor was killed may say that its pipe is
#: closed, before it is killed itself.
SUPERVISORS = re.compile(r'File ".*alligator/supervisor\.py"')
CHILDS = re.compile(r'File ".*alligator/child\.py"')


#: Coroutines that a child runs at once, beside its threads.
COROUTINES = 4


class Tree:
    """One `gator worker` with two children, and its log.

    Attributes:
        width: how many tasks one child runs at once, at most.
    """

    def __init__(self, dsn: str, folder: Path, *options: str, threads: int = 1) -> None:
        self._log = folder / f"worker-{time.monotonic_ns()}.log"
        self.width = threads + COROUTINES
        command = [sys.executable, "-m", "alligator", "--dsn", dsn, "worker", "-c", "2"]
        command += ["--threads", str(threads), "--coroutines", str(COROUTINES)]
        command += ["--log-level", "error", *options]
        self.process = _start(command, self._log, {DIE_AT: str(folder)})

    def log(self) -> str:
        return self._log.read_text()

    def children(self) -> tuple[int, ...]:
        """The ids of the processes that run tasks; none once the supervisor is gone."""
        return children_of(self.process.pid)

    def kill_child(self, pid: int) -> bool:
        """Kill one child and see it off, unless it is gone and its number another's."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if pid not in self.children():
                return False
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        eventually(lambda: not _alive(pid), "a killed child ends")
        return True

    def end(self) -> None:
        """End it, and see its children off: nobody writes into the folder afterwards."""
        children = self.children()
        end(self.process)
        eventually(lambda: not any(map(_alive, children)), "children end with their supervisor")

    def complaint(self, *expected: int) -> str | None:
        """Say what is wrong with how it ended, if it ended and not well.

        Args:
            expected: exit codes that are right, too.
        """
        code = self.process.poll()
        log = self.log()
        if SUPERVISORS.search(log) or (code != -signal.SIGKILL and CHILDS.search(log)):
            return f"a worker failed: {log[-2000:]}"
        if code in (None, 0, *expected) or (code == 1 and NEVER_READY in log):
            return None
        return f"a worker ended by itself, {code}: {log[-2000:]}"


def start_producer(dsn: str, folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a process that pushes tasks with names that begin with `name`."""
    command = [sys.executable, "-m", f"{__package__}.producer", dsn, str(folder), name]
    return _start(command, folder / "producer.log", {})


def end(process: subprocess.Popen[bytes], seconds: float = 0.0) -> None:
    """Give a process so many seconds to end by itself, then end it."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def children_of(parent: int, states: str = "RSDTtZ") -> tuple[int, ...]:
    """Return the ids of a process's children that are in one of the states of proc(5)."""
    # Not /proc/PID/task/PID/children, which may leave some out while another one ends.
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    stats = ((pid, _stat(pid)) for pid in pids)
    return tuple(pid for pid, stat in stats if stat[1:2] == [str(parent)] and stat[0] in states)


def _alive(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"])


def _stat(pid: int) -> list[str]:
    """State, parent and so on of a process, see proc(5); empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _start(command: list[str], log: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "XDG_STATE_HOME": str(log.parent), **variables},
        )
