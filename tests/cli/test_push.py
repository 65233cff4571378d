"""gator push."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alligator import Gator
from alligator.backends.base import Ack, State

from ..servers import Server, eventually, redis_server
from ..topologies import ask
from .conftest import Cli, Given


def test_stdout_is_the_id_and_nothing_else(any_cli: Cli) -> None:
    result = any_cli("push", "nosuchmodule.task", "--args", "[1]")
    assert result.exit_code == 0
    assert result.stderr == ""
    task_id = result.stdout.removesuffix("\n")
    assert any_cli.json("show", task_id)[0]["id"] == task_id


def test_every_option_reaches_the_task(cli: Cli) -> None:
    cli.ok("push", "shop.add", "--id", "first")
    before = time.time()
    cli.ok(
        *("push", "shop.add", "--args", '[1, "é"]', "--kwargs", '{"b": {"c": null}}'),
        *("-q", "mail", "--delay", "1h", "--retries", "3", "--backoff", "1m30s"),
        *("--priority", "-5", "--id", "mine", "--unique", "key", "--depends-on", "first"),
        *("--depends-on", "unknown", "--timeout", "2m", "--on-start", "shop.hook"),
        *("--on-success", "shop.a.b", "--on-error", "shop.c"),
    )
    record = cli.json("show", "mine")[0]
    body = json.loads(record["body"])
    options = body["options"]
    assert (record["queue"], record["state"], record["priority"]) == ("mail", "blocked", -5)
    assert (record["unique"], record["depends_on"]) == ("key", ["first"])
    assert (body["module"], body["callable"]) == ("shop", "add")
    assert (body["args"], body["kwargs"]) == ([1, "é"], {"b": {"c": None}})
    assert (body["retries"], options["backoff"], options["timeout"]) == (3, 90.0, 120.0)
    assert options["depends_on"] == ["first", "unknown"]
    assert options["on_start"] == {"module": "shop", "callable": "hook"}
    assert options["on_success"] == {"module": "shop.a", "callable": "b"}
    assert options["on_error"] == {"module": "shop", "callable": "c"}
    assert before + 3600 <= options["delay_until"] <= time.time() + 3600


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1m30s", 90.0),
        ("1s,10s,1m", [1.0, 10.0, 60.0]),
        ("0,5", [0.0, 5.0]),
        ("exp:1s..10m", {"exponential": 1.0, "cap": 600.0}),
        ("exp:500ms..500ms", {"exponential": 0.5, "cap": 0.5}),
    ],
)
def test_a_backoff_is_a_time_a_list_or_exponential(cli: Cli, text: str, written: object) -> None:
    body = json.loads(cli.ok("push", "shop.add", "--backoff", text, "--dry-run"))
    assert body["options"] == {"backoff": written}


def test_arguments_come_from_a_file_or_stdin(cli: Cli, folder: Path) -> None:
    (folder / "args.json").write_text("[1,\n2]")
    cli.ok("push", "shop.add", "--id", "f", "--args", f"@{folder / 'args.json'}")
    cli.ok("push", "shop.add", "--id", "i", "--kwargs", "-", input='{"a": 1}\n')
    assert cli.json("show", "f")[0]["args"] == [1, 2]
    assert cli.json("show", "i")[0]["kwargs"] == {"a": 1}


def test_at_queues_for_a_time(cli: Cli) -> None:
    cli.ok("push", "shop.add", "--id", "a", "--at", "2099-01-31T09:00:00+01:00")
    record = cli.json("show", "a")[0]
    assert (record["state"], record["due"]) == ("delayed", "2099-01-31T08:00:00.000Z")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Missing argument 'TASK'"),
        (("add",), "'add' is not the dotted path of a function"),
        (("shop.add", "--on-error", "x y"), "Invalid value for '--on-error'"),
        (("__main__.job",), "'__main__.job' cannot be a task: __main__ is another module in the"),
        (("shop.add", "--on-error", "__main__.Mail.tell"), "in the worker; move it to a module"),
        (("shop.add", "--args", "5"), "a number where an array is needed"),
        (("shop.add", "--args", '{"a": 1}'), "an object where an array is needed"),
        (("shop.add", "--kwargs", "[]"), "an array where an object is needed"),
        (("shop.add", "--kwargs", "null"), "null where an object is needed"),
        (("shop.add", "--args", "[NaN]"), "NaN is no JSON"),
        (("shop.add", "--args", "[1e999]"), "args[0] is inf"),
        (("shop.add", "--args", '["\\ud800"]'), "surrogate"),
        (("shop.add", "--args", "[" * 100_000), "nests too deep"),
        (("shop.add", "--args", "@/nosuch/file"), "'/nosuch/file' cannot be read"),
        (("shop.add", "--args", "-"), "standard input is empty"),
        (("shop.add", "--delay", "5x"), "'5x' is no duration"),
        (("shop.add", "--delay", "-5"), "'-5' is no duration"),
        (("shop.add", "--backoff", "exp:1s"), "'exp:1s' is no backoff; write 30s, 1s,10s,1m or"),
        (("shop.add", "--backoff", "linear:1s..2s"), "'linear:1s..2s' is no backoff"),
        (("shop.add", "--backoff", "exp:1s..soon"), "'soon' is no duration"),
        (("shop.add", "--backoff", "exp:..10s"), "'' is no duration"),
        (("shop.add", "--backoff", "exp:1m..10s"), "cap 10.0 is less than its first wait, 60.0"),
        (("shop.add", "--backoff", "exp:0..10s"), "from 0 stays 0"),
        (("shop.add", "--backoff", "1s,,2s"), "'' is no duration"),
        (("shop.add", "--backoff", ""), "'' is no duration"),
        (("shop.add", "--at", "tomorrow"), "'tomorrow' is no time"),
        (("shop.add", "--at", "20300131"), "use --delay"),
        (("shop.add", "--at", "1900000000000"), "after the year 5000"),
        (("shop.add", "--delay", "1", "--at", "2099-01-01"), "--delay and --at"),
        (("shop.add", "--retries", "-1"), "--retries"),
        (("shop.add", "--priority", "1001"), "--priority"),
        (("shop.add", "--timeout", "0"), "timeout 0"),
        (("shop.add", "--id", "a\nb"), "control"),
        (("shop.add", "--id", ""), "task id"),
        (("shop.add", "--queue", "x" * 201), "queue name"),
        (("shop.add", "--wait-timeout", "1"), "--wait-timeout needs --wait"),
    ],
)
def test_what_cannot_be_meant_is_exit_2_and_queues_nothing(
    cli: Cli, args: tuple[str, ...], said: str
) -> None:
    result = cli("push", *args)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stdout == ""
    assert cli.json("queues") == []


def test_broken_json_is_pointed_out(cli: Cli) -> None:
    lines = cli("push", "shop.add", "--args", '["a",\n bad]').stderr.splitlines()
    assert lines[0].endswith("line 2, column 2: Expecting value")
    assert lines[1:3] == ["   bad]", "   ^"]


def test_an_id_that_exists_is_not_queued_again_and_said_so(any_cli: Cli) -> None:
    if any_cli.dsn.startswith("beanstalk"):
        result = any_cli("push", "shop.add", "--id", "one")
        assert (result.exit_code, result.stdout) == (5, "")
        return
    any_cli.ok("push", "shop.add", "--id", "one")
    again = any_cli("push", "shop.add", "--id", "one")
    assert (again.exit_code, again.stdout) == (0, "one\n")
    assert "already queued as one" in again.stderr
    assert any_cli.json("queues")[0]["waiting"] == 1


def test_a_taken_unique_key_gives_the_id_of_its_holder(cli: Cli) -> None:
    first = cli.ok("push", "shop.add", "--unique", "k")
    second = cli("push", "shop.add", "--unique", "k")
    assert (second.exit_code, second.stdout) == (0, first)
    assert cli("push", "shop.add", "--unique", "k", "--quiet").stderr == ""


def test_with_json_stdout_is_a_record(cli: Cli) -> None:
    cli.ok("push", "shop.add", "--id", "a", "-q", "mail")
    again = cli.json("push", "shop.add", "--id", "a", "-q", "mail")
    assert again == [{"id": "a", "queue": "mail", "queued": False}]


class TestCheck:
    def test_what_fits_is_queued(self, cli: Cli) -> None:
        hooks = ("--on-start", "shop.hook", "--on-success", "shop.hook", "--on-error", "shop.hook")
        done = cli.process("push", "shop.add", "--args", "[1, 2]", "--check", *hooks)
        assert (done.returncode, done.stderr) == (0, "")
        assert cli.json("show", done.stdout.strip())

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("nosuch.add",), "no module named 'nosuch'"),
            (("nosuch.add",), "is its folder on the module path?"),
            (("shop.nosuch",), "'shop' has no 'nosuch'"),
            (("shop.NUMBER",), "shop.NUMBER is of type int and cannot be called"),
            (("shop.add", "--args", "[1]"), "missing a required argument: 'b'"),
            (
                ("shop.add", "--args", "[1, 2]", "--kwargs", '{"c": 1}'),
                "shop.add(a, b) does not take these arguments: there is no argument 'c'.",
            ),
            (
                ("shop.add", "--args", '[1, 2, "x", 4]'),
                "shop.add(a, b) does not take these arguments: args[2], 'x', is one too many",
            ),
            (("shop.wait_for", "--kwargs", '{"pahts": 1}'), "Did you mean 'path'?"),
            (("shop.add", "--args", "[1]", "--kwargs", '{"a": 1}'), "multiple values for"),
            (
                ("math.sqrt", "--kwargs", '{"x": 1}'),
                "math.sqrt(x, /) does not take these arguments",
            ),
            (("shop.snoze",), "Did you mean 'snooze'?"),
            (("shop.add", "--args", "[1, 2]", "--on-error", "shop.no"), "'shop' has no 'no'"),
            (
                ("shop.add", "--args", "[1, 2]", "--on-start", "shop.add"),
                "shop.add(a, b) is called as f(task): missing a required argument: 'b'",
            ),
            (
                ("shop.add", "--args", "[1, 2]", "--on-success", "shop.leave"),
                "shop.leave() is called as f(task, result): too many positional arguments",
            ),
            (
                ("shop.add", "--args", "[1, 2]", "--on-error", "shop.leave"),
                "shop.leave() is called as f(task, exception): too many positional arguments",
            ),
        ],
    )
    def test_what_does_not_is_exit_2_and_says_which(
        self, cli: Cli, args: tuple[str, ...], said: str
    ) -> None:
        done = cli.process("push", *args, "--check")
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert cli.json("queues") == []

    def test_what_the_module_prints_stays_off_stdout(self, cli: Cli, folder: Path) -> None:
        (folder / "loud.py").write_text("print('hello')\ndef f(): pass\n")
        done = cli.process("push", "loud.f", "--check", "--id", "x")
        assert (done.stdout, done.stderr) == ("x\n", "hello\n")


class TestDryRun:
    def test_it_prints_the_body_and_queues_nothing(self, cli: Cli) -> None:
        shown = json.loads(cli.ok("push", "shop.add", "--args", "[1]", "--id", "x", "--dry-run"))
        assert (shown["task_id"], shown["callable"], shown["args"]) == ("x", "add", [1])
        assert cli.json("queues") == []

    def test_the_brokers_rules_hold(self, beanstalk_cli: Cli) -> None:
        result = beanstalk_cli("push", "shop.add", "--args", f'["{"x" * 70_000}"]', "--dry-run")
        assert result.exit_code == 2
        assert "beanstalkd takes" in result.stderr


class TestWait:
    def test_the_result_is_printed_as_json(self, cli: Cli) -> None:
        with cli.start("worker", "-c", "1") as worker:
            pushed = ("push", "shop.add", "--args", '["a", "b"]', "--wait", "--wait-timeout", "30s")
            result = cli(*pushed)
            worker.terminate()
        assert (result.exit_code, result.stdout) == (0, '"ab"\n')

    def test_a_failure_is_exit_1_with_the_tasks_error(self, cli: Cli) -> None:
        with cli.start("worker") as worker:
            result = cli("push", "shop.boom", "--id", "b", "--wait", "--wait-timeout", "30s")
            worker.terminate()
        assert (result.exit_code, result.stdout) == (1, "")
        assert "task b failed: ValueError: no\tway" in result.stderr

    def test_no_end_in_time_is_exit_124_and_the_task_stays(self, cli: Cli) -> None:
        result = cli("push", "shop.add", "--id", "w", "--wait", "--wait-timeout", "50ms")
        assert (result.exit_code, result.stdout) == (124, "")
        assert "task w has not ended within 0.05 s" in result.stderr
        assert cli.json("show", "w")[0]["state"] == "waiting"

    @pytest.mark.parametrize("kept", [b"\xff\xfe", b"\x1b[2J", b"[" * 100_000])
    def test_a_result_that_is_no_json_is_exit_1(self, cli: Cli, kept: bytes) -> None:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        pushed = ("push", "shop.add", "--id", "w", "--wait")
        with Gator(cli.dsn) as gator, cli.start(*pushed, **pipes) as push:
            eventually(lambda: gator.client.find("w"), "it is queued")
            lease = gator.client.claim("w")
            assert lease is not None
            gator.client.settle([Ack(lease, kept, 60)])
            stdout, stderr = push.communicate(timeout=30)
        assert (push.returncode, stdout) == (1, "")
        said = "Error: task w has ended, but its result as the broker keeps it is no JSON: "
        assert stderr.startswith(said)


def test_what_it_depends_on_and_is_not_there_is_said(redis_cli: Cli, cli: Cli) -> None:
    for each in (redis_cli, cli):
        each.ok("push", "shop.add", "--id", "a")
        depends = ("--depends-on", "a", "--depends-on", "b")
        said = "b is not queued: taken as done\n"
        result = each("push", "shop.add", "--id", "c", *depends)
        assert (result.stdout, result.stderr) == ("c\n", said)
        assert each("push", "shop.add", *depends, "--dry-run").stderr == said
        assert each("push", "shop.add", *depends, "--quiet").stderr == ""
        assert each.json("show", "c")[0]["depends_on"] == ["a"]


class TestResultTtl:
    def kept(self, cli: Cli, *args: str) -> float | None:
        body = json.loads(cli.ok("push", "shop.add", "--dry-run", *args))
        ttl: float | None = body.get("options", {}).get("result_ttl")
        return ttl

    def test_the_result_is_kept_so_long(self, cli: Cli) -> None:
        assert self.kept(cli, "--result-ttl", "2h") == 7200
        assert self.kept(cli) is None

    def test_whoever_waits_gets_it(self, cli: Cli) -> None:
        assert self.kept(cli, "--wait") == 3600
        assert self.kept(cli, "--wait", "--result-ttl", "1m") == 60
        assert self.kept(cli, "--wait", "--result-ttl", "1m", "--wait-timeout", "5m") == 300


@pytest.mark.parametrize(
    "option",
    [
        ("--unique", "k"),
        ("--depends-on", "x"),
        ("--id", "x"),
        ("--result-ttl", "1h"),
        ("--result-ttl", "1h", "--dry-run"),
        ("--wait",),
    ],
)
def test_what_the_broker_cannot_do_is_exit_5_and_nothing_is_queued(
    beanstalk_cli: Cli, option: tuple[str, ...]
) -> None:
    result = beanstalk_cli("push", "shop.add", *option)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.startswith(f"Error: {option[0]}: beanstalkd cannot ")
    assert result.stderr.endswith("another broker: Redis and SQLite can\n")
    assert beanstalk_cli.json("queues") == []


def test_a_broker_of_one_process_is_refused(cli: Cli) -> None:
    result = cli("push", "shop.add", "--dsn", "locmem://")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "locmem:// lives inside one process" in result.stderr


def test_a_pushed_task_waits_in_the_default_queue(cli: Cli, given: Given) -> None:
    cli.ok("push", "shop.add", "--id", "a")
    assert given.client.queues() == ["all"]
    assert given.states() == {"a": State.WAITING}


def test_a_broker_that_goes_away_while_somebody_waits_has_the_task_named(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        cli = Cli(f"{server.dsn}?timeout=1", folder)
        args = ("push", "shop.add", "--wait", "--id", "w")
        with cli.start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            eventually(lambda: cli("show", "w").exit_code == 0, "the push")
            server.kill()
            stdout, stderr = process.communicate(timeout=30)

    assert (process.returncode, stdout) == (69, "")
    assert stderr.startswith("Error: ")
    assert stderr.endswith("\nNo longer waiting; task w stays queued.\n")


class TestALostAnswer:
    """Redis takes the request, and gives no answer in time."""

    @pytest.fixture
    def impatient(self, redis_cli: Cli) -> Cli:
        redis_cli.dsn += "&timeout=1"
        return redis_cli

    @pytest.fixture
    def paused(self, redis: Server) -> Iterator[None]:
        # Scripts are held up, and the handshake is not: so it is the request whose fate is unknown.
        ask(redis, "CLIENT", "PAUSE", 60_000, "WRITE")
        yield
        ask(redis, "CLIENT", "UNPAUSE")

    @pytest.mark.usefixtures("paused")
    @pytest.mark.parametrize("option", [(), ("--wait",), ("--json",)])
    def test_the_id_to_repeat_the_push_with_is_told(
        self, impatient: Cli, redis: Server, option: tuple[str, ...]
    ) -> None:
        result = impatient("push", "shop.add", *option)

        assert (result.exit_code, result.stdout) == (69, "")
        assert "whether the last request was carried out is unknown; a push may" in result.stderr
        told = re.search("with --id (.+) makes no double while the broker holds it", result.stderr)
        assert told
        ask(redis, "CLIENT", "UNPAUSE")
        for _ in range(2):
            assert impatient.ok("push", "shop.add", "--id", told[1]) == f"{told[1]}\n"
        assert impatient.ok("peek", "--quiet") == f"{told[1]}\n"

    @pytest.mark.usefixtures("paused")
    @pytest.mark.parametrize("args", ["peek --follow", "drain all", "wait x", "cancel x"])
    def test_who_pushes_nothing_is_told_nothing_of_pushes(self, impatient: Cli, args: str) -> None:
        result = impatient(*args.split())

        assert result.exit_code == 69
        assert "whether the last request was carried out is unknown\n" in result.stderr
        assert "push" not in result.stderr

    def test_a_push_that_was_never_sent_has_no_id_to_repeat(self, cli: Cli) -> None:
        result = cli("push", "shop.add", "--dsn", "redis://127.0.0.1:1/0")

        assert result.exit_code == 69
        assert "--id" not in result.stderr
