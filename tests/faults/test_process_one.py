"""`gator worker` as process 1, as in a container: no default signals, every orphan is its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import State

from ..servers import eventually, redis_server
from . import deeds
from .conftest import ROOT, noted
from .processes import children_of

GatorFor = Callable[[str], Gator]

NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child"]


def can_make_namespaces() -> bool:
    """Whether this machine lets us be process 1 somewhere: Linux, and root or its like."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not can_make_namespaces(), reason="this machine does not let us make a PID namespace"
)


@dataclass
class ProcessOne:
    """The worker, seen from outside of its namespace."""

    outer: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        (pid,) = children_of(self.outer.pid)
        return pid

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def says(self, words: str) -> bool:
        return words in self.log.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ProcessOne]]:
    started: list[ProcessOne] = []

    def make(dsn: str, *options: str) -> ProcessOne:
        path = tmp_path / "one.log"
        command = [*NAMESPACE, sys.executable, "-m", "alligator", "--dsn", dsn, "worker", *options]
        with path.open("w") as log:
            outer = subprocess.Popen(command, cwd=ROOT, stderr=log)
        started.append(ProcessOne(outer, path))
        eventually(lambda: children_of(outer.pid), "there is a process 1")
        return started[-1]

    yield make
    for one in started:
        one.outer.kill()  # and by --kill-child everything inside
        one.outer.wait()
        print(one.log.read_text())


def test_the_first_sigterm_drains_and_the_exit_code_is_0(
    shared_dsn: str,
    start: Callable[..., ProcessOne],
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
) -> None:
    gator = gator_for(shared_dsn)
    go = tmp_path / "go"
    gator.task(deeds.until_told, evidence, str(go))
    worker = start(shared_dsn)
    eventually(lambda: noted(evidence, "started"), "the task runs")

    worker.signal(signal.SIGTERM)
    eventually(lambda: worker.says("stopping"), "the signal was heard")
    go.touch()

    assert worker.outer.wait(30) == 0
    assert noted(evidence, "finished")
    assert gator.client.counts("all").running == 0


def test_the_second_sigterm_cuts_short_and_hands_back(
    shared_dsn: str, start: Callable[..., ProcessOne], gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(shared_dsn)
    gator.task(deeds.until_told, evidence, "never")
    worker = start(shared_dsn)
    eventually(lambda: noted(evidence, "started"), "the task runs")

    worker.signal(signal.SIGTERM)
    eventually(lambda: worker.says("stopping"), "the signal was heard")
    worker.signal(signal.SIGTERM)

    assert worker.outer.wait(30) == 143
    (waiting,) = gator.client.peek("all", State.WAITING).records
    assert waiting.deliveries == 0


def test_sigterm_ends_a_worker_whose_broker_has_yet_to_answer(
    start: Callable[..., ProcessOne], tmp_path: Path
) -> None:
    with redis_server(tmp_path) as server:
        server.process.send_signal(signal.SIGSTOP)
        worker = start(f"{server.dsn}?timeout=600")
        # By then it is a worker: the handler that every command has ends with 143.
        eventually(lambda: is_connected_to(server.port), "it waits for the broker's answer")
        worker.signal(signal.SIGTERM)

        assert worker.outer.wait(30) == 0
        assert worker.says("stopped before it consumed anything")


def is_connected_to(port: int) -> bool:
    """Whether somebody on this machine has a connection to a port of 127.0.0.1, see proc(5)."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[2] == f"0100007F:{port:04X}" and row[3] == "01" for row in rows)


def test_what_tasks_leave_running_is_reaped_and_exit_codes_stay_with_their_owners(
    sqlite_dsn: str, start: Callable[..., ProcessOne], gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    calls = [Task().to_call(deeds.leave_orphans, evidence, 20) for _ in range(10)]
    calls.append(Task().to_call(deeds.leave_after_orphans, evidence, 20))
    gator.push_many(calls)

    worker = start(sqlite_dsn, "-c", "2")

    eventually(lambda: gator.client.counts("all").failed == 1, "the last one is put aside")
    assert len(noted(evidence, "orphans")) == 13
    eventually(lambda: not children_of(worker.pid, states="Z"), "nobody is left unburied")
    assert worker.outer.poll() is None
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.failures[-1].error == "worker died: exit code 7"
    worker.signal(signal.SIGTERM)
    assert worker.outer.wait(30) == 0
