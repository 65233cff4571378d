"""Secrets and allow lists on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli, Given

SECRET = "a secret of some length"


@pytest.fixture
def secret_file(folder: Path) -> str:
    path = folder / "secret"
    path.touch(0o600)
    path.write_text(f"{SECRET}\n")
    return str(path)


def test_a_signed_push_runs_where_the_secret_is(any_cli: Cli, secret_file: str) -> None:
    any_cli.env["GATOR_SECRET_FILE"] = secret_file
    any_cli.ok("push", "shop.add", "--args", "[1, 2]")
    any_cli.env.pop("GATOR_SECRET_FILE")
    any_cli.ok("--secret-file", secret_file, "push", "shop.add", "--args", "[1, 2]")
    any_cli.ok("push", "shop.add", "--args", "[1, 2]")

    done = any_cli.process("worker", "--burst", "--secret-file", "secret")

    assert done.returncode == 0
    assert done.stderr.count("printed by add") == 2
    (failed,) = any_cli.json("peek", "--state", "failed")
    assert failed["error"].startswith("BadSignature: bad signature: the body is not signed")


def test_whoever_looks_needs_no_secret(any_cli: Cli, secret_file: str) -> None:
    task_id = any_cli.ok(
        "push", "shop.add", "--args", "[1, 2]", "--secret-file", secret_file
    ).strip()
    any_cli.env["GATOR_SECRET_FILE"] = "/nowhere"  # of no use, and of no need
    (row,) = any_cli.json("peek", "--task", "shop.*")
    assert (row["task"], row["args"]) == ("shop.add", [1, 2])
    (shown,) = any_cli.json("show", task_id)
    assert json.loads(shown["body"])["callable"] == "add"
    assert shown["signed"] == "unverified"
    assert any_cli.ok("cancel", task_id).strip() == task_id


def test_show_says_whether_a_signature_is_good(cli: Cli, given: Given, secret_file: str) -> None:
    good = cli.ok("push", "shop.add", "--secret-file", secret_file).strip()
    record = given.client.find(good)
    assert record is not None
    moved = given.body("moved", record.body)
    plain = given.task("shop.add")

    def signed(task_id: str) -> object:
        (shown,) = cli.json("show", task_id, "--secret-file", secret_file)
        return shown["signed"]

    assert [signed(good), signed(moved), signed(plain)] == ["valid", "invalid", ""]
    cli.env.pop("GATOR_SECRET_FILE", None)
    (shown,) = cli.json("show", good)
    assert shown["signed"] == "unverified"


def test_a_dry_run_prints_the_call_and_not_its_signature(cli: Cli, secret_file: str) -> None:
    shown = cli.ok("push", "shop.add", "--dry-run", "--secret-file", secret_file)
    assert json.loads(shown)["callable"] == "add"


@pytest.mark.parametrize("command", ["push", "worker", "run-task", "peek"])
def test_a_file_of_no_use_is_exit_2(cli: Cli, folder: Path, command: str) -> None:
    (folder / "secret").touch(0o600)
    result = cli(
        command,
        *{"push": ["shop.add"], "run-task": ["x"]}.get(command, []),
        "--secret-file",
        str(folder / "secret"),
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--secret-file '{folder / 'secret'}' is empty" in result.stderr


@pytest.mark.parametrize("name", ["GATOR_SECRET_FILE", "GATOR_ALLOW", "GATOR_WORKER_ALLOW"])
def test_a_variable_that_came_out_empty_is_exit_2(cli: Cli, name: str) -> None:
    cli.env[name] = ""
    result = cli("worker", "--burst")
    assert result.exit_code == 2, result.stderr


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--allow", "shop.add", "--allow", "math.*"], {}),
        (["--allow", "shop.add,math.*"], {"GATOR_ALLOW": "os.*"}),
        ([], {"GATOR_ALLOW": "shop.add math.*"}),
        ([], {"GATOR_ALLOW": "shop.add,\nmath.*"}),
        ([], {"GATOR_WORKER_ALLOW": "shop.add,math.*", "GATOR_ALLOW": "os.*"}),
    ],
)
def test_the_worker_runs_what_is_allowed(
    cli: Cli, given: Given, options: list[str], variables: dict[str, str]
) -> None:
    given.task("shop.add", 1, 2)
    refused = given.task("shop.hook", 1)
    cli.env.update(variables)
    assert cli.process("worker", "--burst", *options).returncode == 0
    assert list(given.states()) == [refused]
    (shown,) = cli.json("peek", "--state", "failed")
    assert shown["error"] == ("NotAllowed: not allowed: shop.hook; allowed here: shop.add, math.*")


def test_what_is_no_pattern_is_exit_2(cli: Cli) -> None:
    result = cli("worker", "--allow", "shop/*")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'shop/*' is no pattern of dotted paths; write it like 'app.tasks.*'" in result.stderr


def test_run_task_goes_by_the_variable(cli: Cli, given: Given) -> None:
    given.task("shop.add", 1, 2, task_id="a")
    cli.env["GATOR_ALLOW"] = "math.*"
    result = cli("run-task", "a")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "task a failed: NotAllowed: not allowed: shop.add; allowed here: math.*" in result.stderr
    assert "It is in the failed set: gator show a" in result.stderr
    cli.env["GATOR_ALLOW"] = "shop.*"
    assert cli.process("run-task", "a").stdout == "3\n"
