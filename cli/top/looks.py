"""What a look at the broker finds: the queues, the workers, and one page of tasks."""

from __future__ import annotations

import glob
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from alligator.backends.base import Backend, Capability, Record, State

from .. import worker_rows
from ..output import Columns
from ..queue_rows import SAMPLE, Rates, listed_workers, queue_rows, with_rates
from ..selection import PAGE, Filter
from ..types import in_short
from ..views import row_of

#: The fields of a task's row that are worth their room on a screen; a look at one shows all.
TASK_COLUMNS = Columns(
    names=("id", "task", "args", "when", "error", "worker"),
    brief=("when", "task", "args", "error", "worker", "id"),
    long={"error": 34, "task": 24, "id": 8, "args": 10},
    optional=("worker", "args"),
)


#: As gator workers has them, without what changes at each beat.
WORKER_COLUMNS = replace(
    worker_rows.WORKER_COLUMNS,
    brief=("worker", "state", "queues", "running", "done", "failed", "processes"),
)


@dataclass(frozen=True)
class Sight:
    """Which tasks are in sight: those of a queue, in a state, and with a text in their task's name
    or their last error."""

    queue: str
    state: State
    text: str = ""

    def shows(self, record: Record) -> bool:
        """Whether the text is there."""
        by_name, by_error = Filter(task=f"*{glob.escape(self.text)}*"), Filter(error=self.text)
        return not self.text or by_name.matches(record) or by_error.matches(record)


class Overview(NamedTuple):
    """The fields of STATS_COLUMNS for each queue, and of WORKER_COLUMNS for each worker; None for
    the workers where the broker keeps no list of them."""

    queues: list[dict[str, Any]]
    workers: list[dict[str, Any]] | None


class Tasks(NamedTuple):
    """The rows of the tasks in sight, out of the first `looked_at` ones; `more` follow those."""

    sight: Sight
    rows: list[dict[str, Any]]
    looked_at: int
    more: bool


class Looker:
    """Looks at a broker again and again."""

    def __init__(self, client: Backend) -> None:
        self._client = client
        self._rates = Rates()
        self._rate: dict[str, float | None] = {}
        self._rated_at = -SAMPLE

    def overview(self, queue: str | None) -> Overview:
        """Look at all queues and workers, and at `queue` even where there is nothing in it."""
        client = self._client
        workers = listed_workers(client)
        rows = queue_rows(client)
        if queue is not None and all(row["queue"] != queue for row in rows):
            rows += queue_rows(client, [queue])
        now = time.time()
        return Overview(
            with_rates(rows, self._rates_of(rows), workers),
            None
            if workers is None
            else [worker_rows.worker_row(worker, now) for worker in workers],
        )

    def _rates_of(self, rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
        """Return the rates, which stay for a moment: one look right after another tells little."""
        now = time.monotonic()
        if now - self._rated_at >= SAMPLE and Capability.TOTALS in self._client.capabilities:
            self._rate, self._rated_at = self._rates.of(rows), now
        return self._rate

    def tasks(self, sight: Sight) -> Tasks:
        """Look at one page of tasks, however many there are; the newest failures come first."""
        newest_first = sight.state is State.FAILED
        page = self._client.peek(sight.queue, sight.state, PAGE, reverse=newest_first)
        now = time.time()
        rows = [_task_row(record, now) for record in page.records if sight.shows(record)]
        return Tasks(sight, rows, len(page.records), page.cursor is not None)


def _task_row(record: Record, now: float) -> dict[str, Any]:
    return {**row_of(record), "when": _when(record, now)}


def _when(record: Record, now: float) -> str:
    """Say when it runs, else when it failed, else when it was pushed."""
    if record.due is not None and record.due > now:
        return f"in {in_short(record.due - now)}"
    failed_at = record.failures[-1].at if record.failures else None
    then = failed_at if record.state is State.FAILED and failed_at else record.pushed_at
    return "" if then is None else f"{in_short(max(0.0, now - then))} ago"
