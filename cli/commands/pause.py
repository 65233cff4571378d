"""gator pause: have nothing taken from a queue."""

from __future__ import annotations

import click

from alligator.backends.base import Capability

from ..broker import open_client
from ..completing import queue_names
from ..options import Command
from ..selection import misspelt
from ..session import Session, pass_session

EXAMPLES = """
gator pause mail
gator pause mail && gator drain mail --running; gator resume mail
"""


@click.command("pause", cls=Command, examples=EXAMPLES)
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=queue_names)
@pass_session
def command(session: Session, queues: tuple[str, ...]) -> None:
    """Have no worker take tasks from a queue.

    From now until resume, whatever restarts. What runs goes on, and pushes do too.
    """
    client = open_client(session)
    client.require(Capability.PAUSE)
    notes = misspelt(client, queues)  # asked before: a paused queue is known
    for queue in queues:
        client.pause(queue)
        session.out.note(f"queue {queue!r} is paused")
    for note in notes:
        session.out.note(note)
