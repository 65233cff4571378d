"""The fields of a log line about a task, and the words for what became of it: in a child's own line
of a try, and in a supervisor's of a task that it only holds."""

from __future__ import annotations

from . import body
from .backends.base import Ack, Defer, Fail, Lease, Outcome, Release, Retry
from .exceptions import UndecodableTask
from .signing import unwrap

#: Bytes of the longest body that is read for the name of its call.
_LONGEST_READ = 1 << 16

#: What the log calls each outcome.
WORDS: dict[type[Outcome], str] = {
    Ack: "success",
    Defer: "snoozed",
    Fail: "failed",
    Release: "released",
    Retry: "retrying",
}


def about(lease: Lease, outcome: Outcome | None = None) -> dict[str, str | None]:
    """Return the fields of a log line about a task, and about what becomes of it."""
    return {
        "task_id": lease.task_id,
        "task": call_in(lease.body) or None,
        "queue": lease.queue,
        "outcome": None if outcome is None else WORDS[type(outcome)],
    }


def call_in(data: bytes) -> str:
    """Return the dotted path of the call in a body as Task writes it, signed or not; "" for any
    other."""
    if len(data) > _LONGEST_READ:
        return ""
    try:
        return body.call_name(body.load(unwrap(data)[1]))
    except UndecodableTask:
        return ""
