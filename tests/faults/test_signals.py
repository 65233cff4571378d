"""Signals that are not meant for tasks do not reach them, nor what they start."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alligator import Gator

from ..servers import eventually
from . import deeds
from .conftest import StartWorker, noted, pid_when_started
from .processes import children_of

GatorFor = Callable[[str], Gator]


def state_of(pid: int | str) -> str:
    """The state of a process, as in proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Terminal:
    """A terminal, as who sits at it has it.

    Attributes:
        inner: the end that programs have.
    """

    def __init__(self) -> None:
        self._outer, self.inner = pty.openpty()

    def press(self, letter: str) -> None:
        """Press Ctrl and a letter."""
        os.write(self._outer, bytes([ord(letter) - ord("@")]))

    def close(self) -> None:
        os.close(self._outer)
        os.close(self.inner)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with closing(Terminal()) as made:
        yield made


@pytest.mark.parametrize(
    ("hang_up", "heard"),
    [(False, "stopping: "), (True, "reloading: ")],
    ids=["Ctrl-C", "hanging up"],
)
def test_what_a_terminal_sends_reaches_neither_tasks_nor_their_programs(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
    terminal: Terminal,
    hang_up: bool,
    heard: str,
) -> None:
    go, log = tmp_path / "go", tmp_path / "worker.log"
    gator_for(sqlite_dsn).task(deeds.run_a_program, evidence, str(go))
    worker = start_worker(sqlite_dsn, "--drain-timeout", "60", terminal=terminal.inner)
    pid_when_started(evidence)

    if hang_up:
        os.killpg(worker.pid, signal.SIGHUP)  # as a shell does with its jobs
    else:
        terminal.press("C")
    eventually(lambda: heard in log.read_text(), "the worker hears it")
    go.touch()
    eventually(lambda: noted(evidence, "ended"), "the task ends well")
    worker.terminate()

    assert worker.wait(30) in (0, 143)
    assert len(noted(evidence, "program")) == 1
    assert "died" not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_child_does_not_heed_what_others_send_it(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    go = tmp_path / "go"
    gator_for(sqlite_dsn).task(deeds.until_told, evidence, str(go))
    worker = start_worker(sqlite_dsn, "--burst")

    os.kill(pid_when_started(evidence), number)
    go.touch()

    assert worker.wait(30) == 0
    assert len(noted(evidence, "started")) == len(noted(evidence, "finished")) == 1


def test_control_z_has_all_of_the_worker_stand_still_until_it_goes_on(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    gator_for(sqlite_dsn).task(deeds.run_a_program, evidence, str(go))
    worker = start_worker(sqlite_dsn, "--burst", group=0)
    program = pid_when_started(evidence)
    everybody = [worker.pid, *children_of(worker.pid), program]
    assert len(everybody) == 3

    for _ in range(2):
        os.killpg(worker.pid, signal.SIGTSTP)
        eventually(lambda: [state_of(pid) for pid in everybody] == ["T"] * 3, "all stand still")
        os.killpg(worker.pid, signal.SIGCONT)
        eventually(lambda: "T" not in map(state_of, everybody), "all go on")
    go.touch()

    assert worker.wait(30) == 0
    assert noted(evidence, "ended")


def test_control_z_changes_nothing_where_nobody_could_have_the_worker_go_on(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
    terminal: Terminal,
) -> None:
    go = tmp_path / "go"
    gator_for(sqlite_dsn).task(deeds.until_told, evidence, str(go))
    worker = start_worker(sqlite_dsn, "--burst", terminal=terminal.inner)
    pid_when_started(evidence)

    terminal.press("Z")
    go.touch()

    assert worker.wait(30) == 0
    assert noted(evidence, "finished")


def test_a_task_that_would_read_from_the_terminal_is_told_that_there_is_none(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    terminal: Terminal,
) -> None:
    gator_for(sqlite_dsn).task(deeds.read_the_terminal, evidence)

    assert start_worker(sqlite_dsn, "--burst", terminal=terminal.inner).wait(30) == 0

    assert noted(evidence, "terminal") == ["ENXIO"]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_copies_that_a_task_forks_end_when_they_are_asked_to(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, threads: str
) -> None:
    gator_for(sqlite_dsn).task(deeds.terminate_copies, evidence, 20)

    assert start_worker(sqlite_dsn, "--threads", threads, "--burst").wait(60) == 0

    assert noted(evidence, "exitcode") == ["-15"] * 20
