"""gator cancel: take tasks off their queue without running them."""

from __future__ import annotations

from typing import Any

import click

from alligator.backends.base import State

from ..broker import open_client
from ..fields import CHANGED, of_changes
from ..ids import id_arguments
from ..mending import Verb, chosen, manner_options, mend, same_ids
from ..options import Command
from ..selection import filter_options, queue_options
from ..session import Session, pass_session

EXAMPLES = """
gator cancel 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0
gator cancel -q mail --task 'app.mail.*' --older-than 1d --yes
gator peek -q mail --json --limit 0 | jq -r 'select(.args[0] == 7).id' | gator cancel --ids-from -
"""

STATES = tuple(state for state in State if state is not State.RUNNING)
VERB = Verb("cancel", "canceled", STATES, removes=True)


@click.command("cancel", cls=Command, examples=EXAMPLES, fields=CHANGED, fields_with=of_changes)
@id_arguments
@queue_options
@filter_options
@manner_options
@pass_session
def command(session: Session, /, **options: Any) -> int:
    """Take tasks off their queue.

    Those with the ids given, whichever queue has them: prints the ids of those it took off. Or
    those that are selected, as by peek: prints how many matched, were taken off (changed) or were
    left alone (skipped). A task that runs is left alone. Without --state failed tasks are selected
    too. Tasks that depend on one that is taken
    off stay blocked.
    """
    client = open_client(session)
    return mend(session, client, VERB, same_ids(client.cancel_many), *chosen(options))
