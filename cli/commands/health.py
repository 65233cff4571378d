"""gator health: one answer for a probe."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import click

from alligator.backends.base import Backend, Capability
from alligator.exceptions import AlligatorException, UnsupportedByBroker
from alligator.gator import Gator
from alligator.heartbeat import DEAD_AFTER

from ..broker import open_gator
from ..checks import COLUMNS, Check, report
from ..completing import files
from ..errors import FAILED, redacted
from ..options import Command
from ..selection import misspelt, queues_option
from ..session import Session, pass_session
from ..types import duration

EXAMPLES = """
gator health --ready
gator health --live /run/gator.beat
gator health -q mail --max-depth 1000 --max-age 5m --min-workers 1
"""


@click.command(
    "health",
    cls=Command,
    examples=EXAMPLES,
    fields=COLUMNS.names,
    surplus="A worker's heartbeat file stands right after --live.",
    elsewhere={"--heartbeat-file": "--live"},
)
@click.option(
    "--live",
    "beat",
    metavar="FILE",
    help="A worker's --heartbeat-file is fresh; asks no broker.",
    shell_complete=files,
)
@click.option("--ready", is_flag=True, help="The broker answers; so without any other option.")
@click.option(
    "--max-depth", type=click.IntRange(min=0), metavar="N", help="Tasks waiting, a queue."
)
@click.option("--max-age", type=duration, metavar="AGE", help="Age of the first in line: 5m.")
@click.option("--min-workers", type=click.IntRange(min=0), metavar="N", help="Live ones, a queue.")
@queues_option
@pass_session
def command(
    session: Session,
    beat: str | None,
    ready: bool,
    max_depth: int | None,
    max_age: float | None,
    min_workers: int | None,
    queues: tuple[str, ...],
) -> int:
    """Say whether all is well, by the exit code: 0 or 1.

    Prints each check, and whether it passed.
    """
    limits = (max_depth, max_age, min_workers)

    def checks() -> Iterator[Check]:
        if beat is not None:
            yield _fresh(beat)
        if ready or beat is None or any(limit is not None for limit in limits):
            try:
                gator = open_gator(session)
                yield Check("broker", True, gator.client.ping())
                for note in misspelt(gator.client, queues):
                    session.out.note(note)
                yield from _queues(gator, queues, max_depth, max_age, min_workers)
            except (AlligatorException, click.UsageError) as error:
                yield Check("broker", False, redacted(str(error), session.secrets))

    return os.EX_OK if report(session, checks()) else FAILED


def _fresh(path: str) -> Check:
    try:
        age = time.time() - os.stat(path).st_mtime
    except OSError as error:
        return Check("heartbeat", False, f"{path}: {error.strerror}", "Is the worker running?")
    # From the future, it was written before the clock was set back: a worker that lives writes it
    # anew at its next beat, and one that hangs must not pass until the clock is there again.
    fresh = abs(age) <= DEAD_AFTER
    detail = f"{age:.1f} s old" if age >= 0 else f"{-age:.1f} s in the future"
    return Check("heartbeat", fresh, detail, "" if fresh else "Restart the worker.")


def _queues(
    gator: Gator,
    queues: Sequence[str],
    max_depth: int | None,
    max_age: float | None,
    min_workers: int | None,
) -> Iterator[Check]:
    client = gator.client
    for queue in queues or client.queues() or [gator.queue_name]:
        if max_depth is not None or max_age is not None:
            counts = client.counts(queue)
            if max_depth is not None:
                well = counts.waiting <= max_depth
                yield Check(f"depth of {queue}", well, f"{counts.waiting} waiting")
            if max_age is not None:
                age = counts.oldest_age or 0.0
                yield Check(f"age of {queue}", age <= max_age, f"{age:.1f} s")
        if min_workers is not None:
            yield _worked(client, queue, min_workers)


def _worked(client: Backend, queue: str, least: int) -> Check:
    name = f"workers of {queue}"
    try:
        client.require(Capability.WORKERS)
    except UnsupportedByBroker as error:
        return Check(name, False, str(error), "Leave out --min-workers; see gator doctor.")
    count = sum(queue in one.queues and not one.stale for one in client.workers())
    return Check(name, count >= least, f"{count} alive")
