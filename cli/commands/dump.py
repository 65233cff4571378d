"""gator dump: tasks as lines that load brings back."""

from __future__ import annotations

import click

from ..broker import open_gator
from ..dumping import dumped
from ..options import Command
from ..progress import Meter
from ..selection import (
    Filter,
    chosen_queues,
    chosen_states,
    count,
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

    In the format of `push --from`, with state, attempts and failures besides. Without --state tasks
    of every state, failed ones too. Nothing is changed.
    """
    gator = open_gator(session)
    client = gator.client
    queues = chosen_queues(client, queue, all_queues)
    chosen = chosen_states(client, states)
    wanted = Filter(task, error, older_than)
    total = None if wanted else lambda: count(client, queues, chosen)
    meter = Meter("tasks", session.out.quiet, prints=True, total=total)
    written = 0
    try:
        for record in records(client, queues, chosen, 0, False, wanted):
            session.out.line(dumped(gator, record))
            written += 1
            meter.at(written)
    finally:
        meter.clear()
    if not written:
        session.out.note(nothing_in(client, queues))
