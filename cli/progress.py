"""A line on a terminal's standard error that says how far a long command has come."""

from __future__ import annotations

import sys
import time

from .output import is_terminal

#: Seconds between two looks of it.
PAUSE = 0.2


class Meter:
    """Counts what is done; shows nothing where nobody watches."""

    def __init__(
        self, what: str, quiet: bool = False, rate: bool = True, prints: bool = False
    ) -> None:
        """Begin to count things called `what`, in the plural.

        Args:
            rate: show how fast they come.
            prints: each is printed on stdout as well. Where that is a terminal, it says how far we
                have come, and would be written onto our line.
        """
        self._rate = rate
        self._what = what
        self._watched = is_terminal(sys.stderr) and not quiet
        if prints and is_terminal(sys.stdout):
            self._watched = False
        self._began = time.monotonic()
        self._shown = 0.0
        self._start: int | None = None

    def at(self, done: int) -> None:
        """Note that so many are done in all."""
        if not self._watched:
            return
        now = time.monotonic()
        if self._start is None:
            self._start = done  # what an earlier run did says nothing about the rate
        if now - self._shown < PAUSE:
            return
        self._shown = now
        per_second = (done - self._start) / max(now - self._began, 0.001)
        speed = f", {per_second:,.0f}/s" if self._rate else ""
        sys.stderr.write(f"\r\033[K{done:,} {self._what}{speed}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line to others."""
        if self._watched and self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._shown = 0.0


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
