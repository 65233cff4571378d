"""Every option has a variable of its own name."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from alligator import Gator
from alligator_cli.app import app

from .. import tasks


def options() -> list[tuple[str, click.Option]]:
    context = click.Context(app)
    found = []
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        found += [(name, param) for param in command.params if isinstance(param, click.Option)]
    return found


@pytest.mark.parametrize(("command", "option"), options(), ids=str)
def test_the_variable_is_named_as_the_option(command: str, option: click.Option) -> None:
    long = next(name for name in option.opts if name.startswith("--"))

    assert option.envvar == f"GATOR_{command}{long[1:]}".replace("-", "_").upper()


def test_variables_choose_queue_and_states(sqlite_dsn: str) -> None:
    with Gator(sqlite_dsn, queue_name="mail") as gator:
        waiting = gator.task(tasks.nothing)
        gator.options(delay_by=3600).task(tasks.nothing)
    environment = {
        "GATOR_DSN": sqlite_dsn,
        "GATOR_PEEK_QUEUE": "mail",
        "GATOR_PEEK_STATE": "waiting failed",
    }

    shown = CliRunner().invoke(app, ["peek", "--quiet"], env=environment)

    assert shown.stdout.split() == [waiting.task_id]
