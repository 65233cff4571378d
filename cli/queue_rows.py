"""Each queue as a row: its depth by state, and what else is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alligator.backends.base import Backend, Capability

from .output import Columns
from .types import STATES, in_short

QUEUE_COLUMNS = Columns(
    names=("queue", *STATES, "oldest_age", "paused", "done_total", "failed_total"),
    key="queue",
    brief=("queue", *STATES, "oldest_age", "paused"),
    long={"queue": 20},
    optional=("running", "oldest_age", "paused", "delayed", "blocked", "retrying"),
    words={"oldest_age": in_short, "paused": lambda paused: "paused" if paused else ""},
)


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
