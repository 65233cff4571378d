"""Many tasks at once in one process: threads, coroutines on its loop, and both."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import State
from alligator.children import HARD_AFTER
from alligator.utils import DottedPath

from ..servers import eventually
from . import crowds, deeds
from .conftest import StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]


def calls(number: int, func: Callable[..., object], *args: object) -> list[Task]:
    return [Task().to_call(func, *args) for _ in range(number)]


def starts(evidence: str, times: int) -> list[int]:
    """Wait for so many starts; return the processes they were in."""
    pid_when_started(evidence, times)
    return [int(pid) for pid in noted(evidence, "started")]


# -- what overlaps -----------------------------------------------------------------------------


def test_fifty_threads_run_at_once(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator_for(shared_dsn).push_many(calls(50, crowds.meet, evidence, 50))

    assert start_worker(shared_dsn, "--threads", "50", "--burst").wait(60) == 0

    assert len(set(noted(evidence, "met"))) == 50


def test_a_hundred_coroutines_run_at_once_on_one_loop(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator_for(shared_dsn).push_many(calls(100, crowds.meet_on_loop, evidence, 100))

    assert start_worker(shared_dsn, "--burst").wait(60) == 0, "100 is the default"

    assert noted(evidence, "met") == ["alligator-loop"] * 100


def test_threads_and_coroutines_run_beside_each_other(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    crowd = [*calls(10, crowds.meet, evidence, 30), *calls(20, crowds.meet_on_loop, evidence, 30)]
    gator_for(sqlite_dsn).push_many(crowd)

    worker = start_worker(sqlite_dsn, "--threads", "11", "--coroutines", "21", "--burst")

    assert worker.wait(60) == 0
    met = noted(evidence, "met")
    assert (len(met), met.count("alligator-loop")) == (30, 20)


def test_coroutines_go_on_while_the_main_thread_runs_a_plain_function(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    crowd = [*calls(5, crowds.meet_on_loop, evidence, 6), *calls(1, crowds.meet, evidence, 6)]
    gator_for(sqlite_dsn).push_many(crowd)

    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    assert noted(evidence, "met").count("MainThread") == 1
    assert len(noted(evidence, "met")) == 6


def test_a_task_that_cancels_all_others_ends_none_that_has_not_begun(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator_for(sqlite_dsn).push_many(
        each
        for number in range(60)
        for each in (
            Task().to_call(deeds.cancel_all_others, evidence),
            Task().to_call(deeds.quick_on_loop, evidence, f"{number}"),
        )
    )

    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    assert len(noted(evidence, "canceled")) == 60


def test_results_of_many_threads_arrive_whole(
    redis_dsn: str, start_worker: StartWorker, gator_for: GatorFor, tmp_path: Path
) -> None:
    gator = gator_for(redis_dsn)
    letters = "abcdefghijklmnopqrstuvwxyz"
    pushed = gator.push_many(
        Task(result_ttl=60).to_call(crowds.much, letter, 200_000) for letter in letters
    )

    assert start_worker(redis_dsn, "--threads", "26", "--burst").wait(60) == 0

    assert [gator.wait(task, 10) for task in pushed] == [one * 200_000 for one in letters]


def test_log_lines_of_many_threads_are_whole(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator_for(sqlite_dsn).push_many(calls(200, deeds.fail, evidence))

    options = ("--threads", "20", "--burst", "--log-format", "json")
    assert start_worker(sqlite_dsn, *options).wait(60) == 0

    lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines()]
    assert sum(line.get("outcome") == "failed" for line in lines) == 200


# -- who is charged ----------------------------------------------------------------------------


def test_a_killed_child_charges_exactly_what_ran(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.push_many(calls(50, crowds.until_told, evidence, str(tmp_path / "never")))
    options = ("--coroutines", "20", "--drain-timeout", "0.1s")
    worker = start_worker(sqlite_dsn, *options)
    child = starts(evidence, 20)[0]

    os.kill(child, signal.SIGKILL)
    log = tmp_path / "worker.log"
    eventually(lambda: log.read_text().count("worker died: SIGKILL") == 20, "20 are charged")
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    records = gator.client.peek("all", State.WAITING, limit=100).records
    assert sorted(one.deliveries for one in records) == [0] * 30 + [1] * 20


def test_python_s_own_ends_are_the_task_s_alone(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    bad = [
        crowds.leave,
        crowds.interrupt,
        crowds.leave_in_subtask,
        crowds.cancel_itself,
        crowds.leave_thread,
        crowds.interrupt_thread,
    ]
    gator = gator_for(sqlite_dsn)
    gator.push_many(
        Task().to_call(func, evidence)
        for func in [crowds.who, *bad, *bad, crowds.cancel_itself_too_late, crowds.who]
    )

    assert start_worker(sqlite_dsn, "--threads", "2", "--burst").wait(60) == 0

    assert len(set(noted(evidence, "pid"))) == 1, "the process goes on"
    failed = gator.client.peek("all", State.FAILED).records
    kinds = sorted(record.failures[-1].error.partition(":")[0] for record in failed)
    once = ["SystemExit"] * 3 + ["KeyboardInterrupt"] * 2 + ["CancelledError"]
    assert kinds == sorted(once * 2)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_what_a_task_leaves_in_its_context_the_next_does_not_find(
    threads: str, sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    both = [crowds.leave_in_context, crowds.leave_in_context_on_loop]
    gator_for(sqlite_dsn).push_many(
        Task().to_call(both[number % 2], evidence, f"task {number}") for number in range(20)
    )

    assert start_worker(sqlite_dsn, "--threads", threads, "--burst").wait(60) == 0

    assert noted(evidence, "found") == ["nobody"] * 20


@pytest.mark.parametrize(
    ("func", "waits"),
    [(crowds.fork_in_thread, 0), (crowds.fork_and_wait, 1), (crowds.fork_in_subtask, 1)],
)
def test_a_task_may_fork_beside_others(
    func: Callable[..., object],
    waits: int,
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
) -> None:
    gator = gator_for(sqlite_dsn)
    beside = calls(5, crowds.meet_on_loop, evidence, 5)
    gator.push_many([*beside, *calls(5, func, evidence)])

    assert start_worker(sqlite_dsn, "--threads", "2", "--burst").wait(60) == 0

    assert len(noted(evidence, "met")) == 5, "no copy ran what ran beside it"
    assert [len(noted(evidence, word)) for word in ("original", "copy", "waited")] == [
        5,
        5,
        5 * waits,
    ]
    assert gator.client.counts("all").failed == 0


def test_a_module_may_fork_as_it_is_imported(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, tmp_path: Path
) -> None:
    (tmp_path / "forking.py").write_text(
        "import os, pathlib\n"
        "copy = os.fork()\n"
        "if copy: os.waitpid(copy, 0)\n"
        "def run(path):\n"
        "    with open(path, 'a') as file: file.write('ran\\n')\n"
    )
    gator, ran = gator_for(sqlite_dsn), tmp_path / "ran"
    gator.task(DottedPath("forking", "run"), str(ran))

    assert start_worker(sqlite_dsn, "--burst", path=str(tmp_path)).wait(60) == 0

    assert ran.read_text() == "ran\n", "once: the copy ended with the import"


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [crowds.spin, crowds.rest])
def test_past_its_time_limit_a_task_gets_an_exception_in_a_thread_and_on_the_loop(
    slow: Callable[..., object],
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.options(timeout=0.3).task(slow, evidence)
    gator.options(timeout=0.3, retries=1).task(slow, evidence)
    gator.task(deeds.who, evidence)

    assert start_worker(sqlite_dsn, "--threads", "4", "--burst").wait(60) == 0

    failed = gator.client.peek("all", State.FAILED).records
    assert sorted(one.attempts for one in failed) == [1, 2]
    assert {failure.error for one in failed for failure in one.failures} == {
        "TaskTimeout: the task ran longer than its time limit of 0.3 s"
    }
    assert set(noted(evidence, "started")) == set(noted(evidence, "pid")), "its process goes on"


def test_the_workers_limit_holds_on_the_loop(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(crowds.rest, evidence)

    assert start_worker(sqlite_dsn, "--burst", "--time-limit", "0.3s").wait(60) == 0

    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.failures[-1].error.startswith("TaskTimeout: the task ran longer")


@pytest.mark.parametrize("stubborn", [crowds.never_end, deeds.never_end])
def test_ending_a_process_for_one_task_hands_the_others_back_uncharged(
    stubborn: Callable[..., object],
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.push_many([*calls(2, deeds.rest, evidence), *calls(3, crowds.rest, evidence)])
    gator.options(timeout=0.2).task(stubborn, evidence)
    options = ("--threads", "5", "--drain-timeout", "0.1s")
    worker = start_worker(sqlite_dsn, *options)

    assert len(set(starts(evidence, 6 + 5))) == 2, "the five run again in another process"
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    waiting = gator.client.peek("all", State.WAITING).records
    assert [(one.attempts, one.deliveries) for one in waiting] == [(0, 0)] * 5
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert "did not end within 0.2 s; its process was ended" in failed.failures[-1].error


@pytest.mark.parametrize(
    ("blocker", "innocent"),
    [
        (crowds.block_the_loop, crowds.rest_a_little_on_loop),
        (crowds.hold_the_interpreter, crowds.rest_a_little),
    ],
)
def test_a_task_that_keeps_others_past_their_limits_is_the_only_one_charged(
    blocker: Callable[..., object],
    innocent: Callable[..., object],
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
) -> None:
    gator = gator_for(shared_dsn)
    innocents = [Task(timeout=2).to_call(innocent, evidence, 0.5) for _ in range(2)]
    gator.push_many([*innocents, Task(timeout=2).to_call(blocker, evidence)])

    assert start_worker(shared_dsn, "--threads", "3", "--burst").wait(60) == 0

    assert noted(evidence, "rested") == [""] * 2
    assert len(set(noted(evidence, "blocks"))) == 2, "it runs again, alone"
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert "did not end within 2 s; its process was ended" in failed.failures[-1].error
    assert (failed.attempts, failed.deliveries) == (1, 1)


def test_the_time_limit_of_a_task_begins_when_the_loop_has_time_for_it(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(shared_dsn)
    gator.task(crowds.block_the_loop_for, evidence, HARD_AFTER + 2)
    gator.options(timeout=0.5).task(deeds.quick_on_loop, evidence, "one")

    assert start_worker(shared_dsn, "--burst", "-c", "1").wait(60) == 0

    assert len(noted(evidence, "blocks")) == 1, "its process is not ended"
    assert noted(evidence, "quick") == ["one"]
    assert gator.client.counts("all").failed == 0


def test_a_child_takes_no_more_than_its_share_of_tasks_however_many_run_at_once(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    tasks = [*calls(5, deeds.who, evidence), *calls(5, crowds.who, evidence)]
    gator_for(sqlite_dsn).push_many(tasks)

    options = ("--max-tasks", "3", "--threads", "4", "--burst")
    assert start_worker(sqlite_dsn, *options).wait(60) == 0

    pids = noted(evidence, "pid")
    assert sorted(pids.count(pid) for pid in set(pids)) == [1, 3, 3, 3]


def test_what_runs_in_a_process_that_has_grown_is_finished_there(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.push_many(
        [
            *calls(3, crowds.meet, evidence, 4),
            Task().to_call(crowds.grow_and_meet, evidence, 400_000_000, 4),
        ]
    )
    options = ("--threads", "4", "--max-memory", "300M")
    worker = start_worker(sqlite_dsn, *options)
    eventually(lambda: len(noted(evidence, "met")) == 4, "all four run at once, and end")

    gator.task(deeds.who, evidence)

    eventually(lambda: len(noted(evidence, "pid")) == 2, "the next runs")
    assert len(set(noted(evidence, "pid"))) == 2, "in another process"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert gator.client.counts("all").failed == 0


def test_what_runs_is_finished_when_the_worker_stops_and_the_rest_is_handed_back(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(shared_dsn)
    go = tmp_path / "go"
    gator.push_many(
        [
            *calls(3, crowds.until_told, evidence, str(go)),
            *calls(2, deeds.until_told, evidence, str(go)),
        ]
    )
    worker = start_worker(shared_dsn, "--threads", "2", "--drain-timeout", "30s")
    starts(evidence, 5)
    gator.push_many(calls(10, deeds.quick, evidence, "quick"))

    worker.send_signal(signal.SIGTERM)
    log = tmp_path / "worker.log"
    eventually(lambda: "stopping: no new tasks" in log.read_text(), "it says so")
    go.touch()

    assert worker.wait(30) == 0
    assert len(noted(evidence, "finished")) == 5
    waiting = gator.client.peek("all", State.WAITING).records
    assert [one.deliveries for one in waiting] == [0] * 10
