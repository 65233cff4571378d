"""The page about the command line names every command; the generated one has every option."""

from __future__ import annotations

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
