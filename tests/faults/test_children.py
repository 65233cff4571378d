"""One child process, driven by hand through its pipes."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator import Task, memory
from alligator.backends.base import Ack, Lease
from alligator.child import NOT_READY, peak_bytes
from alligator.children import FOREVER, Child
from alligator.execution import encode
from alligator.settings import WorkerSettings

from ..servers import eventually
from . import crowds, deeds
from .conftest import ROOT, noted, pid_when_started


@pytest.fixture
def start_child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Child]]:
    monkeypatch.chdir(ROOT)
    children: list[Child] = []

    def start(**options: int) -> Child:
        made = Child(WorkerSettings("sqlite:///unused.db", log_level="error", **options))
        children.append(made)
        eventually(lambda: made.collect() is not None and made.ready, "the child is ready")
        return made

    yield start
    for child in children:
        child.kill()
        child.wait()
        child.close()


@pytest.fixture
def child(start_child: Callable[..., Child]) -> Child:
    return start_child()


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
        outcomes.extend(child.collect())
        return not child.held

    eventually(idle, "the child ends all it holds")
    assert all(isinstance(outcome, Ack) for outcome in outcomes)
    return [outcome.lease.task_id for outcome in outcomes]


def test_a_child_of_another_version_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("alligator.child.version", lambda: "1.9")  # as before an upgrade
    made = Child(WorkerSettings("sqlite:///unused.db"))
    try:
        eventually(made.gone, "it ends by itself")
        assert made.process.returncode == NOT_READY
        assert made.collect() == []
        assert not made.ready
    finally:
        made.kill()
        made.wait()
        made.close()
    assert "this worker runs Alligator 1.9, and " in capfd.readouterr().err


def test_what_lies_ready_has_not_begun(child: Child, evidence: str, tmp_path: Path) -> None:
    stuck, go = stuck_task(evidence, tmp_path)
    child.give([stuck, *quick(evidence, 1, 2)])
    pid_when_started(evidence)

    for _ in ("with two behind it", "with none"):
        child.collect()
        ((runs, seconds),) = child.begun()
        assert runs == stuck
        assert seconds >= 0
        child.take_back()
    go.touch()
    ended(child)
    assert child.begun() == []


def test_the_first_tasks_begin_while_the_last_ones_wait_for_room_in_the_pipe(
    child: Child, evidence: str
) -> None:
    padding = "x" * 4000
    given = [lease(deeds.quick, evidence, f"quick {padding}") for _ in range(500)]

    child.give(given)  # and nothing more is sent before `send`

    assert child.send(), "the pipe holds them all"
    eventually(lambda: child.collect(), "the first ones have ended")
    while child.send():
        eventually(lambda: child.collect() or not child.held, "more of them end")
    ended(child)


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
    eventually(child.gone, "it is gone")

    assert child.collect() == [Ack(done[0])]
    assert child.take_back() == behind
    assert list(child.held.values()) == [stuck]
    assert child.cause_of_death().startswith("SIGKILL")


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


def test_what_a_dead_child_ran_at_once_is_told_from_what_lay_ready(
    start_child: Callable[..., Child], evidence: str, tmp_path: Path
) -> None:
    child = start_child(coroutines=20)
    leases = [lease(crowds.until_told, evidence, str(tmp_path / "never")) for _ in range(50)]
    child.give(leases)

    os.kill(pid_when_started(evidence, times=20), 9)
    child.process.wait()

    assert child.collect() == []
    assert child.take_back() == leases[20:]
    assert list(child.held.values()) == leases[:20]


def test_a_child_is_given_what_it_says_it_could_begin(
    start_child: Callable[..., Child], evidence: str, tmp_path: Path
) -> None:
    child = start_child(threads=6)
    stuck = [stuck_task(evidence, tmp_path)[0] for _ in range(7)]
    rooms = []
    while stuck:
        eventually(lambda: child.collect() is not None and child.room(), "it has room")
        rooms.append(min(child.room(), len(stuck)))
        child.give([stuck.pop() for _ in range(rooms[-1])])
        if sum(rooms) == 6:
            break

    pid_when_started(evidence, times=6)

    assert rooms == [1, 2, 3], "twice as many each time, and no more than there is room for"
    assert (child.collect(), child.room()) == ([], 0)


def test_what_was_handed_back_is_not_asked_for_again_until_something_ends(
    start_child: Callable[..., Child], evidence: str, tmp_path: Path
) -> None:
    child = start_child(threads=2)
    stuck, (_, go) = [stuck_task(evidence, tmp_path)[0] for _ in range(2)], stuck_task("", tmp_path)
    behind = quick(evidence, 1, 2)
    child.give([*stuck, *behind])
    pid_when_started(evidence, times=2)
    eventually(lambda: time.monotonic() > child.hand_back_by, "they lie ready for too long")

    assert child.take_back() == behind

    assert (child.collect(), child.room(), child.hand_back_by) == ([], 0, FOREVER)
    go.touch()
    eventually(lambda: child.collect() is not None and child.room(), "it has room again")


def test_leases_that_an_idle_child_loses_do_not_leave_it_idle(child: Child, evidence: str) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    child.give(quick(evidence, 1, 2))
    assert len(child.take_back()) == 2
    assert child.room() == 0
    os.kill(child.pid, signal.SIGCONT)

    eventually(lambda: child.collect() is not None and child.room(), "it says that it has room")


def test_what_was_not_even_sent_is_taken_back_before_the_end(
    child: Child, evidence: str, tmp_path: Path
) -> None:
    stuck, go = stuck_task(evidence, tmp_path)
    child.give([stuck])
    pid_when_started(evidence)
    large = [lease(deeds.measure, evidence, "x" * 3_000_000)]
    child.give(large)

    assert child.take_back() == large
    go.touch()
    assert ended(child) == [stuck.task_id]
    child.finish()

    assert not child.send(), "nothing is left to say"
    eventually(child.gone, "it ends by itself")
    assert child.process.returncode == 0


def test_want_of_memory_is_suspected_where_processes_of_that_size_would_not_find_room(
    start_child: Callable[..., Child], evidence: str
) -> None:
    here = peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
    few, many = 1, memory.limit() // 2**20
    large, one_of_too_many, small_one_of_too_many = (
        start_child(processes=number) for number in (few, many, many)
    )

    for child in (large, one_of_too_many):
        child.give([lease(deeds.grow, evidence, here + 50_000_000)])
    eventually(lambda: len(noted(evidence, "pid")) == 2, "they have grown")
    for child in (large, one_of_too_many, small_one_of_too_many):
        child.kill()
        eventually(child.gone, "it is gone")

    assert large.cause_of_death() == "SIGKILL"
    wanting = r"SIGKILL, perhaps for want of memory: it had [1-9]\d* MiB"
    assert re.fullmatch(wanting, one_of_too_many.cause_of_death())
    assert small_one_of_too_many.cause_of_death() == "SIGKILL", "it may be our size that is told"


def test_a_task_that_may_run_is_not_counted_as_ready(
    child: Child, tmp_path: Path, evidence: str
) -> None:
    child.give(quick(evidence, *range(30)))
    ended(child)
    stuck, go = stuck_task(evidence, tmp_path)

    child.give([stuck])

    assert child.seconds_ready == 0
    child.give(quick(evidence, 30, 31))
    assert child.seconds_ready > 0
    go.touch()
