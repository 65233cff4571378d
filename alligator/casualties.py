"""What becomes of the tasks that were running in a process that is gone."""

from __future__ import annotations

import logging

from . import crashes
from .backends.base import HOST, Fail, Lease, Outcome, Release
from .children import Child
from .dealing import Dealer
from .limits import Limit
from .telling import about

log = logging.getLogger("alligator.worker")


def outcomes_of(child: Child, dealer: Dealer, most: int) -> list[Outcome]:
    """Return the outcomes of what a dead child still holds, all of which it had begun.

    Where a time limit had run out, that is what ended it, and its death is nobody's. Who is to
    blame for that limit is charged with it. When that is not known, since one of several tasks kept
    the others from going on, those whose time was over are handed back, each to run alone;
    so are the others beside them when it happens again.

    Args:
        dealer: is told what is to run alone.
        most: deaths after which a task goes to the failed set.
    """
    where = f"{HOST}:{child.pid}"
    overruns = {number: child.overrun(number) for number in child.held}
    if not any(overruns.values()):
        cause = child.cause_of_death()
        if len(child.held) > 1:
            most = crashes.unseen(most)
        return [_after_death(lease, most, cause, where) for lease in child.held.values()]
    held_up = {number for number in child.held if child.is_held_up(number)}
    outcomes: list[Outcome] = []
    for number, lease in child.held.items():
        limit = overruns[number]
        if limit and number not in held_up:
            outcomes.append(_after_overrun(lease, limit, where))
            continue
        outcome = Release(lease)
        outcomes.append(outcome)
        if held_up:
            dealer.set_apart(lease, at_once=number in held_up)
        if number in held_up:
            log.warning(
                "its time limit passed it by, for something beside it kept it from going on, or it "
                "kept others; its process was ended, and it runs again, alone",
                extra=about(lease, outcome),
            )
    return outcomes


def _after_overrun(lease: Lease, limit: Limit, where: str) -> Outcome:
    outcome = limit.outcome(lease, where)
    log.error(
        "did not end within its time limit of %g s; its process was ended",
        limit.seconds,
        extra=about(lease, outcome),
    )
    return outcome


def _after_death(lease: Lease, most: int, cause: str, where: str) -> Outcome:
    outcome = crashes.after_death(lease, most, cause, where)
    log.error(
        "worker died: %s (%d of %d)%s",
        *(cause, crashes.deaths(lease) + 1, most),
        ": to the failed set" if isinstance(outcome, Fail) else "",
        extra=about(lease, outcome),
    )
    return outcome
