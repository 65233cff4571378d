"""Lines become batches of entries, checked before any of them is sent."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from alligator.backends.base import Capability, Entry, Failure
from alligator.exceptions import InvalidTask, UnsupportedByBroker
from alligator.gator import Gator

from .dumping import restored
from .lines import BadLine, read_line, task_of, unsupported
from .ordering import HeldBack
from .signatures import check_signature

#: Lines in one push: beyond this a broker gets no faster, and others wait longer for it.
LINES = 1000

#: Bytes of bodies in one push, so that long lines need little memory.
BYTES = 8 * 1024 * 1024


@dataclass
class Batch:
    """Lines that travel together.

    Attributes:
        last: the number of the last line up to which all are dealt with, and `crc` that of all
            bytes up to there.
        lines: how many it has.
        read: how many bytes that is, of those that this run has not left out.
        invalid: lines that are no task.
        groups: by queue, the entries and the place of each in the batch.
        failed: by place, the failures of a task that goes to the failed set.
    """

    last: int
    lines: int
    crc: int
    read: int
    invalid: int = 0
    groups: dict[str, list[tuple[int, Entry]]] = field(default_factory=dict)
    failed: dict[int, list[Failure]] = field(default_factory=dict)


class Preparer:
    """Makes batches of lines; counts lines from 1."""

    def __init__(
        self,
        gator: Gator,
        load: str,
        size: int,
        refused: Callable[[BadLine], None],
        done: tuple[int, int] = (0, 0),
        restore: bool = False,
    ) -> None:
        """Begin.

        Args:
            gator: pushes; its queue is that of lines which name none.
            load: what the ids of lines without one begin with.
            size: lines in a batch.
            refused: told of each bad line; it may raise.
            done: the number of the last line that is dealt with, and the CRC up to there.
            restore: the lines are a dump; go by the ids, states and failures that they name.
        """
        self._gator = gator
        self._restore = restore
        self._own_ids = restore or Capability.CUSTOM_IDS in gator.client.capabilities
        self._load = load
        self._size = size
        self._refused = refused
        self._number, self._crc = done
        self._read = 0
        self._held = HeldBack()
        self._renew()

    def batches(self, chunks: Iterable[list[bytes]], doubtful: int = 0) -> Iterator[Batch | None]:
        """Yield full batches, and at each pause of the input what there is, then None.

        Args:
            doubtful: the last line of a batch that an earlier run made; the first one ends there,
                so that it is the same.
        """
        for chunk in chunks:
            for line in chunk:
                if self._restore and self._held.take(line, self._number + 1):
                    self._number += 1
                    continue
                before = self._add(line, self._number + 1)
                if before is not None:
                    yield before
                if self._number == doubtful or (self._number > doubtful and self._full()):
                    yield self._finished()
            if not chunk:
                if self._lines and self._number > doubtful:
                    yield self._finished()
                yield None
        total = self._number
        for number, line, circle in self._held.in_order():
            if self._full():
                yield self._finished()
            before = self._add(line, number, circle)
            if before is not None:
                yield before
        self._number = total
        if self._lines:
            yield self._finished()

    def _full(self) -> bool:
        return self._lines >= self._size or self._bytes >= BYTES

    def _renew(self) -> None:
        self._lines = self._bytes = self._places = self._invalid = 0
        self._groups: dict[str, list[tuple[int, Entry]]] = {}
        self._failed: dict[int, list[Failure]] = {}
        self._queue_of: dict[str, str] = {}
        self._awaited: dict[str, str] = {}

    def _finished(self) -> Batch:
        first = self._held.first
        last = self._number if first is None else first - 1
        batch = Batch(
            last, self._lines, self._crc, self._read, self._invalid, self._groups, self._failed
        )
        self._renew()
        return batch

    def _add(self, line: bytes, number: int, circle: str | None = None) -> Batch | None:
        """Take a line in. Return the batch before it, when it must not travel with that.

        Args:
            circle: what it depends on and is depended on by.
        """
        before = None
        try:
            if circle is not None:
                raise BadLine(
                    number,
                    f"line {number} depends on task {circle!r}, which in the end depends on it; "
                    "take one of the two out of depends_on",
                )
            found = self._entry(line, number)
        except BadLine as error:
            self._refused(error)
            self._invalid += 1
            found = None
        if found is not None:
            queue, entry, failures = found
            if entry.depends_on and self._elsewhere(queue, entry):
                before = self._finished()
            if failures:
                self._failed[self._places] = failures
            self._put(queue, entry)
        self._number = number
        self._crc = zlib.crc32(line, self._crc)
        self._read += len(line) + 1
        self._lines += 1
        return before

    def _put(self, queue: str, entry: Entry) -> None:
        self._groups.setdefault(queue, []).append((self._places, entry))
        self._places += 1
        self._bytes += len(entry.body)
        self._queue_of[entry.task_id] = queue
        for other in entry.depends_on:
            self._awaited[other] = entry.task_id

    def _elsewhere(self, queue: str, entry: Entry) -> bool:
        """Whether it depends on a task of this batch in another queue, which may be pushed later:
        the broker would take that one for done."""
        return any(self._queue_of.get(other, queue) != queue for other in entry.depends_on)

    def _entry(self, line: bytes, number: int) -> tuple[str, Entry, list[Failure]] | None:
        """Return the queue and the entry of a line, and the failures of a task to be restored as
        failed; None for a blank line."""
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line or line.isspace():
            return None
        fields = read_line(line, number)
        own_id = f"{self._load}{number:09x}"
        queue: Any = fields.get("queue")
        if queue is None:
            queue = self._gator.queue_name
        client = self._gator.client
        if "signed" in fields:
            check_signature(self._gator.trust, fields["signed"], number)
        try:
            if not self._own_ids and fields.get("id") is not None:
                client.require(Capability.CUSTOM_IDS)
            failures: list[Failure] = []
            if self._restore:
                entry, failures = restored(self._gator, queue, fields, line, number, own_id)
            else:
                entry = self._gator.entry(task_of(fields, line, number, own_id), queue)
            client.check(queue, [entry])
        except UnsupportedByBroker as error:
            raise unsupported(error, number) from error
        except InvalidTask as error:
            raise BadLine(number, f"line {number}: {error}") from error
        if entry.task_id in self._awaited:
            raise BadLine(
                number,
                f"line {number}: task {self._awaited[entry.task_id]!r} of an earlier line depends "
                f"on {entry.task_id!r}; that line has to come after this one",
            )
        return queue, entry, failures
