"""gator pause: have nothing taken from a queue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from alligator.backends.base import Capability

from ..broker import open_client
from ..options import Command
from ..queue_rows import QUEUE_COLUMNS, queue_rows
from ..selection import misspelt, queue_arguments
from ..session import Session, pass_session

EXAMPLES = """
gator pause mail
gator pause mail && gator drain mail --running; gator resume mail
"""


@click.command("pause", cls=Command, examples=EXAMPLES, fields=QUEUE_COLUMNS.names)
@queue_arguments
@pass_session
def command(session: Session, queues: tuple[str, ...]) -> None:
    """Have no worker take tasks from a queue.

    From now until resume, whatever restarts. What runs goes on, and pushes do too. Prints the
    queues as `gator queues` does.
    """
    client = open_client(session)
    client.require(Capability.PAUSE)
    notes = misspelt(client, queues)  # asked before: a paused queue is known

    def paused() -> Iterator[dict[str, Any]]:
        for queue in queues:
            client.pause(queue)
            session.out.note(f"queue {queue!r} is paused")
        yield from queue_rows(client, queues)

    session.out.rows(paused(), QUEUE_COLUMNS)
    for note in notes:
        session.out.note(note)
