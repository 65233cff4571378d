"""gator queues: how many tasks are where."""

from __future__ import annotations

import os

import click

from ..broker import open_client
from ..options import Command
from ..queue_rows import QUEUE_COLUMNS, queue_rows
from ..session import Session, pass_session
from ..watching import repeat, watch_options

EXAMPLES = """
gator queues
gator queues --watch
gator queues --json | jq -r 'select(.failed > 0).queue'
"""


@click.command("queues", cls=Command, examples=EXAMPLES, fields=QUEUE_COLUMNS.names)
@watch_options
@pass_session
def command(session: Session, watch: bool, every: float) -> int:
    """List the queues and how many tasks are in which state.

    Those that hold a task, are paused, or have totals; drop forgets an empty one. The oldest age is
    that of the first task in line, in seconds since its push.
    """
    client = open_client(session)

    def show() -> None:
        if not session.out.rows(queue_rows(client), QUEUE_COLUMNS):
            session.out.note("no queue holds a task")

    if watch:
        return repeat(show, every)
    show()
    return os.EX_OK
