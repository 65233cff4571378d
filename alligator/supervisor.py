"""`gator worker`: one process that speaks to the broker, and children that run the tasks.

One thread, one loop: collect what the children ended, settle it and reserve more in one round trip,
hand that out, wait until something happens. Because the children hold no lease and no connection,
no task can keep a lease from being extended, and nothing that kills a child loses a task: what it
was running is charged with a delivery and goes back, what it had not started goes back uncharged.
A task that a worker died with before runs alone (see `crashes`).
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import compress
from operator import not_

from .backends.base import Backend, Capability, Lease, Outcome, Release
from .backoff import Backoff
from .beats import Pulse
from .casualties import outcomes_of
from .child import NOT_READY
from .children import Child, reap_strays
from .dealing import Dealer
from .exceptions import (
    AlligatorException,
    BrokerError,
    BrokerUnreachable,
    UnsupportedByBroker,
)
from .gator import Gator
from .heartbeat import Heartbeat
from .logs import configure
from .redaction import learn
from .settings import WorkerSettings
from .signals import LAST_WORDS, Signals
from .telling import about
from .watching import watching

log = logging.getLogger("alligator.worker")

#: Children that may be killed before the first one was ever ready.
MAX_FALSE_STARTS = 3

#: Seconds an idle loop waits at most. Everything that matters wakes it before that.
IDLE_SECONDS = 60.0

#: Seconds between two looks at what the children ended, while all of them have enough to do.
SHORTEST_NAP, LONGEST_NAP = 0.0002, 0.002

#: A child that ends sooner than this after its start counts as dying at once.
SHORT_LIFE = 1.0


class Supervisor:
    """Runs the children until it is told to stop, or until a burst is over."""

    def __init__(self, settings: WorkerSettings, client: Backend | None = None) -> None:
        """Prepare; nothing is started before `run`.

        Args:
            client: speaks to the broker; made from the settings' DSN when left out.

        Raises:
            BrokerError: the DSN is no good.
            UnsupportedByBroker: no other process could see this broker's tasks.
        """
        self._settings = settings
        self._client = client or Gator(settings.dsn).client
        if Capability.SHARED not in self._client.capabilities:
            raise UnsupportedByBroker(
                f"{self._client.broker} cannot {Capability.SHARED.value}, and workers are other "
                "processes; use Worker in your program, or another broker"
            )
        self._queues = list(settings.queues)
        self._binds_ids = Capability.CUSTOM_IDS in self._client.capabilities
        self._children: list[Child] = []
        self._outcomes: list[Outcome] = []
        self._in_doubt: set[Lease] = set()  # of outcomes in a request whose answer did not come
        self._exhausted = False
        self._extended = time.monotonic()
        self._told_lost: set[Lease] = set()
        self._selector = selectors.DefaultSelector()
        self._signals = Signals(settings.drain_timeout, self._busy)
        self._said_so = False
        self._dealer = Dealer(self._children, settings.max_tasks, settings.max_deaths)
        self._client.hurry = lambda: self._signals.hurried
        self._pulse = Pulse(self._client, self._queues, settings.processes)
        self._line: int | None = None  # see Backend.hold_line
        self._away = Backoff()
        self._starts = Backoff()
        self._heartbeat = Heartbeat(settings.heartbeat_file)
        self._ever_ready = False
        self._not_ready = False
        self._cramped = False  # the system lets no further process start

    def run(self) -> int:
        """Work until the end.

        Returns:
            0; 1 when children cannot start; 128 and the signal's number when a second signal cut
            running tasks short.

        Raises:
            BrokerError: the broker could not be reached at the start, or refuses to work.
        """
        learn(self._settings.dsn)
        configure(self._settings.log_format, self._settings.log_level, waits=False)
        version = self._client.ping()
        self._heartbeat.begin()
        names = ", ".join(self._queues)
        with ExitStack() as stack:
            stack.enter_context(self._signals)
            if self._settings.reload:
                stack.enter_context(watching(self._settings.imports, self._signals.ask_to_reload))
            # Not before: whoever reads this may send a signal.
            log.info("consuming %s on %s, processes: %d", names, version, self._settings.processes)
            self._selector.register(self._signals, selectors.EVENT_READ)
            self._heartbeat.ready()
            try:
                return self._loop()
            finally:
                self._heartbeat.stopping()
                self._end_children()
                self._leave()
                log.info("stopped")

    # -- the loop ---------------------------------------------------------------------------

    def _loop(self) -> int:
        while True:
            self._heartbeat.beat()
            self._heed_signals()
            self._collect()
            if self._children_never_ready():
                log.error("the worker's processes end before they are ready; see above")
                return 1
            self._start_children()
            self._extend()
            self._exchange()
            self._beat()
            if len(self._signals.stops) > 1:
                return 128 + self._signals.stops[-1]
            if self._over():
                return 0
            self._wait()

    def _busy(self) -> bool:
        return bool(self._outcomes) or any(child.held for child in self._children)

    def _over(self) -> bool:
        if self._signals.stopping:
            return not self._busy() or self._out_of_time()
        if not self._settings.burst or self._busy():
            return False
        return self._exhausted and time.monotonic() > self._dealer.postponed

    def _out_of_time(self) -> bool:
        return len(self._signals.stops) > 1 or time.monotonic() > self._signals.drain_until

    def _wait(self) -> None:
        """Wait until a child, a signal, the broker or the clock has something for the loop."""
        full = [child for child in self._children if child.send()]
        if nap := self._gathering():
            time.sleep(nap)
            self._signals.clear()
            return
        for child in full:
            self._selector.register(child.tasks, selectors.EVENT_WRITE)
        timeout = max(0.0, min(self._deadlines()) - time.monotonic())
        try:
            if self._rooms() and not self._unsettled():
                # The selector's own descriptor is readable when any of what it watches is ready.
                with self._signals.talking():
                    self._client.wait(self._queues, timeout, self._selector.fileno())
            else:
                self._selector.select(timeout)
        except BrokerError as error:
            self._step_back(error)
        for child in full:
            self._selector.unregister(child.tasks)
        self._signals.clear()

    def _gathering(self) -> float:
        """Return for how many seconds to let outcomes of short tasks come together, while every
        child has enough to go on with: a round trip for each would cost more than the task."""
        if self._signals.stopping or self._outcomes:
            return 0.0
        nap = nap_for([each for child in self._children if (each := child.seconds_ready)])
        return 0.0 if nap and self._rooms() else nap

    def _unsettled(self) -> bool:
        """Whether there is something to say to the broker now."""
        return bool(self._outcomes) and not self._away.waiting()

    def _deadlines(self) -> Iterator[float]:
        """The monotonic times at which the loop has something to do even if nothing happens."""
        yield time.monotonic() + IDLE_SECONDS
        yield self._signals.drain_until
        yield self._heartbeat.due
        if self._unsettled():  # dealt, and found no child
            yield 0.0
        away = self._away.waiting()
        yield self._away.until if away else self._pulse.due_at
        if self._missing() and not self._signals.stopping:
            yield self._starts.until
        for until in (self._dealer.quiet_until, self._dealer.postponed, self._dealer.replace_at):
            if until > time.monotonic():
                yield until
        for child in self._children:
            yield child.end_by
            if child.held and not away:
                yield self._extended + self._client.lease_seconds / 3
            yield child.hand_back_by

    # -- between broker and children ------------------------------------------------------------

    def _collect(self) -> None:
        """Take what the children ended, and what they should no longer hold."""
        now = time.monotonic()
        if os.getpid() == 1:
            reap_strays(self._children)
        for child in list(self._children):
            gone = child.gone()  # before the read, so that nothing is missed
            self._outcomes += child.collect()
            self._ever_ready |= child.ready
            if child.mute:
                self._listen_no_more(child)
            if gone:
                self._bury(child)
            elif now > child.end_by:
                child.kill()
            else:
                if self._signals.stopping or child.leaving or now > child.hand_back_by:
                    self._outcomes += map(Release, child.take_back())
                if self._has_done_its_share(child) and not child.held:
                    child.finish()

    def _listen_no_more(self, child: Child) -> None:
        with suppress(KeyError):  # it was not listened to any more
            self._selector.unregister(child.outcomes)  # its end would wake the loop for ever

    def _has_done_its_share(self, child: Child) -> bool:
        return child.leaving or 0 < self._settings.max_tasks <= child.done

    def _exchange(self) -> None:
        """Settle what is done and reserve more, in one round trip; then hand it out."""
        rooms = self._rooms()
        limit = sum(rooms.values())
        if self._away.waiting() or not (self._outcomes or limit):
            return
        leases = self._settle(limit)
        if leases is None:
            return
        self._exhausted = len(leases) < limit  # not known when nothing was asked for
        hands, back = self._dealer.deal(leases, rooms, self._client.worker)
        self._outcomes += back
        # Before anything begins that may end this process too, which would charge what it holds.
        if back and self._settle(0) is None:
            self._outcomes += [Release(lease) for hand in hands.values() for lease in hand]
            return
        for child, hand in hands.items():
            if hand:
                child.give(hand)

    def _settle(self, limit: int) -> list[Lease] | None:
        """Settle what is done and return up to `limit` new leases; None when the broker is away."""
        try:
            with self._signals.talking():
                settled = self._client.settle(self._outcomes, self._queues, limit)
        except BrokerError as error:
            self._doubt(error)
            self._step_back(error)
            return None
        self._broker_answered()
        self._pulse.count(self._outcomes, settled.accepted)
        for outcome in compress(self._outcomes, map(not_, settled.accepted)):
            if outcome.lease in self._in_doubt:
                self._pulse.count([outcome], [True])
                log.info(
                    "settled by a request whose answer did not come, if it still had its lease",
                    extra=about(outcome.lease),
                )
                continue
            log.warning(
                "lost its lease before it ended; what it did may be done again",
                extra=about(outcome.lease),
            )
        self._outcomes.clear()
        self._in_doubt.clear()
        return settled.leases

    def _doubt(self, error: BrokerError) -> None:
        """Note whose leases the broker may have ended all the same. Where nobody can take over a
        lease, it belongs to its connection, and is lost with that."""
        sent = isinstance(error, BrokerUnreachable) and error.maybe_done
        if sent and Capability.STEAL in self._client.capabilities:
            self._in_doubt.update(outcome.lease for outcome in self._outcomes)

    def _rooms(self) -> dict[Child, int]:
        """How many leases each child may be given now."""
        if self._signals.stopping or self._away.waiting():
            return {}
        return self._dealer.rooms()

    def _extend(self) -> None:
        due = self._extended + self._client.lease_seconds / 3 <= time.monotonic()
        if not due or self._away.waiting():
            return
        held = [lease for child in self._children for lease in child.held.values()]
        if not held:
            return
        self._extended = time.monotonic()
        try:
            with self._signals.talking():
                kept = self._client.extend(held)
        except BrokerError as error:
            self._step_back(error)
            return
        self._broker_answered()
        lost = {lease for lease, still in zip(held, kept, strict=True) if not still}
        for child in self._children:
            if not lost.isdisjoint(child.held.values()):
                # What it has not started it should not start: others have it, or may take it.
                self._outcomes += map(Release, child.take_back())
        for lease in lost - self._told_lost:
            log.warning(
                "lost its lease; another worker may run it too",
                extra=about(lease),
            )
        self._told_lost = lost

    def _beat(self) -> None:
        """Have operators see this worker, and what it runs; and the broker see when it is gone."""
        if self._line is not None and self._is_ready(self._line):
            self._selector.unregister(self._line)  # or it would wake the loop until it is held anew
            self._line = None
            self._pulse.due_at = 0.0
        if not self._pulse.due() or self._away.waiting():
            return
        try:
            with self._signals.talking():
                if self._line is None and (line := self._client.hold_line()) is not None:
                    self._selector.register(line, selectors.EVENT_READ)
                    self._line = line
                self._pulse.beat([begun for child in self._children for begun in child.begun()])
        except BrokerError as error:
            self._step_back(error)
        else:
            self._broker_answered()

    def _is_ready(self, descriptor: int) -> bool:
        return any(key.fd == descriptor for key, _ in self._selector.select(0))

    def _leave(self) -> None:
        self._signals.hang_up_within(LAST_WORDS)
        if not self._away.failures:  # or it has been asked often enough
            with suppress(BrokerError), self._signals.talking():
                self._pulse.leave()
        with suppress(BrokerError), self._signals.talking():
            self._client.close()

    def _broker_answered(self) -> None:
        if self._away.reset():
            log.warning("the broker is back")

    def _step_back(self, error: BrokerError) -> None:
        if self._away.again():
            log.warning("waiting for the broker: %s", error)

    # -- the children's lives -------------------------------------------------------------------

    def _missing(self) -> int:
        """How many to start: a full set besides those that are leaving, whose tasks may be long;
        yet never more than twice the set, however often that happens."""
        active = sum(not (child.finishing or child.retired) for child in self._children)
        most = 2 * self._settings.processes - len(self._children)
        return max(0, min(self._settings.processes - active, most))

    def _children_never_ready(self) -> bool:
        # One may be killed by accident; one that says so itself, or the third, is no accident.
        return not self._ever_ready and (
            self._not_ready or self._starts.failures >= MAX_FALSE_STARTS
        )

    def _start_children(self) -> None:
        if self._signals.stopping or self._starts.waiting():
            return
        if len(self._children) < 2 * self._settings.processes:
            child = self._dealer.to_replace()
            if child is not None:
                log.info("process %d takes no more: another is to run a task alone", child.pid)
                child.retire()
        for _ in range(self._missing()):
            try:
                child = Child(self._settings, self._binds_ids)
            except OSError as error:
                which = f"{len(self._children) + 1} of {self._settings.processes}"
                told = f"could not start process {which}: {error}; {_remedy(error)}"
                if not self._ever_ready:
                    raise AlligatorException(told) from error
                # What others run goes on, and there may be room again.
                if not self._cramped:
                    log.error("%s; it is tried again", told)
                self._cramped = True
                self._starts.again()
                return
            self._cramped = False
            self._children.append(child)
            self._selector.register(child.outcomes, selectors.EVENT_READ)
            log.debug("started process %d", child.pid)

    def _bury(self, child: Child) -> None:
        """Account for a process that is gone."""
        self._children.remove(child)
        self._listen_no_more(child)
        self._not_ready |= child.process.returncode == NOT_READY
        self._outcomes += map(Release, child.take_back())
        self._outcomes += outcomes_of(child, self._dealer, self._settings.max_deaths)
        child.close()
        if child.finishing:
            return
        if child.process.returncode == NOT_READY and not child.ready:
            log.error("process %d could not import what it has to; another is tried", child.pid)
        elif not child.held:
            log.error("process %d died: %s", child.pid, child.cause_of_death())
        if child.ready and (child.done or child.held or child.age() > SHORT_LIFE):
            self._starts.reset()
        else:
            self._starts.again()

    def _end_children(self) -> None:
        """End the children that run something and hand back what they held; let the others end by
        themselves. The broker comes first, in case somebody's patience with us is running out."""
        for child in self._children:
            self._outcomes += map(Release, child.take_back())
        busy = [child for child in self._children if child.held]
        for child in busy:
            child.kill()
        for child in busy:
            child.wait()
            self._outcomes += child.collect()
            for lease in child.held.values():
                outcome = Release(lease)
                log.warning("did not finish", extra=about(lease, outcome))
                self._outcomes.append(outcome)
        self._settle_for_good()
        for child in self._children:
            child.finish(urgent=self._out_of_time())
        for child in self._children:
            child.wait()
            child.close()
        self._children.clear()
        self._selector.close()

    def _settle_for_good(self) -> None:
        left = len(self._outcomes)
        try:
            # A broker that does not answer has been asked often enough.
            if self._outcomes and not self._away.failures:
                self._signals.hang_up_within(LAST_WORDS)
                with self._signals.talking():
                    self._client.settle(self._outcomes)
                log.info("handed back or settled at the end: %d", left)
                self._outcomes.clear()
        except BrokerError as error:
            self._step_back(error)
        if self._outcomes:
            log.error("left leased, until their time is up: %d", left)

    # -- signals ----------------------------------------------------------------------------

    def _heed_signals(self) -> None:
        if self._signals.suspend:
            self._signals.suspend = False
            self._stand_still()
        if self._signals.stopping:
            if not self._said_so:
                self._said_so = True
                log.info(
                    "stopping: no new tasks, and %g s for what runs; a second signal ends it now",
                    self._settings.drain_timeout,
                )
        elif self._signals.reload:
            self._signals.reload = False
            log.info("reloading: processes are replaced as they end what they run")
            for child in self._children:
                child.retire()
            self._starts.reset()  # what kept the last ones from starting may be mended

    def _stand_still(self) -> None:
        """Stop until somebody has us go on, as at Ctrl-Z, and have the children do so as well: the
        terminal does not reach them, and nobody would extend their leases."""
        for child in self._children:
            child.signal_all(signal.SIGSTOP)
        self._signals.stand_still()
        for child in self._children:
            child.signal_all(signal.SIGCONT)


def nap_for(ready: Sequence[float]) -> float:
    """Return for how many seconds the outcomes of short tasks may come together.

    Args:
        ready: for how many seconds each child that runs such tasks has enough to do.
    """
    if not ready:
        return 0.0
    # The more children, the sooner many have ended, and the more there is to do then.
    nap = min(min(ready) / (8 * len(ready)), LONGEST_NAP)
    return nap if nap >= SHORTEST_NAP else 0.0


def _remedy(error: OSError) -> str:
    """Say what to do when a process cannot be started."""
    if isinstance(error, FileNotFoundError):
        return "the folder that this worker was started in, or its Python, is gone; restart it"
    return "ask for fewer, or raise the limit (ulimit -n, ulimit -u)"
