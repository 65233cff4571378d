"""Looking into a queue file: every question of the contract that changes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from . import sqlite_notes as notes
from .base import Counts, Page, Record, State, load_failures
from .sqlite_ledger import DELAYED, FAILED, RETRYING, RUNNING, STATES, TIMED, WAITING
from .sqlite_moves import HELD, Held

_RECORD = (
    "SELECT rank, seq, queue, id, state, body, priority, attempts, deliveries, pushed_at, due,"
    " worker, failures, unique_key, (SELECT json_group_array(depends_on) FROM"
    " (SELECT depends_on FROM dependencies WHERE task_id = tasks.id ORDER BY rowid)) FROM tasks"
)


def queues(connection: sqlite3.Connection, empty: bool) -> list[str]:
    tables = ("totals", "paused", "ended") if empty else ("totals",)
    names = " UNION ".join(f"SELECT queue FROM {table}" for table in tables)
    return sorted({name for (name,) in connection.execute(names)})


def counts(connection: sqlite3.Connection, queue: str, now: float) -> Counts:
    rows = connection.execute("SELECT state, number FROM totals WHERE queue = ?", (queue,))
    numbers: dict[str, Any] = {STATES[code].value: number for code, number in rows}
    first = connection.execute(
        "SELECT pushed_at FROM tasks WHERE state = ? AND queue = ? ORDER BY rank, seq LIMIT 1",
        (WAITING, queue),
    ).fetchone()
    ended = connection.execute(
        "SELECT done, failed FROM ended WHERE queue = ?", (queue,)
    ).fetchone()
    done, failed = ended or (0, 0)
    return Counts(
        queue,
        **numbers,
        oldest_age=max(0.0, now - first[0]) if first else None,
        paused=queue in notes.paused(connection),
        done_total=done,
        failed_total=failed,
    )


def find(connection: sqlite3.Connection, task_id: str, now: float) -> Record | None:
    row = connection.execute(f"{_RECORD} WHERE id = ?", (task_id,)).fetchone()
    return None if row is None else _record(row, now)


def peek(
    connection: sqlite3.Connection,
    queue: str,
    state: State,
    limit: int,
    cursor: str | None,
    reverse: bool,
    now: float,
) -> Page:
    """Return one page; the cursor is the rank and seq of its last record."""
    order, beyond = ("DESC", "<") if reverse else ("ASC", ">")
    after = "" if cursor is None else f"AND (rank, seq) {beyond} (?, ?)"
    rows = connection.execute(
        f"{_RECORD} WHERE state = ? AND queue = ? {after}"
        f" ORDER BY rank {order}, seq {order} LIMIT ?",
        (STATES.index(state), queue, *_place(cursor), limit + 1),
    ).fetchall()
    last = rows[limit - 1] if len(rows) > limit > 0 else None
    return Page(
        [_record(row, now) for row in rows[:limit]],
        None if last is None else json.dumps(last[:2]),
    )


def seconds_to_ready(connection: sqlite3.Connection, names: Sequence[str], now: float) -> float:
    """Return in how many seconds one of the queues has a task to hand out: 0 or less is now."""
    seconds = float("inf")
    closed = notes.paused(connection)
    for queue in names:
        if queue in closed:
            continue
        waiting, *dues = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE state = ?1 AND queue = ?4),"
            " (SELECT min(rank) FROM tasks WHERE state = ?2 AND queue = ?4),"
            " (SELECT min(rank) FROM tasks WHERE state = ?3 AND queue = ?4)",
            (WAITING, DELAYED, RETRYING, queue),
        ).fetchone()
        if waiting:
            return 0.0
        seconds = min([seconds, *(due - now for due in dues if due is not None)])
    return seconds


def has_due(connection: sqlite3.Connection, queue: str, now: float) -> bool:
    """Tell whether the time of a delayed or retrying task has come."""
    (due,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM tasks WHERE state IN (?, ?) AND queue = ? AND rank <= ?)",
        (*TIMED, queue, now),
    ).fetchone()
    return bool(due)


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the place of the tail, 0 when the file holds nothing."""
    (last,) = connection.execute("SELECT max(seq) FROM tasks").fetchone()
    return last or 0


def holds(connection: sqlite3.Connection, held: Held) -> bool:
    """Tell whether a lease is still held."""
    found = connection.execute(f"SELECT 1 FROM tasks WHERE {HELD}", held).fetchone()
    return found is not None


def lives_with_leases(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT DISTINCT holder FROM tasks WHERE state = ?", (RUNNING,))
    return [life for (life,) in rows]


def is_unfinished(connection: sqlite3.Connection, task_id: str) -> bool:
    """Tell whether the file holds the task in any state but failed."""
    row = connection.execute("SELECT state FROM tasks WHERE id = ?", (task_id,)).fetchone()
    return row is not None and row[0] != FAILED


def result(connection: sqlite3.Connection, task_id: str, now: float) -> bytes | None:
    row = connection.execute(
        "SELECT result FROM results WHERE task_id = ? AND expires > ?", (task_id, now)
    ).fetchone()
    return None if row is None else row[0]


def _place(cursor: str | None) -> list[float]:
    if cursor is None:
        return []
    try:
        rank, seq = json.loads(cursor)
        return [float(rank), int(seq)]
    except (TypeError, ValueError):
        raise ValueError(f"{cursor!r} is no cursor; take it from the page before") from None


def _record(row: Sequence[Any], now: float) -> Record:
    rank, _, queue, task_id, code, body, priority, attempts, deliveries, pushed_at = row[:10]
    due, worker, failures, unique, depends_on = row[10:]
    if code in TIMED and rank <= now:
        code, due = WAITING, None  # as the next reserve will have it
    return Record(
        queue=queue,
        task_id=task_id,
        state=STATES[code],
        body=body,
        priority=priority,
        attempts=attempts,
        deliveries=deliveries,
        pushed_at=pushed_at,
        due=due,
        worker=worker,
        failures=load_failures(failures),
        depends_on=tuple(json.loads(depends_on)),
        unique=unique,
    )
