"""How entries and outcomes travel to the scripts, and leases and records back."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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

#: How many calls without an answer are remembered, for their leases to be taken back: the newest.
#: One that reached the server has taken back what those before it leased.
MAX_LOST = 100

# The header that the scripts pack before a body (HEADER of prelude.lua): sequence (6 bytes), time
# of push in ms (6), priority (2), attempts (3), finished deliveries (3), queue, NUL.
_PUSHED_AT = struct.Struct("<6xIH")
_COUNTS = struct.Struct("<12xhHBHB")
_HEADER_SIZE = _COUNTS.size

_is_uuid = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_is_foreign = re.compile("~0x((?:[0-9a-f]{2})*)").fullmatch

#: What begins a UUID of 17 bytes, and no text.
_MARK = b"\xff"

#: What stands for true in a string of flags.
_YES = ord("1")


def write_id(task_id: str) -> bytes:
    """Return a task's id as Redis keeps it: a UUID in 17 bytes instead of 36.

    An id is kept at least twice, and Redis's allocations grow in steps: this takes 32 bytes off a
    waiting task.
    """
    if len(task_id) == 36 and _is_uuid(task_id):
        return _MARK + bytes.fromhex(task_id.replace("-", ""))
    foreign = _is_foreign(task_id)
    if foreign and read_id(kept := bytes.fromhex(foreign[1])) == task_id:
        return kept
    # What no push takes, such as half a surrogate, can be looked for all the same.
    return task_id.encode(errors="surrogatepass")


def read_id(kept: bytes) -> str:
    """Undo write_id.

    Bytes that it would not write are another program's, and come out as ~0x and their hexadecimal
    digits: from any bytes there is a way back to the very same, so any task can be settled.
    """
    if len(kept) == 17 and kept[0] == _MARK[0]:
        digits = kept.hex()
        return f"{digits[2:10]}-{digits[10:14]}-{digits[14:18]}-{digits[18:22]}-{digits[22:]}"
    try:
        task_id = kept.decode()
    except UnicodeDecodeError:
        task_id = ""
    if task_id.isprintable() and task_id and write_id(task_id) == kept:
        return task_id
    return f"~0x{kept.hex()}"


def microseconds(seconds: float) -> int:
    """Return whole microseconds, rounded up, so that nothing is due or over too early."""
    return max(0, math.ceil(min(seconds, FAR) * 1_000_000))


def write_terms(entry: Entry) -> bytes:
    """Return what is not plain about an entry, for push.lua."""
    if entry.is_plain():
        return b""
    terms: dict[str, Any] = {"priority": entry.priority}
    if entry.delay_until is not None:
        terms["due"] = microseconds(entry.delay_until)
    if entry.depends_on:
        kept = map(write_id, entry.depends_on)
        terms["depends_on"] = [other.decode(errors="surrogateescape") for other in kept]
    if entry.unique is not None:
        terms["unique"] = entry.unique
    # Bytes that are no text pass through the server's reader of JSON as they are.
    return json.dumps(terms, ensure_ascii=False).encode(errors="surrogateescape")


@dataclass(slots=True)
class Asked:
    """What one call asked to lease: under which token, of which queues or which task.

    Attributes:
        sent: the server may have read it, so it may have been carried out.
    """

    token: str
    queues: Sequence[str] = ()
    task_id: str | None = None
    sent: bool = False

    def sending(self) -> None:
        self.sent = True


def write_lost(lost: Sequence[Asked]) -> bytes:
    """Return calls that got no answer, for take_back() of moves.lua."""
    if not lost:
        return b""
    queues = {queue.encode(errors="surrogatepass") for asked in lost for queue in asked.queues}
    ids = [write_id(asked.task_id) for asked in lost if asked.task_id is not None]
    what = {
        "tokens": [asked.token for asked in lost],
        "queues": [each.decode(errors="surrogateescape") for each in queues],
        "ids": [each.decode(errors="surrogateescape") for each in ids],
    }
    return json.dumps(what, ensure_ascii=False).encode(errors="surrogateescape")


def write_outcomes(outcomes: Iterable[Outcome], kept_ids: dict[str, bytes]) -> list[Any]:
    """Return outcomes as settle.lua reads them: those of one kind that end leases of one token, and
    come in a row, name both once.

    Args:
        kept_ids: what write_id would return for some of the tasks; theirs are taken out.
    """
    parts: list[Any] = []
    group, count_at = ("", ""), 0
    for outcome in outcomes:
        kind, needs = _write_outcome(outcome)
        lease = outcome.lease
        if group != (kind, lease.token):
            group = kind, lease.token
            parts += (*group, 0)
            count_at = len(parts) - 1
        parts[count_at] += 1
        parts.append(kept_ids.pop(lease.task_id, None) or write_id(lease.task_id))
        parts += needs
    return parts


def _write_outcome(outcome: Outcome) -> tuple[str, tuple[Any, ...]]:
    """Return an outcome's kind, and what that needs."""
    if isinstance(outcome, Ack):
        if outcome.result_ttl <= 0:
            return "ack", ()
        kept_ms = math.ceil(min(outcome.result_ttl, FAR) * 1000)
        return "keep", (kept_ms, outcome.result)
    if isinstance(outcome, Retry):
        delay, failure = microseconds(outcome.delay), _line(outcome.failure)
        return "retry", (delay, outcome.body, failure)
    if isinstance(outcome, Fail):
        counts = int(outcome.attempted), int(outcome.charged)
        return "fail", (_line(outcome.failure), *counts)
    if isinstance(outcome, Defer):
        return "defer", (microseconds(outcome.delay),)
    assert isinstance(outcome, Release)
    return "charge" if outcome.charged else "release", ()


def _line(failure: Failure) -> str:
    """Return a failure as one line of the failures that Redis keeps with a task."""
    return dump_failures([failure._replace(traceback=failure.traceback[-MAX_TRACEBACK:])])


def _failures(text: bytes | None) -> tuple[Failure, ...]:
    lines = filter(None, text.split(b"\n")) if text else []
    return tuple(failure for line in lines for failure in load_failures(line))


def in_chunks(tasks: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Cut what is asked of many tasks into calls that keep the server from others for a few ms."""
    for start in range(0, len(tasks), MAX_MENDED):
        yield tasks[start : start + MAX_MENDED]


def read_flags(answer: bytes) -> list[bool]:
    """Read a string of 1 and 0."""
    return [mark == _YES for mark in answer]


def _read_header(value: bytes) -> tuple[int, int, int, int]:
    """Return a task's priority, attempts and finished deliveries, and where its body begins.

    As in moves.lua, what has no header that we could have written is all body.
    """
    end = value.find(b"\0", _HEADER_SIZE)
    if end < 0:
        return 0, 0, 0, 0
    priority, attempts, attempts_high, done, done_high = _COUNTS.unpack_from(value)
    return priority, attempts + (attempts_high << 16), done + (done_high << 16), end + 1


def read_lease(queue: str, kept_id: bytes, value: bytes, token: str) -> Lease:
    """Read a task that was handed out just now, from `queue`, whatever its header says: whoever can
    write to Redis can write that, and its signature is to hold for the queue that it is in."""
    priority, attempts, done, start = _read_header(value)
    return Lease(queue, read_id(kept_id), value[start:], token, priority, attempts, done + 1)


def read_record(row: list[Any]) -> Record:
    """Read a row of moves.lua's row()."""
    kept_id, state_name, score, value, lease, failures, unique, held_until, depends_on = row
    priority, attempts, deliveries, start = _read_header(value)
    pushed, pushed_high = _PUSHED_AT.unpack_from(value) if start else (0, 0)
    pushed += pushed_high << 32
    state = State(state_name.decode())
    at = _number(score)
    due = at if state in (State.DELAYED, State.RETRYING) else _number(held_until or b"0")
    return Record(
        shown(value[_HEADER_SIZE : start - 1]) if start else "",
        read_id(kept_id),
        state,
        value[start:],
        priority=priority,
        attempts=attempts,
        deliveries=deliveries + (state is State.RUNNING),
        pushed_at=pushed / 1000,
        due=due / 1e6 if due else None,
        lease_until=at / 1e6 if state is State.RUNNING else None,
        worker=shown(lease.rpartition(b"\n")[2]) if lease else None,
        failures=_failures(failures),
        depends_on=tuple(sorted(map(read_id, depends_on))),
        unique=shown(unique) if unique else None,
    )


def shown(name: bytes) -> str:
    """Return a name that is written elsewhere than in an id, as it can be shown."""
    return name.decode(errors="backslashreplace")


def _number(text: bytes) -> float:
    """Return a time in microseconds; FAR where there is none that a person could use."""
    try:
        return min(float(text), FAR * 1e6)
    except ValueError:
        return FAR * 1e6
