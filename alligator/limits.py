"""The time limit of one try."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .exceptions import TaskTimeout


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TaskTimeout in the body of the `with` once `seconds` have passed.

    It takes SIGALRM, so it acts in a process's main thread only; elsewhere, and for None, the body
    runs without a limit. Code that stays inside one C call is stopped when that call returns. Of
    limits inside each other the outer one is held up until the inner block ends.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TaskTimeout(f"the task ran longer than its time limit of {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    started = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            left = outer - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6))  # 0 would be no limit
