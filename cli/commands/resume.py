"""gator resume: end a pause."""

from __future__ import annotations

import click

from alligator.backends.base import Capability

from ..broker import open_client
from ..completing import queue_names
from ..options import Command
from ..selection import likely_meant
from ..session import Session, pass_session
from ..suggest import did_you_mean

EXAMPLES = """
gator resume mail
"""


@click.command("resume", cls=Command, examples=EXAMPLES)
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...", shell_complete=queue_names)
@pass_session
def command(session: Session, queues: tuple[str, ...]) -> None:
    """Have workers take tasks from a paused queue again."""
    client = open_client(session)
    client.require(Capability.PAUSE)
    paused = client.paused()
    for queue in queues:
        if queue in paused:
            client.resume(queue)
            session.out.note(f"queue {queue!r} is resumed")
        else:
            near = did_you_mean(queue, paused) or likely_meant(client, queue)
            session.out.note(f"queue {queue!r} was not paused.{near}")
