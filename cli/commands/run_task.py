"""gator run-task: one task, here and now, in the foreground."""

from __future__ import annotations

import click

from alligator.backends.base import Capability
from alligator.body import dump_result
from alligator.constants import RETRYING
from alligator.exceptions import BrokerError, NotAllowed, Snooze, TaskRunning, UndecodableTask
from alligator.gator import Gator

from ..broker import open_gator
from ..completing import task_ids
from ..errors import CannotPrint, CliError
from ..foreground import users_code
from ..ids import begun
from ..options import Command
from ..quoting import arguments
from ..session import Session, pass_session
from ..types import given_id
from .show import no_such_task

EXAMPLES = """
gator run-task 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0
gator run-task nightly --force
"""


@click.command("run-task", cls=Command, examples=EXAMPLES, surplus="One id at a time.")
@click.argument("task_id", type=given_id, metavar="ID", shell_complete=task_ids)
@click.option("--force", is_flag=True, help="Take it even from a worker that is running it.")
@pass_session
def command(session: Session, task_id: str, force: bool) -> None:
    """Run one task here, now.

    It is taken from whichever queue and state it is in: failed, delayed and blocked too. Its result
    goes to stdout as JSON, and what it prints to stderr. One that fails is retried or goes to the
    failed set, as under a worker, and one that asks to be run later is delayed; the exit code is 1.
    The current directory is on the module path.
    """
    gator = open_gator(session)
    try:
        with users_code():
            task = gator.get(task_id, force, raises=False)
    except KeyboardInterrupt as error:
        error.add_note(_left_as(gator, task_id))
        raise
    except TaskRunning as error:
        raise CliError(str(error), "Take it over with --force.") from error
    except (NotAllowed, UndecodableTask) as error:
        raise _failure(gator, task_id, error) from error
    if task is None:
        raise no_such_task(gator.client, task_id, begun(gator.client, task_id))
    if isinstance(task.error, Snooze):
        raise CliError(
            f"task {task_id} asked to be run {task.error}", "It is back on its queue, delayed."
        ) from task.error
    if task.error is not None:
        raise _failure(gator, task_id, task.error, task.status == RETRYING) from task.error
    try:
        session.out.line(dump_result(task.result).decode())
        session.out.flush()
    except CannotPrint as error:
        kept = f": gator result {arguments(task_id)}" if task.result_ttl else "; no result is kept."
        error.hint = f"The task has succeeded all the same{kept}"
        raise


def _left_as(gator: Gator, task_id: str) -> str:
    """Say what an interrupted task is now, if the broker says so."""
    try:
        record = gator.client.find(task_id)
    except BrokerError:
        record = None
    if record is None:  # or such a broker gave it another id
        return "The task was not done; it is held still: gator peek --all-queues"
    return f"The task was not done; it is {record.state.value} now."


def _failure(gator: Gator, task_id: str, error: BaseException, again: bool = False) -> CliError:
    if again:
        hint = "It is back on its queue and will be retried."
    elif Capability.CUSTOM_IDS in gator.client.capabilities:
        hint = f"It is in the failed set: gator show {arguments(task_id)}"
    else:  # such a broker gives it a new id as it fails
        hint = "It is in the failed set: gator peek --all-queues --state failed"
    return CliError(f"task {task_id} failed: {_sentence(error)}", hint)


def _sentence(error: BaseException) -> str:
    """The error as the failed set words it, whatever its __str__ does."""
    try:
        text = str(error)
    except Exception:
        text = ""
    kind = type(error).__qualname__
    return f"{kind}: {text}" if text else kind
