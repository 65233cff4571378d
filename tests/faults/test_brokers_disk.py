"""Disks that are full: one clear error for the push, and nothing lost or in the way of the rest."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import Ack
from alligator.exceptions import BrokerRefused

from ..servers import beanstalkd_server, eventually
from . import deeds
from .conftest import StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 4 MB, or of the size that is asked for."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    folder = tmp_path / "disk"
    folder.mkdir()
    size = getattr(request, "param", "4m")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this root may not mount")
    yield folder
    # Lazily: a worker that is killed after this fixture may still be there.
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(gator: Gator, evidence: str) -> None:
    """Push tasks until one is refused."""
    while True:
        gator.task(deeds.measure, evidence, "x" * 2000)


def fill_in_batches(gator: Gator) -> None:
    """Push many small tasks at once until they are refused."""
    while True:
        gator.push_many(Task().to_call(deeds.quick, "x" * 150) for _ in range(500))


def fill_with_something_else(path: Path) -> None:
    """What other programs do to a disk."""
    with path.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


def test_a_queue_that_filled_its_disk_can_be_worked_off(
    disk: Path, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(f"sqlite:///{disk / 'queue.db'}")
    with pytest.raises(BrokerRefused, match=r"queue\.db: the disk is full; free some room"):
        fill(gator, evidence)
    queued = gator.len()
    assert queued > 500, "most of the disk can be used"

    worker = start_worker(gator.conn_string, "--burst")

    assert worker.wait(60) == 0
    assert len(noted(evidence, "length")) == queued
    assert sum(gator.client.counts("all")[1:7]) == 0
    assert "waiting for the broker" not in (tmp_path / "worker.log").read_text()
    gator.task(deeds.measure, evidence, "there is room again")


@pytest.mark.parametrize("disk", ["16m"], indirect=True)
def test_many_small_tasks_that_filled_a_disk_can_be_worked_off_in_batches(
    disk: Path, gator_for: GatorFor
) -> None:
    """The log alone would take all that is left for acks before SQLite works it off by itself."""
    gator = gator_for(f"sqlite:///{disk / 'queue.db'}")
    with pytest.raises(BrokerRefused, match="the disk is full"):
        fill_in_batches(gator)
    left = gator.len()
    assert left > 10_000

    leases = gator.client.reserve(["all"], 500)
    while leases:
        settled = gator.client.settle([Ack(lease) for lease in leases], ["all"], 500)
        left -= settled.accepted.count(True)
        leases = settled.leases
    assert left == 0


def test_a_worker_waits_while_others_fill_the_disk_and_runs_nothing_twice(
    disk: Path, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(f"sqlite:///{disk / 'queue.db'}")
    go, log, filler = tmp_path / "go", tmp_path / "worker.log", disk / "filler"
    gator.task(deeds.until_told, evidence, str(go))
    gator.push_many(Task().to_call(deeds.quick, evidence, f"quick {n}") for n in range(100))
    worker = start_worker(gator.conn_string)
    pid_when_started(evidence)

    fill_with_something_else(filler)
    with pytest.raises(BrokerRefused, match=r"queue\.db: the disk is full; free some room"):
        gator.task(deeds.quick, evidence, "quick 100")
    go.touch()
    eventually(lambda: noted(evidence, "finished"), "what runs ends")
    # The log has perhaps room of its own for a while: the worker may go on or wait.
    assert worker.poll() is None
    filler.unlink()
    gator.task(deeds.quick, evidence, "quick 101")

    eventually(lambda: "101" in noted(evidence, "quick"), "it goes on")
    eventually(lambda: sum(gator.client.counts("all")[1:7]) == 0, "all is settled")
    assert sorted(map(int, noted(evidence, "quick"))) == [*range(100), 101]
    assert len(noted(evidence, "started")) == 1
    assert log.read_text().count("waiting for the broker") <= 1


def test_a_beanstalkd_that_filled_its_disk_can_be_worked_off(
    disk: Path, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    with beanstalkd_server("-b", str(disk), "-f0", "-s", "300000") as server:
        gator = gator_for(server.dsn)
        gator.task(deeds.fail, evidence)
        full = r"OUT_OF_MEMORY: it is out of memory or disk; work off or drop tasks"
        with pytest.raises(BrokerRefused, match=full):
            fill(gator, evidence)
        queued = gator.len()
        assert queued > 500

        worker = start_worker(server.dsn, "--burst")

        assert worker.wait(60) == 0
        assert len(noted(evidence, "length")) == queued - 1
        assert gator.client.counts("all").failed == 1
        assert "waiting for the broker" not in (tmp_path / "worker.log").read_text()
        gator.task(deeds.measure, evidence, "there is room again")
        server.kill()
        server.start()
        assert gator.client.counts("all").waiting == 1
