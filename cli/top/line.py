"""Calls that may take long, one after another on a thread of their own, awaited by a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Line:
    """A thread that makes the calls in the order that they came.

    It is a daemon, which no executor's thread is: a broker that does not answer must not keep a
    person who has quit from the shell.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        threading.Thread(target=self._serve, name="gator-top", daemon=True).start()

    async def __call__(self, call: Callable[[], T]) -> T:
        """Make a call and return what it returns, or raise what it raises."""
        return await asyncio.wrap_future(self._put(call))

    def end(self, call: Callable[[], None], patience: float) -> None:
        """Make a last call when the one before has ended, waiting no longer than `patience`
        seconds for it."""
        wait([self._put(call)], patience)

    def _put(self, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._calls.put((call, future))
        return future

    def _serve(self) -> None:
        while True:
            call, future = self._calls.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)
