"""Where the tasks of a child process run: in its main thread or in threads, and on one event loop;
how many run, and telling the supervisor what came of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .backends.base import Outcome
from .channel import Report, pack_outcome, pack_report

if TYPE_CHECKING:
    import asyncio

    from .loop import LoopThread


class Slots:
    """The main thread begins tasks here, and nobody else; they end in any thread.

    With one thread, plain functions run in the main thread itself: signals reach them, and a short
    task costs no switch of threads.
    """

    def __init__(self, threads: int, coroutines: int, outcomes: int) -> None:
        """Set how many may run at once.

        Args:
            outcomes: the pipe to the supervisor, a descriptor.
        """
        self._threads = self._free_threads = threads
        self._free_coroutines = coroutines
        self._outcomes = outcomes
        self._begun = 0
        self._loop_is_next = False  # by the last one; what comes next is likely to be of its kind
        self._reported: Report = (0, 0)
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._waiting = False
        self._work: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = SimpleQueue()
        self._started = 0
        self._loop: LoopThread | None = None

    # -- beginning, in the main thread ----------------------------------------------------------

    def wait(self) -> None:
        """Wait until a task of either kind could begin."""
        if self._free_threads > 0 and self._free_coroutines > 0:
            return
        with self._lock:
            self._waiting = True
            self._freed.wait_for(self._are_free)
            self._waiting = False

    def skip(self, number: int) -> None:
        """Note that the lease of this number was taken back."""
        self._begun = number

    def run(self, number: int, work: Callable[..., None], *args: Any) -> None:
        """Begin a plain function, which calls `end` when it has ended; a slot is free."""
        if self._threads == 1:
            # No other thread frees this slot. It goes first: in what the loop may report meanwhile
            # there is too little room then, and never too much.
            self._free_threads = 0
            self._begun, self._loop_is_next = number, False
            copy_context().run(work, *args)  # what it sets in there, the next one does not see
            return
        with self._lock:
            self._begun = number
            self._free_threads -= 1
            self._loop_is_next = False
        if self._started < self._threads - self._free_threads:
            self._started += 1
            name = f"alligator-task-{self._started}"
            threading.Thread(target=self._run_forever, name=name, daemon=True).start()
        self._work.put((work, args))

    def run_on_loop(self, number: int, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a coroutine, which calls `end` when it has ended; a slot is free."""
        with self._lock:
            self._begun = number
            self._free_coroutines -= 1
            self._loop_is_next = True
        if self._loop is None:
            from .loop import LoopThread  # and with it asyncio

            self._loop = LoopThread()
        self._loop.start(make)

    def report(self) -> None:
        """Wait until a task could begin, and say so if the last report did not."""
        self.wait()
        with self._lock:
            report = self._begun, self._room()
            if report != self._reported:
                self._reported = report
                self._write(pack_report(report))

    # -- ending, in the thread of the task ------------------------------------------------------

    def end(self, number: int, seconds: float, outcome: Outcome, on_loop: bool = False) -> None:
        """Say what came of a task, and free its slot.

        One step: whatever the next task does to this process, this outcome is out of its reach.
        """
        with self._lock:
            if on_loop:
                self._free_coroutines += 1
            else:
                self._free_threads += 1
            self._reported = self._begun, self._room()
            self._write(pack_outcome(self._reported, number, seconds, outcome))
            if self._waiting:
                self._freed.notify()

    def later_on_loop(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Make a call in so many seconds, as soon as the loop can; to be asked for on the loop."""
        assert self._loop is not None
        return self._loop.later(seconds, call)

    def say(self, frame: bytes) -> None:
        """Write a frame of another kind."""
        with self._lock:
            self._write(frame)

    def _run_forever(self) -> None:
        while True:
            work, args = self._work.get()
            copy_context().run(work, *args)

    def _are_free(self) -> bool:
        return self._free_threads > 0 and self._free_coroutines > 0

    def _room(self) -> int:
        if not (self._free_threads and self._free_coroutines):
            return 0
        return self._free_coroutines if self._loop_is_next else self._free_threads

    def _write(self, data: bytes) -> None:
        try:
            while (written := os.write(self._outcomes, data)) < len(data):
                data = data[written:]
        except BrokenPipeError:
            os._exit(1)  # the supervisor is gone, and with it whoever could use an answer
