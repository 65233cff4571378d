"""gator workers: who works, and on what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from alligator.backends.base import Backend, Capability

from ..broker import open_client
from ..options import Command
from ..session import Session, pass_session
from ..worker_rows import WORKER_COLUMNS, worker_row

EXAMPLES = """
gator workers
gator workers --stale --quiet
gator workers --json | jq -r '.running[] | select(.seconds > 60).id'
"""


@click.command("workers", cls=Command, examples=EXAMPLES, fields=WORKER_COLUMNS.names)
@click.option("--stale", is_flag=True, help="Only those that have not been heard of for a while.")
@pass_session
def command(session: Session, stale: bool) -> None:
    """List the workers and what they run.

    Each tells every 5 s what it runs. A stale one has not been heard of for 20 s: it was
    killed, its host is gone, or the broker cannot be reached from there. On SQLite one that was
    killed is stale at once. What a stale one ran is what it told last.
    """
    client = open_client(session)
    client.require(Capability.WORKERS)
    if not session.out.rows(_rows(client, stale), WORKER_COLUMNS):
        session.out.note("no worker is stale" if stale else "no worker is known")


def _rows(client: Backend, stale: bool) -> Iterator[dict[str, Any]]:
    now = time.time()
    for worker in client.workers():
        if not stale or worker.stale:
            yield worker_row(worker, now)
