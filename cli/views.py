"""A broker's records as the fields people see; reads bodies, imports nothing they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alligator import body
from alligator.backends.base import Record
from alligator.exceptions import UndecodableTask
from alligator.signing import unwrap

from .output import Columns
from .types import rfc3339

TASK_COLUMNS = Columns(
    names=(
        "id",
        "queue",
        "state",
        "task",
        "args",
        "kwargs",
        "priority",
        "attempts",
        "deliveries",
        "deaths",
        "retries",
        "pushed_at",
        "due",
        "worker",
        "error",
    ),
    brief=("id", "queue", "state", "task", "args", "kwargs", "due", "worker", "error"),
    long={"error": 34, "task": 16, "args": 10, "queue": 12, "kwargs": 10},
    optional=("due", "args", "queue", "worker", "kwargs"),
)

#: The same, where the queue is one of several: the table of a narrow terminal has it, too.
WITH_QUEUE = replace(
    TASK_COLUMNS, optional=tuple(name for name in TASK_COLUMNS.optional if name != "queue")
)

#: What `details_of` gives.
TASK_DETAILS = (
    *TASK_COLUMNS.names,
    "lease_until",
    "unique",
    "depends_on",
    "depends_on_states",
    "options",
    "failures",
    "signed",
    "body",
)


def payload_of(data: bytes) -> dict[str, Any]:
    """Return what a body says, signed or not; {} when it is no JSON object as Task writes."""
    try:
        body.check_size(data)
        return body.load(unwrap(data)[1])
    except UndecodableTask:
        return {}


def _part(payload: dict[str, Any], name: str, empty: object) -> Any:
    """Return a part of a body, which is left out when it is empty; None when that is no task's."""
    return payload.get(name, empty if body.call_name(payload) else None)


def last_error(record: Record) -> str:
    """Return the error of the newest failed try, or ""."""
    return record.failures[-1].error if record.failures else ""


def row_of(record: Record) -> dict[str, Any]:
    """Return the fields of TASK_COLUMNS. Text that is not there is "", anything else None."""
    payload = payload_of(record.body)
    return {
        "id": record.task_id,
        "queue": record.queue,
        "state": record.state.value,
        "task": body.call_name(payload),
        "args": _part(payload, "args", []),
        "kwargs": _part(payload, "kwargs", {}),
        "priority": record.priority,
        "attempts": record.attempts,
        "deliveries": record.deliveries,
        "deaths": record.deaths,
        "retries": payload.get("retries"),
        "pushed_at": rfc3339(record.pushed_at),
        "due": rfc3339(record.due),
        "worker": record.worker or "",
        "error": last_error(record),
    }


def details_of(record: Record, depends_on_states: Mapping[str, str], signed: str) -> dict[str, Any]:
    """Return everything known about a task, as TASK_DETAILS: the row, then what is too long for
    one.

    Args:
        depends_on_states: what has become of each task that holds a blocked one back.
        signed: what is known about its signature.
    """
    return {
        **row_of(record),
        "lease_until": rfc3339(record.lease_until),
        "unique": record.unique or "",
        "depends_on": list(record.depends_on),
        "depends_on_states": dict(depends_on_states),
        "options": _part(payload_of(record.body), "options", {}),
        "failures": [
            {**failure._asdict(), "at": rfc3339(failure.at)} for failure in record.failures
        ],
        "signed": signed,
        "body": unwrap(record.body)[1].decode(errors="backslashreplace"),
    }
