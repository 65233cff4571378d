"""Looking after queues and workers: move, pause, drain, stats, workers, health, doctor, bench."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL

import pytest
from prometheus_client.parser import text_string_to_metric_families

from alligator.backends.base import Backend, Capability, Outcome, Settled, State
from alligator.backends.roster import Running, WorkerRecord
from alligator.heartbeat import Heartbeat

from ..servers import eventually
from .conftest import Cli, Given


def a_worker(name: str = "h:1", queues: tuple[str, ...] = ("all",)) -> WorkerRecord:
    running = (Running("t", "all", "shop.add", time.time() - 5),)
    return WorkerRecord(name, "h", 1, queues, 2, time.time(), running=running, done=7, failed=1)


class TestMove:
    @pytest.mark.parametrize("selection", [("-q", "all"), ("--all-queues",)])
    def test_what_is_there_already_is_told_so(
        self, cli: Cli, given: Given, selection: tuple[str, ...]
    ) -> None:
        given.task("shop.add")
        result = cli("move", "--to", "all", *selection, "--yes")
        assert (result.exit_code, json.loads(result.stdout)["changed"]) == (0, 0)
        assert result.stderr == "nothing to move: what is in queue 'all' is there already\n"

    def test_by_id_and_by_selection(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="1")
        given.failed(given.task("shop.boom", task_id="2"))
        given.running(given.task("shop.boom", task_id="3"))
        assert cli.ok("move", "1", "--to", "mail") == "1\n"
        found = json.loads(cli.ok("move", "--all-queues", "--to", "mail", "--yes"))
        assert (found["matched"], found["changed"]) == (1, 1)
        assert cli.json("show", "2")[0]["queue"] == "mail"
        assert cli.json("show", "2")[0]["state"] == "failed"
        assert cli("move", "3", "--to", "mail").exit_code == 1
        assert cli("move", "4", "--to", "mail").exit_code == 4
        assert cli("move", "1").exit_code == 2

    def test_the_ids_printed_are_those_that_find_them(self, any_cli: Cli, given_any: Given) -> None:
        task_id = given_any.task("shop.add")
        moved = any_cli.ok("move", task_id, "--to", "mail").strip()
        assert any_cli.json("show", moved)[0]["queue"] == "mail"


class TestPause:
    def test_a_paused_queue_is_shown_and_resumed(self, cli: Cli, given: Given) -> None:
        given.task("shop.add")
        paused = cli.json("pause", "all", "empty")
        assert [(row["queue"], row["waiting"], row["paused"]) for row in paused] == [
            ("all", 1, True),
            ("empty", 0, True),
        ]
        assert paused[1] == cli.json("queues")[1]
        assert {row["queue"]: row["paused"] for row in cli.json("queues")} == {
            "all": True,
            "empty": True,
        }
        assert given.client.reserve(["all"], 1) == []
        assert "Did you mean 'empty'?" in cli("resume", "emty").stderr
        assert cli.ok("resume", "all", "empty", "--fields", "queue,paused") == (
            "all\tfalse\nempty\tfalse\n"
        )
        assert [row["paused"] for row in cli.json("queues")] == [False]

    @pytest.mark.parametrize("command", ["pause", "resume"])
    def test_a_wrong_field_changes_nothing(self, cli: Cli, given: Given, command: str) -> None:
        given.client.pause("mail")
        assert cli(command, "mail", "all", "--fields", "pausd").exit_code == 2
        assert given.client.paused() == ["mail"]

    def test_who_waits_is_told_of_it(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="a", queue="a b")
        given.client.pause("a b")
        said = "ueue 'a b' is paused; gator resume 'a b'"
        worker = cli.process("worker", "--burst", "-q", "all", "-q", "a b").stderr
        assert re.search(rf" WARNING \[[0-9]+\] q{said}\n", worker)
        given.client.beat(a_worker("h:1", ("a b",)), 60)
        shown = cli("show", "a", "--json")
        assert json.loads(shown.stdout)["state"] == "waiting"
        assert shown.stderr == f"q{said}\n"
        push = ("push", "shop.add", "-q", "a b", "--wait", "--wait-timeout", "10ms")
        waits = (("wait", "a", "--timeout", "10ms"), ("result", "a", "--timeout", "10ms"), push)
        for command in (*waits, ("drain", "a b", "--timeout", "10ms")):
            result = cli(*command)
            assert (result.exit_code, result.stdout) == (124, "")
            assert f"\nQ{said}\n" in result.stderr
        given.running("a")
        assert cli("show", "a").stderr == ""
        assert "paused" not in cli(*waits[0]).stderr

    def test_who_waits_is_told_that_nobody_works(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="a", queue="a b")
        given.client.beat(a_worker("h:1", ("all",)), 60)
        said = "o worker takes from queue 'a b'; gator worker -q 'a b'"
        waits = (("wait", "a", "--timeout", "10ms"), ("drain", "a b", "--timeout", "10ms"))
        assert cli("show", "a").stderr == f"n{said}\n"
        assert all(f"\nN{said}\n" in cli(*command).stderr for command in waits)

        given.client.beat(a_worker("h:2", ("a b",)), 60)
        assert cli("show", "a").stderr == ""
        assert not any("o worker" in cli(*command).stderr for command in waits)

    def test_what_is_told_of_a_queue_that_looks_like_an_option_can_be_run(
        self, cli: Cli, given: Given
    ) -> None:
        given.task("shop.add", 1, 2, task_id="a", queue="-b")
        given.client.beat(a_worker(), 60)
        _, hint = cli("show", "a").stderr.rstrip().split("; gator ")
        assert cli.process(*shlex.split(hint), "--burst").returncode == 0
        assert given.states() == {}

    def test_who_waits_is_told_which_failed_task_is_waited_for(
        self, any_cli: Cli, given_any: Given
    ) -> None:
        if Capability.DEPENDENCIES not in given_any.client.capabilities:
            return
        given_any.task("shop.boom", task_id="-a")
        given_any.task("shop.add", task_id="b", depends_on="-a")
        given_any.task("shop.add", task_id="c", depends_on="b", result_ttl=60)
        said = "\nIt waits for -a, which failed; gator retry -- -a\n"
        push = ("push", "shop.add", "--depends-on=-a", "--wait", "--wait-timeout", "10ms")
        waits = (
            ("wait", "b", "--timeout", "10ms"),
            ("result", "c", "--timeout", "10ms"),
            push,
        )
        drain = ("drain", "all", "--timeout", "10ms")
        assert not any("waits for" in any_cli(*command).stderr for command in waits)
        assert "blocked" not in any_cli(*drain).stderr

        given_any.failed("-a")
        results = [any_cli(*command) for command in waits]
        assert {result.exit_code for result in results} == {124}
        assert all(said in result.stderr for result in results)
        assert "\n3 tasks blocked by what failed" in any_cli(*drain).stderr

        any_cli.ok("retry", "--", "-a")
        assert not any("waits for" in any_cli(*command).stderr for command in waits)

    def test_many_failed_tasks_are_not_all_named(self, cli: Cli, given: Given) -> None:
        ids = [given.task("shop.boom", task_id=f"a{number}") for number in range(7)]
        given.task("shop.add", task_id="b", depends_on=ids)
        for task_id in ids:
            given.failed(task_id)
        said = "a0, a1, a2, a3, a4 and 2 more, which failed; gator retry a0 a1 a2 a3 a4\n"
        assert said in cli("wait", "b", "--timeout", "10ms").stderr

    def test_a_queue_with_totals_is_shown_until_it_is_dropped(self, cli: Cli, given: Given) -> None:
        given.done(given.task("shop.add"), b"1")
        given.done(given.task("shop.add", queue="mail"), b"1")
        for command in ("queues", "stats"):
            rows = cli.json(command)
            assert [(row["queue"], row["done_total"]) for row in rows] == [("all", 1), ("mail", 1)]
        assert cli("health", "--min-workers", "1", "--json").stdout.count("mail") == 0
        cli.ok("drop", "--yes", "--state", "failed")
        assert len(cli.json("queues")) == 2
        cli.ok("drop", "--yes")
        assert [row["queue"] for row in cli.json("queues")] == ["mail"]
        cli.ok("drop", "--all-queues", "--yes")
        assert cli.json("queues") == []

    def test_beanstalkd_cannot(self, beanstalk_cli: Cli) -> None:
        for command in (("pause", "x"), ("resume", "x"), ("workers",)):
            assert beanstalk_cli(*command).exit_code == 5


class TestDrain:
    def test_it_waits_until_nothing_is_left(self, any_cli: Cli, given_any: Given) -> None:
        task_id = given_any.task("shop.add")
        late = any_cli("drain", "all", "--timeout", "10ms")
        assert (late.exit_code, late.stdout) == (124, "")
        assert any_cli("drain", "all", "--running").exit_code == 0
        with any_cli.start("drain", "all") as drain:
            any_cli.ok("cancel", task_id)
            assert drain.wait(20) == 0

    @pytest.mark.parametrize(("held", "said"), [(1, "1 task after"), (2, "2 tasks after")])
    def test_what_is_left_is_told(self, cli: Cli, given: Given, held: int, said: str) -> None:
        for _ in range(held):
            given.task("shop.add")
        assert f"still has {said} 0.01 s" in cli("drain", "all", "--timeout", "10ms").stderr

    def test_failed_ones_are_not_waited_for(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.add"))
        (row,) = cli.json("drain", "all", "--timeout", "5s")
        assert (row["queue"], row["waiting"], row["failed"]) == ("all", 0, 1)
        assert [row] == cli.json("queues")
        assert cli.ok("drain", "all", "--quiet") == "all\n"


def test_a_drain_of_a_queue_that_is_likely_misspelt_says_so(any_cli: Cli, given_any: Given) -> None:
    given_any.task("shop.add", 1, 2, queue="mail")
    result = any_cli("drain", "mial")
    assert result.exit_code == 0
    assert "no task is known of queue 'mial'. Did you mean 'mail'?" in result.stderr


@pytest.mark.parametrize("command", ["stats -q", "health -q", "pause", "worker --burst -q"])
def test_a_queue_that_is_likely_misspelt_is_noted_where_it_may_be_new(
    any_cli: Cli, given_any: Given, command: str
) -> None:
    if command == "pause" and Capability.PAUSE not in given_any.client.capabilities:
        return
    given_any.task("shop.add", 1, 2, queue="mail")
    for wrong, near in (("mial", " Did you mean 'mail'?"), ("quite-another", ""), ("mail", "")):
        done = any_cli.process(*command.split(), wrong)
        assert done.returncode == 0, done.stderr
        assert (f"no task is known of queue {wrong!r}.{near}" in done.stderr) is bool(near)


@pytest.mark.parametrize("command", ["stats -q", "worker --burst -q"])
def test_queues_with_a_comma_between_are_noted_unless_one_is_called_so(
    cli: Cli, given: Given, command: str
) -> None:
    given.task("shop.add", 1, 2, queue="mail")
    said = "no task is known of queue 'mail,all'. Name several queues one by one, without commas."
    assert said in cli.process(*command.split(), "mail,all").stderr

    given.task("shop.add", 1, 2, queue="mail,all")
    assert "one by one" not in cli.process(*command.split(), "mail,all").stderr


def test_a_resume_of_a_queue_that_is_likely_misspelt_says_so(cli: Cli, given: Given) -> None:
    given.task("shop.add", queue="mail")
    assert cli("resume", "mial").stderr == "queue 'mial' was not paused. Did you mean 'mail'?\n"


def test_the_default_queue_is_not_taken_for_a_misspelt_one(cli: Cli, given: Given) -> None:
    given.task("shop.add", queue="call")
    assert "call" not in cli.process("worker", "--burst").stderr


@pytest.mark.parametrize("command", ["drain", "peek -q", "dump -q", "drop --yes -q"])
def test_a_queue_name_that_cannot_be_is_a_mistake_of_use(cli: Cli, command: str) -> None:
    result = cli(*command.split(), "")
    assert result.exit_code == 2
    assert "queue name '' has 0 characters" in result.stderr


class TestStats:
    def test_a_row_a_queue(self, any_cli: Cli, given_any: Given) -> None:
        given_any.task("shop.add")
        (row,) = any_cli.json("stats")
        assert (row["queue"], row["waiting"]) == ("all", 1)
        assert {"rate", "workers", "paused", "oldest_age"} <= row.keys()
        assert any_cli.json("info", "-q", "all")[0]["queue"] == "all"

    def test_by_task(self, any_cli: Cli, given_any: Given) -> None:
        given_any.task("shop.add")
        given_any.task("shop.add", delay_by=60)
        given_any.task("shop.boom", queue="mail")
        rows = any_cli.json("stats", "--by", "task")
        assert [(row["task"], row["waiting"], row["delayed"]) for row in rows] == [
            ("shop.add", 1, 1),
            ("shop.boom", 1, 0),
        ]
        assert any_cli("stats", "--by", "tusk").exit_code == 2

    def test_prometheus_can_read_it(self, any_cli: Cli, given_any: Given) -> None:
        given_any.task("shop.add")
        text = any_cli.ok("stats", "--format", "prometheus")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = families["gator_queue_tasks"].samples
        assert {sample.labels["queue"] for sample in samples} == {"all"}
        assert {sample.labels["state"]: sample.value for sample in samples}["waiting"] == 1
        assert any_cli("peek", "--format", "prometheus").exit_code == 2

    @pytest.mark.parametrize("option", ["--fields queue", "--by task"])
    def test_prometheus_gets_all_of_it(self, cli: Cli, option: str) -> None:
        result = cli("stats", "--format", "prometheus", *option.split())
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--format prometheus writes all metrics" in result.stderr
        assert f"leave out {option.removesuffix(' queue')}" in result.stderr

    def test_prometheus_gets_totals_and_workers(self, cli: Cli, given: Given) -> None:
        given.done(given.task("shop.add"), b"1")
        given.task("shop.add")
        given.task("shop.add", queue='a"b\\c')
        given.client.beat(a_worker(queues=("all", 'a"b\\c'))._replace(rate=2.5), 60)
        given.client.beat(a_worker("h:2")._replace(rate=2.5), 1e-9)
        text = cli.ok("stats", "--format", "prometheus")
        types = {
            family.name: (family.type, bool(family.documentation))
            for family in text_string_to_metric_families(text)
        }
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert values["gator_queue_done_total", "all"] == 1
        assert values["gator_queue_workers", 'a"b\\c'] == 1
        assert values["gator_workers", "alive"] == 1
        assert values["gator_worker_done_total", "h:1"] == 7
        assert values["gator_worker_running", "h:1"] == 1
        assert values["gator_worker_rate", "h:1"] == 2.5
        assert ("gator_worker_rate", "h:2") not in values
        assert types["gator_worker_rate"] == ("gauge", True)

    @pytest.mark.parametrize("command", ["stats", "queues"])
    def test_watching_redraws_in_place_and_ends_by_ctrl_c(
        self, cli: Cli, given: Given, command: str
    ) -> None:
        given.task("shop.add")
        looks = cli.folder / "looks"
        shown, code = cli.talk(
            "",
            *(command, "--watch", "--every", "50ms"),
            columns=60,
            interrupt_when=lambda: _wait_once(looks),
        )
        assert code == 130
        assert "Error" not in shown
        assert shown.count("\033[H") > 1
        assert "\033[2J" not in shown
        assert shown.endswith("\033[?25h\033[?1049l")

    def test_watching_nothing_says_so_on_the_screen(self, cli: Cli, given: Given) -> None:
        looks = cli.folder / "looks"
        shown, code = cli.talk(
            "",
            *("queues", "--watch", "--every", "50ms"),
            interrupt_when=lambda: _wait_once(looks),
        )
        assert code == 130
        for look in shown.split("\033[H")[1:]:
            assert re.match(r"[0-9:]{8}\033\[K\nno queue holds a task\033\[K\033\[J", look)

    def test_watching_more_than_the_screen_has_room_for_says_so(
        self, cli: Cli, given: Given
    ) -> None:
        for number in range(30):
            given.task("shop.add", queue=f"queue-{number:02}")
        looks = cli.folder / "looks"
        shown, _ = cli.talk(
            "",
            *("queues", "--watch", "--every", "50ms"),
            interrupt_when=lambda: _wait_once(looks),
        )
        look = shown.split("\033[H")[1].split("\033[J")[0].replace("\033[K", "").splitlines()
        assert len(look) == 24
        hidden = 30 - sum(line.startswith("queue-") for line in look)
        assert look[-1] == f"… and {hidden} more lines"

    def test_watching_into_a_pipe_writes_rows(self, cli: Cli, given: Given) -> None:
        given.task("shop.add")
        with cli.start("queues", "--watch", "--every", "10ms", "--json", stdout=-1) as process:
            assert process.stdout is not None
            rows = [json.loads(process.stdout.readline()) for _ in range(3)]
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(20) == 130
        assert [row["queue"] for row in rows] == ["all"] * 3


def _wait_once(path: Path) -> bool:
    """Whether a while has passed since the first call: what is watched redraws some times."""
    if not path.exists():
        path.touch()
    return time.time() - os.stat(path).st_mtime > 2


class TestWorkers:
    def test_rows(self, cli: Cli, given: Given) -> None:
        given.client.beat(a_worker("h:1", ("mail", "all")), 60)
        given.client.beat(a_worker("h:2"), 1e-9)
        first, second = cli.json("workers")
        assert (first["worker"], first["state"], first["queues"]) == (
            *("h:1", "alive"),
            ["mail", "all"],
        )
        assert first["running"][0]["id"] == "t"
        assert first["running"][0]["seconds"] >= 5
        assert second["state"] == "stale"
        assert cli.ok("workers", "--stale", "--quiet") == "h:2\n"
        assert "shop.add" in cli.on_terminal("workers", columns=120)

    @pytest.mark.parametrize("broker", ["cli", "redis_cli"])
    def test_a_real_one_is_listed_counted_and_leaves(
        self, broker: str, request: pytest.FixtureRequest, folder: Path
    ) -> None:
        one: Cli = request.getfixturevalue(broker)
        go = folder / "go"
        (folder / "secret").touch(0o600)
        (folder / "secret").write_text("a secret of some length")
        one.env["GATOR_SECRET_FILE"] = str(folder / "secret")
        args = json.dumps([str(go)])
        ids = [one.ok("push", "shop.wait_for", "--args", args).strip() for _ in range(3)]
        enough = ("health", "-q", "all", "--min-workers", "1")
        assert one(*enough).exit_code == 1
        worker = one.start("worker", "-q", "all", "--threads", "2", stderr=DEVNULL)
        try:
            eventually(
                lambda: any(len(row["running"]) == 2 for row in one.json("workers")),
                "it is listed with what it runs, and without what waits",
            )
            (row,) = one.json("workers")
            assert (row["pid"], row["state"], row["queues"]) == (worker.pid, "alive", ["all"])
            assert [(run["id"], run["task"]) for run in row["running"]] == [
                (task_id, "shop.wait_for") for task_id in ids[:2]
            ]
            assert one(*enough).exit_code == 0
            assert one("health", "-q", "mail", "--min-workers", "1").exit_code == 1
            assert one.json("stats")[0]["workers"] == 1
            go.touch()
            one.ok("drain", "all", "--timeout", "30s")
            eventually(lambda: one.json("workers")[0]["done"] == 3, "it says what it has done")
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(20) == 0
        finally:
            worker.kill()
            worker.wait()
        assert one.json("workers") == []
        assert one(*enough).exit_code == 1

    def test_none(self, cli: Cli) -> None:
        assert cli("workers").stderr == "no worker is known\n"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("stats -q b -q a -q b", ["b", "a"]),
        ("health --max-depth 1 -q b -q a -q b", ["broker", "depth of b", "depth of a"]),
        ("stats --by task -q b -q a -q b", ["shop.add"]),
        ("pause b a b", ["b", "a"]),
        ("resume b a b", ["b", "a"]),
    ],
)
def test_a_queue_named_twice_is_one(cli: Cli, given: Given, command: str, names: list[str]) -> None:
    given.task("shop.add", queue="b")
    rows = cli.json(*command.split())
    assert [next(iter(row.values())) for row in rows] == names
    assert rows[0].get("waiting", 1) == 1


def test_a_queue_named_twice_by_a_variable_is_one(cli: Cli, given: Given) -> None:
    given.task("shop.add")
    cli.env["GATOR_STATS_QUEUE"] = "all all"
    text = cli.ok("stats", "--format", "prometheus")
    assert text.count('gator_queue_tasks{queue="all",state="waiting"}') == 1


@pytest.mark.parametrize("command", ["stats -q", "pause", "resume", "drain"])
def test_a_queue_has_a_name(cli: Cli, command: str) -> None:
    result = cli(*command.split(), "")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "queue name '' has 0 characters" in result.stderr


class TestHealth:
    def test_the_broker_answers(self, any_cli: Cli) -> None:
        (row,) = any_cli.json("health")
        assert (row["check"], row["ok"]) == ("broker", True)

    def test_a_broker_that_is_away_is_exit_1(self, cli: Cli) -> None:
        result = cli("health", "--dsn", "redis://127.0.0.1:1/0", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["ok"] is False

    @pytest.mark.parametrize(
        "args",
        [
            ("--dsn-file", "nosuch"),
            ("--secret-file", "nosuch"),
            ("--max-depth", "many"),
            ("--nosuch",),
            ("--fields", "nosuch"),
            ("-q", "", "--max-depth", "1"),
        ],
    )
    def test_what_others_take_for_wrong_usage_is_exit_1(
        self, cli: Cli, args: tuple[str, ...]
    ) -> None:
        result = cli("health", *args)
        assert result.exit_code == 1
        assert "nosuch" in result.output or "many" in result.output or "''" in result.output

    @pytest.mark.parametrize(
        ("args", "variable"),
        [
            (("--format", "bogus", "health"), ""),
            (("--bogus", "health"), ""),
            (("--json", "--bogus", "health"), ""),
            (("--json=bogus", "health", "--ready"), ""),
            (("--dsn", "health", "--fields", "bogus", "health"), ""),
            (("health",), "GATOR_FORMAT"),
            (("health",), "GATOR_COLOR"),
            (("health",), "GATOR_HEALTH_MAX_DEPTH"),
        ],
    )
    def test_so_are_wrong_options_before_it_and_wrong_variables(
        self, cli: Cli, args: tuple[str, ...], variable: str
    ) -> None:
        cli.env[variable or "GATOR_NOTHING"] = "bogus"
        result = cli(*args)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith('{"error": ' if "--json" in args else "Error: ")
        assert variable in result.stderr

    @pytest.mark.parametrize(
        "args",
        [
            ("--bogus", "push", "health"),
            ("--format", "health"),
            ("--format", "health", "queues"),
            ("--bogus", "queues", "health"),
            ("help", "health", "--bogus"),
        ],
    )
    def test_of_another_command_they_stay_wrong_usage(
        self, cli: Cli, args: tuple[str, ...]
    ) -> None:
        assert cli(*args).exit_code == 2

    def test_limits(self, cli: Cli, given: Given) -> None:
        given.task("shop.add")
        assert cli("health", "--max-depth", "1", "--max-age", "1h").exit_code == 0
        assert cli("health", "--max-depth", "0").exit_code == 1
        assert cli("health", "--max-depth", "0", "-q", "other").exit_code == 0
        assert cli("health", "--min-workers", "1").exit_code == 1
        given.client.beat(a_worker(), 60)
        assert cli("health", "--min-workers", "1").exit_code == 0

    def test_workers_that_the_broker_cannot_list_are_the_check_that_fails(
        self, beanstalk_cli: Cli
    ) -> None:
        result = beanstalk_cli("health", "--min-workers", "1", "--json")
        assert result.exit_code == 1
        broker, workers = map(json.loads, result.stdout.splitlines())
        assert (broker["check"], broker["ok"]) == ("broker", True)
        assert (workers["check"], workers["ok"]) == ("workers of all", False)
        assert workers["detail"] == "beanstalkd cannot keep a list of the workers"

    def test_live_asks_no_broker(self, cli: Cli, folder: Path) -> None:
        beat = folder / "beat"
        args = ("health", "--live", str(beat), "--dsn", "redis://127.0.0.1:1/0")
        assert cli(*args).exit_code == 1
        beat.touch()
        assert cli(*args).exit_code == 0
        os.utime(beat, (1, 1))
        assert cli(*args).exit_code == 1

    def test_live_takes_no_beat_of_before_the_clock_was_set_back(
        self, cli: Cli, folder: Path
    ) -> None:
        beat = folder / "beat"
        beat.touch()
        in_an_hour = time.time() + 3600
        os.utime(beat, (in_an_hour, in_an_hour))
        result = cli("health", "--live", str(beat), "--fields", "ok,detail")
        assert result.exit_code == 1
        assert re.fullmatch(r"false\t3[0-9]{3}\.[0-9] s in the future\n", result.stdout)

    def test_a_worker_keeps_its_file_fresh_and_talks_to_systemd(
        self, cli: Cli, folder: Path
    ) -> None:
        beat = folder / "beat"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(folder / "notify"))
            systemd.settimeout(20)
            cli.env = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "200000"}
            with cli.start("worker", "--heartbeat-file", str(beat), stderr=-3) as worker:
                told = [systemd.recv(100) for _ in range(4)]
                assert told == [b"READY=1", *[b"WATCHDOG=1"] * 3]
                assert beat.read_text() == f"{worker.pid}\n"
                assert cli("health", "--live", str(beat)).exit_code == 0
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(20) == 0
            while systemd.recv(100) != b"STOPPING=1":
                pass
        assert cli("health", "--live", str(beat)).exit_code == 1

    @pytest.mark.parametrize(("name", "reason"), [("no/beat", "No such file"), ("", "Is a direc")])
    def test_a_file_that_cannot_be_written_is_said_before_the_worker_starts(
        self, cli: Cli, folder: Path, name: str, reason: str
    ) -> None:
        beat = folder / name

        done = cli.process("worker", "--heartbeat-file", str(beat), "--burst")

        assert done.returncode == 2
        assert f"Error: the heartbeat file {str(beat)!r} cannot be written: {reason}" in done.stderr
        assert "name one in a folder" in done.stderr
        assert "consuming" not in done.stderr

    def test_a_file_that_can_no_longer_be_written_is_warned_of_once(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        inside = folder / "run"
        inside.mkdir()
        heartbeat = Heartbeat(str(inside / "beat"))
        heartbeat.begin()
        (inside / "beat").unlink()
        inside.rmdir()

        for _ in range(3):
            heartbeat.due = 0.0
            heartbeat.beat()

        (warned,) = caplog.messages
        assert f"cannot write the heartbeat file {str(inside / 'beat')!r}: No such file" in warned


def test_bench_measures_and_leaves_nothing(any_cli: Cli, given_any: Given) -> None:
    (figures,) = any_cli.json("bench", "--tasks", "1000")
    assert figures["pushed_per_second"] > 0
    assert 0 < figures["cycle_p50"] <= figures["cycle_p99"]
    assert given_any.client.queues(empty=True) == []


@pytest.mark.parametrize("batch", [500, 1])
def test_bench_interrupted_while_it_works_off_leaves_nothing(
    any_cli: Cli, given_any: Given, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    kind = type(given_any.client)
    settle = kind.settle
    rounds = 0

    def interrupted(
        self: Backend, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        nonlocal rounds
        settled = settle(self, outcomes, queues, limit)
        rounds += limit == batch
        if rounds == 2 and limit == batch:  # now what it leased is known here alone
            assert settled.leases
            signal.raise_signal(signal.SIGINT)
        return settled

    monkeypatch.setattr(kind, "settle", interrupted)
    result = any_cli("bench", "--tasks", "2000")
    assert (result.exit_code, result.stdout) == (130, "")
    assert given_any.client.queues(empty=True) == []


def test_following_ends_with_its_reader_though_nothing_comes(cli: Cli, given: Given) -> None:
    given.task("shop.add", task_id="a")
    with cli.start("peek", "--follow", "--quiet", stdout=-1, stderr=-1) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "a\n"
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("option", ["--limit 5", "--reverse"])
def test_following_has_no_end_to_go_by(cli: Cli, option: str) -> None:
    refused = cli.process("peek", "--follow", *option.split())
    assert refused.returncode == 2
    assert f"--follow and {option.split()[0]}: give one of the two" in refused.stderr


def test_following_passes_over_a_limit_of_other_runs(cli: Cli, given: Given) -> None:
    cli.env["GATOR_PEEK_LIMIT"] = "1"
    for task_id in ("a", "b"):
        given.task("shop.add", task_id=task_id)
    with cli.start("peek", "--follow", "--quiet", stdout=-1) as process:
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == ["a\n", "b\n"]
        process.stdout.close()
        assert process.wait(30) == 0


def test_following_shows_what_comes(cli: Cli, given: Given) -> None:
    given.task("shop.add", task_id="a")
    with cli.start("peek", "--follow", "--json", stdout=-1) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == "a"
        given.task("shop.add", task_id="b")
        assert json.loads(process.stdout.readline())["id"] == "b"
        given.failed("a")
        row = json.loads(process.stdout.readline())
        assert (row["id"], row["state"]) == ("a", State.FAILED.value)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        eventually(lambda: process.poll() is not None, "it ends")
