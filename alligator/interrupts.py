"""Telling a KeyboardInterrupt that somebody sent from one that a task raised by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

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
