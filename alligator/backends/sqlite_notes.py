"""What a queue file notes beside its tasks: paused queues, what has ended, and the workers that
there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from .roster import STALE_KEPT, WorkerRecord, dump_worker, load_workers
from .sqlite_foreign import shown


def paused(connection: sqlite3.Connection) -> list[str]:
    """Return the queues from which nothing is handed out."""
    rows = connection.execute("SELECT queue FROM paused ORDER BY queue")
    return [shown(queue) for (queue,) in rows]


def pause(connection: sqlite3.Connection, queue: str) -> None:
    connection.execute("INSERT OR IGNORE INTO paused VALUES (?)", (queue,))


def resume(connection: sqlite3.Connection, queue: str) -> None:
    connection.execute("DELETE FROM paused WHERE queue = ?", (queue,))


def forget(connection: sqlite3.Connection, queue: str) -> None:
    """Forget how many tasks of a queue have ended, if it holds none."""
    connection.execute(
        "DELETE FROM ended WHERE queue = ?1"
        " AND NOT EXISTS (SELECT 1 FROM totals WHERE totals.queue = ?1)",
        (queue,),
    )


def beat(
    connection: sqlite3.Connection, worker: WorkerRecord, ttl: float, life: str, now: float
) -> None:
    """Keep what a worker says of itself, and forget those who have been silent for long."""
    connection.execute("DELETE FROM workers WHERE beat_at < ?", (now - STALE_KEPT,))
    connection.execute(
        "INSERT OR REPLACE INTO workers VALUES (?, ?, ?)",
        (worker.name, now, dump_worker(worker, ttl, life)),
    )


def leave(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM workers WHERE name = ?", (name,))


def workers(
    connection: sqlite3.Connection, now: float, lives: Callable[[str], bool]
) -> list[WorkerRecord]:
    rows = connection.execute(
        "SELECT said, CAST(beat_at AS REAL) FROM workers WHERE beat_at >= ? ORDER BY name",
        (now - STALE_KEPT,),
    )
    return list(load_workers(rows, now, lives))
