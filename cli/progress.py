"""A line on a terminal's standard error that says how far a long command has come."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from .output import is_terminal

#: Seconds between two looks of it.
PAUSE = 0.1

#: Seconds to count for before a rate is told: the first moments are nothing to go by.
SAMPLE = 0.5

#: How wide a bar is; one with no room for the least of it is left out.
LEAST_BAR, MOST_BAR = 5, 40


class Meter:
    """Counts what is done; shows nothing where nobody watches.

    Where it is known how much there is to do, it draws a bar, and says when that will be done.
    """

    def __init__(
        self,
        what: str,
        quiet: bool = False,
        rate: bool = True,
        prints: bool = False,
        total: Callable[[], int | None] | None = None,
    ) -> None:
        """Begin to count things called `what`, in the plural.

        Args:
            rate: show how fast they come.
            prints: each is printed on stdout as well. Where that is a terminal, it says how far we
                have come, and would be written onto our line.
            total: asked at once, if somebody watches, how much there is to do; None is unknown.
        """
        self._rate = rate
        self._what = what
        # A dumb terminal could not erase it.
        self._watched = is_terminal(sys.stderr) and not quiet and os.environ.get("TERM") != "dumb"
        if prints and is_terminal(sys.stdout):
            self._watched = False
        self._total = total() if total and self._watched else None
        #: What an earlier run did, in the unit of the total.
        self.past = 0
        self._began = self._shown = 0.0
        self._first: tuple[int, int] | None = None

    def at(self, done: int, measured: int | None = None) -> None:
        """Note that so many are done in all.

        Args:
            measured: how much that is, where the total is of another unit than the count.
        """
        if not self._watched:
            return
        now = time.monotonic()
        part = self.past + (done if measured is None else measured)
        if self._first is None:
            # What an earlier run did says nothing about the rate.
            self._first, self._began = (done, part), now
        if now - self._shown < PAUSE:
            return
        self._shown = now
        text = self._text(done, part, measured is not None, now - self._began)
        _draw(text)

    def _text(self, done: int, part: int, converted: bool, seconds: float) -> str:
        assert self._first is not None
        count = f"{done:,} {self._what}"
        first_done, first_part = self._first
        speed = (done - first_done) / seconds if seconds >= SAMPLE and self._rate else 0
        rate = f", {speed:,.0f}/s" if speed else ""
        room = _columns() - 1  # a full line would wrap on some terminals
        if self._total is None:
            return f"{count}{rate}"[:room]
        total = max(self._total, part, 1)  # more may come while we work
        far = f"{part * 100 // total}% {count}" if converted else f"{done:,}/{total:,} {self._what}"
        left = seconds * (total - part) / (part - first_part) if speed else 0
        text = f"{far}{rate}{f', {_clock(left)} left' if speed else ''}"
        beside = max(
            len(text), len(far) + len(", 100,000/s, 59:59 left")
        )  # so that it stays as wide
        return f"{_bar(part / total, room - beside)}{text}"[:room]

    def clear(self) -> None:
        """Leave the line to others."""
        if self._watched and self._shown:
            _draw("")
            self._shown = 0.0


def _draw(text: str) -> None:
    """Begin the line anew. A terminal that is gone does not end what it watched."""
    with suppress(OSError):
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def _bar(part: float, room: int) -> str:
    """Return a bar and a blank after it, of at most `room` characters; "" when it has none."""
    width = min(room - len("[] "), MOST_BAR)
    if width < LEAST_BAR:
        return ""
    full = int(part * width)
    return f"[{'#' * full}{'-' * (width - full)}] "


def _clock(seconds: float) -> str:
    """Word a time as a clock does: 0:07, 12:34, 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class Pace:
    """Holds a loop to a number of things a second; None for as fast as it goes."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._due = time.monotonic()

    def batch(self, most: int) -> int:
        """Return how many things to do at once: few enough to look like the rate."""
        return most if self._rate is None else min(most, max(1, int(self._rate / 10)))

    def wait(self, things: int) -> None:
        """Wait until so many more may be done."""
        if self._rate is None:
            return
        now = time.monotonic()
        if self._due > now:
            time.sleep(self._due - now)
        # Time lost to a slow broker is made up for, but for no more than the last second.
        self._due = max(self._due, now - 1.0) + things / self._rate
