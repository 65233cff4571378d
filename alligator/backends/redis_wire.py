"""How entries and outcomes travel to the scripts, and leases and records back."""

from __future__ import annotations

import json
import math
import re
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from .base import (
    MAX_TRACEBACK,
    Ack,
    Defer,
    Entry,
    Fail,
    Failure,
    Lease,
    Outcome,
    Record,
    Release,
    Retry,
    State,
    dump_failures,
    load_failures,
)

_T = TypeVar("_T")

#: Tasks that one call mends.
MAX_MENDED = 500

#: A Unix time in the year 2255: sorted sets hold microseconds exactly up to there.
FAR = 9_000_000_000.0

# The header that prelude.lua packs before a body: sequence (6 bytes), time of push in ms (6),
# priority (2), attempts (3), finished deliveries (3), then the queue's name and a NUL.
_HEADER = struct.Struct("<IHIHhHBHB")


_is_uuid = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def write_id(task_id: str) -> str:
    """Return a task's id as Redis keeps it: a UUID in 23 characters instead of 36.

    An id is kept at least twice, and Redis's allocations grow in steps: this takes 32 bytes off a
    waiting task. An id that looks like a short one gets a mark in front.
    """
    if len(task_id) == 36 and _is_uuid(task_id):
        return "~" + b2a_base64(bytes.fromhex(task_id.replace("-", "")))[:22].decode()
    return "~~" + task_id if task_id.startswith("~") else task_id


def read_id(kept: bytes) -> str:
    """Undo write_id."""
    if not kept.startswith(b"~"):
        return kept.decode()
    if kept.startswith(b"~~"):
        return kept[2:].decode()
    digits = a2b_base64(kept[1:] + b"==").hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def microseconds(seconds: float) -> int:
    """Return whole microseconds, rounded up, so that nothing is due or over too early."""
    return max(0, math.ceil(min(seconds, FAR) * 1_000_000))


def write_terms(entry: Entry) -> str:
    """Return what is not plain about an entry, for push.lua."""
    if not (entry.priority or entry.depends_on or entry.unique) and entry.delay_until is None:
        return ""
    terms: dict[str, Any] = {"priority": entry.priority}
    if entry.delay_until is not None:
        terms["due"] = microseconds(entry.delay_until)
    if entry.depends_on:
        terms["depends_on"] = [write_id(other) for other in entry.depends_on]
    if entry.unique is not None:
        terms["unique"] = entry.unique
    return json.dumps(terms, ensure_ascii=False)


def write_outcome(outcome: Outcome) -> tuple[Any, ...]:
    """Return an outcome as settle.lua reads it."""
    task_id, token = write_id(outcome.lease.task_id), outcome.lease.token
    if isinstance(outcome, Ack):
        if outcome.result_ttl <= 0:
            return "ack", task_id, token
        kept_ms = math.ceil(min(outcome.result_ttl, FAR) * 1000)
        return "keep", task_id, token, kept_ms, outcome.result
    if isinstance(outcome, Retry):
        delay, failure = microseconds(outcome.delay), _line(outcome.failure)
        return "retry", task_id, token, delay, outcome.body, failure
    if isinstance(outcome, Fail):
        counts = int(outcome.attempted), int(outcome.charged)
        return "fail", task_id, token, _line(outcome.failure), *counts
    if isinstance(outcome, Defer):
        return "defer", task_id, token, microseconds(outcome.delay)
    assert isinstance(outcome, Release)
    return "charge" if outcome.charged else "release", task_id, token


def _line(failure: Failure) -> str:
    """Return a failure as one line of the failures that Redis keeps with a task."""
    return dump_failures([failure._replace(traceback=failure.traceback[-MAX_TRACEBACK:])])


def _failures(text: bytes | None) -> tuple[Failure, ...]:
    lines = text.split(b"\n") if text else []
    return tuple(failure for line in lines for failure in load_failures(line))


def in_chunks(tasks: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Cut what is asked of many tasks into calls that keep the server from others for a few ms."""
    for start in range(0, len(tasks), MAX_MENDED):
        yield tasks[start : start + MAX_MENDED]


def read_flags(answer: bytes) -> list[bool]:
    """Read a string of 1 and 0."""
    return [mark == ord("1") for mark in answer]


def _split(value: bytes) -> tuple[tuple[int, ...], str, bytes]:
    """Return a task's numbers (pushed ms, priority, attempts, deliveries), its queue and body."""
    _, _, pushed, pushed_high, priority, attempts, attempts_high, done, done_high = (
        _HEADER.unpack_from(value)
    )
    end = value.index(b"\0", _HEADER.size)
    numbers = (
        pushed + (pushed_high << 32),
        priority,
        attempts + (attempts_high << 16),
        done + (done_high << 16),
    )
    return numbers, value[_HEADER.size : end].decode(), value[end + 1 :]


def read_lease(kept_id: bytes, value: bytes, token: str) -> Lease:
    """Read a task that was handed out just now."""
    (_, priority, attempts, done), queue, body = _split(value)
    return Lease(queue, read_id(kept_id), body, token, priority, attempts, done + 1)


def read_record(row: list[Any]) -> Record:
    """Read a row of prelude.lua's row()."""
    kept_id, state_name, score, value, lease, failures, unique, held_until, depends_on = row
    (pushed, priority, attempts, deliveries), queue, body = _split(value)
    state = State(state_name.decode())
    due = int(held_until or 0)
    if state in (State.DELAYED, State.RETRYING):
        due = int(score)
    return Record(
        queue,
        read_id(kept_id),
        state,
        body,
        priority=priority,
        attempts=attempts,
        deliveries=deliveries + (state is State.RUNNING),
        pushed_at=pushed / 1000,
        due=due / 1e6 if due else None,
        lease_until=int(score) / 1e6 if state is State.RUNNING else None,
        worker=lease.split(b"\n", 2)[2].decode() if lease else None,
        failures=_failures(failures),
        depends_on=tuple(sorted(map(read_id, depends_on))),
        unique=unique.decode() if unique else None,
    )
