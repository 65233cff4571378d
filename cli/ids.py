"""Task ids as arguments, or from a file, one a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any, TypeVar

import click

from .completing import task_ids

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
        click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=task_ids),
    ):
        command = option(command)
    return command


def given_ids(ids: tuple[str, ...], ids_from: IO[str] | None) -> Iterator[str]:
    """Yield the ids given, those of the file as they are read."""
    yield from ids
    try:
        for line in ids_from or ():
            if task_id := line.strip():
                yield task_id
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"--ids-from: it is not UTF-8 text, at {error.object!r:.60}"
        ) from error
