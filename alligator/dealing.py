"""Which child of `gator worker` gets which of the reserved leases, which go back, and which run
alone."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from . import crashes
from .backends.base import Defer, Fail, Lease, Outcome, Release
from .children import Child
from .signals import FOREVER
from .telling import about

log = logging.getLogger("alligator.worker")

#: Seconds that the second of two tasks at their last chance waits for the first. So long, too,
#: nothing is reserved beside that one: most that kill do so at once, and to be reserved then would
#: be to be charged.
LAST_CHANCE_WAIT = 1.0

#: Tasks of which a worker remembers that they are to run alone, or may have to, the newest ones.
MOST_APART = 10_000

_NO_HANDS: Mapping[Child, Sequence[Lease]] = {}


class Dealer:
    """Deals leases in turn, so that a short supply is shared out evenly, and each suspect to a
    child that has nothing else: one that a worker died with (see `crashes`), or that was set apart.

    Attributes:
        postponed: the monotonic time until which a task may be delayed that was ready.
        quiet_until: the monotonic time until which nothing is reserved, if a task at its last
            chance runs as long.
        replace_at: the monotonic time from which `to_replace` may name a child.
    """

    def __init__(self, children: Sequence[Child], max_tasks: int, max_deaths: int) -> None:
        """Deal to `children`, a list that others change; the rest is as in WorkerSettings."""
        self.postponed = self.quiet_until = 0.0
        self.replace_at = FOREVER
        self._children = children
        self._most = max_tasks or sys.maxsize
        self._max_deaths = max_deaths
        # While what is reserved brings suspects. One that is reserved and finds no child goes back,
        # so then no more are reserved than certainly find one.
        self._careful = False
        # By queue and id, whether to run it alone, in the order of the last change.
        self._apart: dict[tuple[str, str], bool] = {}

    def set_apart(self, lease: Lease, at_once: bool) -> None:
        """Have a task run alone from now on; without `at_once`, when this is said of it again.

        Only this worker knows: another one would find out for itself.
        """
        known = self._apart.pop(_key(lease), None)
        self._apart[_key(lease)] = at_once or known is not None
        if len(self._apart) > MOST_APART:
            del self._apart[next(iter(self._apart))]

    def to_replace(self) -> Child | None:
        """Return a child that should end what it runs and begin no more, for another in its place
        to take a suspect, which would hold up the intake for as long as some of that may run."""
        if time.monotonic() < self.replace_at:
            return None
        able = [child for child in self._children if not (child.leaving or child.finishing)]
        if not all(child.held for child in able):
            return None  # this one takes it, or will when it is ready
        held_up = [child for child in able if child.room() > 0 and not self._suspect_of(child)]
        return min(held_up, key=lambda child: len(child.held), default=None)

    def rooms(self) -> dict[Child, int]:
        """Return how many leases to reserve for each child now; children that take none are left
        out."""
        rooms: dict[Child, int] = {}
        if time.monotonic() < self.quiet_until and self._has_last_chance():
            return rooms
        for child in self._children:
            room = min(child.room(), self._most - child.done - len(child.held))
            if room > 0 and not (child.held and (self._careful or self._suspect_of(child))):
                rooms[child] = 1 if self._careful else room
        return rooms

    def deal(
        self, leases: Sequence[Lease], rooms: dict[Child, int], worker: str
    ) -> tuple[dict[Child, list[Lease]], list[Outcome]]:
        """Share the leases out among the children that `rooms` were asked for.

        Args:
            worker: who writes a task off ("host:pid").

        Returns:
            What to give to each child; and what to settle before that: the end of tasks that are
            not run again, and those that find no child.
        """
        outcomes: list[Outcome] = []
        hands: dict[Child, list[Lease]] = {child: [] for child in rooms}
        turns = deque(rooms)
        self._careful = False
        for lease in leases:
            # Nearly all are handed out for the first time, and asked no further.
            if (lease.deliveries > 1 or self._apart) and self._is_suspect(lease):
                if (end := crashes.given_up(lease, self._max_deaths, worker)) is not None:
                    _tell(end)
                    outcomes.append(end)
                else:
                    self._careful = True
                    outcomes += self._deal_suspect(lease, turns, hands)
            elif turns:
                child = turns.popleft()
                hand = hands[child]
                hand.append(lease)
                if len(hand) < rooms[child]:
                    turns.append(child)
            else:
                outcomes.append(Release(lease))
        if not self._careful:
            self.replace_at = FOREVER
        return hands, outcomes

    def _deal_suspect(
        self, lease: Lease, turns: deque[Child], hands: dict[Child, list[Lease]]
    ) -> Iterator[Outcome]:
        if self._is_last_chance(lease) and self._has_last_chance(hands):
            # Later, not back: in its old place it would keep what stands behind it from its turn.
            self.postponed = time.monotonic() + 2 * LAST_CHANCE_WAIT
            yield Defer(lease, LAST_CHANCE_WAIT)
            return
        child = next((one for one in turns if not (one.held or hands[one])), None)
        if child is None:
            self.replace_at = min(self.replace_at, time.monotonic() + LAST_CHANCE_WAIT)
            yield Release(lease)
        else:
            self.replace_at = FOREVER
            turns.remove(child)
            hands[child].append(lease)
            if self._is_last_chance(lease):
                self.quiet_until = time.monotonic() + LAST_CHANCE_WAIT

    def _has_last_chance(self, hands: Mapping[Child, Sequence[Lease]] = _NO_HANDS) -> bool:
        held = [self._suspect_of(child) for child in self._children]
        dealt = [hand[0] for hand in hands.values() if hand]
        return any(lease and self._is_last_chance(lease) for lease in (*held, *dealt))

    def _is_last_chance(self, lease: Lease) -> bool:
        return crashes.is_last_chance(lease, self._max_deaths)

    def _is_suspect(self, lease: Lease) -> bool:
        if crashes.is_suspect(lease):
            return True
        return bool(self._apart) and self._apart.get(_key(lease), False)

    def _suspect_of(self, child: Child) -> Lease | None:
        """Return the suspect that a child holds; then it holds nothing else."""
        if len(child.held) != 1:
            return None
        (lease,) = child.held.values()
        return lease if self._is_suspect(lease) else None


def _key(lease: Lease) -> tuple[str, str]:
    return lease.queue, lease.task_id


def _tell(end: Fail) -> None:
    log.error(
        "%s: to the failed set",
        end.failure.error,
        extra=about(end.lease, end),
    )
