"""What the supervisor and a child process say to each other, over three pipes.

    supervisor ── tasks ────► child    frames, each a list of numbered leases
               ── permits ──► child    one number a lease: the right to start it
               ◄─ outcomes ──          frames: a greeting; a task's time limit as
                                       it begins, and whether it was heeded, or
                                       is over;
                                       one for each finished lease; a report when
                                       there is nothing left to begin; that it has
                                       grown too large

The child takes a permit off its pipe before it starts a task. The supervisor holds the reading end
too, so it can take permits back: the kernel hands each number to exactly one reader. That makes
hand-back race-free without the child's help, and after a child's death the permits left in the pipe
are the tasks that it had not started.

Frames are marshalled tuples of plain values: both ends are the same interpreter, and what a user
pushed is bytes inside.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .backends.base import Ack, Defer, Fail, Failure, Lease, Outcome, Retry
from .limits import Limit

#: What a child says once its imports are done, and when it has grown too large to go on.
GREETING, WORN = ("ready",), ("worn",)

#: How far a child has come, which begins leases in the order of their numbers. Up to the first of
#: the two numbers each lease was begun, or found to be taken back; the second says how many more it
#: could begin at once, going by what it was given last.
Report = tuple[int, int]

#: The kinds of outcomes, and the version of marshal's format for them: see `frame`.
_ACK, _RETRY, _DEFER, _FAIL = range(4)
_SMALL = 2

_LENGTH = struct.Struct("!I")
_NUMBER = struct.Struct("!I")


def open_pipes(number: int) -> list[int]:
    """Open so many pipes, or none; return the reading and the writing end of each.

    Raises:
        OSError: the process may have no more descriptors.
    """
    ends: list[int] = []
    try:
        for _ in range(number):
            ends += os.pipe()
    except OSError:
        for end in ends:
            os.close(end)
        raise
    return ends


def widen(descriptor: int, size: int) -> None:
    """Have a pipe hold `size` bytes, where the system can and allows it (Linux, pipe(7))."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)


def frame(value: Any, version: int = marshal.version) -> bytes:
    """Return `value`, made of plain built-in types, as one frame.

    Args:
        version: of marshal's format. The newest writes what occurs in many leases once; _SMALL does
            not look for such, which is twice as quick for what has nothing of the kind.
    """
    data = marshal.dumps(value, version)
    return _LENGTH.pack(len(data)) + data


class FrameReader:
    """Cuts a stream of bytes into the values of its frames."""

    def __init__(self, most: int = sys.maxsize) -> None:
        """Begin a stream.

        Args:
            most: bytes of the largest frame that can be one.
        """
        self._buffer = bytearray()
        self._most = most

    def feed(self, data: bytes) -> Iterator[Any]:
        """Add bytes and yield the values that are whole now.

        Raises:
            EOFError, TypeError, ValueError: they are no frames.
        """
        self._buffer += data
        done, start, end = 0, _LENGTH.size, len(self._buffer)
        with memoryview(self._buffer) as view:
            while start <= end:
                length = _LENGTH.unpack_from(view, done)[0]
                after = start + length
                if after > end:
                    if length > self._most:
                        raise ValueError(f"no frame has {length} bytes")
                    break
                yield marshal.loads(view[start:after])
                done, start = after, after + _LENGTH.size
        del self._buffer[:done]


class Permits:
    """The pipe of permits, as either end sees it."""

    def __init__(self, reading: int, writing: int = -1) -> None:
        self.reading = reading
        self.writing = writing
        self._ahead: int | None = None

    def give(self, numbers: range) -> None:
        """Let the child start these."""
        os.write(self.writing, b"".join(map(_NUMBER.pack, numbers)))

    def take(self) -> int | None:
        """Take the next permit; None when there is none."""
        try:
            data = os.read(self.reading, _NUMBER.size)
        except BlockingIOError:
            return None
        if not data:
            return None
        number: int = _NUMBER.unpack(data)[0]
        return number

    def allows(self, number: int) -> bool:
        """Whether the child may start the lease of this number; asked once for each, in order.

        Numbers only rise, so a permit for a later lease says that this one was taken back. It is
        kept until that later one comes, which may be in another frame.
        """
        ahead = self.take() if self._ahead is None else self._ahead
        if ahead == number:
            self._ahead = None
            return True
        self._ahead = ahead
        return False

    def take_all(self) -> list[int]:
        """Take back every permit that the child has not used."""
        taken = []
        while (number := self.take()) is not None:
            taken.append(number)
        return taken


def pack_limit(number: int, limit: Limit) -> bytes:
    """Return the time limit of the lease that begins, as a frame."""
    return frame(("limit", number, *limit))


def pack_unlimited(number: int) -> bytes:
    """Return as a frame that the time limit of a lease is over before it ran out: what comes next
    has another, or none."""
    return frame(("unlimited", number))


def pack_reached(number: int) -> bytes:
    """Return as a frame that the time limit of a lease ran out and could be heeded."""
    return frame(("reached", number))


def pack_report(report: Report) -> bytes:
    """Return a report that comes with no outcome, as a frame."""
    return frame(("report", *report))


def pack_outcome(report: Report, number: int, seconds: float, outcome: Outcome) -> bytes:
    """Return a child's word on one lease as a frame; the lease itself stays with the parent."""
    head = (number, *report, seconds)
    if isinstance(outcome, Ack):
        return frame((*head, _ACK, outcome.result, outcome.result_ttl), _SMALL)
    if isinstance(outcome, Retry):
        again = outcome.body, outcome.delay, tuple(outcome.failure)
        return frame((*head, _RETRY, *again), _SMALL)
    if isinstance(outcome, Defer):
        return frame((*head, _DEFER, outcome.delay), _SMALL)
    assert isinstance(outcome, Fail)
    return frame((*head, _FAIL, tuple(outcome.failure)), _SMALL)


def unpack_outcome(values: tuple[Any, ...], lease: Lease) -> Outcome:
    """Return the outcome in what pack_outcome wrote for a lease; the number, the report and the
    seconds are read apart."""
    kind = values[4]
    if kind == _ACK:
        return Ack(lease, values[5], values[6])
    if kind == _RETRY:
        body, delay, failure = values[5:]
        return Retry(lease, body, delay, Failure(*failure))
    if kind == _DEFER:
        return Defer(lease, *values[5:])
    return Fail(lease, Failure(*values[5]))
