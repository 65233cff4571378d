"""Each worker as a row: what it takes from, what it runs, and what it has done."""

from __future__ import annotations

from typing import Any

from alligator.backends.roster import WorkerRecord

from .output import Columns
from .types import in_short, rfc3339


def _in_words(running: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['task'] or one['id']} {in_short(one['seconds'])}" for one in running)


WORKER_COLUMNS = Columns(
    names=(
        "worker",
        "host",
        "pid",
        "state",
        "queues",
        "processes",
        "running",
        "done",
        "failed",
        "rate",
        "started_at",
        "beat_at",
        "version",
    ),
    key="worker",
    brief=("worker", "state", "queues", "processes", "running", "done", "failed", "beat_at"),
    long={"running": 30, "queues": 12, "worker": 16},
    optional=("beat_at", "failed", "processes"),
    words={"queues": " ".join, "running": _in_words},
)


def worker_row(worker: WorkerRecord, now: float) -> dict[str, Any]:
    """Return the fields of WORKER_COLUMNS."""
    return {
        "worker": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "state": "stale" if worker.stale else "alive",
        "queues": list(worker.queues),
        "processes": worker.processes,
        "running": [
            {
                "id": one.task_id,
                "queue": one.queue,
                "task": one.task,
                "seconds": round(max(0.0, now - one.since), 3),
            }
            for one in worker.running
        ],
        "done": worker.done,
        "failed": worker.failed,
        "rate": worker.rate,
        "started_at": rfc3339(worker.started_at),
        "beat_at": rfc3339(worker.beat_at),
        "version": worker.version,
    }
