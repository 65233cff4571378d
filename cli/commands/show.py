"""gator show: one task with its body and its failures."""

from __future__ import annotations

import click

from alligator.backends.base import Backend, Capability

from ..broker import open_client
from ..errors import NotFound
from ..options import Command
from ..session import Session, pass_session
from ..views import details_of

EXAMPLES = """
gator show 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0
gator show nightly --json | jq -r '.failures[-1].traceback'
"""


@click.command("show", cls=Command, examples=EXAMPLES)
@click.argument("task_id", metavar="ID")
@pass_session
def command(session: Session, task_id: str) -> None:
    """Show everything known about a task.

    It is found in whichever queue holds it; none of its code is imported.
    """
    client = open_client(session)
    record = client.find(task_id)
    if record is None:
        raise no_such_task(client, task_id)
    session.out.record(details_of(record))


def no_such_task(client: Backend, task_id: str) -> NotFound:
    """Return the error for an id that no queue holds."""
    done = Capability.RESULTS in client.capabilities and client.result(task_id) is not None
    why = "it has succeeded" if done else "it is done, was removed, or never was; see gator peek"
    return NotFound(f"no queue has a task {task_id!r}: {why}")
