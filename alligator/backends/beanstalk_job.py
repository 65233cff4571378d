"""What a beanstalkd job says about a task: the header kept beside the body, the server's figures,
and the state, lease and record that follow from both.

A fresh task is the body alone. One that failed before, or whose body could be taken for a header,
is one line, b"gator1 " and a JSON object, and then the body.

How many times a task was handed out is the server's count of reserves, less its count of releases
(tasks handed back, and the probes of waiting workers), on top of what the header carries over from
the job that this one replaced.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from .base import (
    MAX_FAILURES,
    MAX_PRIORITY,
    MAX_TRACEBACK,
    MIN_PRIORITY,
    Failure,
    Record,
    State,
)

#: Bytes of a job set aside for the header, so that a task of the largest body can still fail.
HEADER_ROOM = 1024

_MARK = b"gator1 "

# beanstalkd runs the smallest number first, from 0 to 2**32 - 1.
_MIDDLE_PRIORITY = 2**31
_MAX_DELAY = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Header:
    """What is kept beside the body.

    Attributes:
        deliveries: those of the jobs that this one replaced.
        pushed_at: Unix time of the push, where the server's own figure is of a replacement.
        failed: this job belongs in the failed set. See `Stats.state`.
    """

    attempts: int = 0
    deliveries: int = 0
    pushed_at: float | None = None
    failures: tuple[Failure, ...] = ()
    failed: bool = False


class Stats(NamedTuple):
    """The server's figures about one job; times are whole seconds, rounded down."""

    job_id: int
    tube: str
    state: str
    pri: int
    age: int
    ttr: int
    time_left: int
    reserves: int
    releases: int
    buries: int


def pack(header: Header, body: bytes, limit: int) -> bytes | None:
    """Return the data of a job, with as much about failures as `limit` bytes leave room for, or
    None when not even their count fits."""
    if header == Header() and not body.startswith(_MARK):
        return body if len(body) <= limit else None
    for failures in _ever_shorter(header.failures):
        data = _line(replace(header, failures=failures)) + body
        if len(data) <= limit:
            return data
    return None


def unpack(data: bytes) -> tuple[Header, bytes]:
    """Read what pack wrote; data with no header that we could have written is a body."""
    if not data.startswith(_MARK):
        return Header(), data
    line, _, body = data[len(_MARK) :].partition(b"\n")
    try:
        return _header(json.loads(line)), body
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return Header(), data


def read_yaml(data: bytes) -> dict[str, str]:
    """Read the flat subset of YAML in which beanstalkd reports figures."""
    lines = data.decode("ascii", "backslashreplace").splitlines()
    pairs = (line.partition(": ") for line in lines)
    return {name: value.strip('"') for name, colon, value in pairs if colon}


def read_stats(data: bytes) -> Stats:
    """Read the answer to stats-job."""
    values = read_yaml(data)
    return Stats(
        job_id=int(values["id"]),
        tube=values["tube"],
        state=values["state"],
        pri=int(values["pri"]),
        age=int(values["age"]),
        ttr=int(values["ttr"]),
        time_left=int(values["time-left"]),
        reserves=int(values["reserves"]),
        releases=int(values["releases"]),
        buries=int(values["buries"]),
    )


def state(stats: Stats, header: Header) -> State:
    """Return where the task is.

    A failed task is put as a copy with the mark, then buried. The mark on a copy that was never
    buried says that this was cut short, and that the copy must not run. A copy that was buried
    and is ready was claimed from the failed set and came back: it may run.
    """
    if stats.state == "reserved":
        return State.RUNNING
    if stats.state == "buried" or is_unburied(stats, header):
        return State.FAILED
    return State.DELAYED if stats.state == "delayed" else State.WAITING


def is_unburied(stats: Stats, header: Header) -> bool:
    """Whether the job is a failed task whose burial was cut short."""
    return header.failed and stats.buries == 0


def deliveries(stats: Stats, header: Header) -> int:
    """Count the times the task was handed out to run."""
    # Burying takes a reserve of its own.
    burial = 1 if header.failed and stats.reserves else 0
    return max(0, header.deliveries + stats.reserves - stats.releases - burial)


def pushed_at(stats: Stats, header: Header) -> float:
    """Return the Unix time of the push."""
    return time.time() - age(stats, header)


def age(stats: Stats, header: Header) -> float:
    """Return the seconds since the push, which the server cannot know of a replacement."""
    return (
        float(stats.age) if header.pushed_at is None else max(0.0, time.time() - header.pushed_at)
    )


def record(stats: Stats, data: bytes) -> Record:
    """Return all that is known about one task."""
    header, body = unpack(data)
    where = state(stats, header)
    # Whole seconds, rounded down; no task may be ready before its time.
    end = time.time() + stats.time_left + (where is State.DELAYED)
    return Record(
        queue=stats.tube,
        task_id=str(stats.job_id),
        state=where,
        body=body,
        priority=to_priority(stats.pri),
        attempts=header.attempts,
        deliveries=deliveries(stats, header),
        pushed_at=pushed_at(stats, header),
        due=end if where is State.DELAYED else None,
        lease_until=end if where is State.RUNNING else None,
        failures=header.failures,
    )


def to_pri(priority: int) -> int:
    """Turn a task's priority (higher first) into beanstalkd's (lower first)."""
    return _MIDDLE_PRIORITY - priority


def to_priority(pri: int) -> int:
    """Turn beanstalkd's priority into a task's; those of other programs into the nearest."""
    return min(max(_MIDDLE_PRIORITY - pri, MIN_PRIORITY), MAX_PRIORITY)


def to_delay(seconds: float) -> int:
    """Round a delay up to the whole seconds that beanstalkd knows."""
    return math.ceil(min(max(seconds, 0.0), _MAX_DELAY))


def _header(values: dict[str, Any]) -> Header:
    pushed = values.get("pushed_at")
    return Header(
        attempts=int(values.get("attempts", 0)),
        deliveries=int(values.get("deliveries", 0)),
        pushed_at=None if pushed is None else float(pushed),
        failures=tuple(
            Failure(str(error), str(traceback), float(at), str(worker))
            for error, traceback, at, worker in values.get("failures", ())
        ),
        failed=bool(values.get("failed")),
    )


def _line(header: Header) -> bytes:
    kept = {name: value for name, value in asdict(header).items() if value}
    # json escapes every line end, so the first one closes the header.
    return _MARK + json.dumps(kept, separators=(",", ":")).encode("ascii") + b"\n"


def _ever_shorter(failures: tuple[Failure, ...]) -> Iterator[tuple[Failure, ...]]:
    newest = failures[-MAX_FAILURES:]
    for size in (MAX_TRACEBACK, 2000, 500, 0):
        yield tuple(
            failure._replace(traceback=failure.traceback[-size:] if size else "")
            for failure in newest
        )
    for size in (2000, 400, 40):  # the last fits in HEADER_ROOM however it is escaped
        yield tuple(
            failure._replace(error=failure.error[:size], traceback="", worker=failure.worker[:20])
            for failure in newest[-1:]
        )
    yield ()
