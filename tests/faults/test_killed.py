"""Whatever is killed, the task runs again, or lies in the failed set with the reason."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import State

from ..servers import eventually, with_lease
from . import deeds
from .conftest import StartWorker, noted, parent_of, pid_when_started

GatorFor = Callable[[str], Gator]

#: Far longer than any test: what happens sooner did not happen because a lease ran out.
LONG_LEASE = 600


def empty(gator: Gator) -> bool:
    counts = gator.client.counts("all")
    return counts.waiting + counts.delayed + counts.retrying + counts.running == 0


def test_a_task_whose_worker_was_killed_runs_on_the_next(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    dsn = with_lease(shared_dsn, LONG_LEASE)
    gator = gator_for(dsn)
    gator.task(deeds.once_stuck, evidence)
    first = start_worker(dsn)
    pid_when_started(evidence)

    first.kill()
    start_worker(dsn)

    eventually(lambda: noted(evidence, "finished"), "the task ends on the second worker")
    eventually(lambda: empty(gator), "nothing is left")
    assert len(noted(evidence, "started")) == 2


def test_a_task_whose_worker_was_killed_runs_on_one_that_is_there_already(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    dsn = with_lease(shared_dsn, LONG_LEASE)
    gator = gator_for(dsn)
    workers = [start_worker(dsn) for _ in range(2)]
    gator.task(deeds.once_stuck, evidence)
    child = pid_when_started(evidence)

    (holder,) = [worker for worker in workers if worker.pid == parent_of(child)]
    holder.kill()

    eventually(lambda: noted(evidence, "finished"), "the task ends on the other worker")
    eventually(lambda: empty(gator), "nothing is left")
    assert len(noted(evidence, "started")) == 2


def test_a_killed_supervisor_takes_its_children_along(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator_for(shared_dsn).task(deeds.once_stuck, evidence)
    worker = start_worker(shared_dsn)
    child = pid_when_started(evidence)

    worker.kill()

    eventually(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")


def test_a_task_whose_child_was_killed_runs_at_once(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    dsn = with_lease(shared_dsn, LONG_LEASE)
    gator = gator_for(dsn)
    gator.task(deeds.once_stuck, evidence)
    start_worker(dsn)

    os.kill(pid_when_started(evidence), signal.SIGKILL)

    eventually(lambda: noted(evidence, "finished"), "the task ends in another child")
    eventually(lambda: empty(gator), "nothing is left")


def test_tasks_behind_the_one_that_killed_its_child_are_not_charged(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(with_lease(shared_dsn, LONG_LEASE))
    for number in range(200):
        gator.task(deeds.quick, evidence, f"quick {number}")
        if number == 100:
            gator.task(deeds.kill_the_process, evidence, int(signal.SIGSEGV))

    start_worker(gator.conn_string, "--burst").wait(60)

    ran = noted(evidence, "quick")
    assert sorted(map(int, ran)) == list(range(200)), "each ran, and once"
    assert len(noted(evidence, "started")) == 3
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.failures[-1].error == "worker died: SIGSEGV"
    assert gator.client.counts("all").failed == 1


@pytest.mark.parametrize(
    ("task", "cause"),
    [
        (Task().to_call(deeds.leave), "exit code 7$"),
        (Task().to_call(deeds.kill_the_process, int(signal.SIGKILL)), "SIGKILL$"),
    ],
    ids=["os._exit", "SIGKILL"],
)
def test_a_task_that_kills_its_process_three_times_is_put_aside(
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    task: Task,
    cause: str,
) -> None:
    gator = gator_for(shared_dsn)
    gator.task(task.func, evidence, *task.func_args)  # type: ignore[arg-type]

    start_worker(shared_dsn, "--burst").wait(60)

    assert len(noted(evidence, "started")) == 3
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert re.match(f"worker died: {cause}", failed.failures[-1].error)
    assert failed.failures[-1].worker.partition(":")[2].isdigit()


def test_the_log_says_which_task_killed_its_process_and_what_became_of_it(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator_for(shared_dsn).task(deeds.leave, evidence)

    start_worker(shared_dsn, "--burst", "--log-format", "json").wait(60)

    lines = map(json.loads, (tmp_path / "worker.log").read_text().splitlines())
    told = [(one.get("task"), one["outcome"]) for one in lines if "died" in one["message"]]
    assert told == [
        (f"{deeds.__name__}.leave", word) for word in ("released", "released", "failed")
    ]


def test_a_task_that_holds_the_interpreter_longer_than_its_lease_runs_once(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    dsn = with_lease(shared_dsn, 1)
    gator = gator_for(dsn)
    gator.task(deeds.hold_the_interpreter, evidence, 3.5)
    for _ in range(2):
        start_worker(dsn)

    eventually(lambda: noted(evidence, "finished"), "the task ends")
    eventually(lambda: empty(gator), "nothing is left")
    assert len(noted(evidence, "started")) == 1
    assert gator.client.counts("all").failed == 0


def test_short_tasks_do_not_wait_behind_a_long_one(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(shared_dsn)
    go = tmp_path / "go"
    gator.push_many(Task().to_call(deeds.quick, evidence, f"quick {n}") for n in range(300))
    gator.task(deeds.until_told, evidence, str(go))
    gator.push_many(Task().to_call(deeds.quick, evidence, f"quick {n}") for n in range(300, 600))

    worker = start_worker(shared_dsn, "-c", "2", "--burst")

    eventually(lambda: len(noted(evidence, "quick")) == 600, "all short tasks ran")
    assert not noted(evidence, "finished"), "the long one still runs"
    go.touch()
    assert worker.wait(30) == 0
    assert empty(gator)


def test_the_first_sigterm_lets_the_running_task_end(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(shared_dsn)
    go = tmp_path / "go"
    gator.task(deeds.until_told, evidence, str(go))
    gator.task(deeds.quick, evidence, "quick 1")
    worker = start_worker(shared_dsn)
    pid_when_started(evidence)

    worker.terminate()
    go.touch()

    assert worker.wait(30) == 0
    assert noted(evidence, "finished")
    counts = gator.client.counts("all")
    assert (counts.running, counts.failed) == (0, 0)
    assert counts.waiting == 1 - len(noted(evidence, "quick"))


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_hands_the_running_task_back_uncharged(
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
    second: signal.Signals,
) -> None:
    gator = gator_for(shared_dsn)
    gator.task(deeds.until_told, evidence, str(tmp_path / "never"))
    worker = start_worker(shared_dsn)
    pid_when_started(evidence)

    worker.terminate()
    eventually(lambda: "stopping" in (tmp_path / "worker.log").read_text(), "the first was heard")
    worker.send_signal(second)

    assert worker.wait(30) == 128 + second
    (waiting,) = gator.client.peek("all", State.WAITING).records
    assert (waiting.deliveries, waiting.attempts) == (0, 0)


def test_an_idle_worker_ends_at_once(
    shared_dsn: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(shared_dsn, "-c", "2")
    eventually(
        lambda: (
            (tmp_path / "worker.log").exists()
            and "consuming" in (tmp_path / "worker.log").read_text()
        ),
        "the worker runs",
    )

    worker.terminate()

    assert worker.wait(30) == 0
    assert worker.stdout is not None
    assert worker.stdout.read() == "", "stdout is for records"
