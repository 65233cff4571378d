"""How far a load has come, in a file that outlives it.

A load that is killed between a push and the note of it must not push again what a worker may have
finished meanwhile. So each batch is noted before it is sent, and goes to the broker together with
a marker, a task of its own that is due in the year 2200: the broker queues all or none, so whoever
takes the load up again finds the marker, and with it whether the batch in doubt arrived. The marker
of a batch is removed once the next note says that the batch is done.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from .errors import CliError

#: When a marker would be due.
FAR = 7_258_118_400.0


@dataclass
class Progress:
    """What is known to be done.

    Attributes:
        lines: how many lines of the input are dealt with.
        crc: of their bytes.
        queued, already, invalid: what became of them.
        markers: ids on the broker that say so, to be removed.
    """

    lines: int = 0
    crc: int = 0
    queued: int = 0
    already: int = 0
    invalid: int = 0
    markers: list[str] = field(default_factory=list)


@dataclass
class Note:
    """The file's content.

    Attributes:
        load: what the ids of this load begin with.
        target: where it goes; another command line must not take it up.
        sending: the number of the last line of the batch that is on its way, 0 for none.
        sending_crc: of all bytes up to there.
    """

    load: str
    target: str
    done: Progress = field(default_factory=Progress)
    sending: int = 0
    sending_crc: int = 0


class Checkpoint:
    """The file; held by one process at a time, through a lock on a file beside it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = -1

    def open(self, load: str, target: str) -> Note:
        """Take the file for this process and read it; a new one begins with `load`.

        Raises:
            CliError: another process has it, or it cannot be read or written.
            UsageError: it is no checkpoint, or one of another load.
        """
        self._refuse_device()
        try:
            self._take()
            note = self._read() or Note(load, target)
        except BlockingIOError as error:
            raise CliError(f"another process is loading with checkpoint {self.path!r}") from error
        except OSError as error:
            raise self._useless(error) from error
        if note.target != target:
            raise click.UsageError(
                f"checkpoint {self.path!r} is of a load to {note.target}, not to {target}; "
                "name another file, or delete it to begin anew"
            )
        return note

    def _refuse_device(self) -> None:
        """Refuse what cannot be a checkpoint before a lock is left beside it: a device may have no
        end, and be replaced by a file."""
        if not self.path:
            raise click.UsageError("--checkpoint is empty; name a file, or leave the option out")
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise click.UsageError(f"checkpoint {self.path!r} is no file; name another one")

    def _take(self) -> None:
        """Raise BlockingIOError when another process has it."""
        name = f"{self.path}.lock"
        lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(name).st_ino != os.fstat(lock).st_ino:
                raise BlockingIOError  # its holder has just removed it, and a third one is there
        except OSError:
            os.close(lock)
            raise
        self._lock = lock

    def _read(self) -> Note | None:
        try:
            with open(self.path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return None
        try:
            found: dict[str, Any] = json.loads(text)
            return Note(**{**found, "done": Progress(**found["done"])})
        except (ValueError, KeyError, TypeError) as error:
            raise click.UsageError(
                f"{self.path!r} is no checkpoint of gator push; name another file"
            ) from error

    def write(self, note: Note) -> None:
        """Replace the content, on the disk when this returns."""
        draft = f"{self.path}.new"
        try:
            with open(draft, "w", encoding="utf-8") as file:
                json.dump(asdict(note), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
            folder = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._useless(error) from error

    def close(self) -> None:
        """Let another process have it."""
        if self._lock >= 0:
            os.unlink(f"{self.path}.lock")
            os.close(self._lock)
            self._lock = -1

    def _useless(self, error: OSError) -> CliError:
        return CliError(f"checkpoint {self.path!r} cannot be used: {error.strerror}")
