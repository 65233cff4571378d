"""The tasks that every queue runs, and the evidence that they leave in a file."""

from __future__ import annotations

import asyncio
import os
import struct
import time

#: Opened for appending, so that writes of several processes never overlap.
_EVIDENCE = os.open(os.environ["BENCH_EVIDENCE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

#: One byte that tells the processes of a worker apart, mostly, so that their shares can be counted.
_MARK = bytes([33 + os.getpid() % 94])

#: What `stamp` writes: when the task was pushed and when it started, in ns of one clock.
STAMP = struct.Struct("=qq")


def noop() -> None:
    """Do nothing but leave a byte."""
    os.write(_EVIDENCE, _MARK)


def stamp(pushed: int) -> None:
    """Leave the time of the push and the time of this start."""
    os.write(_EVIDENCE, STAMP.pack(pushed, time.monotonic_ns()))


def nap(seconds: float) -> None:
    """Wait as a task that waits for a disk or a server does, in a thread; then leave a byte."""
    time.sleep(seconds)
    os.write(_EVIDENCE, _MARK)


async def rest(seconds: float) -> None:
    """The same as a coroutine."""
    await asyncio.sleep(seconds)
    os.write(_EVIDENCE, _MARK)


def linger(seconds: float) -> None:
    """Be the long task among short ones; it leaves no evidence."""
    time.sleep(seconds)
