"""gator stats: how the queues are doing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from alligator.backends.base import Backend, Capability
from alligator.backends.roster import WorkerRecord
from alligator.body import call_name

from ..broker import open_client
from ..exposition import exposition
from ..options import Command
from ..output import Columns
from ..queue_rows import QUEUE_COLUMNS, queue_names, queue_rows
from ..selection import Filter, chosen_states, queues_option, records
from ..session import Session, pass_session
from ..types import STATES, choice
from ..views import payload_of
from ..watching import repeat, watch_options

EXAMPLES = """
gator stats
gator stats --by task -q mail
gator stats --watch --every 1s
gator stats --format prometheus
"""

#: Seconds between the two looks that a rate is made of, where nothing is watched.
SAMPLE = 0.5

COLUMNS = Columns(
    names=(*QUEUE_COLUMNS.names, "rate", "workers"),
    key="queue",
    brief=("queue", *STATES, "oldest_age", "rate", "workers", "paused"),
    long=QUEUE_COLUMNS.long,
    optional=("running", "rate", "oldest_age", "workers", *QUEUE_COLUMNS.optional[2:]),
    words=QUEUE_COLUMNS.words,
)
TASK_COLUMNS = Columns(names=("task", *STATES), key="task", long={"task": 30})


@click.command("stats", cls=Command, examples=EXAMPLES, fields=COLUMNS.names)
@queues_option
@click.option(
    "--by",
    type=choice("grouping", ("queue", "task")),
    default="queue",
    show_default=True,
    metavar="WHAT",
    help="queue or task; task reads every task's body.",
)
@watch_options
@pass_session
def command(session: Session, queues: tuple[str, ...], by: str, watch: bool, every: float) -> int:
    """Show how the queues are doing.

    Depth by state, age of the first in line, tasks that ended each second (rate), workers, totals.
    The rate is taken over half a second, or with --watch since the last look.
    """
    client = open_client(session)
    if by == "task":
        show = _by_task(session, client, queues)
    elif session.out.format == "prometheus":
        show = _for_prometheus(session, client, queues)
    else:
        show = _by_queue(session, client, queues, watch)
    if watch:
        return repeat(show, every)
    show()
    return os.EX_OK


def _by_queue(session: Session, client: Backend, queues: Sequence[str], watched: bool) -> Any:
    rates = _Rates()
    counted = Capability.TOTALS in client.capabilities
    if counted and not watched and rates.of(queue_rows(client, queues)):
        time.sleep(SAMPLE)

    def show() -> None:
        rows = queue_rows(client, queues)
        rate, count = rates.of(rows), _workers_of(_workers(client), rows)
        for row in rows:
            row |= {"rate": rate[row["queue"]], "workers": count[row["queue"]]}
        if not session.out.rows(rows, COLUMNS):
            session.out.note("no queue holds a task")

    return show


def _for_prometheus(session: Session, client: Backend, queues: Sequence[str]) -> Any:
    def show() -> None:
        rows = queue_rows(client, queues)
        workers = _workers(client)
        count = _workers_of(workers, rows)
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


class _Rates:
    """How many tasks of each queue end a second, from one look to the next."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._at = 0.0

    def of(self, rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
        """Return the rates since the last look, None where there was none."""
        now = time.monotonic()
        totals = {
            row["queue"]: row["done_total"] + row["failed_total"]
            for row in rows
            if row["done_total"] is not None
        }
        rates = {
            row["queue"]: round(
                (totals[row["queue"]] - self._last[row["queue"]]) / (now - self._at), 3
            )
            if row["queue"] in self._last and row["queue"] in totals
            else None
            for row in rows
        }
        self._last, self._at = totals, now
        return rates


def _workers(client: Backend) -> list[WorkerRecord] | None:
    return client.workers() if Capability.WORKERS in client.capabilities else None


def _workers_of(
    workers: Sequence[WorkerRecord] | None, rows: Sequence[dict[str, Any]]
) -> dict[str, int | None]:
    """Return how many live workers take from each queue; None where the broker cannot tell."""
    if workers is None:
        return {row["queue"]: None for row in rows}
    live = [worker for worker in workers if not worker.stale]
    return {row["queue"]: sum(row["queue"] in one.queues for one in live) for row in rows}
