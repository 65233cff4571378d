"""gator queues, gator ping and gator show."""

from __future__ import annotations

import json
import re

import pytest

from alligator.backends.base import Capability

from .conftest import Cli, Given


class TestQueues:
    def test_it_counts_each_queue_by_state(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="first")
        given.task("shop.add", delay_by=60)
        given.task("shop.add", depends_on="first")
        given.running(given.task("shop.add"))
        given.failed(given.task("shop.add"))
        given.task("shop.add", queue="mail")
        first, second = cli.json("queues")
        age = first.pop("oldest_age")
        assert 0 <= age < 60
        counts = {"waiting": 1, "delayed": 1, "retrying": 0, "blocked": 1}
        rest = {"paused": False, "done_total": 0, "failed_total": 1}
        assert first == {"queue": "all", **counts, "running": 1, "failed": 1, **rest}
        assert (second["queue"], second["waiting"]) == ("mail", 1)
        assert cli.ok("queues", "--quiet") == "all\nmail\n"

    def test_a_broker_that_cannot_tell_retrying_shows_nothing_there(
        self, beanstalk_cli: Cli
    ) -> None:
        beanstalk_cli.ok("push", "shop.add")
        assert beanstalk_cli.json("queues")[0]["retrying"] is None
        assert beanstalk_cli.ok("queues").split("\t")[:4] == ["all", "1", "0", ""]

    def test_on_a_terminal_the_age_is_a_short_span(self, cli: Cli, given: Given) -> None:
        given.task("shop.add")
        assert cli.on_terminal("queues").splitlines()[2].split()[-1] in {"0s", "1s", "2s", "3s"}
        assert cli.ok("queues", "--format", "table").split()[-1] != "0s"

    def test_no_queue_is_a_word_on_stderr(self, any_cli: Cli) -> None:
        result = any_cli("queues")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "no queue holds a task\n"


class TestPing:
    def test_it_names_the_broker_and_takes_the_time(self, any_cli: Cli) -> None:
        answer = any_cli.json("ping")[0]
        assert answer.keys() == {"dsn", "broker", "latency"}
        assert answer["dsn"] == any_cli.dsn
        assert 0 < answer["latency"] < 60

    def test_the_latency_is_a_plain_number(self, cli: Cli) -> None:
        assert re.search(r'"latency":0\.\d{1,6}\}', cli.ok("ping", "--json"))
        assert re.search(r"latency\t0\.\d{1,6}\n", cli.ok("ping"))

    def test_a_broker_that_does_not_answer_is_told_in_one_sentence(self, cli: Cli) -> None:
        said = cli("ping", "--dsn", "redis://127.0.0.1:1/0").stderr
        assert "refused; check that it runs" in said

    def test_the_password_is_not_shown(self, redis_cli: Cli) -> None:
        address = redis_cli.dsn.removeprefix("redis://")
        result = redis_cli("ping", "--dsn", f"redis://default:hunter2@{address}")
        assert "hunter2" not in result.output


class TestShow:
    def test_it_finds_a_task_in_whichever_queue(self, any_cli: Cli, given_any: Given) -> None:
        task_id = given_any.task("shop.add", 1, queue="deep")
        record = any_cli.json("show", task_id)[0]
        assert (record["id"], record["queue"], record["state"]) == (task_id, "deep", "waiting")
        body = json.loads(record["body"])
        assert (body["module"], body["callable"], body["args"]) == ("shop", "add", [1])

    def test_it_shows_each_failure_with_its_traceback(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.add", task_id="a"))
        failure = cli.json("show", "a")[0]["failures"][0]
        assert failure == {
            "error": "ValueError: no way",
            "traceback": "Traceback (most recent call last):\n  in shop",
            "at": "2023-11-14T22:13:20.000Z",
            "worker": "host:1",
        }

    def test_a_blocked_one_has_the_state_of_each_task_it_waits_for(
        self, cli: Cli, given: Given
    ) -> None:
        for name in ("bad", "canceled", "waits"):
            given.task("shop.add", task_id=name)
        given.task("shop.add", task_id="b", depends_on=("bad", "canceled", "waits"))
        given.failed("bad")
        cli.ok("cancel", "canceled")
        record = cli.json("show", "b")[0]
        states = {"bad": "failed", "canceled": "gone", "waits": "waiting"}
        assert (record["state"], record["depends_on_states"]) == ("blocked", states)
        assert sorted(record["depends_on"]) == sorted(states)
        assert cli.json("show", "waits")[0]["depends_on_states"] == {}

    def test_on_a_terminal_a_traceback_is_lines(self, any_cli: Cli, given_any: Given) -> None:
        failed = given_any.failed(given_any.task("shop.add"))
        shown = any_cli.on_terminal("show", failed)
        assert "    Traceback (most recent call last):\n      in shop\n" in shown

    def test_an_unknown_id_is_exit_4(self, any_cli: Cli) -> None:
        result = any_cli("show", "nosuch")
        assert (result.exit_code, result.stdout) == (4, "")
        assert "no queue has a task 'nosuch'" in result.stderr

    @pytest.mark.parametrize("command", ["show", "run-task"])
    def test_the_beginning_of_an_id_is_not_enough(
        self, any_cli: Cli, given_any: Given, command: str
    ) -> None:
        ids = [given_any.task("shop.add", task_id=f"begun-{n}", queue=f"q{n}") for n in (1, 2)]
        result = any_cli(command, "begun")
        assert result.exit_code == 4
        if Capability.CUSTOM_IDS in given_any.client.capabilities:
            hint = result.stderr.splitlines()[1]
            assert hint.startswith("The whole id is needed; there are: ")
            assert sorted(hint.partition("are: ")[2].split(", ")) == ids
        assert "The whole id" not in any_cli(command, "nosuch").stderr

    def test_one_that_is_done_is_said_to_be_done(self, cli: Cli, given: Given) -> None:
        given.done(given.task("shop.add", task_id="a"), b"1")
        result = cli("show", "a")
        assert (result.exit_code, "it has succeeded" in result.stderr) == (4, True)
