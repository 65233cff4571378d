"""Each queue as a row: its depth by state, and what else is known about it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from alligator.backends.base import Backend, Capability
from alligator.backends.roster import WorkerRecord

from .output import Columns
from .types import STATES, in_short

QUEUE_COLUMNS = Columns(
    names=("queue", *STATES, "oldest_age", "paused", "done_total", "failed_total"),
    key="queue",
    brief=("queue", *STATES, "oldest_age", "paused"),
    long={"queue": 20},
    optional=("paused", "running", "oldest_age", "delayed", "blocked", "retrying"),
    words={"oldest_age": in_short, "paused": lambda paused: "paused" if paused else ""},
)

#: Those, and what takes a look at the workers, or two at the queue.
STATS_COLUMNS = Columns(
    names=(*QUEUE_COLUMNS.names, "rate", "workers"),
    key="queue",
    brief=("queue", *STATES, "oldest_age", "rate", "workers", "paused"),
    long=QUEUE_COLUMNS.long,
    optional=("paused", "running", "rate", "oldest_age", "workers", *QUEUE_COLUMNS.optional[3:]),
    words=QUEUE_COLUMNS.words,
)

#: Seconds at least between the two looks that a rate is made of.
SAMPLE = 0.5


def queue_rows(client: Backend, queues: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the fields of QUEUE_COLUMNS for queues, or for all that there are."""
    return [_row(client, name) for name in queues or queue_names(client)]


def queue_names(client: Backend) -> list[str]:
    """Return the queues that hold a task, are paused, or have seen one that ended: a counter that
    vanished with a queue's last task would be of no use."""
    return client.queues(empty=True)


def _row(client: Backend, name: str) -> dict[str, Any]:
    counts = client.counts(name)
    row = {column: getattr(counts, column) for column in QUEUE_COLUMNS.names}
    if Capability.RETRYING not in client.capabilities:
        row["retrying"] = None  # they are among the delayed ones
    if counts.oldest_age is not None:
        row["oldest_age"] = round(counts.oldest_age, 3)
    return row


def with_rates(
    rows: Sequence[dict[str, Any]],
    rates: Mapping[str, float | None],
    workers: Sequence[WorkerRecord] | None,
) -> list[dict[str, Any]]:
    """Return the fields of STATS_COLUMNS; `rows` are those of QUEUE_COLUMNS."""
    count = workers_of(workers, rows)
    return [
        {**row, "rate": rates.get(row["queue"]), "workers": count[row["queue"]]} for row in rows
    ]


class Rates:
    """How many tasks of each queue end a second, from one look to the next."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._at = 0.0

    def of(self, rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
        """Return the rates since the last look, None where there was none, or where the totals were
        set back."""
        now = time.monotonic()
        totals = {
            row["queue"]: row["done_total"] + row["failed_total"]
            for row in rows
            if row["done_total"] is not None
        }
        rates = {
            row["queue"]: round(
                (totals[row["queue"]] - self._last[row["queue"]]) / (now - self._at), 3
            )
            if self._last.get(row["queue"], math.inf) <= totals.get(row["queue"], -1)
            else None
            for row in rows
        }
        self._last, self._at = totals, now
        return rates


def listed_workers(client: Backend) -> list[WorkerRecord] | None:
    """Return the workers; None where the broker keeps no list of them."""
    return client.workers() if Capability.WORKERS in client.capabilities else None


def workers_of(
    workers: Sequence[WorkerRecord] | None, rows: Sequence[dict[str, Any]]
) -> dict[str, int | None]:
    """Return how many live workers take from each queue; None where the broker cannot tell."""
    if workers is None:
        return {row["queue"]: None for row in rows}
    live = [worker for worker in workers if not worker.stale]
    return {row["queue"]: sum(row["queue"] in one.queues for one in live) for row in rows}
