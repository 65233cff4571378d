"""Choosing tasks: a queue or all of them, states, and what a task has to look like."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import click

from alligator.backends.base import Backend, Capability, Record, State
from alligator.body import call_name
from alligator.constants import ALL

from .completing import queue_names, words
from .suggest import did_you_mean
from .types import STATES, duration, queue_name, some_text, state
from .views import last_error, payload_of

#: Records asked for at once while a filter, or no limit, is set.
PAGE = 200

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Filter:
    """What a task has to look like. An empty Filter lets all pass.

    Attributes:
        task: a glob on the dotted path.
        error: text within the error of the last failed try.
        older_than: seconds since the push.
    """

    task: str | None = None
    error: str | None = None
    older_than: float | None = None

    def __bool__(self) -> bool:
        return self != Filter()

    def matches(self, record: Record) -> bool:
        """Whether the task passes. One whose age the broker does not know is not old."""
        if self.task is not None and not fnmatchcase(call_name(payload_of(record.body)), self.task):
            return False
        if self.error is not None and self.error not in last_error(record):
            return False
        if self.older_than is None:
            return True
        return record.pushed_at is not None and time.time() - record.pushed_at > self.older_than


def queue_options(command: F) -> F:
    """Add -q QUEUE and --all-queues, and --state."""
    for option in (
        click.option(
            "--state",
            "states",
            type=state,
            multiple=True,
            metavar="STATE",
            shell_complete=words(STATES),
            help=f"{', '.join(STATES)}; may be repeated.",
        ),
        click.option("--all-queues", is_flag=True, help="Every queue."),
        click.option(
            "-q",
            "--queue",
            type=queue_name,
            metavar="QUEUE",
            shell_complete=queue_names,
            help="The queue; 'all' when left out.",
        ),
    ):
        command = option(command)
    return command


def _once(
    _ctx: click.Context, _param: click.Parameter, names: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the names given, in their order: a queue named twice is one queue."""
    return tuple(dict.fromkeys(names or ()))


def queues_option(command: F) -> F:
    """Add -q QUEUE, which may be repeated, for a look at them all."""
    return click.option(
        "-q",
        "--queue",
        "queues",
        type=queue_name,
        multiple=True,
        callback=_once,
        metavar="QUEUE",
        help="May be repeated; every queue when left out.",
        shell_complete=queue_names,
    )(command)


def queue_arguments(command: F) -> F:
    """Add QUEUE..., one at least."""
    return click.argument(
        "queues",
        type=queue_name,
        nargs=-1,
        required=True,
        callback=_once,
        metavar="QUEUE...",
        shell_complete=queue_names,
    )(command)


def filter_options(command: F) -> F:
    """Add --task, --error and --older-than."""
    for option in (
        click.option(
            "--older-than", type=duration, metavar="AGE", help="Pushed longer ago than this: 5m."
        ),
        click.option(
            "--error", type=some_text, metavar="TEXT", help="The last error has this text in it."
        ),
        click.option(
            "--task", type=some_text, metavar="GLOB", help="The dotted path: 'app.tasks.*'."
        ),
    ):
        command = option(command)
    return command


def chosen_queues(client: Backend, queue: str | None, all_queues: bool) -> list[str]:
    """Return the queues that -q and --all-queues mean."""
    if queue is not None and all_queues:
        raise click.UsageError("-q and --all-queues: give one of the two")
    return client.queues() if all_queues else [ALL if queue is None else queue]


def chosen_states(client: Backend, names: Sequence[str]) -> list[State]:
    """Return the states that --state names, or all that this broker knows.

    Raises:
        UnsupportedByBroker: retrying was named, and is the same as delayed to this broker.
    """
    if State.RETRYING in names:
        client.require(Capability.RETRYING)
    known = list(State)
    if Capability.RETRYING not in client.capabilities:
        known.remove(State.RETRYING)
    if Capability.DEPENDENCIES not in client.capabilities:
        known.remove(State.BLOCKED)
    return [State(name) for name in dict.fromkeys(names)] or known


def records(
    client: Backend,
    queues: Sequence[str],
    states: Sequence[State],
    limit: int,
    reverse: bool,
    wanted: Filter,
) -> Iterator[Record]:
    """Yield tasks queue by queue and state by state, page by page.

    Args:
        limit: how many at most; 0 is all.
        reverse: the same listing from its other end.
    """
    pairs = [(queue, one) for queue in queues for one in states]
    left = limit
    for queue, one in reversed(pairs) if reverse else pairs:
        cursor: str | None = None
        while True:
            size = PAGE if wanted or not limit else min(left, PAGE)
            page = client.peek(queue, one, size, cursor, reverse)
            for record in page.records:
                if wanted.matches(record):
                    yield record
                    left -= 1
                    if limit and not left:
                        return
            cursor = page.cursor
            if cursor is None:
                break


def count(client: Backend, queues: Sequence[str], states: Sequence[State]) -> int:
    """Return how many tasks the queues have in the states, without a look at any."""
    counts = [client.counts(name) for name in queues]
    return sum(getattr(one, state.value) for one in counts for state in states)


def nothing_in(client: Backend, queues: Sequence[str], what: str = "nothing") -> str:
    """Say that the queues have nothing to show, with a suggestion for a name that no queue has."""
    if len(queues) != 1:
        return f"{what} in any queue"
    return f"{what} in queue {queues[0]!r}.{likely_meant(client, queues[0])}"


def likely_meant(client: Backend, queue: str) -> str:
    """Return a suggestion for a name that no queue has; "" for one that is known, or like none."""
    existing = client.queues(empty=True)
    return "" if queue in existing else did_you_mean(queue, existing)


def _one_by_one(client: Backend, queue: str) -> str:
    """Return what to do about an unknown name that is likely those of several queues."""
    if "," not in queue or queue in client.queues(empty=True):
        return ""
    return " Name several queues one by one, without commas."


def misspelt(client: Backend, queues: Iterable[str]) -> list[str]:
    """Say of each queue that nothing is known of, and whose name is like another's, what it may
    have been meant to be. That is no error where a queue may be named before its first task. The
    default one needs no spelling."""
    named = [queue for queue in queues if queue != ALL]
    near = {queue: _one_by_one(client, queue) or likely_meant(client, queue) for queue in named}
    return [f"no task is known of queue {queue!r}.{near[queue]}" for queue in named if near[queue]]
