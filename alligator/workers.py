"""Worker: reserve, run, settle, in this process, until told to stop."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .backends.base import Lease, Release
from .backoff import Backoff
from .constants import ALL
from .exceptions import BrokerError, BrokerUnreachable
from .gator import Gator

log = logging.getLogger("alligator.worker")

#: Seconds between looks for a broker that went away: the first, and the most.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class Worker:
    """Consumes queues in this process; `gator worker` runs many processes of the kind.

    Subclasses may override any method; `result` is the usual one.
    """

    def __init__(
        self,
        gator: Gator,
        max_tasks: int = 0,
        to_consume: str | Sequence[str] = ALL,
        nap_time: float = 0.1,
    ) -> None:
        """Set what to consume.

        Args:
            max_tasks: how many tasks to run before `run_forever` returns; 0 is no limit.
            to_consume: a queue, or queues in order of preference.
            nap_time: seconds an idle wait lasts at most. There is none while tasks are ready.
        """
        self.gator = gator
        self.max_tasks = max_tasks
        self.to_consume = to_consume
        self.nap_time = nap_time
        self.tasks_complete = 0
        self.interrupted = False
        self._queues = [to_consume] if isinstance(to_consume, str) else list(to_consume)
        self._looping = False
        self._next: Lease | None = None
        # A write to the one ends a wait on the other, from a signal handler or another thread.
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)

    # -- what it says -------------------------------------------------------------------------

    def ident(self) -> str:
        """Return the worker's name, with its process id."""
        return f"Alligator Worker (#{os.getpid()})"

    def starting(self) -> None:
        """Say on stdout that the worker starts, and what it consumes."""
        queues = ", ".join(self._queues)
        print(f"{self.ident()} starting, consuming {queues}.", flush=True)

    def stopping(self) -> None:
        """Say on stdout that the worker stops."""
        print(f"{self.ident()} stopping after {self.tasks_complete} tasks.", flush=True)

    def result(self, value: Any) -> None:
        """Print what a task returned on stdout."""
        print(value, flush=True)

    # -- what it does -------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop after the task that runs now. May be called from a signal handler or a thread."""
        self.interrupted = True
        with_room = select.select([], [self._wake_in], [], 0)[1]
        if with_room:
            self._wake_in.send(b"!")

    def run_forever(self) -> int:
        """Run tasks until `max_tasks` are done or the worker is interrupted.

        SIGINT and SIGTERM interrupt it when this is the main thread; a second one acts as if there
        were no worker. A broker that goes away is waited for.

        Returns:
            0, or 1 when it was interrupted.

        Raises:
            BrokerError: the broker could not be reached at the start, or refuses to work.
        """
        self.starting()
        self._looping = True
        try:
            with self._signals():
                self._loop()
        finally:
            self._looping = False
            self._hand_back()
            self.stopping()
        return 1 if self.interrupted else 0

    def check_and_run_task(self) -> bool:
        """Run one task if one is ready.

        A failing task is logged and settled, never raised.

        Returns:
            Whether a task was run.
        """
        lease, self._next = self._next, None
        if lease is None:
            lease = next(iter(self.gator.client.reserve(self._queues, 1)), None)
        if lease is None:
            return False
        done = self.gator.run_lease(lease)
        if self.interrupted and isinstance(done.error, KeyboardInterrupt):
            # The second SIGINT: whoever sent it does not want the task's end.
            self.gator.settle(Release(lease))
            return False
        self.tasks_complete += 1
        # The next task comes with the answer, unless nobody is there to run it.
        more = self._looping and not self._finished()
        fresh = self.gator.settle(done.outcome, self._queues, 1 if more else 0)
        self._next = fresh[0] if fresh else None
        self._report(lease, done.task.result if done.task else None, done.error)
        return True

    def _loop(self) -> None:
        away = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        reached = False
        while not self._finished():
            try:
                if not self.check_and_run_task() and not self._finished():
                    self.gator.client.wait(self._queues, self.nap_time, self._wake_out.fileno())
                reached = True
                if away.reset():
                    log.warning("the broker is back")
            except BrokerUnreachable as error:
                if not reached:
                    raise
                if away.again():
                    log.warning("waiting for the broker: %s", error)
                select.select([self._wake_out], [], [], away.until - time.monotonic())

    def _finished(self) -> bool:
        return self.interrupted or 0 < self.max_tasks <= self.tasks_complete

    def _report(self, lease: Lease, value: Any, error: BaseException | None) -> None:
        if error is None:
            self.result(value)
        else:
            log.error("task %s failed: %s: %s", lease.task_id, type(error).__name__, error)

    def _hand_back(self) -> None:
        lease, self._next = self._next, None
        if lease is not None:
            try:
                self.gator.settle(Release(lease))
            except BrokerError as error:
                log.warning("task %s stays leased until its time is up: %s", lease.task_id, error)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, _frame: FrameType | None) -> None:
            self.interrupt()
            signal.signal(number, before[number])

        before: dict[int, Any] = {
            number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
