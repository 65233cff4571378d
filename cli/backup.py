"""drop --backup: what is removed is on the disk before it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import click

from alligator.backends.base import Mended, Moved, Record

from .dumping import dumped
from .mending import Act


class Backup:
    """A file that grows by a dump of each batch that is removed.

    A line is written before its task is removed, and taken back when that is not: killed in
    between, the file has tasks that are queued still, which `load` then leaves alone.
    """

    def __init__(self, path: str) -> None:
        """Open the file to append.

        Raises:
            UsageError: it cannot be written.
        """
        try:
            self._file: BinaryIO = open(path, "ab")  # noqa: SIM115 - close() does
        except OSError as error:
            raise click.UsageError(f"--backup {path!r} cannot be written: {error.strerror}") from (
                error
            )
        self._lines: dict[str, bytes] = {}

    def seen(self, found: Iterable[Record]) -> Iterator[Record]:
        """Yield tasks that are to be removed, having remembered how to write them."""
        for record in found:
            self._lines[record.task_id] = dumped(record).encode() + b"\n"
            yield record

    def around(self, act: Act) -> Act:
        """Return an act that removes tasks once they are written."""

        def written(ids: Sequence[str]) -> list[Moved]:
            lines = [self._lines.pop(task_id) for task_id in ids]
            before = self._file.tell()
            self._write(lines)
            answers = act(ids)
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
