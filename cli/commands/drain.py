"""gator drain: until a queue is empty."""

from __future__ import annotations

import shlex
import time

import click

from alligator.backends.base import Backend, Counts

from ..broker import open_client
from ..completing import queue_names
from ..errors import TimedOut
from ..hindrances import hindrances, sentences
from ..options import Command
from ..progress import Meter
from ..queue_rows import QUEUE_COLUMNS, queue_rows
from ..selection import misspelt
from ..session import Session, pass_session
from ..stuck import stuck_in
from ..tally import tasks
from ..types import duration, queue_name

EXAMPLES = """
gator drain mail --timeout 10m
gator drain mail --running && deploy
"""

#: Seconds between two looks; every look counts a whole queue.
LOOK = 0.2


@click.command(
    "drain",
    cls=Command,
    examples=EXAMPLES,
    fields=QUEUE_COLUMNS.names,
    surplus="One queue at a time.",
)
@click.argument("queue", type=queue_name, metavar="QUEUE", shell_complete=queue_names)
@click.option("--timeout", type=duration, metavar="TIME", help="Wait no longer than this.")
@click.option("--running", is_flag=True, help="Wait for what runs only, as after a pause.")
@pass_session
def command(session: Session, queue: str, timeout: float | None, running: bool) -> None:
    """Wait until a queue is empty.

    Of tasks that have yet to run, delayed and blocked ones too, and of those that run. Failed ones
    stay, and are not waited for. Prints the queue as `gator queues` does; when the time is over
    first, nothing, and the exit code is 124.
    """
    client = open_client(session)
    for note in misspelt(client, [queue]):
        session.out.note(note)
    deadline = None if timeout is None else time.monotonic() + timeout
    meter = Meter("tasks left", session.out.quiet, rate=False)
    try:
        while left := _left(client.counts(queue), running):
            if deadline is not None and time.monotonic() >= deadline:
                look = f"See which: gator peek -q {shlex.quote(queue)}"
                raise TimedOut(
                    f"queue {queue!r} still has {tasks(left)} after {timeout:g} s",
                    sentences([look, *_held_back(client, queue), *hindrances(client, [queue])]),
                )
            meter.at(left)
            time.sleep(LOOK)
    finally:
        meter.clear()
    session.out.rows(queue_rows(client, [queue]), QUEUE_COLUMNS)


def _held_back(client: Backend, queue: str) -> list[str]:
    """Say that some of a queue's tasks will not run by themselves."""
    stuck = stuck_in(client, client.counts(queue))
    count = len(stuck.tasks) + len(stuck.failed)
    why = "blocked by what failed, was canceled or dropped; gator doctor says what to do"
    return [f"{tasks(count)} {why}"] if count else []


def _left(counts: Counts, running: bool) -> int:
    waiting = counts.waiting + counts.delayed + counts.retrying + counts.blocked
    return counts.running if running else waiting + counts.running
