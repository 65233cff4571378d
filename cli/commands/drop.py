"""gator drop: remove a queue's tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import click

from alligator.backends.base import Backend, State

from ..broker import open_client
from ..errors import FAILED
from ..options import Command
from ..selection import chosen_queues, chosen_states, nothing_in, queue_options
from ..session import Session, pass_session

EXAMPLES = """
gator drop -q mail --dry-run
gator drop -q mail --state failed --yes
"""


@click.command("drop", cls=Command, examples=EXAMPLES, surplus="Name the queue with -q.")
@queue_options
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def command(
    session: Session,
    queue: str | None,
    all_queues: bool,
    states: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> int:
    """Remove a queue's tasks.

    Running ones stay, and count as skipped. Prints how many tasks matched, were removed (changed),
    failed to be, or were skipped.
    """
    if State.RUNNING in states:
        raise click.UsageError("--state running: a running task cannot be dropped, only waited for")
    if not (yes or dry_run or sys.stdin.isatty()):
        raise click.UsageError("drop removes tasks for good, and nobody is here to ask; add --yes")
    client = open_client(session)
    queues = chosen_queues(client, queue, all_queues)
    chosen = [state for state in chosen_states(client, states) if state is not State.RUNNING]
    running = 0 if states else _count(client, queues, [State.RUNNING])
    matched = _count(client, queues, chosen)
    if matched and not (yes or dry_run) and not _confirmed(matched, states, queues):
        session.out.note("nothing was removed")
        return FAILED
    dropped = 0 if dry_run else sum(client.drop(name, chosen) for name in queues)
    if not matched + running + dropped:
        session.out.note(nothing_in(client, queues))
    session.out.record(
        {
            # Tasks come and go between the count and the removal; the removal has the last word.
            "matched": running + (matched if dry_run else dropped),
            "changed": dropped,
            "failed": 0,
            "skipped": running,
        },
        unasked="json",
    )
    return os.EX_OK


def _count(client: Backend, queues: Sequence[str], states: Iterable[State]) -> int:
    counts = [client.counts(name) for name in queues]
    return sum(getattr(one, state.value) for one in counts for state in states)


def _confirmed(matched: int, states: Sequence[str], queues: Sequence[str]) -> bool:
    tasks = " ".join(filter(None, (" or ".join(states), "task" if matched == 1 else "tasks")))
    where = f"queue {queues[0]!r}" if len(queues) == 1 else f"{len(queues)} queues"
    return click.confirm(f"Remove {matched} {tasks} of {where} for good?", err=True)
