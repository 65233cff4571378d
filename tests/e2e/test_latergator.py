"""latergator.py: the script that runs a worker on the queue `all`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator import Gator
from alligator.backends.base import Capability, State

from .. import tasks
from ..servers import eventually

ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def latergator() -> Iterator[Start]:
    """A function that starts the script; what still runs at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, folder: Path = ROOT) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "latergator.py"), *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def gator(shared_dsn: str) -> Iterator[Gator]:
    with Gator(shared_dsn) as gator:
        yield gator


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def test_it_runs_what_was_pushed_and_what_comes_until_it_is_told_to_stop(
    latergator: Start, gator: Gator, notes: Path
) -> None:
    gator.task(tasks.fail)
    gator.task(tasks.append, str(notes), "before")
    process = latergator(gator.conn_string)
    eventually(lambda: tasks.lines(notes) == ["before"], "it does not run what was there")
    gator.task(tasks.append, str(notes), "after")
    eventually(lambda: tasks.lines(notes) == ["before", "after"], "it does not run what comes")
    eventually(lambda: gator.len() == 0, "the task is not settled")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 1
    name = f"Alligator Worker (#{process.pid})"
    assert out.splitlines() == [
        f"{name} starting, consuming all.",
        "None",
        "None",
        f"{name} stopping after 3 tasks.",
    ]
    assert "ValueError: no such user" in err
    assert len(gator.client.peek("all", State.FAILED).records) == 1


def test_the_first_signal_lets_the_task_end_and_the_second_does_not(
    latergator: Start, gator: Gator, notes: Path
) -> None:
    dsn = gator.conn_string
    if Capability.TIMED_LEASES in gator.client.capabilities:
        dsn += ("&" if "?" in dsn else "?") + "lease=2"
    gator.task(tasks.append_and_rest, str(notes), "started", 60)
    process = latergator(dsn)
    eventually(lambda: tasks.lines(notes), "it does not start")

    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == -signal.SIGTERM
    eventually(lambda: gator.client.reserve(["all"], 1), "the task is lost")


def test_it_finds_tasks_in_the_folder_one_stands_in(
    latergator: Start, gator: Gator, notes: Path
) -> None:
    folder = notes.parent
    (folder / "alligator_test_jobs.py").write_text("def job(path):\n    open(path, 'w').close()\n")
    task = f'"module": "alligator_test_jobs", "callable": "job", "args": ["{notes}"]'
    body = f'{{"task_id": "id", "retries": 0, "async": true, {task}}}'
    gator.client.push("all", "id", body.encode())
    latergator(gator.conn_string, folder=folder)
    eventually(notes.exists, "the task is not found")


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 2), (["-h"], 0), (["--help"], 0), (["a", "b"], 2), (["-x"], 2)]
)
def test_it_says_how_it_is_used(latergator: Start, arguments: list[str], code: int) -> None:
    process = latergator(*arguments)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err.startswith("Usage: latergator.py DSN")


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("nosuch://user:secret@host", "no backend answers to 'nosuch'"),
        ("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
        ("beanstalk://127.0.0.1:1", "beanstalk://127.0.0.1:1"),
    ],
)
def test_a_broker_that_is_not_there_is_one_line(latergator: Start, dsn: str, message: str) -> None:
    process = latergator(dsn)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("Error: ")
    assert message in err
    assert "secret" not in err
    assert len(err.splitlines()) == 1
