"""Reading lines from a file or a pipe as they come, telling when none is there for a moment."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from collections.abc import Iterator
from typing import IO

import click

#: Bytes asked for at once.
CHUNK = 1 << 18

#: Seconds without input after which what is there goes out.
STALL = 0.1


def opened(path: str) -> IO[bytes]:
    """Open a file of lines; - is standard input.

    Raises:
        UsageError: it cannot be read.
    """
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise click.UsageError(f"{path!r} cannot be read: {error.strerror}") from error


def size(file: IO[bytes]) -> int | None:
    """Return how many bytes a file has; None for a pipe, which does not know."""
    try:
        found = os.fstat(file.fileno())
    except (io.UnsupportedOperation, AttributeError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def lines(file: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield lines, many at a time, without their ends; an empty list when no more have come for a
    moment, once for each such pause."""
    rest = b""
    for chunk in _chunks(file):
        if not chunk:
            yield []
            continue
        first, *more = chunk.split(b"\n")
        if more:
            yield [rest + first, *more[:-1]]
            rest = more[-1]
        else:
            rest += first
    if rest:
        yield [rest]


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what there is to read; b"" for a pause."""
    try:
        number = file.fileno()
    except (io.UnsupportedOperation, AttributeError):  # no file of the system's: all is here
        while chunk := file.read(CHUNK):
            yield chunk
        return
    poll = select.poll()
    poll.register(number, select.POLLIN)
    paused = False
    while True:
        if not paused and not poll.poll(STALL * 1000):
            paused = True
            yield b""
        chunk = os.read(number, CHUNK)
        if not chunk:
            return
        paused = False
        yield chunk
