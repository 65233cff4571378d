"""gator show: one task with its body and its failures."""

from __future__ import annotations

from typing import Any

import click

from alligator.backends.base import Backend, Capability, Record, State
from alligator.gator import Gator

from ..broker import open_gator
from ..completing import task_ids
from ..errors import NotFound
from ..hindrances import hindrances
from ..ids import begun
from ..options import Command
from ..session import Session, pass_session
from ..signatures import signature_of
from ..types import given_id
from ..views import TASK_DETAILS, details_of

EXAMPLES = """
gator show 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0
gator show nightly --json | jq -r '.failures[-1].traceback'
"""


@click.command(
    "show", cls=Command, examples=EXAMPLES, fields=TASK_DETAILS, surplus="One id at a time."
)
@click.argument("task_id", type=given_id, metavar="ID", shell_complete=task_ids)
@pass_session
def command(session: Session, task_id: str) -> None:
    """Show everything known about a task.

    It is found in whichever queue holds it; none of its code is imported.
    """
    gator = open_gator(session)
    try:
        found = details(gator, task_id)
    except NotFound as error:
        error.hint = begun(gator.client, task_id)
        raise
    session.out.record(found)
    if found["state"] not in (State.RUNNING.value, State.FAILED.value):
        for note in hindrances(gator.client, [found["queue"]]):
            session.out.note(note)


def details(gator: Gator, task_id: str) -> dict[str, Any]:
    """Return everything known about a task, as TASK_DETAILS.

    Raises:
        NotFound: no queue has it.
    """
    client = gator.client
    record = client.find(task_id)
    if record is None:
        raise no_such_task(client, task_id)
    return details_of(record, _states(client, record), signature_of(gator, record))


def _states(client: Backend, record: Record) -> dict[str, str]:
    """Return the state of each task that holds a blocked one back, by its id; "gone" is that of one
    that was canceled or dropped."""
    if record.state is not State.BLOCKED:
        return {}
    found = {task_id: client.find(task_id) for task_id in record.depends_on}
    return {task_id: one.state.value if one else "gone" for task_id, one in found.items()}


def no_such_task(client: Backend, task_id: str, hint: str = "") -> NotFound:
    """Return the error for an id that no queue holds."""
    done = Capability.RESULTS in client.capabilities and client.result(task_id) is not None
    why = "it has succeeded" if done else "it is done, was removed, or never was; see gator peek"
    if Capability.CUSTOM_IDS not in client.capabilities:
        why += " (a retry or a failure gave it a new id, if it had one)"
    return NotFound(f"no queue has a task {task_id!r}: {why}", hint)
