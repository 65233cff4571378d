"""gator retry: have tasks run once more, from the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from alligator.backends.base import Mended, Moved, State

from ..broker import open_client
from ..fields import CHANGED, of_changes
from ..ids import id_arguments
from ..mending import Target, Verb, chosen, manner_options, mend
from ..options import Command
from ..selection import filter_options, queue_options
from ..session import Session, pass_session

EXAMPLES = """
gator retry 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0
gator retry -q mail --error Timeout --rate 100/s --yes
gator peek --state failed --quiet --limit 0 | grep ^mail- | gator retry --ids-from -
"""

VERB = Verb(
    "retry",
    "retried",
    (State.FAILED,),
    leaves={State.RUNNING: Mended.RUNNING, State.WAITING: Mended.WAITING},
)


@click.command("retry", cls=Command, examples=EXAMPLES, fields=CHANGED, fields_with=of_changes)
@id_arguments
@queue_options
@filter_options
@manner_options
@pass_session
def command(session: Session, /, **options: Any) -> int:
    """Have failed tasks run once more.

    They go to the tail of their queue, ready now, with no attempt counted; their failures are kept,
    and the retries that they have left: one that has used them up is tried once. Delayed, retrying
    and blocked ones do so too, by id or when --state names their state; one that is waiting already
    keeps its place. Prints the ids, or for a selection how many matched, were retried (changed) or
    left alone (skipped).
    """
    client = open_client(session)

    def act(targets: Sequence[Target]) -> list[Moved]:
        return client.requeued([target.task_id for target in targets])

    return mend(session, client, VERB, act, *chosen(options))
