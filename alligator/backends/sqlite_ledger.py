"""How many tasks of a queue file are in which state, how many have ended, and how many of those
that became ready somebody must hear of."""

from __future__ import annotations

import sqlite3
from collections import Counter

from .base import State

#: How the file writes a State; plain integers, which sqlite3 binds faster than an enum's.
WAITING, DELAYED, RETRYING, BLOCKED, RUNNING, FAILED = range(6)
STATES = (
    State.WAITING,
    State.DELAYED,
    State.RETRYING,
    State.BLOCKED,
    State.RUNNING,
    State.FAILED,
)
TIMED = (DELAYED, RETRYING)


class Ledger:
    """What one transaction changes in the numbers of each queue and state.

    Args:
        soon: the Unix time up to which a waiting client does not look at the file by itself: a
            task that is due before it counts as ready.

    Attributes:
        ready: by queue, how many more tasks are ready; wake as many clients after the commit.
    """

    def __init__(self, soon: float) -> None:
        self._soon = soon
        self._changes: Counter[tuple[str, int]] = Counter()
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self.ready: Counter[str] = Counter()

    def moved(self, queue: str, before: int, after: int | None, number: int = 1) -> None:
        """Note that tasks went from one state to another, or with None that they are gone."""
        if number:
            self._changes[queue, before] -= number
            self.ready[queue] += number * ((after == WAITING) - (before == WAITING))
            if after is not None:
                self._changes[queue, after] += number

    def arrived(self, queue: str, state: int, rank: float) -> None:
        """Note that a task came into a state, from nowhere or from one that `moved` was told."""
        self._changes[queue, state] += 1
        if state == WAITING or (state in TIMED and rank <= self._soon):
            self.ready[queue] += 1

    def done(self, queue: str, number: int) -> None:
        """Note that running tasks were acked: they are gone."""
        self.moved(queue, RUNNING, None, number)
        self._done[queue] += number

    def failed(self, queue: str) -> None:
        """Note that a running task failed for good."""
        self.moved(queue, RUNNING, FAILED)
        self._failed[queue] += 1

    def write(self, connection: sqlite3.Connection) -> None:
        """Add the changes to the sums that the file keeps."""
        for (queue, state), change in self._changes.items():
            if change > 0:
                connection.execute(
                    "INSERT INTO totals VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET number = number + excluded.number",
                    (queue, state, change),
                )
            elif change < 0:
                connection.execute(
                    "UPDATE totals SET number = number + ? WHERE queue = ? AND state = ?",
                    (change, queue, state),
                )
                connection.execute(
                    "DELETE FROM totals WHERE queue = ? AND state = ? AND number <= 0",
                    (queue, state),
                )
        for queue in self._done.keys() | self._failed.keys():
            connection.execute(
                "INSERT INTO ended VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET done = done + excluded.done, failed = failed + excluded.failed",
                (queue, self._done[queue], self._failed[queue]),
            )
