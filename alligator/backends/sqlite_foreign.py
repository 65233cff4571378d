"""Rows of a queue file that no Alligator wrote: how to tell them, and how to make them readable.

SQLite keeps any type of value in any column, and bytes that are no UTF-8 in text. One such row must
not keep a worker, or somebody who looks, from the others.
"""

from __future__ import annotations

import os

from .base import MAX_PRIORITY, MIN_PRIORITY
from .sqlite_ledger import FAILED, STATES

#: Where the counts of such a row end; a task does not get there by itself.
_MOST = 1_000_000_000

_STATE = f"typeof(state) = 'integer' AND state BETWEEN 0 AND {len(STATES) - 1}"

#: What a lease says of its task.
_LEASABLE = (
    "typeof(id) = 'text' AND typeof(body) = 'blob'"
    f" AND typeof(priority) = 'integer' AND priority BETWEEN {MIN_PRIORITY} AND {MAX_PRIORITY}"
    f" AND typeof(attempts) = 'integer' AND attempts BETWEEN 0 AND {_MOST}"
    f" AND typeof(deliveries) = 'integer' AND deliveries BETWEEN 0 AND {_MOST}"
)

#: An expression that is 1 for a row with a value of a wrong type or out of its range. What is wrong
#: inside a text is for `is_name` to say.
FOREIGN = (
    f"NOT ({_LEASABLE} AND {_STATE} AND typeof(queue) = 'text'"
    " AND typeof(rank) = 'real' AND typeof(pushed_at) = 'real'"
    " AND typeof(due) IN ('real', 'null') AND typeof(lease) IN ('integer', 'null')"
    " AND typeof(worker) IN ('text', 'null') AND typeof(unique_key) IN ('text', 'null'))"
)

#: Makes a row readable. Parameters: an id and a queue, each or NULL for what it has, and its seq.
MEND = (
    "UPDATE tasks SET id = coalesce(?, id), queue = coalesce(?, queue),"
    f" state = CASE WHEN {_STATE} THEN state ELSE {FAILED} END,"
    " rank = CAST(rank AS REAL), pushed_at = CAST(pushed_at AS REAL), due = CAST(due AS REAL),"
    f" priority = max({MIN_PRIORITY}, min({MAX_PRIORITY}, CAST(priority AS INTEGER))),"
    f" attempts = max(0, min({_MOST}, CAST(attempts AS INTEGER))),"
    f" deliveries = max(0, min({_MOST}, CAST(deliveries AS INTEGER))),"
    " lease = CASE typeof(lease) WHEN 'integer' THEN lease END, worker = CAST(worker AS TEXT),"
    " unique_key = CAST(unique_key AS TEXT), body = CAST(body AS BLOB) WHERE seq = ?"
)

#: The life under which a row is leased; "", which none is called, for what is no life's name. It is
#: a part of a path, so nothing else may come near the file system.
LIFE = (
    "CASE WHEN typeof(holder) = 'text' AND length(holder) = 16"
    " AND holder NOT GLOB '*[^0-9a-f]*' THEN holder ELSE '' END"
)


def to_text(data: bytes) -> str:
    """Read a text of the file; bytes that are no UTF-8 become surrogates, which nothing prints."""
    return data.decode(errors="surrogateescape")


def is_name(value: object) -> bool:
    """Whether a value may be a task's id, or a queue's name."""
    return isinstance(value, str) and value.isprintable() and value != ""


def is_leasable(
    task_id: object, body: object, attempts: object, deliveries: object, priority: object
) -> bool:
    """Whether a lease can have these values of a row: what _LEASABLE says, and sooner."""
    return (
        is_name(task_id)
        and isinstance(body, bytes)
        and isinstance(priority, int)
        and MIN_PRIORITY <= priority <= MAX_PRIORITY
        and isinstance(attempts, int)
        and 0 <= attempts <= _MOST
        and isinstance(deliveries, int)
        and 0 <= deliveries <= _MOST
    )


def shown(value: object) -> str:
    """Return a value as a name that can be shown, and given to SQLite again."""
    text = to_text(value) if isinstance(value, bytes) else str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def new_id() -> str:
    """Return an id for a row that has none."""
    return f"foreign-{os.urandom(8).hex()}"
