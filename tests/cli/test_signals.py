"""Signals while gator starts, while it says that one ended it, and while its interpreter ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from ..servers import eventually
from .conftest import Cli

#: Has the worker's import take until the file `go` is there, and keep exceptions to itself.
LONG_IMPORT = """
import os, sys, time

class LongImport:
    def find_spec(self, name, path=None, target=None):
        if name == "alligator.supervisor":
            open("importing", "w").close()
        while name == "alligator.supervisor" and not os.path.exists("go"):
            try:
                time.sleep(0.01)
            except BaseException:
                pass

sys.meta_path.insert(0, LongImport())
"""


@pytest.fixture
def starting(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    """A worker in the middle of an import."""
    (cli.folder / "sitecustomize.py").write_text(LONG_IMPORT)
    cli.env["PYTHONPATH"] = str(cli.folder)
    with cli.start("worker", stderr=subprocess.PIPE) as process:
        eventually((cli.folder / "importing").exists, "it imports")
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_starts_ends_at_a_signal_as_one_that_has_nothing_to_run(
    starting: subprocess.Popen[str], number: int
) -> None:
    starting.send_signal(number)

    assert starting.communicate(timeout=30)[1] == "stopped before it consumed anything\n"
    assert starting.returncode == 0


def test_sighup_does_not_end_a_worker_that_starts(
    starting: subprocess.Popen[str], cli: Cli
) -> None:
    starting.send_signal(signal.SIGHUP)
    (cli.folder / "go").touch()

    assert starting.stderr is not None
    assert "consuming all" in starting.stderr.readline()
    starting.terminate()
    assert starting.wait(30) == 0


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that takes nothing more."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with closing(os.fdopen(reading)), closing(os.fdopen(writing, "wb", buffering=0)) as full:
        while full.write(b"x" * 4096) is not None:
            pass
        os.set_blocking(writing, True)
        yield writing


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_another_signal_while_the_first_is_told_of_changes_nothing(
    cli: Cli, full_pipe: int, number: int, code: int
) -> None:
    with cli.start(
        *("push", "shop.add", "--wait", "--id", "w"), stdout=subprocess.DEVNULL, stderr=full_pipe
    ) as process:
        eventually(lambda: cli("show", "w").exit_code == 0, "the push")

        def has_ended() -> bool:
            process.send_signal(number)
            return process.poll() is not None

        eventually(has_ended, "it ends")
    assert process.returncode == code


LONG_END = """
import atexit, time

@atexit.register
def end():
    open("ending", "w").close()
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_work_changes_no_exit_code(cli: Cli, number: int) -> None:
    (cli.folder / "sitecustomize.py").write_text(LONG_END)
    cli.env["PYTHONPATH"] = str(cli.folder)
    with cli.start("ping", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        eventually((cli.folder / "ending").exists, "it is at its end")
        process.send_signal(number)

        assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0
