"""The time limit of one try: an exception in the task, and what follows if that is no use."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import NamedTuple

from .backends.base import Fail, Failure, Lease, Outcome, Retry
from .exceptions import TaskTimeout


class Limit(NamedTuple):
    """How long the try that begins may take, and what follows when nothing ends it but the end of
    its process.

    Attributes:
        seconds: after them TaskTimeout is raised in the task; some time later it is killed.
        body: what to queue again then, with one retry less; None when it has no retries left.
        delay: seconds until that is due.
    """

    seconds: float
    body: bytes | None
    delay: float

    def outcome(self, lease: Lease, worker: str) -> Outcome:
        """Return what becomes of the task once its process was ended."""
        error = f"TaskTimeout: it did not end within {self.seconds:g} s; its process was ended"
        failure = Failure(error, "", time.time(), worker)
        if self.body is None:
            return Fail(lease, failure)
        return Retry(lease, self.body, self.delay, failure)


#: A limit of more seconds, 31 years, is one of so many: the system's timers count no further.
LONGEST = 1e9


class Left(NamedTuple):
    """What is left of a time limit: until when (monotonic), and the message of its TaskTimeout."""

    until: float
    message: str


_NO_LIMIT = nullcontext()

#: The main thread's limit, while there is one.
_here: Left | None = None


def time_limit(seconds: float | None) -> AbstractContextManager[None]:
    """Raise TaskTimeout in the body of the `with` once `seconds` have passed; None is no limit.

    Code that stays inside one C call is stopped when that call returns; in a main thread, the calls
    that a signal interrupts return at once. Of limits inside each other the one that ends first
    counts, and the outer one again when the inner block ends.
    """
    if seconds is None:
        return _NO_LIMIT
    message = told(seconds)
    seconds = min(seconds, LONGEST)
    if threading.current_thread() is threading.main_thread():
        return _signal(seconds, message)
    from .alarms import Alarm  # and with it ctypes, which few programs need

    return Alarm(seconds, message)


def told(seconds: float) -> str:
    """Return the message of a TaskTimeout."""
    return f"the task ran longer than its time limit of {seconds:g} s"


def suspended() -> AbstractContextManager[Left | None]:
    """Raise no TaskTimeout in the body of the `with`, which has to heed the limit that holds here
    by itself, if there is one.

    For code that such an exception would find in the midst of what it must not leave, or that would
    keep it to itself, as event loops do.
    """
    if threading.current_thread() is threading.main_thread():
        return _signal_suspended()
    from .alarms import alarm_suspended

    return alarm_suspended()


@contextmanager
def _signal_suspended() -> Iterator[Left | None]:
    left = _here
    if left is None:
        yield None
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield left
    finally:
        if (seconds := left.until - time.monotonic()) > 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)


@contextmanager
def _signal(seconds: float, message: str) -> Iterator[None]:
    """The part for a main thread, by SIGALRM."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TaskTimeout(message)

    global _here
    started, outer_one = time.monotonic(), _here
    if outer_one is not None and outer_one.until <= started + seconds:
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    outer = signal.getitimer(signal.ITIMER_REAL)[0]
    try:
        _here = Left(started + seconds, message)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # on its own, as the exception may come in the one before, or before the yield
        _here = outer_one
        signal.signal(signal.SIGALRM, before)
        if outer:
            left = outer - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6))  # 0 would be no limit
