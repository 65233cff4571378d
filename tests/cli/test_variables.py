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


@pytest.mark.parametrize(
    "variable", ["GATOR_VERSION", "GATOR_HELP", "GATOR_QUEUES_HELP", "GATOR_QUEUES_VERSION"]
)
@pytest.mark.parametrize("value", ["1", "2.0.0"])
def test_no_variable_asks_for_help_or_the_version(
    sqlite_dsn: str, variable: str, value: str
) -> None:
    environment = {"GATOR_DSN": sqlite_dsn, variable: value}

    shown = CliRunner().invoke(app, ["queues"], env=environment)

    assert (shown.exit_code, shown.stdout) == (0, "")


@pytest.mark.parametrize(
    ("variable", "value", "args", "said"),
    [
        ("GATOR_PUSH_DELAY", "5x", "push a.b", "(--delay): '5x' is no duration"),
        ("GATOR_WORKER_PROCESSES", "0", "worker", "(--processes): 0 is not in the range"),
        ("GATOR_PUSH_RETRIES", "1.5", "push a.b", "(--retries): '1.5' is not a whole number"),
        ("GATOR_PEEK_STATE", "faild", "peek", "(--state): there is no state 'faild'"),
        ("GATOR_FORMAT", "jsn", "peek", "(--format): there is no format 'jsn'"),
        ("GATOR_JSON", "maybe", "peek", "(--json): 'maybe' is not a valid boolean"),
        ("GATOR_QUEUES_EVERY", "0", "queues --watch", "(--every): 0 is no time between two looks"),
        ("GATOR_TOP_EVERY", "0s", "top", "(--every): 0s is no time between two looks"),
        ("GATOR_PEEK_LIMIT", "9" * 20, "peek", "is not in the range 0<=x<=1000000000"),
        (
            "GATOR_FIELDS",
            "id,nosuch",
            "peek",
            "GATOR_FIELDS (--fields): there is no field 'nosuch'",
        ),
        ("GATOR_FORMAT", "prometheus", "peek", "(--format): only gator stats has prometheus"),
        ("GATOR_FIELDS", "id", "stats --format prometheus", "leave out GATOR_FIELDS (--fields)"),
        ("GATOR_WORKER_ALLOW", "a..b", "worker", "(--allow): 'a..b' is no pattern"),
        ("GATOR_WORKER_ALLOW", "", "worker", "(--allow) is empty, so nothing could run"),
        ("GATOR_PUSH_QUEUE", "a\1", "push a.b", "(--queue): queue name 'a\\x01' has control"),
        ("GATOR_PEEK_QUEUE", "a\1", "peek", "(--queue): queue name 'a\\x01' has control"),
        ("GATOR_LOAD_QUEUE", "a\1", "load /dev/null", "(--queue): queue name 'a\\x01' has con"),
        ("GATOR_MOVE_TO", "a\1", "move x", "(--to): queue name 'a\\x01' has control"),
        ("GATOR_STATS_QUEUE", "a\1", "stats", "(--queue): queue name 'a\\x01' has control"),
        ("GATOR_TOP_QUEUE", "a\1", "top", "(--queue): queue name 'a\\x01' has control"),
        ("GATOR_WORKER_QUEUE", "a\1", "worker", "(--queue): queue name 'a\\x01' has control"),
        ("GATOR_DSN", "nowhere", "peek", "GATOR_DSN: 'nowhere' is not a DSN"),
        ("ALLIGATOR_DSN", "nosuch://h", "peek", "ALLIGATOR_DSN: 'nosuch://h': no backend"),
    ],
)
def test_an_error_names_the_variable_that_has_the_bad_value(
    variable: str, value: str, args: str, said: str
) -> None:
    result = CliRunner().invoke(app, args.split(), env={"GATOR_DSN": None, variable: value})

    assert result.exit_code == 2
    assert variable in result.output
    assert said in result.output


def test_an_error_of_an_option_names_no_variable() -> None:
    env = {"GATOR_PUSH_DELAY": "5s", "GATOR_DSN": "redis://h"}
    result = CliRunner().invoke(app, ["push", "a.b", "--delay", "5x"], env=env)
    assert "Invalid value for '--delay': '5x' is no duration" in result.output
    result = CliRunner().invoke(app, ["peek", "--dsn", "nowhere"], env=env)
    assert "Error: 'nowhere' is not a DSN" in result.output
    env |= {"GATOR_FIELDS": "id", "GATOR_WORKER_ALLOW": "a.b"}
    result = CliRunner().invoke(app, ["peek", "--fields", "nosuch"], env=env)
    assert "Error: --fields: there is no field 'nosuch'" in result.output
    result = CliRunner().invoke(app, ["worker", "--allow", "a..b"], env=env)
    assert "Error: --allow: 'a..b' is no pattern" in result.output
