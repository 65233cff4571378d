"""Finding one's way: help, aliases, suggestions; and what starting up must not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import alligator_cli.commands
from alligator_cli.app import ALIASES, COMMANDS, ELSEWHERE, app
from alligator_cli.options import Command

from .conftest import Cli, Given

CONTEXT = click.Context(app, info_name="gator")


def command_named(name: str) -> click.Command:
    command = app.get_command(CONTEXT, name)
    assert command is not None
    return command


def usage_code(name: str) -> int:
    """The exit code of wrong usage: a probe knows but one that is not 0."""
    return 1 if name == "health" else 2


@pytest.mark.parametrize("name", sorted(COMMANDS))
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_commands_help_opens_with_examples_of_it(cli: Cli, name: str, option: str) -> None:
    lines = cli.ok(name, option).splitlines()
    assert lines[0].startswith(f"Usage: gator {name} ")
    assert lines[2] == "Examples:"
    assert f"gator {name}" in lines[3]
    assert "Global options:" in lines
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_groups_help_says_what_the_command_says(name: str) -> None:
    assert (command_named(name).help or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_says_what_it_does(name: str) -> None:
    command = command_named(name)
    # click keeps the help option it makes first, so these names have to be the app's.
    context = click.Context(command, help_option_names=["-h", "--help"])
    for param in command.get_params(context):
        assert not isinstance(param, click.Option) or param.help, param.name


def test_every_module_of_a_command_is_a_command() -> None:
    folder = Path(alligator_cli.commands.__file__ or "").parent
    modules = {path.stem.replace("_", "-") for path in folder.glob("[!_]*.py")}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_is_its_command(alias: str) -> None:
    assert command_named(alias) is command_named(ALIASES[alias])


def test_gators_own_help_lists_commands_with_their_aliases(cli: Cli) -> None:
    lines = cli.ok("--help").splitlines()
    assert lines[2] == "Examples:"
    assert any(line.startswith("  push, enqueue ") for line in lines)


def test_gator_alone_shows_help_on_stderr_and_is_exit_2(cli: Cli) -> None:
    result = cli()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: gator ")


@pytest.mark.parametrize(
    ("args", "suggested"),
    [
        (("psuh",), "Did you mean 'push'?"),
        (("enqueu",), "Did you mean 'enqueue'?"),
        (("push", "a.b", "--retires", "1"), "--retries"),
        (("redrive", "id"), "Did you mean 'retry'?"),
        (("revoke",), "Did you mean 'cancel'?"),
        (("purge-all",), "Did you mean 'purge'?"),
        (("list",), "Did you mean 'peek'?"),
        (("worker", "--concurrency", "2"), "Did you mean '--processes'?"),
        (("worker", "--concurrency=2"), "Did you mean '--processes'?"),
        (("health", "--heartbeat-file", "f"), "Did you mean '--live'?"),
    ],
)
def test_a_misspelling_gets_a_suggestion(cli: Cli, args: tuple[str, ...], suggested: str) -> None:
    result = cli(*args)
    assert (result.exit_code, result.stdout) == (usage_code(args[0]), "")
    assert suggested in result.stderr


def test_an_option_without_its_value_names_the_help_of_its_command(cli: Cli) -> None:
    result = cli("health", "--live")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: Option '--live' requires an argument.\nTry 'gator health --help'.\n"
    )


def test_what_is_suggested_exists() -> None:
    assert set(ELSEWHERE.values()) <= set(COMMANDS)
    assert not set(ELSEWHERE) & {*COMMANDS, *ALIASES}
    for name in COMMANDS:
        command = command_named(name)
        assert isinstance(command, Command)
        options = {option for param in command.params for option in param.opts}
        assert set(command.elsewhere.values()) <= options
        assert not set(command.elsewhere) & options


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("push", "shop.add", '["A1"]'), "The function's arguments go into --args"),
        (("run-task", "a", "b"), "One id at a time."),
        (("show", "a", "b"), "One id at a time."),
        (("worker", "mail"), "Name queues with -q."),
        (("top", "mail"), "Name the queue with -q."),
        (("peek", "mail"), "Name the queue with -q."),
        (("drop", "mail", "--yes"), "Name the queue with -q."),
        (("drop", "an-id", "--yes"), "by id: gator cancel ID."),
        (("health", "--live", "--heartbeat-file", "f"), "stands right after --live"),
        (("ping", "x"), "unexpected argument 'x'."),
    ],
)
def test_an_argument_too_many_is_wrong_usage_with_a_hint(
    cli: Cli, args: tuple[str, ...], hint: str
) -> None:
    result = cli(*args)
    assert (result.exit_code, result.stdout) == (usage_code(args[0]), "")
    assert hint in result.stderr
    assert f"Try 'gator {args[0]} --help'." in result.stderr


def fields_in_help(cli: Cli, name: str) -> list[str]:
    section = cli.ok(name, "--help").partition("Fields:\n")[2].partition("\n\n")[0]
    return [field.strip() for field in section.replace("\n", " ").split(",")]


def test_help_names_the_fields_there_are(cli: Cli, given: Given) -> None:
    given.task("shop.add", task_id="a")
    for command in (("peek",), ("queues",), ("show", "a")):
        assert fields_in_help(cli, command[0]) == [*cli.json(*command)[0]]


def test_help_says_how_hooks_are_called(cli: Cli) -> None:
    shown = cli.ok("push", "--help")
    for call in ("f(task) before each try.", "f(task, result)", "f(task, exception)"):
        assert f"Called as {call}" in shown


def test_the_version_is_the_librarys(cli: Cli) -> None:
    from alligator import version

    assert cli.ok("--version") == f"gator {version()}\n"


def imported_by(cli: Cli, *args: str) -> set[str]:
    """Return the modules that a process has once it has run a command line."""
    program = (
        "import sys\nfrom alligator_cli.main import run\n"
        f"sys.argv[1:] = {list(args)!r}\n"
        "try:\n    run()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cli.folder,
        env=cli.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stderr.split())


HEAVY = {
    *("tabulate", "redis", "greenstalk", "asyncio", "difflib", "importlib.metadata"),
    *("textual", "rich"),
}


def test_help_imports_neither_the_library_nor_what_it_does_not_need(cli: Cli) -> None:
    modules = imported_by(cli, "--help")
    assert not modules & (HEAVY | {"sqlite3", "alligator", "alligator.gator"})


def test_help_of_what_needs_an_extra_does_without_it(cli: Cli) -> None:
    assert not imported_by(cli, "top", "--help") & {"textual", "rich", "tabulate"}


def test_push_imports_no_driver_but_its_own(cli: Cli) -> None:
    modules = imported_by(cli, "push", "shop.add")
    assert "alligator.backends.sqlite_backend" in modules
    assert not modules & (HEAVY - {"importlib.metadata"})
