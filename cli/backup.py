"""drop --backup: what is removed is on the disk before it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

import click

from alligator.backends.base import Mended, Moved
from alligator.gator import Gator

from .dumping import dumped
from .mending import Act, Target


class Backup:
    """A file that grows by a dump of each batch that is removed.

    A line is written before its task is removed, and taken back when that is not: killed in
    between, the file has tasks that are queued still, which `load` then leaves alone.
    """

    def __init__(self, path: str, gator: Gator) -> None:
        """Open the file to append what is removed from the Gator's broker.

        Raises:
            UsageError: it cannot be written.
        """
        try:
            self._file: BinaryIO = open(path, "ab")  # noqa: SIM115 - close() does
        except OSError as error:
            raise click.UsageError(f"--backup {path!r} cannot be written: {error.strerror}") from (
                error
            )
        self._gator = gator

    def around(self, act: Act) -> Act:
        """Return an act that removes selected tasks once they are written."""

        def written(targets: Sequence[Target]) -> list[Moved]:
            found = [target.record for target in targets if target.record is not None]
            lines = [dumped(self._gator, record).encode() + b"\n" for record in found]
            before = self._file.tell()
            self._write(lines)
            answers = act(targets)
            kept = [
                line
                for line, answer in zip(lines, answers, strict=True)
                if answer.mended is Mended.DONE
            ]
            if len(kept) < len(lines):
                self._file.truncate(before)
                self._file.seek(before)
                self._write(kept)
            return answers

        return written

    def _write(self, lines: list[bytes]) -> None:
        self._file.writelines(lines)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
