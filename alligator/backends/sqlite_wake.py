"""Waking clients that wait for a task, through named pipes beside the queue file.

A waiting client makes one pipe and sleeps on it. Its name says which queues it waits for, so a
writer that made n tasks of a queue ready wakes n clients that want them and leaves the others
asleep. Whoever removes the pipe's name has the right to wake its client, so that two writers never
spend both their wake-ups on one. A wake-up can be lost with its client; a waiting client therefore
looks at the file by itself now and then (see sqlite_backend.py).
"""

from __future__ import annotations

import math
import os
import select
import zlib
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from .sqlite_lock import adopt

_SUFFIX = ".wake"

#: A name holds at most 255 bytes: with more queues than this, the client is woken for any.
_MAX_NAMED = 20


class Waiter:
    """A place to be woken for any of `queues`, for as long as the `with` block lasts.

    Attributes:
        wakes: False on a system or file system without named pipes; the caller then polls.
    """

    def __init__(self, folder: str, like: str, queues: Sequence[str]) -> None:
        marks = {_mark(queue) for queue in queues}
        wanted = "-".join(sorted(marks)) if len(marks) <= _MAX_NAMED else "any"
        self._path = os.path.join(folder, f"{wanted}.{os.urandom(6).hex()}{_SUFFIX}")
        self._like = like
        self._pipe: int | None = None

    def __enter__(self) -> Self:
        with suppress(OSError, AttributeError, NotImplementedError):
            os.mkfifo(self._path, 0o600)
            adopt(self._path, self._like)
            # A writer may take the pipe for a dead client's and remove it right here: then it
            # has just made a task ready, which the caller's first look will find.
            self._pipe = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            os.unlink(self._path)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    @property
    def wakes(self) -> bool:
        return self._pipe is not None

    def sleep(self, seconds: float, wake_on: int | None) -> bool:
        """Sleep until woken, until `wake_on` is readable, or for so long; True unless the last."""
        poller = select.poll()
        for descriptor in (self._pipe, wake_on):
            if descriptor is not None:
                poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(max(0, math.ceil(seconds * 1000))))


def wake(folder: str, queue: str, number: int) -> None:
    """Wake up to `number` clients that wait for `queue`."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith(_SUFFIX)]
    except OSError:
        return  # no folder: nobody has ever waited, or we may not wake them
    mark = _mark(queue)
    waiting = [
        name
        for name in names
        if (wanted := name.partition(".")[0]) == "any" or mark in wanted.split("-")
    ]
    for name in waiting:  # in no order, as the names are random and new for each wait
        if number <= 0:
            return
        number -= _wake_one(os.path.join(folder, name))


def _wake_one(path: str) -> bool:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # Nobody reads: its client was killed. The name would be tried for ever.
        with suppress(OSError):
            os.unlink(path)
        return False
    try:
        os.unlink(path)
        os.write(pipe, b"!")
    except OSError:
        return False
    finally:
        os.close(pipe)
    return True


def _mark(queue: str) -> str:
    return f"{zlib.crc32(queue.encode()):08x}"
