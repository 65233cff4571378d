"""The lock of all locmem stores, and the threads that wait for something to happen in one.

There is one lock for all of them: it is held for microseconds, and a fork has just one to take, so
that a child never starts with a store half changed or a lock whose holder it has not got.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

lock = threading.Lock()
_waiters: set[Waiter] = set()


@dataclass(slots=True, eq=False)
class Waiter:
    """A thread that waits for one of the queues, or for one task to finish; `wake` tells it."""

    store: object
    wake: Callable[[], object]
    queues: frozenset[str] = frozenset()
    task_id: str | None = None
    pipe: tuple[int, ...] = ()


def wake(store: object, queue: str | None = None, task_id: str | None = None) -> None:
    for waiter in _waiters:
        if waiter.store is store and (
            queue in waiter.queues or (task_id is not None and task_id == waiter.task_id)
        ):
            waiter.wake()


@contextmanager
def waiting(waiter: Waiter) -> Iterator[None]:
    """Have `waiter` woken from now until the end of the block."""
    with lock:
        _waiters.add(waiter)
    try:
        yield
    finally:
        with lock:
            _waiters.discard(waiter)


def poke(pipe_end: int) -> None:
    # A full pipe has woken its waiter already.
    with suppress(BlockingIOError):
        os.write(pipe_end, b"!")


def _after_fork_in_child() -> None:
    # The threads that waited are the parent's; a byte written to their pipes would wake them there.
    for waiter in _waiters:
        for end in waiter.pipe:
            os.close(end)
    _waiters.clear()
    lock.release()


os.register_at_fork(
    before=lock.acquire, after_in_parent=lock.release, after_in_child=_after_fork_in_child
)
