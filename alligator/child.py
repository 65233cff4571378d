"""The process that runs tasks for `gator worker`: it takes leases off a pipe, runs them in turn,
and says what came of each. It never speaks to the broker."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import execution, logs
from .backends.base import Ack, Lease, Retry
from .channel import FrameReader, Permits, frame, pack_outcome
from .exceptions import AlligatorException
from .redaction import learn
from .tasks import Task
from .utils import import_module

#: What a child says first, once its imports are done.
GREETING = "ready"

#: The variable that has the worker's DSN. The child speaks to no broker, but a task that pushes
#: others meets the same one with it, and its password is hidden in what is logged and kept.
DSN_VARIABLE = "GATOR_DSN"

#: Its exit code when they are not.
NOT_READY = 3


class Settings(NamedTuple):
    """What a child is started with: its ends of the three pipes, and how to run.

    Attributes:
        imports: modules to import before the first task.
        log_format, log_level: see `logs`.
        parent: the supervisor's process id.
    """

    tasks: int
    permits: int
    outcomes: int
    imports: tuple[str, ...]
    log_format: str
    log_level: str
    parent: int

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
        _run_batch(leases, permits, settings.outcomes)
    return 0


def _run_batch(leases: list[tuple[int, tuple[Any, ...]]], permits: Permits, outcomes: int) -> None:
    pid = os.getpid()
    worker = f"{socket.gethostname()}:{pid}"
    for number, fields in leases:
        if not permits.allows(number):
            continue
        started = time.perf_counter()
        done = execution.run(Task, Lease(*fields), worker)
        seconds = time.perf_counter() - started
        if os.getpid() != pid:
            # The task forked, and this is the copy: the outcome, and the next task, are not its.
            os._exit(0)
        # Written at once, one by one: whatever the next task does to this process, this outcome
        # is out of its reach.
        _write(outcomes, pack_outcome(number, seconds, done.outcome))
        _log(done, seconds)


def _log(done: execution.Done, seconds: float) -> None:
    failed = done.error is not None
    if not logs.worker_log.isEnabledFor(logging.ERROR if failed else logging.INFO):
        return
    outcome, lease = done.outcome, done.outcome.lease
    if isinstance(outcome, Ack):
        level, word, message = logging.INFO, "success", "done"
    elif isinstance(outcome, Retry):
        level, word = logging.WARNING, "retrying"
        message = f"failed, {done.task.retries if done.task else 0} retries left: "
        message += outcome.failure.error
    else:
        level, word = logging.ERROR, "failed"
        message = f"failed for good: {execution.failure_of(done.error, '').error}"  # type: ignore[arg-type]
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


def _frames(descriptor: int) -> Iterator[Any]:
    reader = FrameReader()
    while data := os.read(descriptor, 1 << 16):
        yield from reader.feed(data)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


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
