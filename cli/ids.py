"""Task ids as arguments, or from a file, one a line."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeVar

import click

from alligator.backends.base import Backend, Capability

from .completing import task_ids
from .selection import Filter, chosen_states, records
from .types import given_id

#: Seconds that may be spent on ids that begin as a wrong one does, and how many are told.
PATIENCE = 0.25
SUGGESTED = 5

F = TypeVar("F", bound=Callable[..., Any])


def id_arguments(command: F) -> F:
    """Add [ID]... and --ids-from."""
    for option in (
        click.option(
            "--ids-from",
            type=click.File(encoding="utf-8"),
            metavar="FILE",
            help="Ids from a file, one a line; - is standard input.",
        ),
        click.argument("ids", type=given_id, nargs=-1, metavar="[ID]...", shell_complete=task_ids),
    ):
        command = option(command)
    return command


def given_ids(ids: tuple[str, ...], ids_from: IO[str] | None) -> Iterator[str]:
    """Yield the ids given, those of the file as they are read."""
    yield from ids
    try:
        for line in ids_from or ():
            if task_id := line.rstrip("\r\n"):  # blanks may be part of it
                yield task_id
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"--ids-from: it is not UTF-8 text, at {error.object!r:.60}"
        ) from error


def begun(client: Backend, task_id: str) -> str:
    """Say which ids begin with one that no queue has; "" where none is found at once."""
    if Capability.CUSTOM_IDS not in client.capabilities:
        return ""  # its ids are numbers, and 1 is not the beginning of 12
    until = time.monotonic() + PATIENCE
    found = records(client, client.queues(), chosen_states(client, ()), 0, False, Filter())
    in_time = itertools.takewhile(lambda _: time.monotonic() < until, found)
    matching = (one.task_id for one in in_time if one.task_id.startswith(task_id))
    near = list(itertools.islice(matching, SUGGESTED))
    return f"The whole id is needed; there are: {', '.join(near)}" if near else ""
