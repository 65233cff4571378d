"""A Gator on an empty broker, for each of the four, and a worker that runs what is ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator import Gator, Worker


@pytest.fixture
def gator(dsn: str) -> Iterator[Gator]:
    with Gator(dsn) as gator:
        yield gator


@pytest.fixture
def local() -> Iterator[Gator]:
    """A Gator on locmem, where the broker doesn't matter."""
    with Gator("locmem://") as gator:
        yield gator


@pytest.fixture
def work() -> Callable[[Gator], Worker]:
    """A function that runs all that is ready in a Worker, and returns it."""

    def run(gator: Gator) -> Worker:
        worker = Worker(gator)
        while worker.check_and_run_task():
            pass
        return worker

    return run


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A file for tasks to write to."""
    return tmp_path / "notes"
