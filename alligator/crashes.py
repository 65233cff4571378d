"""Tasks that take their worker along: who is suspected of it, and how often it may happen.

A hand-out is counted before its task runs, so one of which no outcome ever came is a death: of the
child that ran the task, or of a whole worker. A supervisor that outlives its child knows which task
ran. A whole worker that dies leaves a hand-out counted with everything it held, begun or not, so
those tasks are only suspects. Running suspects alone is what tells them apart.
"""

from __future__ import annotations

import time

from .backends.base import Fail, Failure, Lease, Release

#: Deaths of its worker after which a task goes to the failed set, unless told otherwise.
MAX_DEATHS = 3


def deaths(lease: Lease) -> int:
    """Return how many workers died while they held the task, before this hand-out."""
    return lease.deliveries - lease.attempts - 1


def is_suspect(lease: Lease) -> bool:
    """Whether a worker died with the task. A child is given such a one alone, so that another death
    counts against nothing else."""
    return deaths(lease) > 0


def is_last_chance(lease: Lease, most: int) -> bool:
    """Whether the task is not handed out again if its worker dies once more. A worker runs one such
    task at a time: had it two, and died of one, both would end in the failed set."""
    return deaths(lease) >= unseen(most) - 1


def given_up(lease: Lease, most: int, worker: str) -> Fail | None:
    """Return the end of a task whose workers have died too often already; None for any other.

    Args:
        most: deaths after which a task goes to the failed set.
        worker: who says so ("host:pid").
    """
    if deaths(lease) < unseen(most):
        return None
    error = f"worker died: {deaths(lease)} times, the last one without a word of how"
    failure = Failure(error, "", time.time(), worker)
    return Fail(lease, failure, attempted=False, charged=False)


def after_death(lease: Lease, most: int, cause: str, worker: str) -> Fail | Release:
    """Return what becomes of a task that was running when its child died.

    Args:
        most: as in `given_up`.
        cause: a signal's name, or an exit code.
        worker: the child that died ("host:pid").
    """
    if deaths(lease) + 1 < most:
        return Release(lease, charged=True)
    failure = Failure(f"worker died: {cause}", "", time.time(), worker)
    return Fail(lease, failure, attempted=False)


def unseen(most: int) -> int:
    """Return the deaths that put a task aside where nobody can say which of several it was.

    The first death of a whole worker, or of a child that ran more than one, says nothing yet about
    any one of them. After it each runs alone.
    """
    return max(most, 2)
