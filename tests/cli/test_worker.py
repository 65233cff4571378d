"""gator worker, as far as the command goes: its options, streams and exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from alligator import logs
from alligator_cli.commands.worker import LEVELS

from ..servers import eventually
from .conftest import Cli, Given


def test_the_levels_it_names_are_the_librarys() -> None:
    assert LEVELS == logs.LEVELS


def test_a_burst_runs_what_is_there_and_says_nothing_on_stdout(
    any_cli: Cli, given_any: Given
) -> None:
    given_any.task("shop.add", 1, 2)
    given_any.task("shop.add", 1, 2)
    done = any_cli.process("worker", "--burst")
    assert (done.returncode, done.stdout) == (0, "")
    assert "printed by add" in done.stderr
    assert given_any.states() == {}


@pytest.mark.parametrize("queue", ["", "a\nb"])
def test_a_queue_that_cannot_be_is_refused_and_not_waited_for(any_cli: Cli, queue: str) -> None:
    done = any_cli.process("worker", "-q", queue)
    assert done.returncode == 2
    assert f"queue name {queue!r} has" in done.stderr
    assert "consuming" not in done.stderr


def test_it_consumes_the_queues_named_and_no_other(cli: Cli, given: Given) -> None:
    given.task("shop.add", 1, 2, queue="mail")
    given.task("shop.add", 1, 2, queue="sms")
    left = given.task("shop.add", 1, 2)
    cli.process("worker", "--burst", "-q", "mail", "-q", "sms", "-c", "2")
    assert list(given.states()) == [left]


def test_the_log_is_json_when_asked_for(cli: Cli, given: Given) -> None:
    given.task("math.sqrt", 4, task_id="a")
    done = cli.process("worker", "--burst", "--log-format", "json", "--log-level", "debug")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert any(line.get("task_id") == "a" for line in lines)


@pytest.mark.parametrize("how", [("--json",), ("--format", "json")])
def test_the_log_is_json_when_all_output_is(cli: Cli, given: Given, how: tuple[str, ...]) -> None:
    given.task("math.sqrt", 4)
    done = cli.process("worker", "--burst", *how)
    assert {json.loads(line)["level"] for line in done.stderr.splitlines()} == {"info"}
    done = cli.process("worker", "--burst", *how, "--log-format", "text")
    assert " INFO " in done.stderr


def test_quiet_leaves_warnings(cli: Cli, given: Given) -> None:
    given.task("math.sqrt", 4)
    given.task("shop.boom")
    lines = cli.process("worker", "--burst", "--quiet", "--json").stderr.splitlines()
    assert {json.loads(line)["level"] for line in lines} == {"error"}
    assert " INFO " in cli.process("worker", "--burst", "--quiet", "--log-level", "info").stderr


def test_a_failed_try_says_when_the_next_one_is_and_how_many_more_there_are(
    cli: Cli, given: Given
) -> None:
    given.task("shop.boom", retries=2)
    shown = cli.process("worker", "--burst").stderr
    said = [line.partition("] ")[2] for line in shown.splitlines() if "failed" in line]
    assert [line.partition(": ")[0] for line in said] == [
        "failed, next try now, 1 more after it",
        "failed, next try now, none after it",
        "failed for good",
    ]

    given.task("shop.boom", retries=3, backoff=90)
    shown = cli.process("worker", "--burst").stderr
    assert "failed, next try in 90.0 s, 2 more after it: " in shown


def test_on_a_terminal_what_went_wrong_has_a_colour(cli: Cli, given: Given) -> None:
    for _ in range(4):
        given.task("shop.boom")
    given.task("math.sqrt", 4)
    shown = cli.on_terminal("worker", "--burst", "--max-tasks", "1")
    assert shown.count(" \x1b[31mERROR  \x1b[0m [") == 4
    assert "\x1b" not in shown.replace("\x1b[31m", "").replace("\x1b[0m", "")


@pytest.mark.parametrize("how", ["--no-color", "NO_COLOR", "--log-format=json", "a pipe"])
def test_a_log_that_is_to_have_no_colour_has_none(cli: Cli, given: Given, how: str) -> None:
    given.task("shop.boom")
    command = ["worker", "--burst", *([how] if how.startswith("--") else [])]
    if how == "NO_COLOR":
        cli.env["NO_COLOR"] = "1"
    shown = cli.process(*command).stderr if how == "a pipe" else cli.on_terminal(*command)
    assert "failed for good" in shown
    assert "\x1b" not in shown


#: gator with a log that sends the process a signal as the first line is logged.
SIGNALLED = """
import logging, os, sys
from alligator_cli.main import run
class Signals(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("consuming"):
            os.kill(os.getpid(), {number:d})
logging.getLogger("alligator.worker").addHandler(Signals())
sys.exit(run())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_may_come_as_soon_as_it_says_that_it_consumes(cli: Cli, number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(number=number), "worker"],
        cwd=cli.folder,
        env=cli.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("stopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_running_task_end(cli: Cli, given: Given, number: int) -> None:
    path = cli.folder / "go"
    given.task("shop.wait_for", str(path), task_id="a")
    with cli.start("worker", stderr=subprocess.PIPE) as process:
        assert process.stderr
        eventually(lambda: (cli.folder / "go.started").exists(), "the task's start")
        process.send_signal(number)
        path.touch()
        process.stderr.read()
        assert process.wait(30) == 0
    assert given.states() == {}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-c", "0"), "'-c'"),
        (("--log-level", "infos"), "Did you mean 'info'?"),
        (("--log-format", "xml"), "text, json"),
        (("--max-tasks", "-1"), "--max-tasks"),
    ],
)
def test_wrong_options_are_exit_2(cli: Cli, args: tuple[str, ...], said: str) -> None:
    result = cli("worker", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_the_help_says_what_closing_the_terminal_does(cli: Cli) -> None:
    said = " ".join(cli.ok("worker", "--help").split())
    assert "closing of its terminal, which sends SIGHUP: the worker lives on" in said


def test_a_broker_of_one_process_is_refused(cli: Cli) -> None:
    assert cli("worker", "--dsn", "locmem://").exit_code == 5


def test_an_unreachable_broker_is_69(cli: Cli) -> None:
    done = cli.process("worker", "--dsn", "redis://user:hunter2@127.0.0.1:1/0")
    assert (done.returncode, done.stdout) == (69, "")
    assert "hunter2" not in done.stderr
