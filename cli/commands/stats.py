"""gator stats: how the queues are doing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from alligator.backends.base import Backend, Capability
from alligator.body import call_name

from ..broker import open_client
from ..completing import words
from ..exposition import exposition
from ..options import Command
from ..output import Columns
from ..queue_rows import (
    SAMPLE,
    STATS_COLUMNS,
    Rates,
    listed_workers,
    queue_names,
    queue_rows,
    with_rates,
    workers_of,
)
from ..selection import Filter, chosen_states, misspelt, queues_option, records
from ..session import Session, pass_session
from ..types import PROMETHEUS, STATES, choice
from ..views import payload_of
from ..watching import repeat, watch_options

EXAMPLES = """
gator stats
gator stats --by task -q mail
gator stats --watch --every 1s
gator stats --format prometheus
"""

TASK_COLUMNS = Columns(
    names=("task", *STATES),
    key="task",
    long={"task": 30},
    optional=("running", "delayed", "blocked", "retrying"),
)


#: What the rows are of.
GROUPINGS = ("queue", "task")


@click.command(
    "stats",
    cls=Command,
    examples=EXAMPLES,
    fields=STATS_COLUMNS.names,
    fields_with=lambda given: (TASK_COLUMNS if given.get("by") == "task" else STATS_COLUMNS).names,
    formats=(PROMETHEUS,),
)
@queues_option
@click.option(
    "--by",
    type=choice("grouping", GROUPINGS),
    default="queue",
    shell_complete=words(GROUPINGS),
    show_default=True,
    metavar="WHAT",
    help="queue or task; task reads every task's body, and its rows have task and the states.",
)
@watch_options
@pass_session
def command(session: Session, queues: tuple[str, ...], by: str, watch: bool, every: float) -> int:
    """Show how the queues are doing.

    Depth by state, age of the first in line, tasks that ended each second (rate), workers, totals.
    The rate is taken over half a second, or with --watch since the last look. --format prometheus
    writes metrics for Prometheus instead of rows.
    """
    if session.out.format == PROMETHEUS:
        _refuse_for_prometheus(session, by)
    client = open_client(session)
    for note in misspelt(client, queues):
        session.out.note(note)
    if by == "task":
        show = _by_task(session, client, queues)
    elif session.out.format == PROMETHEUS:
        show = _for_prometheus(session, client, queues)
    else:
        show = _by_queue(session, client, queues, watch)
    if watch:
        return repeat(show, every)
    show()
    return os.EX_OK


def _refuse_for_prometheus(session: Session, by: str) -> None:
    for option, given in (
        (session.out.called["fields"], session.out.fields),
        ("--by task", by == "task"),
    ):
        if given:
            raise click.UsageError(
                f"--format prometheus writes all metrics of the queues; leave out {option}"
            )


def _by_queue(session: Session, client: Backend, queues: Sequence[str], watched: bool) -> Any:
    rates = Rates()
    counted = Capability.TOTALS in client.capabilities
    if counted and not watched and rates.of(queue_rows(client, queues)):
        time.sleep(SAMPLE)

    def show() -> None:
        rows = queue_rows(client, queues)
        rows = with_rates(rows, rates.of(rows), listed_workers(client))
        if not session.out.rows(rows, STATS_COLUMNS):
            session.out.note("no queue holds a task")

    return show


def _for_prometheus(session: Session, client: Backend, queues: Sequence[str]) -> Any:
    def show() -> None:
        rows = queue_rows(client, queues)
        workers = listed_workers(client)
        count = workers_of(workers, rows)
        session.out.line(
            exposition([{**row, "workers": count[row["queue"]]} for row in rows], workers)
        )

    return show


def _by_task(session: Session, client: Backend, queues: Sequence[str]) -> Any:
    def show() -> None:
        counted: Counter[tuple[str, str]] = Counter()
        found = records(
            client, queues or queue_names(client), chosen_states(client, ()), 0, False, Filter()
        )
        for record in found:
            counted[call_name(payload_of(record.body)), record.state.value] += 1
        names = Counter[str]()
        for (task, _), count in counted.items():
            names[task] += count
        rows = (
            {"task": task, **{state: counted[task, state] for state in STATES}}
            for task, _ in names.most_common()
        )
        if not session.out.rows(rows, TASK_COLUMNS):
            session.out.note("no queue holds a task")

    return show
