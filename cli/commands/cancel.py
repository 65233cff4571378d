"""gator cancel: take tasks off their queue without running them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

import click

from alligator.backends.base import Backend
from alligator.exceptions import TaskRunning

from ..broker import open_client
from ..errors import CliError, NotFound, PartlyDone
from ..options import Command
from ..session import Session, pass_session

EXAMPLES = """
gator cancel 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0
gator peek -q mail --state failed --quiet --limit 0 | gator cancel --ids-from -
"""

UNKNOWN, RUNNING = "no queue has it", "a worker is running it"


@click.command("cancel", cls=Command, examples=EXAMPLES)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--ids-from",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Ids from a file, one a line; - is standard input.",
)
@pass_session
def command(session: Session, ids: tuple[str, ...], ids_from: IO[str] | None) -> None:
    """Take tasks off their queue.

    Prints the ids of those it took off. A task that runs is left alone.
    """
    if not ids and ids_from is None:
        raise click.UsageError("there is nothing to cancel; give ids, or --ids-from FILE")
    lines = ids_from.read().splitlines() if ids_from else []
    wanted = dict.fromkeys([*ids, *filter(None, map(str.strip, lines))])
    if not wanted:
        session.out.note("no ids given, nothing canceled")
        return
    canceled: list[str] = []
    left: dict[str, str] = {}
    try:
        _cancel(open_client(session), wanted, canceled, left)
    finally:
        # Written at the end, so that a reader who stops listening stops no cancelling.
        session.out.ids(canceled)
    if left:
        raise _not_canceled(left, len(wanted))


def _cancel(client: Backend, ids: Iterable[str], canceled: list[str], left: dict[str, str]) -> None:
    """Cancel each id, sorting it into `canceled` or, with the reason, `left`."""
    for task_id in ids:
        try:
            body = client.cancel(task_id)
        except TaskRunning:
            left[task_id] = RUNNING
            continue
        if body is None:
            left[task_id] = UNKNOWN
        else:
            canceled.append(task_id)


def _not_canceled(left: dict[str, str], of: int) -> CliError:
    reasons = "".join(f"\n  {task_id}: {reason}" for task_id, reason in left.items())
    message = f"{len(left)} of {of} not canceled:{reasons}"
    if len(left) < of:
        return PartlyDone(message)
    return NotFound(message) if set(left.values()) == {UNKNOWN} else CliError(message)
