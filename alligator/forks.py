"""Telling whether this process is a copy of the one in which something began: a task may fork, and
what follows is the original's to do."""

from __future__ import annotations

import os

_generation = 0


def generation() -> int:
    """Return a number that is another one in a copy of this process."""
    return _generation


def _count() -> None:
    global _generation
    _generation += 1


# Cheaper than two calls of getpid for each task.
os.register_at_fork(after_in_child=_count)
