"""Real `gator worker` processes, ended with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator import Gator

from ..servers import eventually
from . import deeds

ROOT = Path(__file__).resolve().parents[2]

StartWorker = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def evidence(tmp_path: Path) -> str:
    return str(tmp_path / "evidence")


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Start `gator worker` with options; its log goes to a file that a failing test shows.

    With `group=0` it leads a process group, as a shell has it for a job. With a descriptor of a
    terminal it is what that terminal runs.
    """
    started: list[subprocess.Popen[str]] = []
    log = tmp_path / "worker.log"

    def start(
        dsn: str,
        *options: str,
        path: str = "",
        cwd: Path = ROOT,
        group: int | None = None,
        terminal: int | None = None,
    ) -> subprocess.Popen[str]:
        on_terminal = [] if terminal is None else ["setsid", "--ctty"]
        with log.open("a") as stderr:
            process = subprocess.Popen(
                [*on_terminal, sys.executable, "-m", "alligator", "worker", "--dsn", dsn, *options],
                cwd=cwd,
                stdin=terminal,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                process_group=group,
                env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": path},
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    if log.exists():
        print(log.read_text())


@pytest.fixture
def gator_for() -> Iterator[Callable[[str], Gator]]:
    """Make Gators whose connections are closed with the test."""
    made: list[Gator] = []

    def make(dsn: str) -> Gator:
        made.append(Gator(dsn))
        return made[-1]

    yield make
    for gator in made:
        gator.client.close()


def noted(evidence: str, word: str) -> list[str]:
    """Return the second words of the evidence lines that start with `word`."""
    return [line.partition(" ")[2] for line in deeds.lines(evidence) if line.split()[0] == word]


def parent_of(pid: int) -> int:
    """Return the id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def pid_when_started(evidence: str, times: int = 1) -> int:
    """Wait until the task started so many times; return the newest process id."""
    eventually(lambda: len(noted(evidence, "started")) >= times, f"{times} starts in {evidence}")
    return int(noted(evidence, "started")[-1])
