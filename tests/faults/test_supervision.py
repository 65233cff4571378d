"""The supervisor keeps its children fresh, and outlives its broker."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import Record, State

from ..servers import eventually, redis_server
from . import deeds
from .conftest import StartWorker, noted, pid_when_started
from .processes import children_of

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


def test_a_child_that_does_not_end_by_itself_is_ended(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.push_many(Task().to_call(deeds.leave_a_thread, evidence) for _ in range(3))

    worker = start_worker(sqlite_dsn, "--max-tasks", "1")

    eventually(lambda: len(noted(evidence, "pid")) == 3, "each task has run")
    pids = noted(evidence, "pid")
    assert len(set(pids)) == 3
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "they are gone")
    assert worker.poll() is None


@pytest.mark.parametrize("second", [False, True], ids=["the drain is over", "a second signal"])
def test_a_child_that_does_not_end_by_itself_is_not_waited_for_when_time_is_up(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    second: bool,
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.rest, evidence)
    worker = start_worker(sqlite_dsn, "-c", "2", "--drain-timeout", "60s" if second else "0.1s")
    pid_when_started(evidence)
    gator.task(deeds.leave_a_thread, evidence)
    eventually(lambda: noted(evidence, "pid"), "the other process runs it")

    began = time.monotonic()
    worker.terminate()
    if second:
        worker.send_signal(signal.SIGINT)  # another, for the kernel keeps no two of a kind

    assert worker.wait(30) in ((130, 143) if second else (0,))
    assert time.monotonic() - began < 2, "the time that such a child has otherwise"


def test_a_child_that_cannot_be_started_for_now_costs_the_others_nothing(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
) -> None:
    go, log = tmp_path / "go", tmp_path / "worker.log"
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.until_told, evidence, str(go))
    worker = start_worker(sqlite_dsn, "-c", "2")
    busy = pid_when_started(evidence)
    eventually(lambda: len(children_of(worker.pid)) == 2, "both are there")
    (idle,) = set(children_of(worker.pid)) - {busy}
    limits = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (4, limits[1]))  # it has more than that
    os.kill(idle, signal.SIGKILL)

    eventually(lambda: "it is tried again" in log.read_text(), "it is told")
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, limits)
    eventually(lambda: len(children_of(worker.pid)) == 2, "another takes its place")
    go.touch()
    eventually(lambda: noted(evidence, "finished"), "the first one has gone on")
    assert noted(evidence, "started") == [str(busy)]
    assert log.read_text().count("it is tried again") == 1


def test_tasks_that_are_handed_back_again_and_again_all_run_once(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    calls = [
        Task().to_call(deeds.quick_or_not, evidence, f"quick {number}", number % 30 == 29)
        for number in range(600)
    ]
    gator_for(sqlite_dsn).push_many(calls)

    assert start_worker(sqlite_dsn, "-c", "2", "--burst", "--log-level", "error").wait(60) == 0

    assert sorted(map(int, noted(evidence, "quick"))) == list(range(600))


def test_a_task_may_fork(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    for number in range(5):
        gator.task(deeds.fork_away, evidence)
        gator.task(deeds.quick, evidence, f"quick {number}")

    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    assert len(noted(evidence, "forked")) == 5
    assert noted(evidence, "quick") == [str(number) for number in range(5)]
    assert gator.client.counts("all").failed == 0


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


def test_a_module_that_fails_late_ends_the_worker_too(
    sqlite_dsn: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    (tmp_path / "heavy.py").write_text("import time; time.sleep(1.2); raise ImportError('no')")

    worker = start_worker(sqlite_dsn, "--import", "heavy", path=str(tmp_path))

    assert worker.wait(30) == 1


def test_an_imported_module_is_there_before_the_first_task(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator_for(sqlite_dsn).task(deeds.loaded, evidence, "wave")

    assert start_worker(sqlite_dsn, "--import", "wave", "--burst").wait(30) == 0

    assert noted(evidence, "loaded") == ["True"]


def test_a_lease_that_another_took_is_told_of_once(
    redis_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    tmp_path: Path,
    evidence: str,
) -> None:
    dsn = f"{redis_dsn}&lease=1"
    go = tmp_path / "go"
    gator = gator_for(dsn)
    tasks = [gator.task(deeds.until_told, evidence, str(go)) for _ in range(2)]
    worker = start_worker(dsn, "-c", "2")
    pid_when_started(evidence, times=2)
    log = tmp_path / "worker.log"

    assert gator.client.claim(tasks[0].task_id, force=True) is not None
    eventually(lambda: "another worker may run it too" in log.read_text(), "it was told")
    for _ in range(3):  # more looks at the leases
        before = gator.client.find(tasks[1].task_id)
        assert before is not None

        def was_extended(before: Record = before) -> bool:
            after = gator.client.find(tasks[1].task_id)
            assert after is not None
            return after.lease_until != before.lease_until

        eventually(was_extended, "the other lease was extended")
    go.touch()
    worker.terminate()
    assert worker.wait(30) == 0

    assert log.read_text().count("another worker may run it too") == 1


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


def test_an_outage_is_told_of_once_and_a_signal_is_heeded_in_it(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        worker = start_worker(f"{server.dsn}?lease=1&timeout=1")
        log = tmp_path / "worker.log"
        eventually(lambda: log.exists() and "consuming" in log.read_text(), "the worker runs")

        server.kill()
        eventually(lambda: "waiting for the broker" in log.read_text(), "it says so")
        # Several leases long, and several looks for the broker.
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(4)
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(30) == 0
        assert log.read_text().count("waiting for the broker") == 1
        assert "is back" not in log.read_text()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_outage_while_a_task_runs_is_waited_out_and_not_spun_through(
    start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        dsn = f"{server.dsn}?lease=1&timeout=1"
        gator_for(dsn).task(deeds.until_told, evidence, str(tmp_path / "never"))
        worker = start_worker(dsn)
        pid_when_started(evidence)
        log = tmp_path / "worker.log"

        server.kill()
        eventually(lambda: "waiting for the broker" in log.read_text(), "it says so")
        before, began = cpu_seconds(worker.pid), time.monotonic()
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(8)
        used, passed = cpu_seconds(worker.pid) - before, time.monotonic() - began

        # A share of the time that passed, which a busy machine can only make smaller.
        assert used < passed / 10


def test_the_password_of_the_broker_is_neither_logged_nor_kept(
    start_worker: StartWorker, gator_for: GatorFor, tmp_path: Path
) -> None:
    with redis_server(tmp_path, "--requirepass", "s3cr/et") as server:
        dsn = server.dsn.replace("redis://", "redis://:s3cr%2Fet@")
        gator = gator_for(dsn)
        # Halves, since the arguments are the user's own and are kept as they are.
        gator.task(deeds.tell_the_dsn, ["s3cr", "et"])

        assert start_worker(dsn, "--burst").wait(30) == 0

        (failed,) = gator.client.peek("all", State.FAILED).records
        shown = (tmp_path / "worker.log").read_text() + str(failed.failures)
        assert "ConnectionError: redis://:***@127.0.0.1" in shown
        assert "refuses the password ***" in shown
        assert "s3cr/et" not in shown
        assert "s3cr%2Fet" not in shown


def test_a_program_that_configures_logging_does_not_silence_the_worker(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator_for(sqlite_dsn).task(deeds.configure_logging, evidence)

    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    assert noted(evidence, "configured") == [""]
    assert "failed for good: ValueError: and fails" in (tmp_path / "worker.log").read_text()
