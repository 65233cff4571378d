"""gator push --from: a file of lines."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from alligator.backends.base import Ack, State
from alligator.gator import Gator
from alligator_cli.batches import Preparer
from alligator_cli.bulk_push import new_load
from alligator_cli.checkpoint import Checkpoint
from alligator_cli.progress import Meter
from alligator_cli.sending import Sender

from ..servers import eventually, redis_server
from .conftest import Cli, Given

CALL = '{"task":"shop.add","args":[%d,2]}'


def calls(count: int) -> str:
    return "".join(CALL % number + "\n" for number in range(count))


def summary(text: str) -> tuple[int, int, int, int]:
    found = json.loads(text)
    return found["lines"], found["queued"], found["already"], found["invalid"]


class TestLines:
    def test_each_line_becomes_a_task(self, any_cli: Cli) -> None:
        assert summary(any_cli.ok("push", "--from", "-", input=calls(3))) == (3, 3, 0, 0)
        rows = any_cli.json("peek")
        assert [(row["task"], row["args"]) for row in rows] == [
            ("shop.add", [number, 2]) for number in range(3)
        ]

    def test_every_field_reaches_the_task(self, cli: Cli) -> None:
        line = {
            "task": "shop.add",
            "args": [1, "é"],
            "kwargs": {"b": {"c": None}},
            "queue": "mail",
            "id": "mine",
            "at": "2099-01-31T09:00:00+01:00",
            "retries": 3,
            "backoff": "exp:1s..10m",
            "priority": -5,
            "unique": "key",
            "depends_on": ["unknown"],
            "timeout": "2m",
            "result_ttl": 60,
            "on_start": "shop.hook",
            "on_success": "shop.a.b",
            "on_error": "shop.c",
        }
        cli.ok("push", "--from", "-", input=json.dumps(line))
        record = cli.json("show", "mine")[0]
        body = json.loads(record["body"])
        assert (record["queue"], record["state"], record["due"], record["priority"]) == (
            *("mail", "delayed", "2099-01-31T08:00:00.000Z", -5),
        )
        assert (record["unique"], body["retries"]) == ("key", 3)
        assert (body["args"], body["kwargs"]) == (line["args"], line["kwargs"])
        assert body["options"] == {
            "on_start": {"module": "shop", "callable": "hook"},
            "on_success": {"module": "shop.a", "callable": "b"},
            "on_error": {"module": "shop", "callable": "c"},
            "depends_on": ["unknown"],
            "delay_until": 4073529600.0,
            "timeout": 120.0,
            "backoff": {"exponential": 1.0, "cap": 600.0},
            "result_ttl": 60,
        }

    def test_the_option_queue_is_that_of_lines_which_name_none(self, cli: Cli) -> None:
        text = CALL % 1 + "\n" + '{"task":"shop.add","queue":"mail"}\n'
        cli.ok("push", "--from", "-", "-q", "here", input=text)
        assert [row["queue"] for row in cli.json("peek", "--all-queues")] == ["here", "mail"]

    def test_blank_lines_and_a_byte_order_mark_are_nothing(self, cli: Cli) -> None:
        text = "\ufeff" + CALL % 1 + "\n\n  \r\n" + CALL % 2
        assert summary(cli.ok("push", "--from", "-", input=text)) == (4, 2, 0, 0)

    def test_ids_and_unique_keys_that_are_held_are_already_there(self, cli: Cli) -> None:
        text = '{"task":"shop.add","id":"a"}\n{"task":"shop.add","unique":"k"}\n' * 2
        assert summary(cli.ok("push", "--from", "-", input=text)) == (4, 2, 2, 0)

    def test_print_ids_has_one_id_a_line_in_their_order(self, any_cli: Cli) -> None:
        text = calls(2) + '{"task":"shop.add","queue":"mail"}\n' + calls(1)
        result = any_cli("push", "--from", "-", "--print-ids", input=text)
        ids = result.stdout.splitlines()
        assert result.stderr == "4 lines, 4 queued, 0 already, 0 invalid\n"
        found = [any_cli.json("show", one)[0] for one in ids]
        assert [row["queue"] for row in found] == ["all", "all", "mail", "all"]
        assert [row["args"] for row in found] == [[0, 2], [1, 2], [], [0, 2]]

    def test_a_dry_run_checks_and_queues_nothing(self, cli: Cli, given: Given) -> None:
        assert summary(cli.ok("push", "--from", "-", "--dry-run", input=calls(3))) == (3, 0, 0, 0)
        assert cli("push", "--from", "-", "--dry-run", input="x").exit_code == 2
        assert given.states() == {}

    def test_a_task_may_depend_on_one_of_an_earlier_line_in_another_queue(
        self, cli: Cli, given: Given
    ) -> None:
        text = (
            '{"task":"shop.add","queue":"b"}\n{"task":"shop.add","id":"1","queue":"z"}\n'
            '{"task":"shop.add","id":"2","queue":"b","depends_on":"1"}\n'
        )
        cli.ok("push", "--from", "-", input=text)
        assert given.states()["2"] is State.BLOCKED

    def test_beanstalkd_takes_no_ids(self, beanstalk_cli: Cli) -> None:
        text = CALL % 1 + '\n{"task":"shop.add","id":"a"}\n'
        result = beanstalk_cli("push", "--from", "-", input=text)
        assert (result.exit_code, result.stdout) == (5, "")
        assert "line 2: beanstalkd cannot keep the id" in result.stderr
        assert beanstalk_cli("push", "--from", "-", "--checkpoint", "x").exit_code == 5

    def test_what_comes_slowly_is_pushed_when_it_is_there(self, cli: Cli, given: Given) -> None:
        reader, writer = os.pipe()
        with cli.start("push", "--from", "-", stdin=reader) as process:
            os.close(reader)
            os.write(writer, calls(1).encode())
            eventually(lambda: len(given.states()) == 1, "the first line is queued")
            os.close(writer)
            assert process.wait(20) == 0

    def test_a_failure_is_told_though_nothing_more_comes(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        reader, writer = os.pipe()
        with redis_server(tmp_path_factory.mktemp("redis")) as server:
            cli = Cli(f"{server.dsn}?timeout=1", folder)
            args = ("push", "--from", "-")
            with cli.start(*args, stdin=reader, stderr=subprocess.PIPE) as process:
                os.close(reader)
                os.write(writer, calls(1).encode())
                eventually(lambda: len(cli.json("peek")) == 1, "the first line is queued")
                server.kill()
                os.write(writer, calls(1).encode())
                _, stderr = process.communicate(timeout=20)
        os.close(writer)
        assert process.returncode == 69
        assert "The tasks of lines 1 to 1 are queued." in stderr


class TestBadLines:
    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ('{"task":"a.b" "x":1}', "column 15: Expecting ',' delimiter\n  {\"task\""),
            ('{"task":"a.b","args":5}', "column 22: args is not an array"),
            ('{"task":"a.b","kwargs":[]}', "column 24: kwargs is not an object"),
            ('{"args":[1]}', "column 1: there is no task"),
            ('{"task":"add"}', "column 9: 'add' is not the dotted path"),
            ('{"task":"__main__.job"}', "column 9: '__main__.job' cannot be a task: __main__ is"),
            ('{"task":"a.b","on_error":"__main__.x"}', "column 26: '__main__.x' cannot be a task"),
            ('{"task":5}', "column 9: task 5 is not text"),
            ('{"task":"a.b","retires":1}', "Did you mean 'retries'?"),
            ('{"kwargs":{"retries":1},"retries": -1,"task":"a.b"}', "column 36: retries -1 is not"),
            ('{"task":"a.b","delay":"5x"}', "column 23: '5x' is no duration"),
            ('{"task":"a.b","delay":1,"at":2}', "delay and at: give one of the two"),
            ('{"task":"a.b","backoff":"exp:1s"}', "'exp:1s' is no backoff"),
            ('{"task":"a.b","depends_on":[1]}', "column 28: depends_on 1 is neither"),
            (
                '{"task":"a.b","depends_on":{"a":1}}',
                "column 28: depends_on is neither an id nor an",
            ),
            ('{"task":"a.b","depends_on":5}', "column 28: depends_on is neither an id nor an"),
            (
                '{"task":"a.b","id":"x","depends_on":["y","x"]}',
                "column 37: task 'x' depends on itself, and could never run; leave that out",
            ),
            (
                '{"task":"a.b","id":"x","depends_on":"x"}',
                "column 37: task 'x' depends on itself, and could never run; leave that out",
            ),
            ('{"task":"a.b","priority":1001}', "line 2: priority 1001 is outside"),
            ('{"task":"a.b","id":""}', "line 2: task id '' has 0 characters"),
            ('{"task":"a.b","queue":5}', "line 2: queue name 5 is not a string"),
            ('{"task":"a.b","args":[NaN]}', "line 2 cannot be read: NaN is no JSON"),
            ('{"task":"a.b","args":[1e999]}', "args[0] is inf"),
            ('{"task":"a.b","args":["\\ud800"]}', "surrogate"),
            ('{"task":"a.b","args":' + "[" * 300 + "]" * 300 + "}", "nests deeper than"),
            ("[" * 100_000, "line 2 cannot be read: it nests too deep"),
            ("[]", "line 2 is no JSON object"),
            ("a@b.org,Hello", '"args": [1]}\n  a@b.org,Hello\n'),
        ],
    )
    def test_it_stops_with_exit_2_before_its_batch_is_sent(
        self, cli: Cli, given: Given, line: str, said: str
    ) -> None:
        result = cli("push", "--from", "-", input=f"{CALL % 1}\n{line}\n")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("Error: line 2")
        assert said in result.stderr
        assert "None is queued" in result.stderr
        assert given.states() == {}

    def test_a_caret_points_at_the_place(self, cli: Cli) -> None:
        said = cli("push", "--from", "-", input='{"task":"a.b","retries":"x"}').stderr.splitlines()
        assert said[1].index('"x"') == said[2].index("^")
        said = cli("push", "--from", "-", input='{"task":"a.b","argz":[]}').stderr.splitlines()
        assert "line 1, column 15: there is no field 'argz'" in said[0]
        assert said[1].index('"argz"') == said[2].index("^")

    def test_what_is_queued_is_said_and_how_to_go_on(self, cli: Cli, folder: Path) -> None:
        rows = folder / "rows"
        rows.write_text(calls(2500) + "x\n")
        result = cli("push", "--from", str(rows))
        assert result.exit_code == 2
        assert (
            "The tasks of lines 1 to 2000 are queued. Mend line 2501, and go on, with the same "
            f"options: tail -n +2001 {rows} | gator push --from -\n"
            "--skip-invalid passes over bad lines.\n"
        ) in result.stderr
        assert cli.json("queues")[0]["waiting"] == 2000

    @pytest.mark.parametrize(
        ("args", "advice"),
        [
            ((), "None is queued. Mend line 2, and the same command goes on from there; "),
            (("--dry-run",), "Mend line 2; "),
        ],
    )
    def test_the_advice_names_the_line_to_mend(
        self, cli: Cli, folder: Path, args: tuple[str, ...], advice: str
    ) -> None:
        (folder / "rows").write_text(calls(1) + "x\n")
        for command in (("push", "--from"), ("load",)):
            result = cli(*command, str(folder / "rows"), *args)
            assert f"\n{advice}--skip-invalid passes over bad lines.\n" in result.stderr

    def test_the_advice_for_a_pipe_and_for_a_checkpoint(self, cli: Cli, folder: Path) -> None:
        text = calls(1000) + "x\n"
        said = cli("push", "--from", "-", input=text).stderr
        assert "Mend line 1001, and go on with what comes after them; --skip-inv" in said
        (folder / "rows").write_text(text)
        args = ("push", "--from", str(folder / "rows"), "--checkpoint", str(folder / "note"))
        said = cli(*args).stderr
        assert "Mend line 1001, and the same command goes on from there; --skip-inv" in said

    def test_skip_invalid_goes_on_and_is_exit_3(self, cli: Cli) -> None:
        text = "x\n" * 15 + calls(2)
        result = cli("push", "--from", "-", "--skip-invalid", input=text)
        assert (result.exit_code, summary(result.stdout)) == (3, (17, 2, 0, 15))
        assert result.stderr.count("skipped: line ") == 10
        assert "only counted" in result.stderr

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("--from", "/nosuch"), "'/nosuch' cannot be read"),
            (("shop.add", "--from", "-"), "TASK and --from"),
            (("--retries", "1", "--from", "-"), "--retries and --from"),
            (("--id", "x", "--from", "-"), "--id and --from"),
            (("--from", "-", "--wait"), "--print-ids | gator wait --ids-from -"),
            (("--from", "-", "--wait-timeout", "1"), "gator wait --ids-from - --timeout TIME"),
            (("--from", "-", "--check"), "--check and --from: it is for one task; --dry-run"),
            (("shop.add", "--rate", "1/s"), "--rate needs --from"),
            (("--from", "-", "--rate", "fast"), "'fast' is no rate"),
            (("--from", "-", "--rate", "0"), "'0' is no rate"),
        ],
    )
    def test_options_that_do_not_fit(self, cli: Cli, args: tuple[str, ...], said: str) -> None:
        result = cli("push", *args, input="")
        assert result.exit_code == 2
        assert said in result.stderr


class TestCheckpoint:
    """On brokers that keep our ids."""

    @pytest.fixture(params=["sqlite", "redis"])
    def one(self, request: pytest.FixtureRequest, folder: Path) -> Cli:
        return Cli(request.getfixturevalue(f"{request.param}_dsn"), folder)

    def test_the_same_command_goes_on_and_leaves_nothing_behind(
        self, one: Cli, folder: Path
    ) -> None:
        rows, note = folder / "rows", str(folder / "note")
        rows.write_text(calls(2500) + "x\n")
        assert one("push", "--from", str(rows), "--checkpoint", note).exit_code == 2
        assert one.json("queues")[0]["delayed"] == 0  # the markers are gone
        rows.write_text(calls(2501))
        result = one("push", "--from", str(rows), "--checkpoint", note)
        assert summary(result.stdout) == (2501, 2501, 0, 0)
        assert "going on after line 2000" in result.stderr
        assert (one.json("queues")[0]["waiting"], one.json("queues")[0]["delayed"]) == (2501, 0)
        assert summary(one.ok("push", "--from", str(rows), "--checkpoint", note))[1] == 2501
        assert one.json("queues")[0]["waiting"] == 2501
        assert not (folder / "note.lock").exists()

    def test_a_batch_that_arrived_and_was_worked_off_is_not_sent_again(
        self, one: Cli, folder: Path
    ) -> None:
        rows, path = folder / "rows", str(folder / "note")
        rows.write_text(calls(1500))
        with Gator(one.dsn) as gator:
            checkpoint = Checkpoint(path)
            note = checkpoint.open(new_load(), f"queue 'all' of {one.dsn}")
            sender = Sender(gator, note, checkpoint, None, Meter("lines"))
            lines = [line.encode() for line in calls(1000).splitlines()]
            preparer = Preparer(gator, note.load, 1000, lambda error: None)
            # Sent, and then killed: nothing notes that it is done.
            sender.send(next(preparer.batches([lines])))
            checkpoint.close()
            while leases := gator.client.reserve(["all"], 500):
                gator.client.settle([Ack(lease) for lease in leases])

            assert summary(one.ok("push", "--from", str(rows), "--checkpoint", path))[1] == 1500
            counts = gator.client.counts("all")
            assert (counts.waiting, counts.delayed) == (500, 0)

    def test_other_lines_or_another_target_are_refused(self, one: Cli, folder: Path) -> None:
        note = str(folder / "note")
        one.ok("push", "--from", "-", "--checkpoint", note, input=calls(10))
        for text in ("x\n" + calls(9), calls(9)):
            result = one("push", "--from", "-", "--checkpoint", note, input=text)
            assert result.exit_code == 2
            assert "the first 10 lines are not those" in result.stderr
        result = one("push", "--from", "-", "-q", "mail", "--checkpoint", note, input=calls(10))
        assert "to queue 'mail' of" in result.stderr
        (folder / "note").write_text("[]")
        result = one("push", "--from", "-", "--checkpoint", note, input=calls(10))
        assert "is no checkpoint of gator push" in result.stderr

    @pytest.mark.parametrize("kind", ["empty", "device", "pipe", "folder"])
    def test_a_checkpoint_that_can_be_none_is_refused(
        self, cli: Cli, folder: Path, kind: str
    ) -> None:
        (folder / "device").symlink_to("/dev/null")
        os.mkfifo(folder / "pipe")
        (folder / "folder").mkdir()
        (folder / "rows").write_text(calls(1))
        path = "" if kind == "empty" else kind
        result = cli.process("push", "--from", "rows", "--checkpoint", path)
        assert result.returncode == 2
        said = "--checkpoint is empty" if kind == "empty" else f"checkpoint '{kind}' is no file"
        assert said in result.stderr
        assert list(folder.glob("*.lock")) == []
        assert cli.ok("peek") == ""

    def test_one_load_at_a_time(self, cli: Cli, folder: Path) -> None:
        held = Checkpoint(str(folder / "note"))
        held.open("x", "y")
        result = cli("push", "--from", "-", "--checkpoint", str(folder / "note"), input=calls(1))
        held.close()
        assert result.exit_code == 1
        assert "another process is loading" in result.stderr

    def test_killed_at_any_instant_and_started_again_nothing_is_missing_or_twice(
        self, one: Cli, folder: Path
    ) -> None:
        lines, evidence = 6000, folder / "evidence"
        evidence.touch()
        (folder / "shop.py").write_text(
            "def note(number):\n"
            f"    with open({str(evidence)!r}, 'a') as file:\n"
            "        file.write(f'{number}\\n')\n"
        )
        rows = folder / "rows"
        rows.write_text(
            "".join(f'{{"task":"shop.note","args":[{number}]}}\n' for number in range(lines))
        )
        command = ("push", "--from", str(rows), "--checkpoint", str(folder / "note"))
        chance = random.Random(7)
        worker = one.start("worker", "--log-level", "error")
        try:
            code = None
            for kill in range(200):
                # Slow enough that a kill falls into the load and not before or behind it.
                with one.start(*command, "--rate", "5000/s", "--quiet") as process:
                    try:
                        code = process.wait(chance.uniform(0.2, 0.8) if kill < 8 else 60)
                        break
                    except Exception:
                        process.kill()
            assert code == 0
            one.ok("drain", "all", "--timeout", "60s")
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)
        times = Counter(map(int, evidence.read_text().split()))
        assert times == Counter(range(lines))


def test_a_rate_is_kept_within_5_percent(cli: Cli) -> None:
    began = time.monotonic()
    process = cli.process("push", "--from", "-", "--rate", "200/s", input=calls(600))
    took = time.monotonic() - began
    assert process.returncode == 0
    # The last batch, a tenth of a second's worth, goes out at its beginning.
    assert took >= 2.9


def test_ctrl_c_finishes_the_batch_and_says_how_to_go_on(cli: Cli, given: Given) -> None:
    (cli.folder / "rows").write_text(calls(20_000))
    shown, code = cli.talk(
        "",
        *("push", "--from", "rows", "--rate", "1000/s"),
        interrupt_when=lambda: len(given.client.queues()) > 0,
    )
    assert code == 130
    assert "interrupted" in shown
    assert f"Go on, with the same options: tail -n +{given.client.len('all') + 1} rows" in shown


def test_nobody_has_to_read_the_ids(cli: Cli, given: Given) -> None:
    (cli.folder / "rows").write_text(calls(30_000))
    reader, writer = os.pipe()
    with cli.start("push", "--from", "rows", "--print-ids", stdout=writer) as process:
        os.close(writer)
        os.close(reader)
        process.wait(60)
    assert given.client.len("all") == 30_000
