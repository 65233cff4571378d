"""One child process, driven by hand through its pipes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator import Task
from alligator.backends.base import Ack, Lease
from alligator.children import Child
from alligator.execution import encode
from alligator.settings import WorkerSettings

from ..servers import eventually
from . import deeds
from .conftest import ROOT, noted, pid_when_started


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.chdir(ROOT)
    made = Child(WorkerSettings("sqlite:///unused.db", log_level="error"))
    eventually(lambda: made.collect() is not None and made.ready, "the child is ready")
    yield made
    made.kill()
    made.wait()
    made.close()


def lease(func: Callable[..., object], *args: object) -> Lease:
    task = Task().to_call(func, *args)
    return Lease("all", task.task_id, encode(task), "token")


def stuck_task(evidence: str, tmp_path: Path) -> tuple[Lease, Path]:
    go = tmp_path / "go"
    return lease(deeds.until_told, evidence, str(go)), go


def quick(evidence: str, *numbers: int) -> list[Lease]:
    return [lease(deeds.quick, evidence, f"quick {number}") for number in numbers]


def ended(child: Child) -> list[str]:
    """Wait until the child holds nothing; return the ids it ended well."""
    outcomes = []

    def idle() -> bool:
        outcomes.extend(one.outcome for one in child.collect())
        return not child.held

    eventually(idle, "the child ends all it holds")
    assert all(isinstance(outcome, Ack) for outcome in outcomes)
    return [outcome.lease.task_id for outcome in outcomes]


def test_leases_that_were_taken_back_are_not_run_and_later_ones_are(
    child: Child, evidence: str, tmp_path: Path
) -> None:
    stuck, go = stuck_task(evidence, tmp_path)
    first, second, third = quick(evidence, 1, 2), quick(evidence, 3), quick(evidence, 4, 5)
    child.give([stuck, *first])
    pid_when_started(evidence)

    assert child.take_back() == first
    child.give(second)
    assert child.take_back() == second
    child.give(third)
    go.touch()

    assert ended(child) == [one.task_id for one in (stuck, *third)]
    assert noted(evidence, "quick") == ["4", "5"]


def test_what_a_dead_child_had_not_started_is_told_from_what_it_had(
    child: Child, evidence: str, tmp_path: Path
) -> None:
    stuck, _ = stuck_task(evidence, tmp_path)
    done, behind = quick(evidence, 1), quick(evidence, 2, 3)
    child.give([*done, stuck, *behind])
    os.kill(pid_when_started(evidence), 9)
    child.process.wait()

    (finished,) = child.collect()
    assert finished.outcome == Ack(done[0])
    assert child.take_back() == behind
    assert list(child.held.values()) == [stuck]
    assert child.cause_of_death() == "SIGKILL"


def test_bodies_larger_than_a_pipe_do_not_block_the_supervisor(
    child: Child, evidence: str, tmp_path: Path
) -> None:
    stuck, go = stuck_task(evidence, tmp_path)
    child.give([stuck])
    pid_when_started(evidence)

    large = [lease(deeds.measure, evidence, "x" * 3_000_000) for _ in range(2)]
    child.give(large)

    assert child.send(), "some of it still waits on this side"
    go.touch()
    eventually(lambda: not child.send(), "the child reads it")
    assert len(ended(child)) == 3
    assert noted(evidence, "length") == ["3000000", "3000000"]
