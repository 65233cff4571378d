"""Pausing longer after each failure in a row."""

from __future__ import annotations

import random
import time


class Backoff:
    """Doubles a pause at each failure, with jitter so that many processes do not try in one step.

    Attributes:
        failures: how many in a row.
        until: the monotonic time before which not to try again; 0 when nothing failed.
    """

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        """Set the first and the longest pause, in seconds."""
        self._first = first
        self._longest = longest
        self.failures = 0
        self.until = 0.0

    def again(self) -> bool:
        """Count a failure; True when it is the first in a row."""
        pause = min(self._longest, self._first * 2.0**self.failures)
        self.failures = min(self.failures + 1, 100)
        self.until = time.monotonic() + pause * random.uniform(0.5, 1.0)
        return self.failures == 1

    def reset(self) -> bool:
        """Forget the failures; True when there were any."""
        had, self.failures, self.until = self.failures > 0, 0, 0.0
        return had

    def waiting(self) -> bool:
        """Whether it is too soon to try again."""
        return time.monotonic() < self.until
