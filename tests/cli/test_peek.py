"""gator peek."""

from __future__ import annotations

import pytest

from alligator.backends.base import State
from alligator_cli.types import STATES

from .conftest import Cli, Given

FIELDS = {
    "id",
    "queue",
    "state",
    "task",
    "args",
    "kwargs",
    "priority",
    "attempts",
    "deliveries",
    "retries",
    "pushed_at",
    "due",
    "worker",
    "error",
}


def ids(cli: Cli, *args: str) -> list[str]:
    return cli.ok("peek", "--quiet", *args).splitlines()


def test_the_states_it_names_are_the_brokers() -> None:
    assert set(STATES) == {state.value for state in State}


def test_a_row_has_everything_a_listing_needs(cli: Cli, given: Given) -> None:
    given.failed(given.task("shop.add", 1, task_id="a", retries=2, priority=7, queue="mail"))
    row = cli.json("peek", "-q", "mail")[0]
    assert row.keys() >= FIELDS
    assert row["pushed_at"].endswith("Z")
    wanted = {"id": "a", "queue": "mail", "state": "failed", "task": "shop.add", "args": [1]}
    wanted |= {"kwargs": {}, "priority": 7, "attempts": 1, "retries": 2, "due": None}
    wanted |= {"worker": "", "error": "ValueError: no way"}
    assert {name: row[name] for name in wanted} == wanted


def test_it_lists_one_queue_and_all_is_one(any_cli: Cli, given_any: Given) -> None:
    default = given_any.task("shop.add")
    mail = given_any.task("shop.add", queue="mail")
    assert ids(any_cli) == [default]
    assert ids(any_cli, "-q", "all") == [default]
    assert ids(any_cli, "-q", "mail") == [mail]
    assert sorted(ids(any_cli, "--all-queues")) == sorted([default, mail])
    assert any_cli("peek", "-q", "mail", "--all-queues").exit_code == 2


def test_it_lists_the_states_asked_for(any_cli: Cli, given_any: Given) -> None:
    waiting = given_any.task("shop.add")
    delayed = given_any.task("shop.add", delay_by=3600)
    failed = given_any.failed(given_any.task("shop.add"))
    running = given_any.task("shop.add")
    given_any.running(running)
    assert ids(any_cli, "--state", "failed") == [failed]
    assert ids(any_cli, "--state", "running") == [running]
    assert ids(any_cli, "--state", "delayed", "--state", "waiting") == [delayed, waiting]
    assert sorted(ids(any_cli)) == sorted([waiting, delayed, failed, running])
    assert any_cli.json("peek", "--state", "delayed")[0]["due"]


def test_a_broker_that_cannot_tell_retrying_says_so(beanstalk_cli: Cli) -> None:
    result = beanstalk_cli("peek", "--state", "retrying")
    assert (result.exit_code, result.stdout) == (5, "")


def test_it_filters(cli: Cli, given: Given) -> None:
    given.failed(given.task("shop.add", task_id="a"), "TimeoutError: 5 s")
    given.failed(given.task("shop.boom", task_id="b"), "ValueError: no")
    given.task("mail.send", task_id="c")
    assert ids(cli, "--task", "shop.*") == ["a", "b"]
    assert ids(cli, "--error", "Timeout") == ["a"]
    assert ids(cli, "--task", "shop.*", "--error", "no") == ["b"]
    assert ids(cli, "--older-than", "1h") == []
    assert sorted(ids(cli, "--older-than", "0")) == ["a", "b", "c"]


def test_a_limit_counts_what_is_shown_and_0_is_all(cli: Cli, given: Given) -> None:
    every = [given.task(f"shop.f{number % 2}", task_id=f"t{number:04}") for number in range(450)]
    assert ids(cli) == every[:20]
    assert ids(cli, "--limit", "0") == every
    assert ids(cli, "--limit", "250") == every[:250]
    assert ids(cli, "--limit", "2", "--task", "shop.f1") == ["t0001", "t0003"]
    assert ids(cli, "--limit", "0", "--task", "shop.f1") == every[1::2]


def test_more_than_the_limit_is_said(any_cli: Cli, given_any: Given) -> None:
    for number in range(20):
        given_any.task(f"shop.f{number % 2}")
    assert any_cli("peek").stderr == ""
    given_any.task("shop.f0", queue="mail")
    assert any_cli("peek", "--all-queues").stderr == "20 shown; --limit 0 shows all\n"
    assert any_cli("peek", "--limit", "3", "--json").stderr == "3 shown; --limit 0 shows all\n"
    assert any_cli("peek", "--limit", "10", "--task", "shop.f1").stderr == ""
    assert any_cli("peek", "--limit", "3", "--quiet").stderr == ""
    assert any_cli("peek", "--limit", "0", "--all-queues").stderr == ""


def test_reverse_is_the_same_listing_from_its_other_end(cli: Cli, given: Given) -> None:
    for number in range(3):
        given.task("shop.add", task_id=f"w{number}")
        given.task("shop.add", task_id=f"d{number}", delay_by=100 + number, queue="mail")
    forward = ids(cli, "--all-queues")
    assert ids(cli, "--all-queues", "--reverse") == forward[::-1]
    assert ids(cli, "--reverse", "--limit", "1") == ["w2"]


@pytest.mark.parametrize(
    "body", [b"no json", b"[1]", b"5", b"\xff\xfe", b"", b'{"module":1}', b"[" * 100_000]
)
def test_a_body_that_is_no_task_does_not_break_a_listing(
    cli: Cli, given: Given, body: bytes
) -> None:
    given.body("odd", body)
    given.task("shop.add", task_id="a")
    rows = {row["id"]: row for row in cli.json("peek")}
    assert (rows["odd"]["task"], rows["odd"]["args"]) == ("", None)
    assert rows["a"]["task"] == "shop.add"
    assert cli.ok("peek").startswith("odd\tall\twaiting\t\t\t\t0\t")
    assert cli.ok("show", "odd")


def test_nothing_to_show_is_a_word_on_stderr(cli: Cli, given: Given) -> None:
    given.task("shop.add", queue="mails")
    result = cli("peek", "-q", "mail")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "nothing in queue 'mail'. Did you mean 'mails'?\n"
    assert cli("peek", "-q", "mail", "--quiet").stderr == ""


def test_a_misspelt_state_gets_a_suggestion(cli: Cli) -> None:
    result = cli("peek", "--state", "fialed")
    assert result.exit_code == 2
    assert "Did you mean 'failed'?" in result.stderr


def test_none_of_the_users_code_is_imported(cli: Cli, given: Given) -> None:
    (cli.folder / "poison.py").write_text("raise SystemExit(9)")
    given.task("poison.task", task_id="p")
    done = cli.process("peek")
    assert (done.returncode, done.stdout.split("\t")[3]) == (0, "poison.task")
