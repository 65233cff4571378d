"""gator move: put tasks into another queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from alligator.backends.base import Capability, Moved, State

from ..broker import open_gator
from ..completing import queue_names
from ..fields import CHANGED, of_changes
from ..ids import id_arguments
from ..mending import Target, Verb, chosen, manner_options, mend
from ..options import Command
from ..selection import filter_options, queue_options
from ..session import Session, pass_session
from ..types import queue_name

EXAMPLES = """
gator move 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0 --to slow
gator move -q mail --task 'app.mail.bulk*' --to bulk --yes
"""

VERB = Verb("move", "moved", tuple(state for state in State if state is not State.RUNNING))


@click.command("move", cls=Command, examples=EXAMPLES, fields=CHANGED, fields_with=of_changes)
@id_arguments
@click.option(
    "--to",
    type=queue_name,
    metavar="QUEUE",
    required=True,
    help="Where they go.",
    shell_complete=queue_names,
)
@queue_options
@filter_options
@manner_options
@pass_session
def command(session: Session, /, to: str, **options: Any) -> int:
    """Put tasks into another queue.

    By id, or as selected; without --state failed tasks are selected too. A task keeps its state,
    time, priority, counts and failures, and is in one of the two queues at any instant. A running
    one is left alone; a signed one is signed anew, and needs the secret. Prints the ids, or for a
    selection how many matched, were moved (changed) or left alone (skipped).
    """
    gator = open_gator(session)
    gator.client.require(Capability.MOVE)

    def act(targets: Sequence[Target]) -> list[Moved]:
        return gator.move_many([target.record or target.task_id for target in targets], to)

    return mend(session, gator.client, replace(VERB, spares=to), act, *chosen(options))
