"""A broker's records as lines that `push --from` and `load` read, and back."""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import Any

from alligator.backends.base import (
    Backend,
    Capability,
    Entry,
    Fail,
    Failure,
    Record,
    Retry,
    State,
)
from alligator.body import call_name
from alligator.exceptions import AlligatorException
from alligator.execution import encode
from alligator.gator import Gator
from alligator.signing import unwrap
from alligator.tasks import Task
from alligator.utils import DottedPath

from .checkpoint import FAR
from .lines import BadLine, task_of
from .signatures import signature_of
from .types import rfc3339
from .views import payload_of

_OPTIONS = ("backoff", "timeout", "result_ttl")
_MAY_LACK = ("args", "kwargs", "options")
_HOOKS = ("on_start", "on_success", "on_error")


def dumped(gator: Gator, record: Record) -> str:
    """Return a task as one line of JSON: without its signature, but with what is known of it."""
    body = unwrap(record.body)[1]
    line = _call(body)
    if line is None:
        # No task that we know how to write: another class's body, or another program's.
        line = {"body": base64.b64encode(body).decode()}
    line = {"id": record.task_id, "queue": record.queue, **line}
    if record.due is not None:
        line["at"] = record.due
    for name, value in (
        ("priority", record.priority),
        ("unique", record.unique),
        ("depends_on", list(record.depends_on)),
    ):
        if value:
            line[name] = value
    line |= {
        "state": record.state.value,
        "attempts": record.attempts,
        "deliveries": record.deliveries,
        "pushed_at": rfc3339(record.pushed_at),
        "failures": [failure._asdict() for failure in record.failures],
    }
    if signed := signature_of(gator, record):
        line["signed"] = signed.value
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _call(body: bytes) -> dict[str, Any] | None:
    """Return the fields of the call and its options; None when that would not bring it back."""
    payload = payload_of(body)
    try:
        task = Task.deserialize(body)
        again = json.loads(encode(task))
        for path in (task.func, task.on_start, task.on_success, task.on_error):
            if path is not None:
                DottedPath.parse(str(path))
    except (AlligatorException, ValueError, TypeError):
        return None
    # Others may write what is empty, too, as Alligator 1.0 does.
    if again != {name: part for name, part in payload.items() if part or name not in _MAY_LACK}:
        return None
    line: dict[str, Any] = {
        "task": call_name(payload),
        "args": payload.get("args", []),
        "kwargs": payload.get("kwargs", {}),
    }
    if task.retries:
        line["retries"] = task.retries
    options = payload.get("options", {})
    line |= {name: options[name] for name in _OPTIONS if name in options}
    line |= {name: call_name(options[name]) for name in _HOOKS if name in options}
    return line


def restored(
    gator: Gator, queue: str, fields: dict[str, Any], line: bytes, number: int, own_id: str
) -> tuple[Entry, list[Failure]]:
    """Return the entry of a dump's line, and its failures when it is to be in the failed set of
    `queue`.

    Such a task is pushed for a time that never comes, so that no worker takes it before it has
    failed.

    Raises:
        BadLine: the line is no task.
    """
    try:
        failures = _failures(fields)
        body = base64.b64decode(fields["body"], validate=True) if "body" in fields else None
    except (ValueError, TypeError) as error:
        raise BadLine(number, f"line {number}: {error}") from error
    if body is not None:
        # The place of the call is the body's, and the options are those beside it.
        fields = {**fields, "task": "a.body"}
        del fields["body"]
    entry = gator.entry(task_of(fields, line, number, own_id), queue)
    if body is not None:
        entry = entry._replace(body=gator.seal(entry.task_id, body, queue))
    if failures:
        # A failed task holds no key: one that was pushed with it would keep others away.
        entry = entry._replace(delay_until=FAR, depends_on=(), unique=None)
    return entry, failures


def _failures(fields: dict[str, Any]) -> list[Failure]:
    state = fields.get("state", State.WAITING)
    if state not in list(State):
        raise ValueError(f"state {state!r} is none of {', '.join(State)}")
    if state != State.FAILED:
        return []
    given = fields.get("failures")
    if not isinstance(given, list | None):
        raise ValueError("failures is not an array")
    failures = [_failure(each, number) for number, each in enumerate(given or (), 1)]
    return failures or [Failure("its error is not known", "", 0.0, "")]


def _failure(given: object, number: int) -> Failure:
    """Return a try that failed.

    Args:
        number: which of the task's it is, from 1.

    Raises:
        ValueError: a broker could not keep it, or not show it again.
    """
    match given:
        case {
            "error": str(error),
            "traceback": str(traceback),
            "at": int() | float() as at,
            "worker": str(worker),
            **others,
        } if not (others or isinstance(at, bool)) and abs(at) <= sys.float_info.max:
            return Failure(error, traceback, at, worker)
    raise ValueError(
        f"failures: number {number} is not an object of error, traceback and worker, which are "
        "text, and at, a Unix time"
    )


def fail_again(client: Backend, task_id: str, failures: list[Failure]) -> None:
    """Put a task that was pushed for FAR into the failed set, with its failures."""
    lease = client.claim(task_id)
    if Capability.CUSTOM_IDS in client.capabilities:  # else each retry gives it another id
        for failure in failures[:-1]:
            if lease:
                client.settle([Retry(lease, lease.body, FAR - time.time(), failure)])
                lease = client.claim(task_id)
    if lease:
        client.settle([Fail(lease, failures[-1])])
