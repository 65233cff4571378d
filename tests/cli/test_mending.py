"""gator retry, and what cancel and drop do with a selection."""

from __future__ import annotations

import json
import resource
import time
from contextlib import closing
from pathlib import Path

import pytest

from alligator.backends.base import Failure, Mended, Moved, Retry, State
from alligator.gator import Gator
from alligator_cli.backup import Backup
from alligator_cli.errors import CliError
from alligator_cli.mending import Target

from .conftest import Cli, Given


def counts(text: str) -> tuple[int, int, int, int]:
    found = json.loads(text)
    return found["matched"], found["changed"], found["failed"], found["skipped"]


class TestRetry:
    def test_failed_ones_wait_again(self, any_cli: Cli, given_any: Given) -> None:
        failed = given_any.failed(given_any.task("shop.boom"))
        printed = any_cli.ok("retry", failed)  # a new id, where the broker chooses them
        assert given_any.states() == {printed.strip(): State.WAITING}
        assert printed.count("\n") == 1

    def test_a_selection_is_that_of_peek(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"), "TimeoutError: 1 s")
        given.failed(given.task("shop.boom", task_id="2"), "ValueError: no")
        given.failed(given.task("shop.add", task_id="3"), "TimeoutError: 1 s")
        given.task("shop.boom", task_id="4", delay_by=60)
        args = ("retry", "--task", "shop.boom", "--error", "Timeout")
        assert counts(cli.ok(*args, "--dry-run")) == (1, 0, 0, 0)
        assert given.states()["1"] is State.FAILED
        assert counts(cli.ok(*args, "--yes")) == (1, 1, 0, 0)
        assert given.states() == {
            "1": State.WAITING,
            "2": State.FAILED,
            "3": State.FAILED,
            "4": State.DELAYED,
        }

    def test_more_than_a_batch(self, any_cli: Cli, given_any: Given) -> None:
        for number in range(1100):
            given_any.task("shop.add", number, delay_by=600)
        args = ("retry", "--state", "delayed", "--all-queues", "--yes")
        assert counts(any_cli.ok(*args)) == (1100, 1100, 0, 0)
        assert set(given_any.states().values()) == {State.WAITING}

    def test_a_terminal_shows_the_ids_and_no_meter_beside_them(
        self, cli: Cli, given: Given
    ) -> None:
        given.failed(given.task("shop.boom", task_id="1"))
        assert cli.on_terminal("retry", "1") == "1\n"

    def test_ids_come_through_a_pipe_and_what_was_left_is_told(
        self, cli: Cli, given: Given
    ) -> None:
        given.failed(given.task("shop.boom", task_id="1"))
        given.running(given.task("shop.boom", task_id="2"))
        result = cli("retry", "--ids-from", "-", "--yes", input="1\n2\n\n3\n1\n")
        assert (result.exit_code, result.stdout) == (3, "1\n")
        assert "2 of 3 not retried:" in result.stderr
        assert "2: a worker is running it" in result.stderr
        assert "3: no queue has it" in result.stderr
        assert cli("retry", "3").exit_code == 4
        assert cli("retry", "2").exit_code == 1

    def test_what_waits_already_is_left_alone_and_told(
        self, any_cli: Cli, given_any: Given
    ) -> None:
        waits = given_any.task("shop.add")
        result = any_cli("retry", waits)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "1 task left alone: waiting already\n"
        assert any_cli("retry", waits, "--dry-run").stderr == result.stderr
        failed = given_any.failed(given_any.task("shop.boom"))
        assert any_cli("retry", waits, failed, "4294967295").exit_code == 3
        assert any_cli("retry", waits, "4294967295").exit_code == 3

    def test_a_selection_counts_what_waits_already_as_skipped(
        self, any_cli: Cli, given_any: Given
    ) -> None:
        given_any.task("shop.add")
        given_any.running(given_any.task("shop.add"))
        given_any.failed(given_any.task("shop.boom"))
        states = ("--state", "waiting", "--state", "running", "--state", "failed")
        assert counts(any_cli.ok("retry", *states, "--dry-run")) == (3, 0, 0, 2)
        result = any_cli("retry", *states, "--yes", "--json")
        assert counts(result.stdout) == (3, 1, 0, 2)
        assert set(result.stderr.splitlines()) == {
            "1 task left alone: waiting already",
            "1 task left alone: a worker is running it",
        }

    def test_a_selection_counts_none_twice_that_waits_once_it_is_retried(
        self, any_cli: Cli, given_any: Given
    ) -> None:
        given_any.task("shop.add")
        for number in range(600):  # more than a batch
            given_any.task("shop.add", number, delay_by=600)
        states = ("--state", "delayed", "--state", "waiting")
        result = any_cli("retry", *states, "--yes")
        assert counts(result.stdout) == (601, 600, 0, 1)
        assert result.stderr == "1 task left alone: waiting already\n"

    def test_a_rate_is_kept(self, cli: Cli, given: Given) -> None:
        ids = "".join(given.failed(given.task("shop.boom")) + "\n" for _ in range(30))
        began = time.monotonic()
        cli.ok("retry", "--ids-from", "-", "--rate", "60/s", input=ids)
        assert time.monotonic() - began >= 0.35


@pytest.mark.parametrize("command", ["retry", "cancel"])
class TestBoth:
    def test_nothing_chosen_is_exit_2(self, cli: Cli, command: str) -> None:
        result = cli(command)
        assert result.exit_code == 2
        assert f"there is nothing to {command}" in result.stderr

    def test_ids_or_a_selection(self, cli: Cli, command: str) -> None:
        result = cli(command, "x", "--state", "failed")
        assert result.exit_code == 2
        assert "not both" in result.stderr

    def test_a_selection_needs_yes_where_nobody_can_be_asked(
        self, cli: Cli, given: Given, command: str
    ) -> None:
        given.failed(given.task("shop.boom", task_id="1"))
        result = cli(command, "--state", "failed", input="y\n")
        assert result.exit_code == 2
        assert f"{command} changes every task that is selected" in result.stderr
        assert given.states() == {"1": State.FAILED}

    @pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1)])
    def test_on_a_terminal_it_asks_with_the_count(
        self, cli: Cli, given: Given, command: str, typed: str, code: int
    ) -> None:
        given.failed(given.task("shop.boom", task_id="1"))
        shown, exit_code = cli.talk(typed, command, "--state", "failed")
        assert f"{command.capitalize()} 1 task? [y/N]:" in shown
        assert exit_code == code
        assert (given.states() == {"1": State.FAILED}) == bool(code)

    def test_nothing_that_matches_is_no_failure(self, cli: Cli, command: str) -> None:
        result = cli(command, "--state", "failed", "--yes")
        assert (result.exit_code, counts(result.stdout)) == (0, (0, 0, 0, 0))
        assert "nothing that matches in queue 'all'" in result.stderr

    def test_ctrl_c_finishes_the_batch(self, cli: Cli, given: Given, command: str) -> None:
        ids = [given.failed(given.task("shop.boom")) for _ in range(300)]
        (cli.folder / "ids").write_text("\n".join(ids))
        shown, code = cli.talk(
            "",
            *(command, "--ids-from", "ids", "--rate", "50/s"),
            interrupt_when=lambda: list(given.states().values()).count(State.FAILED) < 300,
        )
        left = list(given.states().values()).count(State.FAILED)
        assert code == 130
        assert f"Of {300 - left} tasks so far, {300 - left} were changed" in shown
        missing = "; those that are done are then reported as missing." in shown
        assert missing is (command == "cancel")


class TestDrop:
    def test_a_filter(self, any_cli: Cli, given_any: Given) -> None:
        given_any.task("shop.boom")
        kept = given_any.task("shop.add")
        args = ("drop", "--task", "*.boom", "--yes")
        assert counts(any_cli.ok(*args, "--dry-run")) == (1, 0, 0, 0)
        assert counts(any_cli.ok(*args)) == (1, 1, 0, 0)
        assert set(given_any.states()) == {kept}

    def test_a_backup_brings_back_what_was_dropped(
        self, any_cli: Cli, given_any: Given, folder: Path
    ) -> None:
        for number in range(700):
            given_any.task("shop.add", number)
        given_any.failed(given_any.task("shop.boom", queue="mail"), "ValueError: this one")
        given_any.task("shop.add", delay_by=3600, queue="mail")
        before = any_cli.json("queues")
        backup = str(folder / "backup")
        args = ("drop", "--all-queues", "--backup", backup, "--yes")
        assert counts(any_cli.ok(*args)) == (702, 702, 0, 0)
        assert given_any.states() == {}
        assert json.loads(any_cli.ok("load", backup))["queued"] == 702
        fields = ("queue", "waiting", "delayed", "failed")
        assert [[row[f] for f in fields] for row in any_cli.json("queues")] == [
            [row[f] for f in fields] for row in before
        ]
        assert [row["args"] for row in any_cli.json("peek", "--limit", "0")] == [
            [number] for number in range(700)
        ]
        (failed,) = any_cli.json("peek", "-q", "mail", "--state", "failed")
        assert failed["error"] == "ValueError: this one"

    def test_a_running_task_is_neither_dropped_nor_in_the_backup(
        self, cli: Cli, given: Given, folder: Path
    ) -> None:
        given.running(given.task("shop.add", task_id="1"))
        given.task("shop.add", task_id="2")
        result = cli.ok("drop", "--backup", str(folder / "b"), "--yes")
        assert counts(result) == (2, 1, 0, 1)
        assert [json.loads(line)["id"] for line in (folder / "b").read_text().splitlines()] == ["2"]

    def test_a_backup_is_not_to_standard_output(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="1")
        result = cli("drop", "--backup", "-", "--yes")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--backup -: standard output has the summary; name a file, or ./-" in result.stderr
        assert given.states() == {"1": State.WAITING}

    def test_a_backup_that_is_full_drops_nothing(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="1")
        result = cli("drop", "--backup", "/dev/full", "--yes")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            "Error: --backup '/dev/full' cannot be written: No space left on device\n"
            "No task was removed. Make room, or name another file.\n"
        )
        assert given.states() == {"1": State.WAITING}

    def test_a_backup_that_gets_full_says_how_far_it_came_and_has_what_is_gone(
        self, redis_cli: Cli, folder: Path
    ) -> None:
        lines = '{"task":"shop.add"}\n' * 900
        redis_cli.ok("push", "--from", "-", input=lines)
        room = len("".join(redis_cli.ok("dump").splitlines(True)[:600]))

        result = redis_cli.process(
            *("drop", "--backup", "backup", "--yes"),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        )

        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == (
            "Error: --backup 'backup' cannot be written: File too large\n"
            "Make room, or name another file.\n"
            "Of 500 tasks so far, 500 were changed. Run it again for the rest.\n"
        )
        gone = [json.loads(line)["id"] for line in (folder / "backup").read_text().splitlines()]
        left = redis_cli.ok("peek", "--limit", "0", "--quiet").splitlines()
        assert (len(gone), len(left), len({*gone, *left})) == (500, 400, 900)

    def test_one_that_is_taken_meanwhile_is_not_in_the_backup(
        self, cli: Cli, given: Given, folder: Path
    ) -> None:
        found = [given.client.find(given.task("shop.add", n)) for n in range(3)]
        targets = [Target(one.task_id, one) for one in found if one]
        answers = [Moved(Mended.DONE, ""), Moved(Mended.RUNNING, ""), Moved(Mended.DONE, "")]
        path = folder / "backup"
        path.write_bytes(b'{"cut short')
        with Gator(cli.dsn) as gator, closing(Backup(str(path), gator)) as backup:
            with pytest.raises(CliError, match="another process is writing to --backup"):
                Backup(str(path), gator)
            assert backup.around(lambda _: answers)(targets) == answers
        torn, *lines = path.read_text().splitlines()
        assert torn == '{"cut short'
        assert [line.strip() and json.loads(line)["args"] for line in lines] == [[0], "", [2]]

    def test_a_backup_that_cannot_be_written_drops_nothing(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="1")
        result = cli("drop", "--backup", "/nosuch/file", "--yes")
        assert result.exit_code == 2
        assert "--backup '/nosuch/file' cannot be written" in result.stderr
        assert given.states() == {"1": State.WAITING}


class TestDumpAndLoad:
    def test_a_task_comes_back_as_it_was(
        self, cli: Cli, given: Given, folder: Path, redis_cli: Cli
    ) -> None:
        given.task("shop.add", 1, task_id="a", priority=7, timeout=5, result_ttl=60)
        given.task("shop.add", task_id="b", depends_on="a", retries=3, backoff=[1, 2])
        given.failed(given.task("shop.boom", task_id="c"))
        given.body("d", b"\x00not JSON")
        dumped = cli.ok("dump")
        assert json.loads(redis_cli.ok("load", "-", input=dumped))["queued"] == 4
        again = redis_cli.ok("dump")

        def but_age(text: str) -> list[object]:
            rows = [json.loads(line) for line in text.splitlines()]
            return [{name: row[name] for name in row if name != "pushed_at"} for row in rows]

        assert but_age(again) == but_age(dumped)
        assert json.loads(redis_cli.ok("load", "-", input=dumped))["already"] == 4

    @pytest.mark.parametrize(("tries", "kept"), [(1, 1), (3, 3), (12, 10)])
    def test_a_failed_task_has_as_many_attempts_as_failures_were_kept(
        self, cli: Cli, given: Given, tries: int, kept: int
    ) -> None:
        task_id = given.task("shop.boom", task_id="a")
        for number in range(1, tries):
            lease = given.client.claim(task_id)
            assert lease
            failure = Failure(f"E: {number}", "", 1.7e9, "h:1")
            given.client.settle([Retry(lease, lease.body, 60.0, failure)])
        given.failed(task_id, f"E: {tries}")
        dumped = cli.ok("dump")
        cli.ok("cancel", "a")
        cli.ok("load", "-", input=dumped)
        (task,) = cli.json("show", "a")
        assert (task["state"], task["attempts"], task["deliveries"]) == ("failed", kept, kept)
        assert [failure["error"] for failure in task["failures"]] == [
            f"E: {number}" for number in range(tries - kept + 1, tries + 1)
        ]

    def test_failed_tasks_keep_no_other_of_their_unique_key_from_coming_back(
        self, cli: Cli, redis_cli: Cli
    ) -> None:
        keyed = '{"task":"shop.add","unique":"k","id":"%s","state":"%s"}\n'
        lines = keyed % ("a", "failed") + keyed % ("b", "failed") + keyed % ("c", "waiting")
        for one in (cli, redis_cli):
            loaded = json.loads(one.ok("load", "-", input=lines))
            assert (loaded["queued"], loaded["already"]) == (3, 0)
            found = {row["id"]: (row["state"], row.get("unique")) for row in one.json("dump")}
            assert found == {"a": ("failed", None), "b": ("failed", None), "c": ("waiting", "k")}

    @pytest.mark.parametrize("between", [0, 1100])
    def test_dependencies_come_back_in_any_order_of_lines(
        self, cli: Cli, redis_cli: Cli, given: Given, between: int
    ) -> None:
        given.task("shop.add", task_id="a", queue="z")
        given.task("shop.add", task_id="y", depends_on="a")
        given.task("shop.add", task_id="b", depends_on="y")
        given.failed("a")
        lines = cli.ok("dump", "--all-queues").splitlines(True)
        lines.sort(key=lambda line: json.loads(line)["id"], reverse=True)
        lines = [lines[1], lines[0], *['{"task":"shop.add"}\n'] * between, lines[2]]
        cli.ok("drop", "--all-queues", "--yes")
        for one in (cli, redis_cli):
            loaded = json.loads(one.ok("load", "-", input="".join(lines)))
            assert (loaded["lines"], loaded["queued"]) == (between + 3, between + 3)
            found = {row["id"]: row["depends_on"] for row in one.json("dump", "--state", "blocked")}
            assert found == {"y": ["a"], "b": ["y"]}

    def test_what_a_load_takes_for_done_is_told(
        self, cli: Cli, redis_cli: Cli, given: Given
    ) -> None:
        lines = [
            '{"task":"shop.add","id":"b","depends_on":["a"]}',
            '{"task":"shop.add","id":"c","depends_on":["b","gone"]}',
            '{"task":"shop.add","id":"d","depends_on":["lost"]}',
            '{"task":"shop.add","id":"a"}',
        ]
        for one in (cli, redis_cli):
            said = one("load", "-", input="\n".join(lines)).stderr
            assert said == "2 tasks depend on what no queue holds, such as 'gone': taken as done\n"
            assert one("load", "-", input="\n".join(lines)).stderr == ""
            states = {row["id"]: row["state"] for row in one.json("peek")}
            assert states == {"a": "waiting", "b": "blocked", "c": "blocked", "d": "waiting"}

    @pytest.mark.parametrize("between", [0, 1100])
    def test_a_circle_is_refused(self, cli: Cli, given: Given, between: int) -> None:
        chain = ["a", *map(str, range(between)), "b"]
        lines = "".join(
            f'{{"task":"shop.add","id":"{one}","depends_on":["{other}"]}}\n'
            for one, other in zip(chain, [*chain[1:], "a"], strict=True)
        )
        result = cli("load", "-", input=lines)
        assert (result.exit_code, result.stdout) == (2, "")
        assert (
            f"Error: line {between + 2} depends on task 'a', which in the end depends on it; take "
            "one of the two out of depends_on\nNone is queued. "
        ) in result.stderr
        assert given.states() == {}

    def test_a_task_that_depends_on_itself_is_refused(self, cli: Cli) -> None:
        lines = '{"task":"shop.add","id":"a","depends_on":["a"]}\n{"task":"shop.add"}\n'
        result = cli("load", "-", "--skip-invalid", input=lines)
        assert result.exit_code == 3
        assert "skipped: line 1 depends on task 'a', which in the end" in result.stderr
        assert json.loads(result.stdout)["queued"] == 1

    def test_push_from_takes_a_dump_too(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", 5, task_id="a"))
        dumped = cli.ok("dump")
        cli.ok("cancel", "a")
        cli.ok("push", "--from", "-", input=dumped)
        assert given.states() == {"a": State.WAITING}

    @pytest.mark.parametrize(
        "wrong",
        [
            '"a"',
            "{}",
            '{"error":1,"traceback":"","at":1,"worker":""}',
            '{"error":"","traceback":2,"at":1,"worker":""}',
            '{"error":"","traceback":"","at":1,"worker":null}',
            '{"error":"","traceback":"","at":1,"worker":"","x":1}',
            *(
                f'{{"error":"","traceback":"","at":{at},"worker":""}}'
                for at in ('"1"', "true", "1e999", "1" * 400)
            ),
        ],
    )
    def test_failures_that_are_none_are_refused(self, cli: Cli, given: Given, wrong: str) -> None:
        right = '{"error":"","traceback":"","at":1,"worker":""}'
        line = f'{{"task":"a.b","state":"failed","failures":[{right},{wrong}]}}'
        result = cli("load", "-", input=line)
        assert result.exit_code == 2
        assert result.stderr.startswith(
            "Error: line 1: failures: number 2 is not an object of error, traceback and worker, "
            "which are text, and at, a Unix time\n"
        )
        assert given.states() == {}

    @pytest.mark.parametrize("wrong", ['"a"', "{}", "0"])
    def test_failures_that_are_no_array_are_refused(self, cli: Cli, wrong: str) -> None:
        line = f'{{"task":"a.b","state":"failed","failures":{wrong}}}'
        result = cli("load", "-", input=line)
        assert result.exit_code == 2
        assert "line 1: failures is not an array\n" in result.stderr

    @pytest.mark.parametrize("wrong", ['"Failed"', "null", '["failed"]'])
    def test_a_state_that_there_is_not_is_refused(self, cli: Cli, given: Given, wrong: str) -> None:
        result = cli("load", "-", input=f'{{"task":"a.b","state":{wrong}}}')
        assert result.exit_code == 2
        assert "is none of waiting, delayed, retrying, blocked, running, failed\n" in result.stderr
        assert given.states() == {}

    @pytest.mark.parametrize("module", ["a-b", "__main__"])
    def test_a_path_that_no_line_may_have_is_brought_back(
        self, cli: Cli, redis_cli: Cli, given: Given, module: str
    ) -> None:
        path = {"module": module, "callable": "job"}
        call = {"module": "shop", "callable": "add", "options": {"on_error": path}}
        for task_id, other in (("a", path), ("b", call)):
            body = {"task_id": task_id, "retries": 0, "async": True, **other}
            given.body(task_id, json.dumps(body).encode())
        redis_cli.ok("load", "-", input=cli.ok("dump"))
        for task_id in ("a", "b"):
            shown, again = cli.json("show", task_id)[0], redis_cli.json("show", task_id)[0]
            assert again["body"] == shown["body"]

    def test_nothing_to_dump(self, cli: Cli) -> None:
        result = cli("dump")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "nothing in queue 'all'" in result.stderr


class TestWaitAndResult:
    def test_each_outcome(self, cli: Cli, given: Given) -> None:
        given.done(given.task("shop.add", task_id="a"), b"3")
        given.failed(given.task("shop.boom", task_id="b"))
        result = cli("wait", "a", "b", "c", "--json")
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == 3
        assert [(row["id"], row["state"], row["error"]) for row in rows] == [
            ("a", "success", ""),
            ("b", "failed", "ValueError: no way"),
            ("c", "gone", ""),
        ]
        assert cli("wait", "b").exit_code == 1
        assert cli("wait", "a", "c").exit_code == 0
        assert cli("wait").exit_code == 2
        empty = cli("wait", "")
        assert (empty.exit_code, empty.stdout) == (2, "")
        assert "it is empty; give the id that push printed" in empty.stderr
        assert cli("wait", "--ids-from", "-", input="\n").stderr == (
            "no ids given, nothing waited for\n"
        )

    def test_it_waits_for_a_worker(self, cli: Cli) -> None:
        task_id = cli.ok("push", "shop.add", "--args", "[1,2]", "--result-ttl", "1h").strip()
        with cli.start("worker", "--burst", "--log-level", "error"):
            assert cli.ok("wait", task_id, "--timeout", "30s") == f"{task_id}\tsuccess\t\n"
        assert cli.ok("result", task_id) == "3\n"

    def test_a_time_out(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="a")
        assert cli("wait", "a", "--timeout", "10ms").exit_code == 124
        assert cli("result", "a", "--timeout", "10ms").exit_code == 124
        result = cli("result", "a")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "task a has not ended (it is waiting)" in result.stderr

    @pytest.mark.parametrize("format", ["table", "html", "tsv"])
    def test_a_time_out_keeps_no_row_of_those_that_ended_before(
        self, cli: Cli, given: Given, format: str
    ) -> None:
        given.failed(given.task("shop.boom", task_id="a"))
        given.task("shop.add", task_id="b")
        result = cli("wait", "a", "b", "--timeout", "0", "--format", format)
        assert result.exit_code == 124
        assert "ValueError: no way" in result.stdout
        assert "task b has not ended within 0 s" in result.stderr

    def test_result_of_one_that_failed_or_never_was(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="a"))
        assert cli("result", "a").exit_code == 1
        assert cli("result", "b").exit_code == 4

    def test_beanstalkd_keeps_no_results(self, beanstalk_cli: Cli) -> None:
        for command in ("wait", "result"):
            refused = beanstalk_cli(command, "1")
            assert refused.exit_code == 5
            assert f"{command}: beanstalkd cannot store results; give the DSN" in refused.stderr


class TestConfigAndHelp:
    def test_config_says_where_the_dsn_is_from(self, cli: Cli) -> None:
        cli.env["GATOR_PUSH_QUEUE"] = "mail"
        rows = {row["name"]: row for row in cli.json("config")}
        assert rows["dsn"] == {"name": "dsn", "value": cli.dsn, "source": "GATOR_DSN"}
        assert rows["GATOR_PUSH_QUEUE"]["value"] == "mail"
        row = cli.json("config", "--dsn", "redis://me:secret@h/0")[0]
        assert (row["value"], row["source"]) == ("redis://me:***@h/0", "--dsn")

    @pytest.mark.parametrize(
        ("name", "value", "shown"),
        [
            ("GATOR_FOO", "redis://u:h1dden@h/0", "redis://u:***@h/0"),
            ("GATOR_FOO", "one redis://u:h1d den@h/0", "one redis://u:***@h/0"),
            ("GATOR_PUSH_KWARGS", '{"to": "a@b"}', '{"to": "a@b"}'),
            ("GATOR_OTHER_DSN", "u:h1dden@h", "***@h"),
            ("GATOR_PASSWORD", "h1dden", "***"),
            ("GATOR_API_TOKEN", "h1dden", "***"),
            ("ALLIGATOR_SECRET", "h1dden", "***"),
            ("ALLIGATOR_SECRET", "", ""),
            ("GATOR_SECRET_FILE", "/run/secret", "/run/secret"),
            ("GATOR_PUSH_ID", "the h1dden one", "the *** one"),
        ],
    )
    def test_config_shows_no_secret(self, cli: Cli, name: str, value: str, shown: str) -> None:
        cli.env[name] = value
        rows = {row["name"]: row for row in cli.json("config", "--dsn", "redis://u:h1dden@h/0")}
        assert rows[name]["value"] == shown

    def test_config_shows_no_secret_among_the_options_of_the_dsn(self, cli: Cli) -> None:
        dsn = "redis://u:x@h/0?api_key=h1dden&lease=5&token=h1dden"
        shown = "redis://u:***@h/0?api_key=***&lease=5&token=***"
        assert cli.json("config", "--dsn", dsn)[0]["value"] == shown
        assert shown in cli("ping", "--dsn", dsn).stderr

    def test_config_tells_which_variables_nothing_reads(self, cli: Cli) -> None:
        read = ("GATOR_JSON", "GATOR_PUSH_QUEUE", "GATOR_RUN_TASK_FORCE", "GATOR_ALLOW")
        unread = ("GATOR_PUSH_QEUE", "GATOR_VERSION", "GATOR_HELP")
        cli.env.update(dict.fromkeys((*read, *unread), "1"))
        sources = {row["name"]: row["source"] for row in cli.json("config")}
        assert {sources[name] for name in read} == {"environment"}
        assert {sources[name] for name in unread} == {"environment, unknown to gator"}

    def test_help_is_that_of_the_command(self, cli: Cli) -> None:
        assert cli.ok("help", "show") == cli.ok("show", "--help")
        assert cli.ok("help") == cli.ok("--help")
        assert cli("help", "psuh").exit_code == 2


def test_ids_that_are_no_text_are_a_mistake_of_use(cli: Cli) -> None:
    (cli.folder / "ids").write_bytes(b"\xff\n")
    result = cli("cancel", "--ids-from", str(cli.folder / "ids"))
    assert result.exit_code == 2
    assert "not UTF-8 text" in result.stderr
