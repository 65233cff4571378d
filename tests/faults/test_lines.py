"""A worker that lives keeps its tasks, whatever becomes of the line by which Redis knows of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alligator import Gator

from ..servers import eventually, with_lease
from . import deeds
from .conftest import StartWorker, noted, parent_of, pid_when_started

GatorFor = Callable[[str], Gator]

#: Far longer than any test: what happens sooner did not happen because a lease ran out.
LONG_LEASE = 600


@pytest.fixture
def holder(
    redis_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> int:
    """The process id of one of two workers, which runs a task until `go` is there."""
    dsn = with_lease(redis_dsn, LONG_LEASE)
    for _ in range(2):
        start_worker(dsn)
    gator_for(dsn).task(deeds.until_told, evidence, str(tmp_path / "go"))
    return parent_of(pid_when_started(evidence))


def let_look(raw: Any, times: int) -> None:
    """Wait until it was looked for lines so many times more."""

    def looked() -> int:
        commands = raw.info("commandstats")
        return int(commands.get("cmdstat_pubsub|numsub", {"calls": 0})["calls"])

    before = looked()
    eventually(lambda: looked() >= before + times, "workers look for each other")


def test_a_worker_that_is_stopped_keeps_its_task(
    holder: int, raw: Any, evidence: str, tmp_path: Path
) -> None:
    os.kill(holder, signal.SIGSTOP)
    try:
        let_look(raw, 6)
    finally:
        os.kill(holder, signal.SIGCONT)

    (tmp_path / "go").touch()
    eventually(lambda: noted(evidence, "finished"), "the task ends")
    assert len(noted(evidence, "started")) == 1


def test_a_worker_whose_line_breaks_keeps_its_task(
    holder: int, raw: Any, evidence: str, tmp_path: Path
) -> None:
    eventually(lambda: len(raw.client_list(_type="pubsub")) >= 2, "both hold a line")
    raw.client_kill_filter(_type="pubsub")
    let_look(raw, 8)

    (tmp_path / "go").touch()
    eventually(lambda: noted(evidence, "finished"), "the task ends")
    assert len(noted(evidence, "started")) == 1
