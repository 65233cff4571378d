"""What operators see of workers, and a pause that workers keep."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import Gator
from alligator.backends.base import Capability
from alligator.backends.roster import WorkerRecord

from ..servers import eventually, redis_server
from . import deeds
from .conftest import StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]


@pytest.fixture
def gator(shared_dsn: str, gator_for: GatorFor) -> Gator:
    """A Gator whose broker keeps a list of workers, and pauses."""
    gator = gator_for(shared_dsn)
    for needed in (Capability.WORKERS, Capability.PAUSE):
        if needed not in gator.client.capabilities:
            pytest.skip(f"{gator.client.broker} declares that it cannot {needed.value}")
    return gator


def the_worker(gator: Gator, is_so: Callable[[WorkerRecord], object]) -> WorkerRecord:
    """The one worker, as soon as it is like this."""
    found: list[WorkerRecord] = []

    def listed() -> bool:
        found[:] = [worker for worker in gator.workers() if is_so(worker)]
        return bool(found)

    eventually(listed, "no such worker is listed")
    (worker,) = found
    return worker


def test_a_worker_is_listed_with_what_it_runs_until_it_ends(
    gator: Gator, start_worker: StartWorker, evidence: str, tmp_path: Path
) -> None:
    task = gator.task(deeds.until_told, evidence, str(tmp_path / "go"))
    process = start_worker(gator.conn_string, "-c", "2", "-q", "mail", "-q", "all")
    pid_when_started(evidence)

    worker = the_worker(gator, lambda worker: worker.running)

    assert (worker.pid, worker.processes, worker.queues) == (process.pid, 2, ("mail", "all"))
    assert worker.name == f"{worker.host}:{process.pid}"
    (runs,) = worker.running
    assert runs[:3] == (task.task_id, "all", "tests.faults.deeds.until_told")
    assert worker.started_at <= runs.since <= worker.beat_at
    assert not worker.stale
    (tmp_path / "go").touch()
    done = the_worker(gator, lambda worker: worker.done)
    assert (done.done, done.failed, done.running) == (1, 0, ())
    assert done.rate is not None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert gator.workers() == []


def test_a_worker_that_was_killed_stays_listed_with_what_it_ran(
    gator: Gator, start_worker: StartWorker, evidence: str, tmp_path: Path
) -> None:
    task = gator.task(deeds.until_told, evidence, str(tmp_path / "never"))
    process = start_worker(gator.conn_string)
    the_worker(gator, lambda worker: worker.running)

    process.kill()
    process.wait()

    (worker,) = gator.workers()
    assert worker.pid == process.pid
    assert [one.task_id for one in worker.running] == [task.task_id]


def test_no_worker_takes_from_a_paused_queue_and_each_goes_on_when_that_ends(
    gator: Gator, start_worker: StartWorker, evidence: str
) -> None:
    gator.pause()
    process = start_worker(gator.conn_string, "-q", "all", "-q", "other")
    the_worker(gator, lambda worker: True)
    gator.task(deeds.quick, evidence, "quick paused")
    with Gator(gator.conn_string, "other") as other:
        other.task(deeds.quick, evidence, "quick other")

    eventually(lambda: noted(evidence, "quick"), "the other queue is served")
    assert noted(evidence, "quick") == ["other"]
    assert gator.client.counts("all").waiting == 1
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert cpu_seconds(process.pid) < 1.5

    gator.resume()

    eventually(lambda: len(noted(evidence, "quick")) == 2, "the queue is served again")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_burst_is_over_when_only_a_paused_queue_holds_tasks(
    gator: Gator, start_worker: StartWorker, evidence: str
) -> None:
    gator.pause()
    gator.task(deeds.quick, evidence, "quick")

    assert start_worker(gator.conn_string, "--burst").wait(30) == 0

    assert gator.len() == 1
    assert gator.workers() == []


def test_a_worker_is_listed_again_after_its_broker_came_back(
    start_worker: StartWorker, gator_for: GatorFor, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        gator = gator_for(server.dsn)
        process = start_worker(f"{server.dsn}?timeout=1", "--log-format", "json")
        the_worker(gator, lambda worker: True)

        server.kill()
        log = tmp_path / "worker.log"
        eventually(lambda: "waiting for the broker" in log.read_text(), "it says so")
        server.start()

        the_worker(gator, lambda worker: worker.pid == process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert gator.workers() == []
        levels = [json.loads(line)["level"] for line in log.read_text().splitlines()]
        assert "error" not in levels
