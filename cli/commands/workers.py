"""gator workers: who works, and on what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from alligator.backends.base import Backend, Capability
from alligator.backends.roster import WorkerRecord

from ..broker import open_client
from ..options import Command
from ..output import Columns
from ..session import Session, pass_session
from ..types import in_short, rfc3339

EXAMPLES = """
gator workers
gator workers --stale --quiet
gator workers --json | jq -r '.running[] | select(.seconds > 60).id'
"""


def _in_words(running: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['task'] or one['id']} {in_short(one['seconds'])}" for one in running)


COLUMNS = Columns(
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


@click.command("workers", cls=Command, examples=EXAMPLES, fields=COLUMNS.names)
@click.option("--stale", is_flag=True, help="Only those that have not been heard of for a while.")
@pass_session
def command(session: Session, stale: bool) -> None:
    """List the workers and what they run.

    A stale one has not been heard of for a while: it was killed, its host is gone, or the broker
    cannot be reached from there.
    """
    client = open_client(session)
    client.require(Capability.WORKERS)
    if not session.out.rows(_rows(client, stale), COLUMNS):
        session.out.note("no worker is stale" if stale else "no worker is known")


def _rows(client: Backend, stale: bool) -> Iterator[dict[str, Any]]:
    now = time.time()
    for worker in client.workers():
        if not stale or worker.stale:
            yield row_of(worker, now)


def row_of(worker: WorkerRecord, now: float) -> dict[str, Any]:
    """Return the fields of COLUMNS."""
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
