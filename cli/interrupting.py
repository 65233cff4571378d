"""Ctrl-C and SIGTERM held back while a batch is on its way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import Terminated


@contextmanager
def held_back() -> Iterator[None]:
    """Raise what comes at the end of the block; at once when it comes a second time."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise Terminated if came[0] == signal.SIGTERM else KeyboardInterrupt
