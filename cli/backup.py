"""drop --backup: what is removed is on the disk before it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress

import click

from alligator.backends.base import Mended, Moved
from alligator.gator import Gator

from .dumping import dumped
from .errors import CliError
from .mending import Act, Target

_NOTHING_DONE = "No task was removed. Make room, or name another file."


class Backup:
    """A file that grows by a dump of each batch that is removed.

    A line is on the disk before its task is removed, and is blanked when that is not: killed in
    between, the file has tasks that are queued still, which `load` then leaves alone. A line that
    was once whole is never written again, so no full disk can lose one whose task is gone.
    """

    def __init__(self, path: str, gator: Gator) -> None:
        """Open the file to append what is removed from the Gator's broker.

        Raises:
            UsageError: it cannot be written.
            CliError: another process is writing to it, or the disk is full.
        """
        self._path = path
        try:
            # Not in append mode, in which nothing can be blanked.
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise click.UsageError(f"--backup {path!r} cannot be written: {error.strerror}") from (
                error
            )
        try:
            # Two writers would write over each other.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise CliError(f"another process is writing to --backup {path!r}") from error
        self._gator = gator
        self._removed = 0
        self._end = os.fstat(self._file).st_size
        if self._end and os.pread(self._file, 1, self._end - 1) != b"\n":
            self._append(b"\n")  # somebody was killed in the middle of a line

    def around(self, act: Act) -> Act:
        """Return an act that removes selected tasks once they are written.

        Raises (the act):
            CliError: they cannot be; none of them was removed.
        """

        def written(targets: Sequence[Target]) -> list[Moved]:
            found = [target.record for target in targets if target.record is not None]
            lines = [dumped(self._gator, record).encode() + b"\n" for record in found]
            place = self._append(b"".join(lines))
            answers = act(targets)
            for line, answer in zip(lines, answers, strict=True):
                if answer.mended is Mended.DONE:
                    self._removed += 1
                else:
                    self._put(b" " * (len(line) - 1), place)
                place += len(line)
            return answers

        return written

    def _append(self, text: bytes) -> int:
        """Write at the end, to the disk; return where. What is cut short is taken back."""
        place = self._end
        try:
            self._put(text, place)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, place)
            raise CliError(
                f"--backup {self._path!r} cannot be written: {error.strerror}",
                "Make room, or name another file." if self._removed else _NOTHING_DONE,
            ) from error
        self._end += len(text)
        return place

    def _put(self, text: bytes, place: int) -> None:
        left = memoryview(text)
        while left:
            done = os.pwrite(self._file, left, place)
            left, place = left[done:], place + done

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
