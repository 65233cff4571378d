"""gator dump: tasks as lines that load brings back."""

from __future__ import annotations

import click

from ..broker import open_gator
from ..dumping import dumped
from ..options import Command
from ..selection import (
    Filter,
    chosen_queues,
    chosen_states,
    filter_options,
    nothing_in,
    queue_options,
    records,
)
from ..session import Session, pass_session

EXAMPLES = """
gator dump --all-queues >tasks.ndjson
gator dump -q mail --state failed | jq -c 'select(.task == "app.mail")' >failed.ndjson
"""


@click.command("dump", cls=Command, examples=EXAMPLES, surplus="Name the queue with -q.")
@queue_options
@filter_options
@pass_session
def command(
    session: Session,
    queue: str | None,
    all_queues: bool,
    states: tuple[str, ...],
    task: str | None,
    error: str | None,
    older_than: float | None,
) -> None:
    """Write tasks as JSON, one a line.

    In the format of `push --from`, with state, attempts and failures besides. Nothing is changed.
    """
    gator = open_gator(session)
    client = gator.client
    queues = chosen_queues(client, queue, all_queues)
    chosen = chosen_states(client, states)
    empty = True
    for record in records(client, queues, chosen, 0, False, Filter(task, error, older_than)):
        session.out.line(dumped(gator, record))
        empty = False
    if empty:
        session.out.note(nothing_in(client, queues))
