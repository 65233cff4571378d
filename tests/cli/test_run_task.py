"""gator run-task."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from alligator.backends.base import State

from ..servers import eventually
from .conftest import Cli, Given


def test_stdout_is_the_result_and_what_the_task_prints_is_on_stderr(
    any_cli: Cli, given_any: Given
) -> None:
    task_id = given_any.task("shop.add", "a", "é")
    done = any_cli.process("run-task", task_id)
    assert (done.returncode, done.stdout) == (0, '"aé"\n')
    assert "printed by add\n" in done.stderr
    assert "printed by a child of add\n" in done.stderr
    assert given_any.states() == {}


@pytest.mark.parametrize("state", ["delayed", "failed"])
def test_it_takes_a_task_that_no_worker_would(any_cli: Cli, given_any: Given, state: str) -> None:
    delay = 3600 if state == "delayed" else None
    task_id = given_any.task("shop.add", 1, 2, queue="deep", delay_by=delay)
    if state == "failed":
        task_id = given_any.failed(task_id)
    assert any_cli.process("run-task", task_id).stdout == "3\n"


def test_a_failure_is_exit_1_and_in_the_failed_set(any_cli: Cli, given_any: Given) -> None:
    task_id = given_any.task("shop.boom")
    done = any_cli.process("run-task", task_id)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"task {task_id} failed: ValueError: no\tway" in done.stderr
    assert "failed set" in done.stderr
    assert list(given_any.states().values()) == [State.FAILED]


def test_what_a_failure_says_to_type_shows_the_task(any_cli: Cli, given_any: Given) -> None:
    task_id = given_any.task("shop.fail", "no", queue="mail")
    said = any_cli("run-task", task_id).stderr.rpartition("failed set: gator ")[2]
    assert "shop.fail" in any_cli.ok(*said.split())


def test_a_failure_with_tries_left_is_exit_1_and_said_to_be_retried(cli: Cli, given: Given) -> None:
    given.task("shop.boom", task_id="a", retries=1, backoff=60)
    done = cli.process("run-task", "a")
    assert (done.returncode, done.stdout) == (1, "")
    assert "will be retried" in done.stderr
    assert given.states() == {"a": State.RETRYING}


@pytest.mark.parametrize(
    ("path", "error"),
    [("shop.leave", "SystemExit: 7"), ("shop.unreachable", "BrokerUnreachable: the task's own")],
)
def test_whatever_a_task_raises_is_its_failure_and_exit_1(
    cli: Cli, given: Given, path: str, error: str
) -> None:
    given.task(path, task_id="a")
    done = cli.process("run-task", "a")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"task a failed: {error}" in done.stderr
    assert given.states() == {"a": State.FAILED}


def test_a_task_that_asks_to_be_run_later_is_exit_1_and_delayed(
    any_cli: Cli, given_any: Given
) -> None:
    task_id = given_any.task("shop.snooze")
    done = any_cli.process("run-task", task_id)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"task {task_id} asked to be run again in 3600 s" in done.stderr
    assert "back on its queue" in done.stderr
    assert given_any.states() == {task_id: State.DELAYED}


def test_a_body_that_is_no_task_fails(cli: Cli, given: Given) -> None:
    given.body("odd", b"no json")
    result = cli("run-task", "odd")
    assert result.exit_code == 1
    assert "UndecodableTask" in result.stderr
    assert given.states() == {"odd": State.FAILED}


def test_an_unknown_id_is_exit_4(any_cli: Cli) -> None:
    assert any_cli("run-task", "nosuch").exit_code == 4


def test_a_running_one_needs_force(cli: Cli, given: Given) -> None:
    given.running(given.task("shop.add", 1, 2, task_id="a"))
    refused = cli.process("run-task", "a")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--force" in refused.stderr
    forced = cli.process("run-task", "a", "--force")
    assert (forced.returncode, forced.stdout) == (0, "3\n")


def test_a_broker_that_cannot_take_over_says_so(beanstalk_cli: Cli) -> None:
    task_id = beanstalk_cli.ok("push", "shop.add", "--args", "[1, 2]").strip()
    result = beanstalk_cli("run-task", task_id, "--force")
    assert (result.exit_code, result.stdout) == (5, "")


def test_the_current_directory_is_on_the_module_path(cli: Cli, given: Given) -> None:
    given.task("shop.add", 1, 2, task_id="a")
    # With -P, python leaves it out, as it does for an installed script.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "alligator", "run-task", "a"],
        cwd=cli.folder,
        env=cli.environment(),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"3\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_hands_the_task_back_at_once(redis_cli: Cli, number: int, code: int) -> None:
    # On Redis, because there a lease outlives its process.
    cli = redis_cli
    path = cli.folder / "go"
    cli.ok("push", "shop.wait_for", "--args", f'["{path}"]', "--id", "a")
    with cli.start("run-task", "a", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        eventually(lambda: (cli.folder / "go.started").exists(), "the task's start")
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (code, "")
    record = cli.json("show", "a")[0]
    assert (record["state"], record["attempts"]) == ("waiting", 0)
