"""Signals that are not meant for tasks do not reach them, nor what they start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alligator import Gator

from . import deeds
from .conftest import StartWorker, noted

GatorFor = Callable[[str], Gator]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_copies_that_a_task_forks_end_when_they_are_asked_to(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, threads: str
) -> None:
    gator_for(sqlite_dsn).task(deeds.terminate_copies, evidence, 20)

    assert start_worker(sqlite_dsn, "--threads", threads, "--burst").wait(60) == 0

    assert noted(evidence, "exitcode") == ["-15"] * 20
