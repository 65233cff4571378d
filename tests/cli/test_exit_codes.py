"""Every way to fail has its exit code and its words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from alligator import exceptions
from alligator.backends.base import State
from alligator_cli import errors

from ..servers import eventually
from .conftest import Cli, Given, command

FULL = "Error: cannot write to standard output: No space left on device"

TREE = {
    name: found
    for name, found in vars(exceptions).items()
    if isinstance(found, type) and issubclass(found, exceptions.AlligatorException)
}

EXPECTED = {
    "MultipleDelayError": 2,
    "InvalidSetting": 2,
    "MissingExtra": 2,
    "InvalidTask": 2,
    "UnserialisableTask": 2,
    "NotImportable": 2,
    "InvalidName": 2,
    "BodyTooLarge": 2,
    "UnknownModuleError": 2,
    "BrokenModuleError": 2,
    "UnknownCallableError": 2,
    "InvalidDSN": 2,
    "UnsupportedByBroker": 5,
    "BrokerUnreachable": 69,
}


@pytest.mark.parametrize("name", sorted(TREE))
def test_every_error_of_the_library_has_its_code(name: str) -> None:
    argument: Any = 5 if name in ("Snooze", "RetryIn") else "x"  # those take seconds
    assert errors.exit_code_of(TREE[name](argument)) == EXPECTED.get(name, 1)


def test_every_listed_name_is_an_error_of_the_library() -> None:
    assert set(errors._LIBRARY) <= set(TREE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (click.UsageError("x"), 2),
        (click.BadParameter("x"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (errors.Terminated(), 143),
        (errors.NotFound("x"), 4),
        (errors.PartlyDone("x"), 3),
        (errors.TimedOut("x"), 124),
        (TimeoutError("x"), 124),
        (errors.CliError("x"), 1),
        (OSError("x"), 1),
        (KeyError("x"), 1),
    ],
)
def test_other_errors_have_theirs(error: BaseException, code: int) -> None:
    assert errors.exit_code_of(error) == code


def test_an_unexpected_error_says_how_to_see_more_and_nothing_of_a_traceback() -> None:
    text = errors.told(KeyError("x"), as_json=False, debug=False)
    assert text == "Error: unexpected KeyError: 'x'\nRun it again with --debug for the traceback."


def test_an_error_cannot_steer_the_terminal() -> None:
    text = errors.told(errors.CliError("a\x1b[2J\rb\nc", "d\u202e"), as_json=False, debug=False)
    assert text == "Error: a\\x1b[2J\\rb\nc\nd\\u202e"


def test_an_unreachable_broker_is_69_and_no_password_is_shown(cli: Cli) -> None:
    cli.env["GATOR_DSN"] = "redis://user:hunter2@127.0.0.1:1/0"
    for options in ([], ["--debug"], ["--json", "--debug"]):
        result = cli("ping", *options)
        assert result.exit_code == 69
        assert "redis://user:***@127.0.0.1:1/0" in result.stderr
        assert "hunter2" not in result.output


@pytest.mark.parametrize(
    "text",
    [
        "redis://user:hunter2@host/0",
        "redis://:hunter2@host",
        "redis://user:a/b?c#d@hunter2@host/0",
        "redis://host/0?password=hunter2&x=1",
        "said 'redis://user:hunter2@host/0': no; redis://user:hunter2@other",
    ],
)
def test_a_dsn_in_any_message_loses_its_password(text: str) -> None:
    assert "hunter2" not in errors.redacted(text)
    assert "***" in errors.redacted(text)


def test_a_known_password_is_hidden_as_a_word() -> None:
    assert errors.redacted("AUTH a failed at all", ("a",)) == "AUTH *** failed at all"


def test_a_dsn_given_as_an_argument_by_mistake_is_not_repeated_whole(cli: Cli) -> None:
    result = cli("ping", "redis://user:hunter2@host/0")
    assert result.exit_code == 2
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    "args",
    [
        ["--json", "show", "nosuch"],
        ["show", "nosuch", "--json"],
        ["show", "nosuch", "--format", "json"],
    ],
)
def test_with_json_an_error_is_one_object(cli: Cli, args: list[str]) -> None:
    result = cli(*args)
    report = json.loads(result.stderr)
    assert (result.exit_code, report["exit_code"], result.stdout) == (4, 4, "")
    assert "nosuch" in report["error"]


def test_with_json_a_command_line_that_cannot_be_read_is_one_object_too(cli: Cli) -> None:
    report = json.loads(cli("peek", "--nosuch", "--json").stderr)
    assert report["exit_code"] == 2
    assert report["hint"] == "Try 'gator peek --help'."


def test_a_traceback_comes_only_with_debug(cli: Cli) -> None:
    assert "Traceback" not in cli("show", "nosuch").stderr
    assert "Traceback" in cli("show", "nosuch", "--debug").stderr
    assert "Traceback" in json.loads(cli("show", "nosuch", "--debug", "--json").stderr)["traceback"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_wait_with_its_code(cli: Cli, number: int, code: int) -> None:
    with cli.start(
        "push", "shop.add", "--wait", "--id", "w", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        eventually(lambda: cli("show", "w").exit_code == 0, "the push")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stdout == ""
    assert "task w stays queued" in stderr
    assert not stderr.startswith("\n")


def test_ctrl_c_at_a_terminal_starts_a_line_of_its_own(cli: Cli) -> None:
    shown, code = cli.talk(
        *("", "push", "shop.add", "--wait", "--id", "w", "--no-color"),
        interrupt_when=lambda: cli("show", "w").exit_code == 0,
    )
    assert code == 130
    assert shown == "\nError: interrupted\nNo longer waiting; task w stays queued.\n"


def _unread(
    cli: Cli, *args: str, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run gator with a stdout that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return cli.process(*args, capture_output=False, stdout=writing, stderr=stderr)
    finally:
        os.close(writing)


@pytest.mark.parametrize("unbuffered", ["", "1"])
class TestClosedPipe:
    """`| head -1` closes the pipe: that is no failure, and nothing to talk about."""

    def test_a_listing_whose_reader_leaves_is_silent(
        self, cli: Cli, given: Given, unbuffered: str
    ) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered
        for number in range(300):
            given.task("shop.add", "x" * 500, task_id=f"t{number}")
        with cli.start(
            "peek", "--limit", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait(30) == 0

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (("health", "--min-workers", "1"), 1),
            (("health", "--ready"), 0),
            (("doctor", "--import", "no_such_module"), 1),
        ],
    )
    def test_an_exit_code_that_answers_is_kept_when_the_reader_leaves(
        self, cli: Cli, given: Given, unbuffered: str, command: tuple[str, ...], code: int
    ) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered
        given.task("shop.add")
        done = _unread(cli, *command)
        assert (done.returncode, done.stderr) == (code, "")

    @pytest.mark.parametrize("format", ["tsv", "table"])
    def test_a_wait_goes_on_and_keeps_its_code_when_the_reader_leaves(
        self, cli: Cli, given: Given, unbuffered: str, format: str
    ) -> None:
        cli.env |= {"PYTHONUNBUFFERED": unbuffered, "GATOR_FORMAT": format}
        failed = given.failed(given.task("shop.add"))

        for ids, code, stderr in (
            ([failed], 1, ""),
            ([failed, "gone"], 3, ""),
            (["gone", given.task("shop.add", task_id="a")], 124, "task a has not ended within 0 s"),
        ):
            done = _unread(cli, "wait", *ids, "--timeout", "0")
            assert done.returncode == code
            assert stderr in done.stderr

    def test_a_load_keeps_its_code_when_the_reader_leaves(
        self, cli: Cli, folder: Path, unbuffered: str
    ) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered
        (folder / "rows").write_text("no task\n")
        done = _unread(cli, "push", "--from", "rows", "--skip-invalid")
        assert done.returncode == 3
        assert done.stderr.startswith("skipped: line 1 ")
        assert "Error" not in done.stderr

    def test_canceling_goes_on_when_the_reader_leaves(
        self, cli: Cli, given: Given, unbuffered: str
    ) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered
        ids = [given.task("shop.add", task_id=f"{number}-{'x' * 150}") for number in range(100)]
        with cli.start("cancel", *ids, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.close()
            assert process.wait(30) == 0
        assert given.states() == {}

    def test_a_full_disk_under_stdout_is_told(self, cli: Cli, unbuffered: str) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered
        with open("/dev/full", "w") as full:
            result = cli.process("ping", capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert result.returncode == 1
        assert result.stderr == f"{FULL}\n"

    def test_what_is_done_all_the_same_is_told(
        self, cli: Cli, given: Given, folder: Path, unbuffered: str
    ) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered

        def told(*args: str) -> str:
            with open("/dev/full", "w") as full:
                result = cli.process(*args, capture_output=False, stdout=full, stderr=-1)
            assert result.returncode == 1
            return result.stderr.removeprefix(f"{FULL}\n").strip()

        said = told("push", "shop.add", "-q", "one")
        (task_id,) = given.states()
        assert said == f"The task is queued all the same, as {task_id}."
        assert said in told("push", "shop.add", "--id", task_id, "--json")
        (folder / "rows").write_text('{"task":"shop.add","id":"a"}\n{"task":"shop.add"}\n')
        assert told("push", "--from", "rows") == (
            "All 2 lines of 'rows' are dealt with: 2 queued, 0 already, 0 invalid. There is "
            "nothing to go on with."
        )
        assert told("push", "--from", "rows", "--dry-run") == (
            "All 2 lines of 'rows' were checked: 0 invalid."
        )
        assert told("push", "--from", "rows", "--print-ids") == (
            "The tasks of lines 1 to 2 are queued. Go on, with the same options: "
            "tail -n +3 rows | gator push --from -"
        )
        assert told("cancel", "a", "nosuch") == (
            "Of 2 tasks so far, 1 was changed. Run it again for the rest; those that are done are "
            "then reported as missing."
        )
        assert "a" not in given.states()
        states = ("waiting", "running", "failed")
        for queue in ("left", "kept", "away"):
            for state in states:
                given.task("shop.add", task_id=f"{queue}-{state}", queue=queue)
            given.running(f"{queue}-running")
            given.failed(f"{queue}-failed")
        assert told("retry", "-q", "left", "--yes") == "Of 1 task, 1 was retried all the same."
        assert told("move", "-q", "left", "--to", "moved", "--yes") == (
            "Of 2 tasks, 2 were moved all the same."
        )
        running = "1 task left alone: a worker is running it"
        assert told("cancel", "-q", "kept", *(f"--state={state}" for state in states), "--yes") == (
            f"{running}\n{FULL}\nOf 3 tasks, 2 were canceled all the same."
        )
        drop = ("drop", "-q", "away")
        assert told(*drop, "--dry-run") == f"{running}\n{FULL}\nNone was removed."
        assert (
            told(*drop, "--yes") == f"{running}\n{FULL}\nOf 3 tasks, 2 were removed all the same."
        )
        assert told(*drop, "--state", "failed", "--yes").endswith("\nNone was removed.")
        for ttl, kept in ((0, "; no result is kept."), (60, ": gator result ran")):
            given.task("builtins.bool", task_id="ran", result_ttl=ttl)
            assert told("run-task", "ran") == f"The task has succeeded all the same{kept}"
        assert cli.ok("result", "ran") == "false\n"
        for form in ("csv", "tsv", "table"):
            assert told("peek", "--format", form) == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
class TestUnheard:
    """What is said on stderr changes nothing when nobody can hear it."""

    def test_a_full_stderr_changes_neither_what_is_done_nor_the_code(
        self, cli: Cli, given: Given, unbuffered: str
    ) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered

        def unheard(code: int, *args: str) -> str:
            with open("/dev/full", "w") as full:
                done = cli.process(*args, capture_output=False, stdout=subprocess.PIPE, stderr=full)
            assert done.returncode == code
            return str(done.stdout)

        unheard(0, "pause", "one", "two")
        assert given.client.paused() == ["one", "two"]
        (first, again) = (unheard(0, "push", "shop.add", "--unique", "k") for _ in range(2))
        assert first == again != ""
        assert unheard(0, "health", "-q", "al").startswith("broker\ttrue\t")
        unheard(4, "show", "nosuch")
        unheard(2)

    def test_a_pipe_that_takes_both_streams_and_is_closed_hides_no_failure(
        self, cli: Cli, given: Given, unbuffered: str
    ) -> None:
        cli.env["PYTHONUNBUFFERED"] = unbuffered
        push = ("push", "shop.add", "--depends-on", "nosuch", "--id", "a")
        assert _unread(cli, *push, stderr=subprocess.STDOUT).returncode == 0
        assert given.states() == {"a": State.WAITING}
        assert _unread(cli, "show", "nosuch", stderr=subprocess.STDOUT).returncode == 4


def test_a_closed_stdout_does_not_become_the_database(cli: Cli, folder: Path) -> None:
    result = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- <&-', "sh", *command("push", "shop.add")],
        cwd=folder,
        env=cli.environment(),
        capture_output=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert len(cli.json("peek")) == 1


def test_a_closed_stderr_does_not_become_what_a_task_opens(
    cli: Cli, given: Given, folder: Path
) -> None:
    given.task("os.readlink", "/proc/self/fd/2", task_id="a", result_ttl=60)
    subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command("worker", "--burst")],
        cwd=folder,
        env=cli.environment(),
        timeout=60,
        check=True,
    )
    assert json.loads(cli.ok("result", "a")) == "/dev/null"
