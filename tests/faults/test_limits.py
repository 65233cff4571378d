"""Limits of time and memory, and of patience with a worker that is to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import Entry, State

from ..servers import eventually
from . import deeds
from .conftest import StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]


def test_a_task_past_its_time_limit_gets_an_exception(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.options(timeout=0.3).task(deeds.rest, evidence)
    gator.task(deeds.who, evidence)

    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.failures[-1].error == (
        "TaskTimeout: the task ran longer than its time limit of 0.3 s"
    )
    assert noted(evidence, "pid") == noted(evidence, "started"), "its process goes on"


def test_a_task_that_swallows_the_exception_is_ended_and_tried_as_it_asked(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(shared_dsn)
    gator.options(timeout=0.3, retries=1).task(deeds.never_end, evidence)
    gator.task(deeds.quick, evidence, "quick 1")

    assert start_worker(shared_dsn, "--burst").wait(60) == 0

    assert len(set(noted(evidence, "started"))) == 2
    assert noted(evidence, "quick") == ["1"]
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert [one.error for one in failed.failures] == [
        "TaskTimeout: it did not end within 0.3 s; its process was ended"
    ] * 2
    assert failed.attempts == 2


def test_the_workers_limit_holds_for_tasks_that_have_none(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.options(retries=1).task(deeds.rest, evidence)

    assert start_worker(sqlite_dsn, "--burst", "--time-limit", "0.3s").wait(60) == 0

    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.attempts == 2
    assert b"timeout" not in failed.body, "the worker's limit is not the task's"


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_workers_limit_holds_for_tasks_that_give_themselves_more_time(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, threads: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.options(timeout=50, on_error=deeds.note_error).task(deeds.rest_until_stopped, evidence)
    gator.task(deeds.who, evidence)
    options = ("--time-limit", "0.3s", "--threads", threads)

    assert start_worker(sqlite_dsn, "--burst", *options).wait(60) == 0

    assert noted(evidence, "stopped") == noted(evidence, "pid"), "an exception, not a kill"
    assert noted(evidence, "told") == ["TaskTimeout"]
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.failures[-1].error.endswith("time limit of 0.3 s")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_limit_of_thousands_of_years_takes_no_other_limit_along(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, threads: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.options(timeout=1e11).task(deeds.who, evidence)
    gator.options(timeout=0.3).task(deeds.rest_until_stopped, evidence)

    assert start_worker(sqlite_dsn, "--burst", "--threads", threads).wait(60) == 0

    assert noted(evidence, "stopped") == noted(evidence, "pid"), "an exception, not a kill"


@pytest.mark.parametrize("args", [b'["\\ud800"]', b"[1e999]"])
def test_a_body_that_could_not_be_queued_again_runs_under_its_limit_all_the_same(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, args: bytes
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.who, evidence)
    body = (
        b'{"task_id":"odd","retries":1,"async":true,"module":"math","callable":"sin",'
        b'"args":%b,"kwargs":{},"options":{"timeout":5}}' % args
    )
    gator.client.push_many("all", [Entry("odd", body)])
    gator.task(deeds.who, evidence)

    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    first, second = noted(evidence, "pid")
    assert first == second
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert (failed.attempts, failed.deaths, failed.body) == (1, 0, body)


def test_a_process_that_has_grown_is_replaced_between_tasks(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    sizes = [1, 1, 400_000_000, 1, 1]
    gator.push_many(Task().to_call(deeds.grow, evidence, size) for size in sizes)

    assert start_worker(sqlite_dsn, "--burst", "--max-memory", "300M").wait(60) == 0

    pids = noted(evidence, "pid")
    assert len(pids) == 5
    assert pids[0] == pids[1] == pids[2]
    assert pids[3] == pids[4] != pids[0]


def test_running_tasks_are_handed_back_when_the_drain_timeout_is_over(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.rest, evidence)
    worker = start_worker(sqlite_dsn, "--drain-timeout", "0.2s")
    child = pid_when_started(evidence)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    (waiting,) = gator.client.peek("all", State.WAITING).records
    assert (waiting.attempts, waiting.deliveries) == (0, 0)
    assert "did not finish" in (tmp_path / "worker.log").read_text()
    eventually(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")
