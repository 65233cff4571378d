"""gator resume: end a pause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from alligator.backends.base import Capability

from ..broker import open_client
from ..options import Command
from ..queue_rows import QUEUE_COLUMNS, queue_rows
from ..selection import likely_meant, queue_arguments
from ..session import Session, pass_session
from ..suggest import did_you_mean

EXAMPLES = """
gator resume mail
"""


@click.command("resume", cls=Command, examples=EXAMPLES, fields=QUEUE_COLUMNS.names)
@queue_arguments
@pass_session
def command(session: Session, queues: tuple[str, ...]) -> None:
    """Have workers take tasks from a paused queue again.

    Prints the queues as `gator queues` does.
    """
    client = open_client(session)
    client.require(Capability.PAUSE)
    paused = client.paused()

    def resumed() -> Iterator[dict[str, Any]]:
        for queue in queues:
            if queue in paused:
                client.resume(queue)
                session.out.note(f"queue {queue!r} is resumed")
            else:
                near = did_you_mean(queue, paused) or likely_meant(client, queue)
                session.out.note(f"queue {queue!r} was not paused.{near}")
        yield from queue_rows(client, queues)

    session.out.rows(resumed(), QUEUE_COLUMNS)
