"""gator drop: remove a queue's tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import click

from alligator.backends.base import Mended, Record, State, waiting_last
from alligator.gator import Gator

from ..backup import Backup
from ..broker import open_gator
from ..completing import files
from ..errors import FAILED
from ..fields import CHANGED
from ..mending import Manner, change, chosen, manner_options, same_ids
from ..options import Command
from ..selection import (
    chosen_queues,
    chosen_states,
    count,
    filter_options,
    nothing_in,
    queue_options,
    records,
)
from ..session import Session, pass_session
from ..tally import Tally, left_alone, summarize

EXAMPLES = """
gator drop -q mail --dry-run
gator drop -q mail --state failed --yes
gator drop -q mail --task 'app.mail.*' --backup mail.ndjson
"""

UNDROPPABLE = "a running task cannot be dropped, only waited for"


@click.command(
    "drop",
    cls=Command,
    examples=EXAMPLES,
    fields=CHANGED,
    surplus="Name the queue with -q. Single tasks are taken off by id: gator cancel ID.",
)
@queue_options
@filter_options
@click.option(
    "--backup",
    metavar="FILE",
    shell_complete=files,
    help="Append what is removed to this file, so that load brings it back.",
)
@manner_options
@pass_session
def command(session: Session, /, backup: str | None, **options: Any) -> int:
    """Remove a queue's tasks.

    Of every state unless --state says which, failed ones too. Running ones stay, and count as
    skipped. Prints how many tasks matched, were removed (changed), failed to be, or were skipped.
    A queue that is then empty is forgotten, with its totals, unless tasks were selected. Tasks
    elsewhere that depend on a removed one stay blocked.
    """
    if backup == "-":
        raise click.UsageError(
            "--backup -: standard output has the summary; name a file, or ./- for one called -"
        )
    choice, manner = chosen({"ids": (), "ids_from": None, **options})
    if State.RUNNING in choice.states:
        raise click.UsageError(f"--state running: {UNDROPPABLE}")
    if not (manner.yes or manner.dry_run or sys.stdin.isatty()):
        raise click.UsageError("drop removes tasks for good, and nobody is here to ask; add --yes")
    gator = open_gator(session)
    client = gator.client
    queues = chosen_queues(client, choice.queue, choice.all_queues)
    states = chosen_states(client, choice.states)
    states = waiting_last([state for state in states if state is not State.RUNNING])
    one_by_one = bool(choice.wanted or backup is not None or manner.rate)
    running = 0 if choice.states or choice.wanted else count(client, queues, [State.RUNNING])

    def found() -> Iterator[Record]:
        return records(client, queues, states, 0, False, choice.wanted)

    matched = sum(1 for _ in found()) if choice.wanted else count(client, queues, states)
    if matched and not (manner.yes or manner.dry_run):
        what = " or ".join(choice.states) if not choice.wanted else "matching"
        if not click.confirm(question(matched, what, queues), err=True):
            session.out.note("nothing was removed")
            return FAILED
    if manner.dry_run:
        changed, skipped = 0, running
    elif one_by_one:
        tally = _removed(session, gator, found(), backup, manner, matched)
        matched, changed = tally.matched, tally.changed
        skipped = running + matched - changed
    else:
        # Tasks come and go between the count and the removal; the removal has the last word.
        changed = sum(client.drop(name, states) for name in queues)
        matched, skipped = changed, running
    if not (manner.dry_run or choice.states or choice.wanted):
        for name in client.queues(empty=True) if choice.all_queues else queues:
            client.forget(name)
    if not matched + running:
        session.out.note(nothing_in(client, queues))
    if running:
        session.out.note(left_alone(running, Mended.RUNNING))
    summarize(
        session,
        {"matched": matched + running, "changed": changed, "failed": 0, "skipped": skipped},
        "removed",
    )
    return os.EX_OK


def _removed(
    session: Session,
    gator: Gator,
    found: Iterator[Record],
    path: str | None,
    manner: Manner,
    matched: int,
) -> Tally:
    """Remove tasks one by one, into a file that brings them back if one is named."""
    act = same_ids(gator.client.cancel_many)
    if path is None:
        return change(session, found, act, manner, lambda: matched)
    with closing(Backup(path, gator)) as backup:
        return change(session, found, backup.around(act), manner, lambda: matched)


def question(matched: int, what: str, queues: Sequence[str]) -> str:
    """Word what is asked before tasks are removed; `what` is said of them: "failed", or ""."""
    tasks = " ".join(filter(None, (what, "task" if matched == 1 else "tasks")))
    where = f"queue {queues[0]!r}" if len(queues) == 1 else f"{len(queues)} queues"
    return f"Remove {matched} {tasks} of {where} for good?"
