"""Secrets and allow lists on the command line."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess

import pytest

from alligator.backends.base import State
from alligator.gator import Gator

from ..servers import eventually
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

    assert [signed(good), signed(moved), signed(plain)] == ["valid", "invalid", "missing"]
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


def ran(worker: CompletedProcess[str]) -> int:
    assert worker.returncode == 0, worker.stderr
    return worker.stderr.count("printed by add")


class TestLines:
    def test_each_is_signed_for_the_queue_it_names(self, any_cli: Cli, secret_file: str) -> None:
        any_cli.env["GATOR_SECRET_FILE"] = secret_file
        line = '{"task": "shop.add", "args": [1, 2]}'
        lines = f'{line}\n{line[:-1]}, "queue": "mail"}}\n'
        any_cli.ok("push", "--from", "-", input=lines)
        assert ran(any_cli.process("worker", "--burst", "-q", "all", "-q", "mail")) == 2

    def test_the_markers_of_a_checkpoint_are_signed_too(
        self, cli: Cli, given: Given, secret_file: str
    ) -> None:
        cli.env["GATOR_SECRET_FILE"] = secret_file
        args = ("push", "--from", "-", "--checkpoint", str(cli.folder / "note"))
        with cli.start(*args, stdin=PIPE, stdout=DEVNULL) as push:
            assert push.stdin is not None
            push.stdin.write('{"task": "shop.add", "queue": "mail"}\n')
            push.stdin.flush()
            eventually(lambda: len(given.states()) == 2, "the line and its marker are queued")
            shown = [cli.json("show", task_id)[0] for task_id in given.states()]
            assert [(one["queue"], one["signed"]) for one in shown] == [("mail", "valid")] * 2
            push.stdin.close()
            assert push.wait(20) == 0
        assert list(given.states().values()) == [State.WAITING]


class TestMove:
    def test_a_signed_task_is_signed_anew(self, any_cli: Cli, secret_file: str) -> None:
        any_cli.env["GATOR_SECRET_FILE"] = secret_file
        for _ in range(2):
            last = any_cli.ok("push", "shop.add", "--args", "[1, 2]").strip()
        any_cli.ok("move", last, "--to", "mail")
        any_cli.ok("move", "--task", "shop.*", "--to", "mail", "--yes")
        assert ran(any_cli.process("worker", "--burst", "-q", "mail")) == 2

    def test_without_the_secret_it_stays(
        self, any_cli: Cli, given_any: Given, secret_file: str
    ) -> None:
        task_id = any_cli.ok("push", "shop.add", "--secret-file", secret_file).strip()
        for which in ([task_id], ["--all-queues", "--yes"]):
            result = any_cli("move", *which, "--to", "mail")
            assert (result.exit_code, result.stdout) == (2, "")
            assert f"task {task_id!r} is signed for queue 'all'" in result.stderr
            assert "name the file with GATOR_SECRET_FILE" in result.stderr
        assert given_any.client.queues() == ["all"]

    def test_what_was_forged_is_not_vouched_for(
        self, cli: Cli, given: Given, secret_file: str
    ) -> None:
        cli.env["GATOR_SECRET_FILE"] = secret_file
        good = cli.ok("push", "shop.add", "--id", "good").strip()
        record = given.client.find(good)
        assert record is not None
        given.body("forged", record.body)
        result = cli("move", "forged", "good", "--to", "mail")
        assert (result.exit_code, result.stdout) == (3, "good\n")
        assert "forged: it was altered, or signed with a secret that is not" in result.stderr
        result = cli("move", "--task", "shop.*", "--to", "mail", "--yes")
        assert json.loads(result.stdout)["skipped"] == 1
        assert "1 task left alone: it was altered" in result.stderr
        assert cli.json("show", "forged")[0]["queue"] == "all"

    def test_what_is_not_signed_goes_as_it_is(
        self, cli: Cli, given: Given, secret_file: str
    ) -> None:
        task_id = given.task("shop.add", 1, 2)
        cli.ok("move", task_id, "--to", "mail", "--secret-file", secret_file)
        (shown,) = cli.json("show", task_id, "--secret-file", secret_file)
        assert (shown["queue"], shown["signed"]) == ("mail", "missing")


def test_a_signed_task_is_requeued_selected_and_canceled(
    any_cli: Cli, given_any: Given, secret_file: str
) -> None:
    """By whoever has no secret, too."""
    pushed = any_cli.ok("push", "shop.add", "--secret-file", secret_file).strip()
    failed = given_any.failed(pushed)
    retried = any_cli.ok("retry", failed).strip()
    assert given_any.states() == {retried: State.WAITING}
    assert any_cli.json("stats", "--by", "task")[0]["task"] == "shop.add"
    assert json.loads(any_cli.ok("cancel", "--task", "shop.a*", "--yes"))["changed"] == 1
    assert given_any.states() == {}


class TestDump:
    def test_is_open_and_load_signs_anew(self, any_cli: Cli, secret_file: str) -> None:
        any_cli.env["GATOR_SECRET_FILE"] = secret_file
        any_cli.ok("push", "shop.add", "--args", "[1, 2]")
        any_cli.ok("push", "shop.add", "--args", "[1, 2]", "-q", "mail")
        backup = str(any_cli.folder / "backup")
        any_cli.ok("drop", "--all-queues", "--backup", backup, "--yes")
        rows = [json.loads(line) for line in Path(backup).read_text().splitlines()]
        assert [(row["task"], row["signed"]) for row in rows] == [("shop.add", "valid")] * 2
        any_cli.ok("load", backup)
        assert ran(any_cli.process("worker", "--burst", "-q", "all", "-q", "mail")) == 2

    def test_a_body_of_another_kind_is_signed_too(
        self, cli: Cli, given: Given, secret_file: str
    ) -> None:
        cli.env["GATOR_SECRET_FILE"] = secret_file
        body = Gator(cli.dsn, "mail", secret=SECRET).seal("odd", b"\x00not JSON")
        given.body("odd", body, "mail")
        dumped = cli.ok("dump", "-q", "mail")
        assert b64decode(json.loads(dumped)["body"]) == b"\x00not JSON"
        cli.ok("drop", "-q", "mail", "--yes")
        cli.ok("load", "-", input=dumped)
        record = given.client.find("odd")
        assert record is not None
        assert record.body == body

    @pytest.mark.parametrize("command", [("load", "-"), ("push", "--from", "-")])
    def test_what_was_not_good_is_not_vouched_for(
        self, cli: Cli, given: Given, secret_file: str, command: tuple[str, ...]
    ) -> None:
        cli.ok("push", "shop.add", "--id", "a", "--secret-file", secret_file)
        record = given.client.find("a")
        assert record is not None
        given.body("forged", record.body)
        given.task("shop.add", task_id="plain")
        unread = cli.ok("dump")
        cli.env["GATOR_SECRET_FILE"] = secret_file
        read = cli.ok("dump")
        signed = {(row := json.loads(line))["id"]: row["signed"] for line in read.splitlines()}
        assert signed == {"a": "valid", "forged": "invalid", "plain": "missing"}
        cli.ok("drop", "--yes")

        result = cli(*command, "--skip-invalid", input=read)
        assert result.exit_code == 3
        assert "line 2: its signature was invalid when it was dumped" in result.stderr
        assert "line 3: its signature was missing when it was dumped" in result.stderr
        assert list(given.states()) == ["a"]
        result = cli(*command, input=unread)
        assert result.exit_code == 2
        assert "line 1: its signature was unverified when" in result.stderr

    def test_without_the_secret_nothing_signed_comes_back(self, cli: Cli, secret_file: str) -> None:
        cli.ok("push", "shop.add", "--secret-file", secret_file)
        dumped = cli.ok("dump")
        result = cli("load", "-", input=dumped)
        assert result.exit_code == 2
        assert "there is no secret here to sign it with" in result.stderr
        line = json.loads(dumped)
        del line["signed"]
        assert json.loads(cli.ok("load", "-", input=json.dumps(line)))["already"] == 1
