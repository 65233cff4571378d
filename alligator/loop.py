"""The event loop on which `async def` tasks run, in a thread of its own. Importing this imports
asyncio, so it is imported when the first such task comes."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from .exceptions import TaskTimeout
from .forks import generation
from .limits import told

#: Seconds after which a thread that runs Python code lets another one that waits go on. While the
#: main thread begins tasks, the loop may wait so long each time that something is due: with
#: Python's own 5 ms, 500 coroutines of 100 ms took some hundredths longer.
SWITCH_INTERVAL = 0.0005


class LoopThread:
    """A loop that runs as long as its process."""

    def __init__(self) -> None:
        sys.setswitchinterval(min(SWITCH_INTERVAL, sys.getswitchinterval()))
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_make_task)
        self._running: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references
        self._new: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        threading.Thread(target=self._run_forever, name="alligator-loop", daemon=True).start()

    def start(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine that `make` returns, from one other thread."""
        self._new.append(make)
        if len(self._new) == 1:  # or the loop has been woken, and has yet to come to it
            self._loop.call_soon_threadsafe(self._start_new)

    def later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Make a call in so many seconds, or as soon after as the loop comes to it; to be asked for
        on the loop."""
        return self._loop.call_later(seconds, call)

    def _start_new(self) -> None:
        while self._new:
            self._begin(self._new[0])
            # Last: what comes meanwhile needs no wake of its own.
            self._new.popleft()

    def _begin(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        home = _Home(make())
        task = asyncio.Task(home, loop=self._loop)
        self._running.add(task)

        def ended(_task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            if not home.begun:  # a task that cancels all others did so before its first step
                self._begin(make)

        task.add_done_callback(ended)

    def _run_forever(self) -> None:
        while True:
            try:
                self._loop.run_forever()
            except BaseException:
                # SystemExit or KeyboardInterrupt, in an asyncio.Task that a task made: asyncio ends
                # its loop with those. The task learns of it when it awaits that Task.
                continue


@contextmanager
def limit_on_loop(seconds: float | None, message: str | None = None) -> Iterator[None]:
    """Raise TaskTimeout in the body of the `with`, a part of a coroutine, once `seconds` have
    passed: what it awaits is canceled, as by asyncio.timeout.

    Args:
        message: of the TaskTimeout, if it is not that of a limit of so many seconds.
    """
    if seconds is None:
        yield
        return
    task = asyncio.current_task()
    assert task is not None
    before, is_over = task.cancelling(), []

    def stop() -> None:
        is_over.append(True)
        task.cancel()

    handle = task.get_loop().call_later(seconds, stop)
    try:
        yield
    except asyncio.CancelledError as error:
        if is_over and task.uncancel() <= before:
            is_over.clear()
            raise TaskTimeout(message or told(seconds)) from error
        raise
    finally:
        handle.cancel()


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
) -> asyncio.Task[Any]:
    return asyncio.Task(_Home(coroutine), loop=loop, **options)


class _Home(Coroutine[Any, Any, Any]):
    """A coroutine that goes no further in a copy of its process than to its next wait.

    A task may fork. The loop of the copy would take up every other task that runs here, too.

    Attributes:
        begun: whether it has made its first step.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._generation = generation()
        self.begun = False

    def send(self, value: Any) -> Any:
        self.begun = True
        try:
            return self._coroutine.send(value)
        finally:
            self._end_copy()

    def throw(self, *error: Any) -> Any:
        try:
            return self._coroutine.throw(*error)
        finally:
            self._end_copy()

    def close(self) -> None:
        self._coroutine.close()

    def __getattr__(self, name: str) -> Any:
        # cr_running and its like, by which libraries see how far a coroutine has come: anyio does
        # before it cancels one.
        return getattr(self._coroutine, name)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def _end_copy(self) -> None:
        if generation() != self._generation:
            os._exit(0)
