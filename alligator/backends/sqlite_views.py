"""Looking into a queue file: every question of the contract that changes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from . import sqlite_notes as notes
from .base import Counts, Page, Record, State, load_failures
from .sqlite_foreign import FOREIGN, LIFE, is_name, shown
from .sqlite_ledger import DELAYED, FAILED, RETRYING, RUNNING, STATES, TIMED, WAITING
from .sqlite_moves import HELD, Held

_RECORD = (
    "SELECT rank, seq, queue, id, state, body, priority, attempts, deliveries, pushed_at, due,"
    " worker, failures, unique_key, (SELECT json_group_array(CAST(depends_on AS TEXT)) FROM"
    " (SELECT depends_on FROM dependencies WHERE task_id = tasks.id ORDER BY rowid)),"
    f" {FOREIGN} FROM tasks"
)


class ForeignRows(Exception):
    """There are rows that no Alligator wrote; they have to be mended before they can be shown.

    Attributes:
        seqs: which.
    """

    def __init__(self, seqs: list[int]) -> None:
        super().__init__()
        self.seqs = seqs


def queues(connection: sqlite3.Connection, empty: bool) -> list[str]:
    tables = ("totals", "paused", "ended") if empty else ("totals",)
    names = " UNION ".join(f"SELECT queue FROM {table}" for table in tables)
    return sorted({shown(name) for (name,) in connection.execute(names)})


def counts(connection: sqlite3.Connection, queue: str, now: float) -> Counts:
    rows = connection.execute(
        "SELECT state, max(0, CAST(number AS INTEGER)) FROM totals"
        " WHERE queue = ? AND typeof(state) = 'integer' AND state BETWEEN 0 AND ?",
        (queue, len(STATES) - 1),
    )
    numbers: dict[str, Any] = {STATES[code].value: number for code, number in rows}
    first = connection.execute(
        "SELECT CAST(pushed_at AS REAL) FROM tasks WHERE state = ? AND queue = ?"
        " ORDER BY rank, seq LIMIT 1",
        (WAITING, queue),
    ).fetchone()
    ended = connection.execute(
        "SELECT CAST(done AS INTEGER), CAST(failed AS INTEGER) FROM ended WHERE queue = ?",
        (queue,),
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
    """Return one task.

    Raises:
        ForeignRows: it cannot be read.
    """
    row = connection.execute(f"{_RECORD} WHERE id = ?", (task_id,)).fetchone()
    return None if row is None else _records([row], now)[0]


def peek(
    connection: sqlite3.Connection,
    queue: str,
    state: State,
    limit: int,
    cursor: str | None,
    reverse: bool,
    now: float,
) -> Page:
    """Return one page; the cursor is the rank and seq of its last record.

    Raises:
        ForeignRows: some of them cannot be read.
    """
    order, beyond = ("DESC", "<") if reverse else ("ASC", ">")
    # `(rank, seq) > (?, ?)` says the same, but SQLite finds only the rank in the index, and goes
    # through all tasks of that rank, which is that of their priority, up to the seq.
    after = ["1"]
    if cursor is not None:
        after = [f"rank = ?4 AND seq {beyond} ?5", f"rank {beyond} ?4"]
    parts = (f"{_RECORD} WHERE state = ?1 AND queue = ?2 AND {one}" for one in after)
    rows = connection.execute(
        f"{' UNION ALL '.join(parts)} ORDER BY rank {order}, seq {order} LIMIT ?3",
        (STATES.index(state), queue, limit + 1, *_place(cursor)),
    ).fetchall()
    last = rows[limit - 1] if len(rows) > limit > 0 else None
    return Page(
        _records(rows[:limit], now),
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
            # A text, which would be above any number, is no time.
            " (SELECT min(rank) FROM tasks WHERE state = ?2 AND queue = ?4 AND rank < 9e999),"
            " (SELECT min(rank) FROM tasks WHERE state = ?3 AND queue = ?4 AND rank < 9e999)",
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
    rows = connection.execute(f"SELECT DISTINCT {LIFE} FROM tasks WHERE state = ?", (RUNNING,))
    return [life for (life,) in rows]


def is_unfinished(connection: sqlite3.Connection, task_id: str) -> bool:
    """Tell whether the file holds the task in any state but failed."""
    row = connection.execute("SELECT state FROM tasks WHERE id = ?", (task_id,)).fetchone()
    return row is not None and row[0] != FAILED


def result(connection: sqlite3.Connection, task_id: str, now: float) -> bytes | None:
    row = connection.execute(
        "SELECT CAST(result AS BLOB) FROM results WHERE task_id = ? AND expires > ?", (task_id, now)
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


def _records(rows: Sequence[Sequence[Any]], now: float) -> list[Record]:
    foreign = [row[1] for row in rows if row[-1] or not (is_name(row[2]) and is_name(row[3]))]
    if foreign:
        raise ForeignRows(foreign)
    return [_record(row, now) for row in rows]


def _record(row: Sequence[Any], now: float) -> Record:
    rank, _, queue, task_id, code, body, priority, attempts, deliveries, pushed_at = row[:10]
    due, worker, failures, unique, depends_on, _ = row[10:]
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
        worker=None if worker is None else shown(worker),
        failures=load_failures(failures),
        depends_on=tuple(map(shown, json.loads(depends_on))),
        unique=None if unique is None else shown(unique),
    )
