"""What tasks ask for, under gator worker."""

from __future__ import annotations

from alligator.backends.base import State

from .conftest import Cli, Given


def test_a_snoozed_task_is_delayed_and_one_that_gives_up_has_failed(
    any_cli: Cli, given_any: Given
) -> None:
    snoozed = given_any.task("shop.snooze", retries=3)
    given_any.task("shop.give_up", retries=3)

    assert any_cli.process("worker", "--burst", "-c", "1").returncode == 0

    record = any_cli.json("show", snoozed)[0]
    assert (record["state"], record["attempts"], record["deliveries"]) == ("delayed", 0, 0)
    assert sorted(given_any.states().values()) == [State.DELAYED, State.FAILED]
    (failed,) = any_cli.json("peek", "--state", "failed")
    assert (failed["attempts"], failed["error"]) == (1, "GiveUp: no such account")


def test_the_tries_that_failed_are_counted_across_processes(cli: Cli, given: Given) -> None:
    given.task("shop.boom", task_id="a", retries=5, backoff=[0, 0, 3600])

    assert cli.process("worker", "--burst", "-c", "1", "--max-tasks", "1").returncode == 0

    record = cli.json("show", "a")[0]
    assert (record["state"], record["attempts"]) == ("retrying", 3)
