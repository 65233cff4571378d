"""Worker: reserve, run, settle, in this process, until told to stop."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from types import FrameType
from typing import Any, Self

from .allow import AllowList
from .backends.base import Capability, Defer, Fail, Lease, Outcome, Release, Retry
from .backoff import Backoff
from .beats import Begun, Pulse, beating
from .constants import ALL
from .crashes import MAX_DEATHS
from .exceptions import BrokerError, BrokerUnreachable
from .execution import Done
from .forks import handling
from .gator import Gator

log = logging.getLogger("alligator.worker")

#: Seconds that a worker has to live before operators see it: many run one task and are gone.
_SETTLING_IN = 0.2

#: Seconds of the shortest idle wait: without one a processor would spin.
SHORTEST_NAP = 0.01


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
        *,
        allow: str | Iterable[str] | None = None,
        max_deaths: int = MAX_DEATHS,
    ) -> None:
        """Set what to consume.

        Args:
            max_tasks: how many tasks to run before `run_forever` returns; 0 is no limit.
            to_consume: a queue, or queues in order of preference. Left at ALL, it is the Gator's
                own queue, which is ALL too unless you gave it another; ["all"] is that one always.
            nap_time: seconds an idle wait lasts at most; 0.01 when it is less. There is none while
                tasks are ready, and a push ends it.
            allow: patterns of the dotted paths that may run here; left out, its Gator's.
            max_deaths: a task that so many workers died with is not run: it fails. 1 is taken for
                2: a worker that died may have held a task that it had not begun.

        Raises:
            InvalidSetting: a secret or an allow list that is of no use.
            ValueError: `max_deaths` is not a whole number from 1.
        """
        if not isinstance(max_deaths, int) or max_deaths < 1:
            raise ValueError(f"max_deaths {max_deaths!r} is not a whole number, 1 or more")
        self.gator = gator
        self.max_tasks = max_tasks
        self.to_consume = to_consume
        self.nap_time = nap_time
        self.max_deaths = max_deaths
        self.tasks_complete = 0
        self.interrupted = False
        if to_consume == ALL:
            to_consume = gator.queue_name
        self._queues = [to_consume] if isinstance(to_consume, str) else list(to_consume)
        self._trust = gator.trust
        if allow is not None:
            self._trust = replace(gator.trust, allow=AllowList(allow))
        self._looping = False
        self._next: Lease | None = None
        self._done: Done | None = None  # run, and not settled yet
        self._in_doubt = False  # whether a request whose answer did not come may have settled it
        self._runs: tuple[Lease, float] | None = None  # since that monotonic time
        self._pulse: Pulse | None = None
        self._wake: _Wake | None = None

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

    def result(self, result: Any) -> None:
        """Print what a task returned on stdout."""
        print(result, flush=True)

    # -- what it does -------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop after the task that runs now. May be called from a signal handler or a thread."""
        self.interrupted = True
        wake = self._wake
        if wake is not None:
            wake.poke()

    def run_forever(self) -> int:
        """Run tasks until `max_tasks` are done or the worker is interrupted.

        SIGINT and SIGTERM interrupt it when this is the main thread; a second one acts as if there
        were no worker. A broker that goes away, or refuses for a while (a full disk), is waited
        for.

        Returns:
            0, or 1 when it was interrupted.

        Raises:
            BrokerError: the broker could not be reached at the start, or refused to work.
        """
        self._looping = True
        try:
            self._pulse = Pulse(self.gator.client, self._queues, 1, first=_SETTLING_IN)
            with _Wake() as self._wake, self._signals(), beating(self._pulse, self._begun):
                self.starting()  # whoever reads what that says may send a signal
                self._loop(self._wake)
        finally:
            self._wake = None
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
        if self._done is None:
            lease = self._take()
            if lease is None:
                return False
            self._runs = lease, time.monotonic()
            try:
                self._done = self.gator.run_lease(lease, self._trust, self.max_deaths)
            finally:
                self._runs = None
        self._settle(self._done)
        return True

    def _begun(self) -> list[Begun]:
        runs = self._runs
        return [] if runs is None else [(runs[0], time.monotonic() - runs[1])]

    def _take(self) -> Lease | None:
        lease, self._next = self._next, None
        return lease or next(iter(self.gator.client.reserve(self._queues, 1)), None)

    def _settle(self, done: Done) -> None:
        if self.interrupted and isinstance(done.error, KeyboardInterrupt):
            # The second SIGINT: whoever sent it does not want the task's end.
            self._end(Release(done.outcome.lease))
            return
        # The next task comes with the answer, unless nobody is there to run it.
        last = 0 < self.max_tasks <= self.tasks_complete + 1
        more = self._looping and not self.interrupted and not last
        fresh = self._end(done.outcome, 1 if more else 0)
        self._next = fresh[0] if fresh else None
        if self._pulse is not None:
            self._pulse.count([done.outcome], [True])
        self.tasks_complete += 1
        with nullcontext() if self._next is None else self.gator.keeping(self._next):
            self._report(done)

    def _end(self, outcome: Outcome, limit: int = 0) -> list[Lease]:
        """Settle what was run, and note if that may be done although no answer came."""
        try:
            fresh = self.gator.settle(outcome, self._queues, limit, in_doubt=self._in_doubt)
        except BrokerUnreachable as error:
            # Where nobody can take over a lease, it is lost with its connection.
            steal = Capability.STEAL in self.gator.client.capabilities
            self._in_doubt |= error.maybe_done and steal
            raise
        self._done, self._in_doubt = None, False
        return fresh

    def _loop(self, wake: _Wake) -> None:
        away = Backoff()
        reached = False
        while not self._finished():
            try:
                if not self.check_and_run_task() and not self._finished():
                    nap = max(self.nap_time, SHORTEST_NAP)
                    self.gator.client.wait(self._queues, nap, wake.fileno())
                reached = True
                if away.reset():
                    log.warning("the broker is back")
            except BrokerError as error:
                if not reached:
                    raise
                if away.again():
                    log.warning("waiting for the broker: %s", error)
                wake.wait(away.until - time.monotonic())

    def _finished(self) -> bool:
        return self.interrupted or 0 < self.max_tasks <= self.tasks_complete

    def _report(self, done: Done) -> None:
        task_id = done.outcome.lease.task_id
        if isinstance(done.outcome, Fail | Retry):
            log.error("task %s failed: %s", task_id, done.outcome.failure.error)
            return
        if isinstance(done.outcome, Defer):
            log.info("task %s asked to be run again in %g s", task_id, done.outcome.delay)
            return
        try:
            self.result(done.task.result if done.task else None)
        except Exception:  # a value that cannot be printed, or a stdout that nobody reads
            log.exception("task %s is done, but its result could not be shown", task_id)

    def _hand_back(self) -> None:
        """Let go of what is held at the end."""
        try:
            if self._done is not None:
                self._settle(self._done)
            if self._next is not None:
                self.gator.settle(Release(self._next))
                self._next = None
        except BrokerError as error:
            log.warning("a task stays leased until its time is up, and then runs again: %s", error)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, _frame: FrameType | None) -> None:
            self.interrupt()
            signal.signal(number, before[number])

        numbers = (signal.SIGINT, signal.SIGTERM)
        before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
        with handling(dict.fromkeys(numbers, stop)):
            yield


class _Wake:
    """A way to end the loop's wait, from a signal handler or another thread."""

    def __enter__(self) -> Self:
        # Sockets, since a poke at a closed one is refused; a descriptor's number may be another's.
        self._reading, self._writing = socket.socketpair()
        self._writing.setblocking(False)
        return self

    def __exit__(self, *_error: object) -> None:
        self._reading.close()
        self._writing.close()

    def poke(self) -> None:
        with suppress(OSError):  # full: it is woken already; closed: the loop is over
            self._writing.send(b"!")

    def fileno(self) -> int:
        return self._reading.fileno()

    def wait(self, seconds: float) -> None:
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self._reading, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
