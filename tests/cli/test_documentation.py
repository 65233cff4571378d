"""The page about the command line names every command; the generated one has every option, and
examples that are understood."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from alligator_cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cli.md").read_text()
COMMANDS = (DOCS / "commands.md").read_text()


def commands() -> dict[str, click.Command]:
    context = click.Context(app)
    found = {name: app.get_command(context, name) for name in app.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


@pytest.mark.parametrize("name", sorted(commands()))
def test_each_command_and_its_options_are_documented(name: str) -> None:
    assert f"| `{name}" in PAGE or f"`{name} " in PAGE
    for parameter in commands()[name].params:
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            missing = [option for option in parameter.opts if option not in PAGE + COMMANDS]
            assert not missing, f"{name}: {missing} not in the documentation"


def examples() -> list[str]:
    """Return the shell snippets of the generated page."""
    return re.findall(r"^```sh\n(.*?)^```", COMMANDS, re.DOTALL | re.MULTILINE)


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each gator on a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    for is_operator, words in itertools.groupby(lexer, lambda word: set(word) <= set("|&;()<>")):
        found = list(words)
        if not is_operator and "gator" in found:
            yield found[found.index("gator") + 1 :]


@pytest.mark.parametrize("example", examples())
def test_each_example_of_a_command_is_understood(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("calls.ndjson", "tasks.ndjson", "stdin"):
        (tmp_path / file).write_text("[]")
    done = subprocess.run(["bash", "-n"], input=example, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [args for line in example.splitlines() for args in calls(line)]
    assert found
    # click has each command keep the help option of its first context.
    parent = click.Context(app, help_option_names=["-h", "--help"])
    for name, *args in found:
        with open("stdin") as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            commands()[name].make_context(name, args, parent=parent)
