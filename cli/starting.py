"""What signals do to `gator worker` while it starts."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType


def heed_signals() -> None:
    """Have signals do what they do to a worker that has nothing to run, until it heeds them itself.

    At once and without an exception: its imports take most of the time, and some code in them keeps
    exceptions to itself.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        return  # a program that calls the app has signals of its own
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # ignored, as nohup has it, it stays so
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def _end(_number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):  # nobody may be left to read it
        os.write(2, b"stopped before it consumed anything\n")
    os._exit(0)
