"""Telling a KeyboardInterrupt that somebody sent from one that a task raised by itself, and what
becomes of the task whose run it ended."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .backends.base import Defer, Fail, Failure, Lease, Outcome, Record, Release, State

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noting_interrupts() -> Iterator[list[int]]:
    """Yield a list that gets the number of each SIGINT and SIGTERM that comes in the `with`; what
    the process does about them stays as it is.

    Signals come to the main thread, so elsewhere the list stays empty.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        handlers[number](number, frame)

    # What is not a Python function (ignored, or left to the system) raises nothing in a task.
    changed = [number for number, handler in handlers.items() if callable(handler)]
    for number in changed:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number in changed:
            signal.signal(number, handlers[number])


def undone(lease: Lease, before: Record | None) -> Outcome:
    """Return what puts a task back whose run here was interrupted: who stops one that they took out
    of the failed set, or long before it was due, does not mean a worker to run it.

    Args:
        before: the task as it was before it was leased; None for one that was its queue's next.
    """
    if before is None or before.state in (State.WAITING, State.RUNNING):
        return Release(lease)
    if before.state in (State.DELAYED, State.RETRYING) and before.due is not None:
        return Defer(lease, max(0.0, before.due - time.time()))
    # What it waited for was forgotten as it was leased, so a blocked one can't be blocked again.
    error = "interrupted while it was run by its id"
    if before.state is State.BLOCKED:
        error += "; it waited for other tasks, and does no more"
    return Fail(
        lease, Failure(error, "", time.time(), before.worker or ""), attempted=False, charged=False
    )
