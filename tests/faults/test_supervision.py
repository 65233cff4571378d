"""The supervisor keeps its children fresh, and outlives its broker."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from alligator import Gator, Task

from ..servers import eventually, redis_server
from . import deeds
from .conftest import StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]


def test_a_child_is_replaced_after_its_share_of_tasks(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.push_many(Task().to_call(deeds.who, evidence) for _ in range(10))

    assert start_worker(sqlite_dsn, "--max-tasks", "3", "--burst").wait(60) == 0

    pids = noted(evidence, "pid")
    assert len(pids) == 10
    assert sorted(pids.count(pid) for pid in set(pids)) == [1, 3, 3, 3]


def test_both_children_take_part(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(sqlite_dsn)
    for _ in range(2):
        gator.task(deeds.until_told, evidence, str(tmp_path / "go"))
    worker = start_worker(sqlite_dsn, "-c", "2", "--burst")

    pid_when_started(evidence, times=2)
    (tmp_path / "go").touch()

    assert worker.wait(30) == 0
    assert len(set(noted(evidence, "started"))) == 2


def test_a_module_that_cannot_be_imported_ends_the_worker(
    sqlite_dsn: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(sqlite_dsn, "--import", "no.such.module")

    assert worker.wait(30) == 1
    log = (tmp_path / "worker.log").read_text()
    assert "no module named 'no.such.module'" in log
    assert log.count("--import") == 1, "it is tried once, not for ever"


def test_an_imported_module_is_there_before_the_first_task(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator_for(sqlite_dsn).task(deeds.loaded, evidence, "wave")

    assert start_worker(sqlite_dsn, "--import", "wave", "--burst").wait(30) == 0

    assert noted(evidence, "loaded") == ["True"]


def test_json_logs_are_one_object_a_line(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(sqlite_dsn)
    done = gator.task(deeds.quick, evidence, "quick")
    failed = gator.task(deeds.fail, evidence)

    assert start_worker(sqlite_dsn, "--log-format", "json", "--burst").wait(30) == 0

    lines = map(json.loads, (tmp_path / "worker.log").read_text().splitlines())
    by_task = {line["task_id"]: line for line in lines if "task_id" in line}
    assert by_task[done.task_id]["outcome"] == "success"
    assert by_task[done.task_id]["task"] == "tests.faults.deeds.quick"
    assert by_task[failed.task_id]["outcome"] == "failed"
    assert "ValueError: as asked" in by_task[failed.task_id]["message"]


def test_a_worker_outlives_a_restart_of_its_broker(
    start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        gator = gator_for(server.dsn)
        go = tmp_path / "go"
        gator.task(deeds.until_told, evidence, str(go))
        worker = start_worker(server.dsn)
        pid_when_started(evidence)

        server.kill()
        go.touch()
        eventually(lambda: noted(evidence, "finished"), "the task ends while the broker is away")
        log = tmp_path / "worker.log"
        eventually(lambda: "waiting for the broker" in log.read_text(), "the worker says so")
        server.start()
        gator.task(deeds.quick, evidence, "quick 2")

        eventually(lambda: noted(evidence, "quick"), "the worker goes on")
        eventually(lambda: gator.client.counts("all").running == 0, "all is settled")
        assert len(noted(evidence, "started")) == 1
        assert log.read_text().count("waiting for the broker") == 1, "once, not at each try"
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
