"""What a copy of this process must not take over: a task may fork, and what began before is the
original's to end."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

_generation = 0

#: Signals, how they are handled here, and what was done about them before; the newest come last.
_handled: list[tuple[int, Any, Any]] = []

#: Which signals the thread that forks had blocked.
_blocked = threading.local()


def generation() -> int:
    """Return a number that is another one in a copy of this process."""
    return _generation


class Beginner(Protocol):
    """What has to be made anew in a copy of this process."""

    def begin(self) -> None:
        """Take over nothing of the original's."""


_beginners: weakref.WeakSet[Beginner] = weakref.WeakSet()


def begins_in_copies(one: Beginner) -> None:
    """Have `one.begin()` called in each copy of this process, while anybody holds `one`."""
    _beginners.add(one)


@contextmanager
def handling(handlers: Mapping[int, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    """Handle signals in the body of the `with`, but not in a copy of this process: there they do
    what they did before, or what the copy wants. Who forks expects SIGTERM to end it."""
    ours = [(number, todo, signal.signal(number, todo)) for number, todo in handlers.items()]
    _handled.extend(ours)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each[0], each[2])
            _handled.remove(each)


def _before_fork() -> None:
    # Held back, or what is sent to the copy at once would meet our handlers there and be lost.
    numbers = {number for number, _, _ in _handled}
    _blocked.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers) if numbers else None


def _let_through() -> None:
    if _blocked.before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _blocked.before)


def _after_in_child() -> None:
    global _generation
    _generation += 1
    for number, handler, before in reversed(_handled):
        if signal.getsignal(number) is handler:
            signal.signal(number, before)
    _let_through()
    for one in list(_beginners):
        one.begin()


# Counting copies is cheaper than two calls of getpid for each task.
os.register_at_fork(
    before=_before_fork, after_in_parent=_let_through, after_in_child=_after_in_child
)
