"""gator peek: a page of tasks, or all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

import click
from click.core import ParameterSource

from alligator.backends.base import Record

from ..broker import open_client
from ..options import Command
from ..output import reader_left
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
from ..views import TASK_COLUMNS, WITH_QUEUE, row_of

EXAMPLES = """
gator peek -q mail --state failed
gator peek --all-queues --task 'app.mail.*' --older-than 1h
gator peek --json --limit 0 | jq -r 'select(.attempts > 2).id'
"""


#: Seconds between two looks of --follow.
LOOK = 0.5


@click.command(
    "peek",
    cls=Command,
    examples=EXAMPLES,
    fields=TASK_COLUMNS.names,
    surplus="Name the queue with -q.",
)
@queue_options
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(0, 1_000_000_000),
    default=20,
    show_default=True,
    help="How many at most; 0 is all.",
)
@click.option("--reverse", is_flag=True, help="From the other end: last in line first.")
@click.option("--follow", is_flag=True, help="Go on: show all tasks as they come into the states.")
@pass_session
def command(
    session: Session,
    queue: str | None,
    all_queues: bool,
    states: tuple[str, ...],
    task: str | None,
    error: str | None,
    older_than: float | None,
    limit: int,
    reverse: bool,
    follow: bool,
) -> None:
    """List tasks.

    Waiting tasks stand in the order they will run in, delayed ones by due time, failed ones by
    when they failed. Nothing is changed, and none of their code is imported.
    """
    client = open_client(session)
    queues = chosen_queues(client, queue, all_queues)
    wanted = Filter(task, error, older_than)
    if follow:
        source = click.get_current_context().get_parameter_source("limit")
        if reverse:
            raise click.UsageError("--follow and --reverse: give one of the two")
        if limit and source is ParameterSource.COMMANDLINE:  # a variable is for other runs, too
            raise click.UsageError("--follow and --limit: give one of the two; --follow has no end")
        states_shown = chosen_states(client, states)
        _follow(session, lambda: records(client, queues, states_shown, 0, False, wanted))
        return
    most = limit + 1 if limit else 0  # one more, to know whether there are more
    found = records(client, queues, chosen_states(client, states), most, reverse, wanted)
    shown = islice(found, limit) if limit else found
    columns = WITH_QUEUE if all_queues else TASK_COLUMNS
    if not session.out.rows(map(row_of, shown), columns):
        filtered = states or task or error or older_than is not None
        what = "nothing that matches" if filtered else "nothing"
        session.out.note(nothing_in(client, queues, what))
    elif next(found, None) is not None:
        session.out.note(f"{limit} shown; --limit 0 shows all")


def _follow(session: Session, listing: Callable[[], Iterator[Record]]) -> None:
    """Show each task once in each state that it is seen in, for as long as somebody reads it."""
    seen: set[tuple[str, str]] = set()
    while not reader_left():
        listed = {(one.task_id, one.state.value): one for one in listing()}
        fresh = [row_of(one) for key, one in listed.items() if key not in seen]
        session.out.rows(fresh, TASK_COLUMNS)
        session.out.flush()
        seen = set(listed)
        time.sleep(LOOK)
