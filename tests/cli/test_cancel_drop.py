"""gator cancel and gator drop."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alligator.backends.base import Page, State
from alligator.backends.sqlite_backend import Client

from .conftest import Cli, Given


class TestCancel:
    def test_it_takes_tasks_off_and_prints_their_ids(self, any_cli: Cli, given_any: Given) -> None:
        first = given_any.task("shop.add")
        second = given_any.task("shop.add", queue="mail", delay_by=60)
        third = given_any.failed(given_any.task("shop.add"))
        stays = given_any.task("shop.add")
        result = any_cli("cancel", first, second, third)
        assert (result.exit_code, result.stdout.split()) == (0, [first, second, third])
        assert given_any.states() == {stays: State.WAITING}

    def test_a_running_one_is_left_alone(self, any_cli: Cli, given_any: Given) -> None:
        task_id = given_any.task("shop.add")
        given_any.running(task_id)
        result = any_cli("cancel", task_id)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{task_id}: a worker is running it" in result.stderr
        assert given_any.states() == {task_id: State.RUNNING}

    @pytest.mark.parametrize(("known", "code"), [(True, 3), (False, 4)])
    def test_an_unknown_id_is_exit_4_or_3_when_others_were_canceled(
        self, cli: Cli, given: Given, known: bool, code: int
    ) -> None:
        ids = ["nosuch"] + ([given.task("shop.add", task_id="a")] if known else [])
        result = cli("cancel", *ids)
        assert result.exit_code == code
        assert "nosuch: no queue has it" in result.stderr
        assert result.stdout == ("a\n" if known else "")

    def test_ids_come_from_a_file_or_stdin(self, cli: Cli, given: Given) -> None:
        for name in ("a", "b", "c"):
            given.task("shop.add", task_id=name)
        (cli.folder / "ids").write_text("a\n\n")
        assert cli.ok("cancel", "--ids-from", str(cli.folder / "ids")) == "a\n"
        assert cli.ok("cancel", "c", "--ids-from", "-", input="b\r\nc\n") == "c\nb\n"
        assert given.states() == {}

    def test_blanks_of_an_id_are_kept(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id=" x ")
        (cli.folder / "ids").write_bytes(b"\r\n x \r\n")
        assert cli.ok("cancel", "--ids-from", str(cli.folder / "ids")) == " x \n"

    def test_no_ids_are_no_failure_unless_nothing_was_said(self, cli: Cli) -> None:
        assert cli.ok("cancel", "--ids-from", "-", input="") == ""
        assert cli("cancel").exit_code == 2

    def test_with_json_each_id_is_an_object(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="a")
        assert cli.json("cancel", "a") == [{"id": "a"}]

    def test_what_peek_prints_cancel_takes(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.add", task_id="a"))
        listed = cli.ok("peek", "--state", "failed", "--quiet")
        assert cli.ok("cancel", "--ids-from", "-", input=listed) == listed


def counts(stdout: str) -> tuple[int, ...]:
    report = json.loads(stdout)
    return tuple(report[name] for name in ("matched", "changed", "failed", "skipped"))


class TestDrop:
    def test_it_removes_what_does_not_run(self, any_cli: Cli, given_any: Given) -> None:
        running = given_any.task("shop.add")
        given_any.running(running)
        given_any.failed(given_any.task("shop.add"))
        given_any.task("shop.add")
        given_any.task("shop.add", delay_by=60)
        other = given_any.task("shop.add", queue="mail")
        assert counts(any_cli.ok("drop", "-q", "all", "--yes")) == (4, 3, 0, 1)
        assert given_any.states() == {running: State.RUNNING, other: State.WAITING}

    def test_only_the_states_asked_for(self, any_cli: Cli, given_any: Given) -> None:
        given_any.failed(given_any.task("shop.add"))
        waiting = given_any.task("shop.add")
        assert counts(any_cli.ok("drop", "--state", "failed", "--yes")) == (1, 1, 0, 0)
        assert given_any.states() == {waiting: State.WAITING}

    def test_all_queues(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", queue="one")
        given.task("shop.add", queue="two")
        assert counts(cli.ok("drop", "--all-queues", "--yes")) == (2, 2, 0, 0)
        assert given.states() == {}

    @pytest.mark.parametrize("how", [["drop", "--rate", "900/s"], ["cancel"]])
    def test_what_falls_due_meanwhile_is_removed_too(
        self, cli: Cli, given: Given, monkeypatch: pytest.MonkeyPatch, how: list[str]
    ) -> None:
        task_id = given.task("shop.add", delay_by=60)
        peek = Client.peek

        def peeking(client: Client, *args: Any) -> Page:
            page = peek(client, *args)
            client.requeue_many([task_id])
            return page

        monkeypatch.setattr(Client, "peek", peeking)
        cli.ok(*how, "-q", "all", "--yes")
        assert given.states() == {}

    def test_a_dry_run_only_counts(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="a")
        assert counts(cli.ok("drop", "--dry-run")) == (1, 0, 0, 0)
        assert given.states() == {"a": State.WAITING}

    def test_without_a_terminal_it_needs_yes(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="a")
        result = cli("drop", input="y\n")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--yes" in result.stderr
        assert given.states() == {"a": State.WAITING}

    def test_running_tasks_cannot_be_dropped(self, cli: Cli) -> None:
        assert cli("drop", "--state", "running", "--yes").exit_code == 2

    def test_nothing_there_is_no_failure(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", queue="mail", task_id="a")
        result = cli("drop", "-q", "mial", "--yes")
        assert (result.exit_code, counts(result.stdout)) == (0, (0, 0, 0, 0))
        assert "Did you mean 'mail'?" in result.stderr

    @pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 2)])
    def test_on_a_terminal_it_asks_with_the_count(
        self, cli: Cli, given: Given, answer: str, code: int, left: int
    ) -> None:
        given.task("shop.add")
        given.task("shop.add")
        shown, exit_code = cli.talk(answer, "drop")
        assert "Remove 2 tasks of queue 'all' for good? [y/N]:" in shown
        assert exit_code == code
        assert ("nothing was removed" in shown, "Error" in shown) == (code == 1, False)
        assert len(given.states()) == left

    @pytest.mark.parametrize(
        ("states", "asked"),
        [
            (("failed",), "Remove 1 failed task of queue 'all' for good?"),
            (("waiting",), "Remove 2 waiting tasks of queue 'all' for good?"),
            (("failed", "waiting"), "Remove 3 failed or waiting tasks of queue 'all' for good?"),
        ],
    )
    def test_it_asks_about_the_states_asked_for(
        self, cli: Cli, given: Given, states: tuple[str, ...], asked: str
    ) -> None:
        given.failed(given.task("shop.add"))
        given.task("shop.add")
        given.task("shop.add")
        options = [word for state in states for word in ("--state", state)]
        assert asked in cli.talk("n\n", "drop", *options)[0]

    def test_leaving_the_prompt_is_an_interruption_on_a_line_of_its_own(
        self, cli: Cli, given: Given
    ) -> None:
        given.task("shop.add", task_id="a")
        shown, code = cli.talk("\x04", "drop", "--no-color")
        assert shown.endswith("[y/N]: \nError: interrupted\n")
        assert code == 130
        assert given.states() == {"a": State.WAITING}
