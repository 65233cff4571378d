"""gator queues: how many tasks are where."""

from __future__ import annotations

from typing import Any

import click

from alligator.backends.base import Backend, Capability

from ..broker import open_client
from ..options import Command
from ..output import Columns
from ..session import Session, pass_session
from ..types import in_short

EXAMPLES = """
gator queues
gator queues --json | jq -r 'select(.failed > 0).queue'
"""

COLUMNS = Columns(
    names=(
        "queue",
        "waiting",
        "delayed",
        "retrying",
        "blocked",
        "running",
        "failed",
        "oldest_age",
    ),
    key="queue",
    long={"queue": 20},
    optional=("running", "oldest_age", "delayed", "blocked", "retrying"),
    words={"oldest_age": in_short},
)


@click.command("queues", cls=Command, examples=EXAMPLES, fields=COLUMNS.names)
@pass_session
def command(session: Session) -> None:
    """List the queues and how many tasks are in which state.

    A queue exists while it holds a task. The oldest age is that of the first task in line, in
    seconds since its push.
    """
    client = open_client(session)
    if not session.out.rows((_row(client, name) for name in client.queues()), COLUMNS):
        session.out.note("no queue holds a task")


def _row(client: Backend, name: str) -> dict[str, Any]:
    counts = client.counts(name)
    row = {column: getattr(counts, column) for column in COLUMNS.names}
    if Capability.RETRYING not in client.capabilities:
        row["retrying"] = None  # they are among the delayed ones
    if counts.oldest_age is not None:
        row["oldest_age"] = round(counts.oldest_age, 3)
    return row
