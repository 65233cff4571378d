"""SIGHUP and --reload: fresh processes with new code, and no task knows of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import State
from alligator.utils import DottedPath

from ..servers import eventually
from . import deeds
from .conftest import ROOT, StartWorker, noted, pid_when_started
from .processes import children_of

GatorFor = Callable[[str], Gator]
AtWork = Callable[..., tuple[Gator, subprocess.Popen[str]]]


def write_code(folder: Path, version: int, module: str = "fresh") -> None:
    """Write a module whose task notes the version; no version's file has the size of another's, so
    that Python takes none for another's compiled one."""
    code = f"""
from tests.faults.deeds import note

def work(evidence, name):
    note(evidence, f"ran {{name}}")
    note(evidence, "version {version}")
{"#" * version}
"""
    replace(folder / f"{module}.py", code)


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def work(evidence: str, name: str, module: str = "fresh") -> Task:
    # As one would push from where the code is not.
    return Task().to_call(DottedPath(module, "work"), evidence, name)


def log_of(tmp_path: Path) -> str:
    path = tmp_path / "worker.log"
    return path.read_text() if path.exists() else ""


def test_nothing_is_lost_run_twice_or_charged_while_code_changes(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(shared_dsn)
    write_code(tmp_path, 1)
    gator.push_many(work(evidence, str(number)) for number in range(2000))
    worker = start_worker(
        shared_dsn, "-c", "2", "--import", "fresh", "--log-level", "info", path=str(tmp_path)
    )

    for version in range(2, 7):
        eventually(lambda n=version: len(noted(evidence, "ran")) > 300 * (n - 1), "some ran")  # type: ignore[misc]
        write_code(tmp_path, version)
        worker.send_signal(signal.SIGHUP)
        eventually(
            lambda n=version: log_of(tmp_path).count("reloading") == n - 1,  # type: ignore[misc]
            "the signal was heard",
        )
    gator.push_many([work(evidence, "last")])

    eventually(lambda: "last" in noted(evidence, "ran"), "the last one ran")
    eventually(lambda: gator.client.counts("all").running == 0, "all is settled")
    assert sorted(noted(evidence, "ran")) == sorted([*map(str, range(2000)), "last"])
    assert noted(evidence, "version")[-1] == "6"
    assert gator.client.counts("all") == gator.client.counts("all")._replace(waiting=0, failed=0)
    assert "worker died" not in log_of(tmp_path)
    assert "lost its lease" not in log_of(tmp_path)


def test_work_goes_on_beside_a_long_task_of_the_old_code_and_that_ends_in_peace(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(shared_dsn)
    go = tmp_path / "go"
    write_code(tmp_path, 1)
    gator.task(deeds.until_told, evidence, str(go))
    worker = start_worker(shared_dsn, path=str(tmp_path))
    pid_when_started(evidence)

    write_code(tmp_path, 2)
    worker.send_signal(signal.SIGHUP)
    gator.push_many(work(evidence, str(number)) for number in range(100))

    eventually(lambda: len(noted(evidence, "ran")) == 100, "one process is enough for the rest")
    assert set(noted(evidence, "version")) == {"2"}
    assert not noted(evidence, "finished")
    go.touch()
    eventually(lambda: noted(evidence, "finished"), "the long task ends")
    eventually(lambda: len(children_of(worker.pid)) == 1, "and its process with it")
    assert len(noted(evidence, "started")) == 1


def test_there_are_never_more_than_two_sets_of_processes(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(sqlite_dsn)
    go = tmp_path / "go"
    gator.push_many(Task().to_call(deeds.until_told, evidence, str(go)) for _ in range(4))
    worker = start_worker(sqlite_dsn)

    most = 0
    for heard in range(1, 4):
        pid_when_started(evidence, times=min(heard, 2))
        worker.send_signal(signal.SIGHUP)
        eventually(lambda n=heard: log_of(tmp_path).count("reloading") == n, "heard")  # type: ignore[misc]
        most = max(most, len(children_of(worker.pid)))
    go.touch()

    eventually(lambda: len(noted(evidence, "finished")) == 4, "all end")
    assert most == 2
    assert len(noted(evidence, "started")) == 4


def test_a_task_that_is_charged_with_nothing_waits_as_it_was(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(shared_dsn)
    gator.push_many(Task().to_call(deeds.quick, evidence, f"quick {n}") for n in range(200))
    gator.push_many(Task().to_call(deeds.until_told, evidence, "never") for _ in range(3))
    worker = start_worker(shared_dsn)
    pid_when_started(evidence)

    worker.send_signal(signal.SIGHUP)
    pid_when_started(evidence, times=2)
    worker.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in log_of(tmp_path), "the first was heard")
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 143
    waiting = gator.client.peek("all", State.WAITING).records
    assert [one.deliveries for one in waiting] == [0, 0, 0]


def test_under_nohup_a_hangup_is_ignored(
    sqlite_dsn: str, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator_for(sqlite_dsn).task(deeds.quick, evidence, "quick 1")
    command = [sys.executable, "-m", "alligator", "--dsn", sqlite_dsn, "worker"]
    with (tmp_path / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command], cwd=ROOT, stderr=log
        )
    try:
        eventually(lambda: noted(evidence, "quick"), "it runs")
        worker.send_signal(signal.SIGHUP)
        gator_for(sqlite_dsn).task(deeds.quick, evidence, "quick 2")
        eventually(lambda: noted(evidence, "quick") == ["1", "2"], "it goes on")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert "reloading" not in log_of(tmp_path)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    write_code(folder, 1)
    return folder


def test_a_changed_file_brings_fresh_processes_and_a_broken_one_ends_nothing(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
    code: Path,
) -> None:
    gator = gator_for(sqlite_dsn)
    worker = start_worker(sqlite_dsn, "--reload", path=str(ROOT), cwd=code)
    gator.push_many([work(evidence, "first")])
    eventually(lambda: noted(evidence, "version") == ["1"], "the old code ran")

    def ran(version: int) -> bool:
        # Again and again: when the file is seen to have changed is the watcher's affair.
        gator.push_many([work(evidence, f"for {version}")])
        return str(version) in noted(evidence, "version")

    write_code(code, 2)
    eventually(lambda: ran(2), "the new code runs")
    (code / "fresh.py").write_text("def work(:")

    def fails() -> bool:
        gator.push_many([work(evidence, "broken")])
        return gator.client.counts("all").failed > 0

    eventually(fails, "tasks fail, as they do with broken code")
    write_code(code, 3)
    eventually(lambda: ran(3), "mended code runs")
    assert worker.poll() is None


@pytest.fixture
def at_work(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, code: Path
) -> AtWork:
    """Start a worker with options in the code's folder, and see it run a task."""

    def start(*options: str) -> tuple[Gator, subprocess.Popen[str]]:
        gator = gator_for(sqlite_dsn)
        gator.push_many([work(evidence, "first")])
        worker = start_worker(sqlite_dsn, *options, path=str(ROOT), cwd=code)
        eventually(lambda: noted(evidence, "version") == ["1"], "the old code ran")
        return gator, worker

    return start


def test_what_it_imports_may_be_broken_for_a_while(
    at_work: AtWork, evidence: str, tmp_path: Path, code: Path
) -> None:
    gator, worker = at_work("--import", "fresh")

    (code / "fresh.py").write_text("def work(:")
    worker.send_signal(signal.SIGHUP)
    eventually(lambda: log_of(tmp_path).count("could not import") >= 2, "it says so, and tries")
    gator.push_many([work(evidence, "second")])
    write_code(code, 2)
    worker.send_signal(signal.SIGHUP)

    eventually(lambda: noted(evidence, "version") == ["1", "2"], "the task has waited")
    assert gator.client.counts("all").failed == 0


def test_while_its_folder_is_gone_tasks_wait(
    at_work: AtWork, evidence: str, tmp_path: Path, code: Path
) -> None:
    gator, worker = at_work()

    shutil.rmtree(code)
    worker.send_signal(signal.SIGHUP)
    eventually(lambda: "or its Python, is gone; restart it" in log_of(tmp_path), "it says so")
    gator.push_many([work(evidence, "second")])
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0
    (waiting,) = gator.client.peek("all", State.WAITING).records
    assert (waiting.attempts, waiting.deliveries) == (0, 0)


def test_its_processes_get_the_interpreter_s_options_and_its_folder(
    sqlite_dsn: str, gator_for: GatorFor, tmp_path: Path
) -> None:
    noted = tmp_path / "flags"
    (tmp_path / "seen_flags.py").write_text(
        "import sys\n"
        "def note(path):\n"
        "    open(path, 'w').write(f'{sys.flags.isolated} {sys.flags.dev_mode}')\n"
    )
    gator_for(sqlite_dsn).task(DottedPath("seen_flags", "note"), str(noted))

    command = [sys.executable, "-I", "-X", "dev", "-m", "alligator", "--dsn", sqlite_dsn]
    subprocess.run([*command, "worker", "--burst"], cwd=tmp_path, timeout=60, check=True)

    assert noted.read_text() == "1 True"


def test_a_module_elsewhere_is_watched_too(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
    code: Path,
) -> None:
    gator = gator_for(sqlite_dsn)
    here = tmp_path / "here"
    here.mkdir()
    path = os.pathsep.join((str(ROOT), str(code)))
    start_worker(sqlite_dsn, "--reload", "--import", "fresh", path=path, cwd=here)
    gator.push_many([work(evidence, "first")])
    eventually(lambda: noted(evidence, "version") == ["1"], "the old code ran")

    def ran() -> bool:
        gator.push_many([work(evidence, "second")])
        return "2" in noted(evidence, "version")

    write_code(code, 2)
    eventually(ran, "the new code runs")


def test_without_watchfiles_an_error_says_how_to_get_it(sqlite_dsn: str) -> None:
    program = (
        "import sys; sys.modules['watchfiles'] = None; import alligator_cli.main as m; m.run()"
    )
    command = [sys.executable, "-c", program, "--dsn", sqlite_dsn, "worker", "--reload"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert 'pip install "alligator[reload]"' in done.stderr
    assert "Traceback" not in done.stderr
