"""The process that runs tasks for `gator worker`: it takes leases off a pipe, runs them in turn,
and says what came of each. It never speaks to the broker."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from . import execution, logs
from .backends.base import Defer, Fail, Lease, Retry
from .channel import (
    GREETING,
    WORN,
    FrameReader,
    Permits,
    frame,
    pack_limit,
    pack_outcome,
)
from .exceptions import AlligatorException
from .limits import Limit
from .redaction import learn
from .tasks import Task
from .utils import import_module

#: The variable that has the worker's DSN. The child speaks to no broker, but a task that pushes
#: others meets the same one with it, and its password is hidden in what is logged and kept.
DSN_VARIABLE = "GATOR_DSN"

#: The exit code of a child whose imports fail.
NOT_READY = 3


class Settings(NamedTuple):
    """What a child is started with: its ends of the three pipes, and how to run.

    Attributes:
        tasks, permits, outcomes: descriptors.
        parent: the supervisor's process id.
        time_limit, max_memory, imports, log_format, log_level: as in WorkerSettings.
    """

    tasks: int
    permits: int
    outcomes: int
    parent: int
    time_limit: float | None
    max_memory: int
    imports: tuple[str, ...]
    log_format: str
    log_level: str

    def command(self) -> list[str]:
        """Return the command line that starts a child with these settings."""
        return [sys.executable, "-m", __name__, json.dumps(self)]


def main(settings: Settings) -> int:
    """Run tasks until the supervisor closes its end."""
    _die_with(settings.parent)
    # The supervisor decides when a child ends. A handler, not SIG_IGN: programs that a task starts
    # would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    for descriptor in settings[:3]:
        os.set_inheritable(descriptor, False)
    learn(os.environ.get(DSN_VARIABLE, ""))
    logs.configure(settings.log_format, settings.log_level)
    try:
        for module in settings.imports:
            import_module(module)
    except AlligatorException as error:
        logs.worker_log.error("--import: %s", error)
        return NOT_READY
    _write(settings.outcomes, frame(GREETING))
    permits = Permits(settings.permits)
    for leases in _frames(settings.tasks):
        if not _run_batch(leases, permits, settings):
            # The permits of what has not started are in the pipe, for the supervisor to take back.
            _write(settings.outcomes, frame(WORN))
            break
    while os.read(settings.tasks, 1 << 16):
        pass
    return 0


def _run_batch(
    leases: list[tuple[int, tuple[Any, ...]]], permits: Permits, settings: Settings
) -> bool:
    """Run what there are permits for; False when this process has grown too large to go on."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    for number, fields in leases:
        if not permits.allows(number):
            continue
        started = time.perf_counter()
        limited = partial(_tell_limit, settings.outcomes, number)
        done = execution.run(Task, Lease(*fields), worker, settings.time_limit, limited)
        seconds = time.perf_counter() - started
        # Written at once, one by one: whatever the next task does to this process, this outcome
        # is out of its reach.
        _write(settings.outcomes, pack_outcome(number, seconds, done.outcome))
        _log(done, seconds)
        if _has_grown(settings):
            return False
    return True


def _tell_limit(outcomes: int, number: int, limit: Limit) -> None:
    _write(outcomes, pack_limit(number, limit))


def _has_grown(settings: Settings) -> bool:
    if not settings.max_memory:
        return False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return (peak if sys.platform == "darwin" else peak * 1024) > settings.max_memory


def _log(done: execution.Done, seconds: float) -> None:
    level, word, message = _told(done)
    if not logs.worker_log.isEnabledFor(level):
        return
    lease = done.outcome.lease
    logs.worker_log.log(
        level,
        message,
        extra={
            "task_id": lease.task_id,
            "task": done.task.name if done.task else None,
            "queue": lease.queue,
            "seconds": seconds,
            "outcome": word,
        },
    )


def _told(done: execution.Done) -> tuple[int, str, str]:
    """Return the level, the outcome's word and the message for one try."""
    match done.outcome:
        case Retry(failure=failure):
            left = done.task.retries if done.task else 0
            return logging.WARNING, "retrying", f"failed, {left} retries left: {failure.error}"
        case Fail(failure=failure):
            return logging.ERROR, "failed", f"failed for good: {failure.error}"
        case Defer():
            return logging.INFO, "snoozed", f"asked to be run {done.error}"
        case _:
            return logging.INFO, "success", "done"


def _frames(descriptor: int) -> Iterator[Any]:
    reader = FrameReader()
    while data := os.read(descriptor, 1 << 16):
        yield from reader.feed(data)


def _write(descriptor: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        os._exit(1)  # the supervisor is gone, and with it whoever could use an answer


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process with its parent, where it can (Linux, prctl(2))."""
    if sys.platform == "linux":
        import ctypes  # nowhere else, and only in children

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(Settings(*json.loads(sys.argv[1]))))
