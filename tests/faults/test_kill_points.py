"""Death at each named point: nothing is lost, twice runs what was in flight, and so is charged."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import Lease, Release, State
from alligator.crashes import deaths

from ..servers import eventually, with_lease
from . import deeds, fragile, mortal
from .conftest import ROOT, StartWorker, noted
from .doomed import LONG, POINTS, name_of

GatorFor = Callable[[str], Gator]

COUNT = 60

#: Tasks for children, who are to hold many when they die.
MORE, WARM_UP = 400, 40


def push(gator: Gator, evidence: str, with_a_long_one: bool) -> set[str]:
    """Push short tasks, and perhaps a long one in their midst; return their names."""
    calls = [Task().to_call(deeds.quick, evidence, f"run {number}") for number in range(COUNT)]
    if with_a_long_one:
        calls.insert(COUNT // 2, Task().to_call(deeds.run_once_stuck, evidence, LONG))
    gator.push_many(calls)
    return {str(task.func_args[1]).removeprefix("run ") for task in calls}


def reserve_all(gator: Gator, count: int) -> dict[str, Lease]:
    """Reserve until there are so many, which are all; return the leases by the tasks' names."""
    leases: list[Lease] = []

    def complete() -> bool:
        gator.client.extend(leases)  # or the first of them end before the last come
        leases.extend(gator.client.reserve(["all"], 500))
        return len(leases) == count

    eventually(complete, f"{count} tasks are ready")
    return {name_of(lease.body).removeprefix("run "): lease for lease in leases}


def left(gator: Gator) -> int:
    counts = gator.client.counts("all")
    return counts.waiting + counts.running


@pytest.mark.parametrize("point", [*POINTS, "while decoding"])
def test_a_worker_that_dies_at(
    shared_dsn: str, gator_for: GatorFor, evidence: str, start_worker: StartWorker, point: str
) -> None:
    dsn = with_lease(shared_dsn, 2)
    gator = gator_for(dsn)
    names = push(gator, evidence, point in POINTS and POINTS[point].late)

    program = [sys.executable, "-m", f"{__package__}.doomed", dsn, point, evidence]
    died = subprocess.run(program, cwd=ROOT, stdout=subprocess.DEVNULL, check=False, timeout=60)

    assert died.returncode == -signal.SIGKILL
    held = {name.removeprefix("run ") for name in noted(evidence, "held")}
    assert held or point in ("after ack", "after hand-back")
    leases = reserve_all(gator, left(gator))
    assert held <= leases.keys(), "what was held comes back"
    assert {name for name, lease in leases.items() if deaths(lease)} == held, "and is charged"
    gator.client.settle([Release(lease) for lease in leases.values()])

    assert start_worker(dsn, "--burst").wait(60) == 0

    ran = noted(evidence, "run")
    assert set(ran) == names
    assert {name for name in names if ran.count(name) > 1} <= held
    assert max(map(ran.count, names)) <= 2
    assert left(gator) + gator.client.counts("all").failed == 0


@pytest.mark.parametrize("point", mortal.POINTS)
def test_a_child_that_dies_at(
    shared_dsn: str,
    gator_for: GatorFor,
    evidence: str,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
) -> None:
    gator = gator_for(shared_dsn)
    work = fragile.work if point == "import" else mortal.work
    on_start = mortal.before if point == "hook" else None
    gator.push_many(
        Task(on_start=on_start).to_call(work, evidence, str(number)) for number in range(MORE)
    )
    monkeypatch.setenv(mortal.DIE_AT, str(tmp_path))

    # So that the failed set shows who is charged.
    worker = start_worker(shared_dsn, "--max-deaths", "1", "-c", "2", "--burst")
    eventually(lambda: len(noted(evidence, "finished")) > WARM_UP, "children hold many")
    (tmp_path / point).touch()
    assert worker.wait(60) == 0

    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.failures[-1].error.startswith("worker died: SIGKILL")
    charged = name_of(failed.body)
    finished = [line.split()[0] for line in noted(evidence, "finished")]
    whole = [name for name in map(str, range(MORE)) if name != charged]
    assert sorted(name for name in finished if name != charged) == sorted(whole), "each, and once"
    assert (charged in finished) == (point == "done")
    assert left(gator) == 0
