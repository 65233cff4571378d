"""Tasks that say themselves what becomes of them, and how long a failed one waits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import DELAYED, FAILED, RETRYING, SUCCESS, Gator, Task, Worker
from alligator.backends.base import Capability, Record, State
from alligator.exceptions import GiveUp, Snooze
from alligator.retries import exponential

from .. import tasks
from ..servers import eventually
from .test_custom_classes import FiveVerbQueue

HOUR = 3600
Work = Callable[[Gator], Worker]


def only(gator: Gator) -> Record:
    """The one task that is held, under whichever id the broker gives it now."""
    pages = [gator.client.peek("all", state) for state in State]
    (record,) = [record for page in pages for record in page.records]
    return record


def run(gator: Gator) -> Task:
    """Run the one task that is held, due or not."""
    task = gator.get(only(gator).task_id, raises=False)
    assert task is not None
    return task


def hours_to_wait(gator: Gator) -> int:
    """The whole hours until the one task that is held is due."""
    due = only(gator).due
    assert due is not None
    return round((due - time.time()) / HOUR)


# -- Snooze ---------------------------------------------------------------------------------------


def test_a_snoozed_task_is_delayed_and_nothing_counts_against_it(gator: Gator, notes: Path) -> None:
    with gator.options(retries=1, on_error=tasks.note_error) as opts:
        opts.task(tasks.snooze_times, str(notes), 2, 5 * HOUR)

    snoozed = gator.pop()

    assert snoozed is not None
    assert (snoozed.status, snoozed.retries) == (DELAYED, 1)
    assert isinstance(snoozed.error, Snooze)
    assert (gator.pop(), gator.len()) == (None, 1)
    assert run(gator).status == DELAYED
    record = only(gator)
    assert (record.state, hours_to_wait(gator)) == (State.DELAYED, 5)
    assert (record.attempts, record.deliveries, record.failures) == (0, 0, ())
    finished = run(gator)
    assert (finished.status, finished.result) == (SUCCESS, "done at call 3")
    assert tasks.lines(notes) == ["called"] * 3  # no word from on_error
    assert gator.client.queues() == []


def test_a_snoozed_task_runs_when_its_time_has_come(gator: Gator, notes: Path) -> None:
    pushed = gator.task(tasks.snooze_times, str(notes), 1, 0)
    snoozed = gator.pop()
    assert snoozed is not None
    assert snoozed.status == DELAYED

    results: list[Task] = []
    eventually(lambda: bool(results.extend(filter(None, [gator.pop()])) or results), "no next run")

    assert (results[0].task_id, results[0].result) == (pushed.task_id, "done at call 2")


def test_a_snooze_leaves_the_retries_for_failures(gator: Gator, notes: Path) -> None:
    gator.options(retries=1).task(tasks.snooze_then_fail, str(notes))
    assert [run(gator).status for _ in range(3)] == [DELAYED, RETRYING, FAILED]
    assert only(gator).attempts == 2


def test_a_hook_may_snooze_its_task(gator: Gator, notes: Path) -> None:
    gator.options(on_start=tasks.snooze_in_hook).task(tasks.append, str(notes), "ran")
    assert run(gator).status == DELAYED
    assert (tasks.lines(notes), hours_to_wait(gator)) == ([], 1)


def test_a_worker_goes_on_after_a_snooze(
    gator: Gator,
    work: Work,
    notes: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    task = gator.task(tasks.snooze_times, str(notes), 1, HOUR)
    gator.task(tasks.add, 1, 2)

    assert work(gator).tasks_complete == 2

    assert capsys.readouterr().out == "3\n"
    (record,) = [record for record in caplog.records if record.name == "alligator.worker"]
    said = f"task {task.task_id} asked to be run again in 3600 s"
    assert (record.levelname, record.message) == ("INFO", said)


def test_a_snooze_here_and_now_is_raised_since_no_queue_holds_the_task(
    local: Gator, notes: Path
) -> None:
    task = Task(is_async=False, retries=3)
    with pytest.raises(Snooze, match="again in 60 s"):
        local.push(task, tasks.snooze_times, str(notes), 9, 60)
    assert (task.status, tasks.lines(notes), local.len()) == (DELAYED, ["called"], 0)


def test_execute_puts_a_snoozed_task_on_the_queue(gator: Gator, notes: Path) -> None:
    task = gator.execute(Task().to_call(tasks.snooze_times, str(notes), 1, 2 * HOUR))
    assert (task.status, gator.len(), hours_to_wait(gator)) == (DELAYED, 1, 2)
    assert run(gator).result == "done at call 2"


# -- RetryIn and GiveUp ---------------------------------------------------------------------------


def test_a_task_may_say_when_to_try_again(gator: Gator) -> None:
    gator.options(retries=1, backoff=9 * HOUR).task(tasks.ask_for_a_retry, 2 * HOUR)

    assert run(gator).status == RETRYING

    assert hours_to_wait(gator) == 2
    told_apart = gator.client.capabilities & {Capability.RETRYING}
    assert only(gator).state is (State.RETRYING if told_apart else State.DELAYED)
    assert only(gator).attempts == 1
    assert run(gator).status == FAILED
    assert [failure.error for failure in only(gator).failures] == [
        "RetryIn: the server is busy"
    ] * 2


def test_a_task_that_gives_up_is_not_tried_again(gator: Gator) -> None:
    gator.options(retries=5).task(tasks.give_up)

    with pytest.raises(GiveUp, match="the account is closed"):
        gator.pop()

    record = only(gator)
    assert (record.state, record.attempts) == (State.FAILED, 1)
    assert record.failures[0].error == "GiveUp: the account is closed"


def test_here_and_now_a_retry_does_not_wait_and_giving_up_ends_it(
    local: Gator, notes: Path
) -> None:
    begun = time.monotonic()
    with pytest.raises(GiveUp):
        local.push(Task(is_async=False, retries=5), tasks.retry_then_give_up, str(notes))
    assert tasks.lines(notes) == ["tried"] * 3
    assert time.monotonic() < begun + HOUR


# -- backoff --------------------------------------------------------------------------------------


def test_each_failed_try_waits_as_its_place_in_the_list_says(gator: Gator) -> None:
    gator.options(retries=4, backoff=[1 * HOUR, 5 * HOUR, 20 * HOUR]).task(tasks.fail)
    waits = []
    for _ in range(4):
        assert run(gator).status == RETRYING
        waits.append(hours_to_wait(gator))
    assert waits == [1, 5, 20, 20]


def test_each_failed_try_waits_twice_as_long(gator: Gator) -> None:
    backoff = exponential(HOUR, cap=6 * HOUR, jitter=False)
    gator.options(retries=4, backoff=backoff).task(tasks.fail)
    waits = []
    for _ in range(4):
        run(gator)
        waits.append(hours_to_wait(gator))
    assert waits == [1, 2, 4, 6]


def test_a_snooze_is_no_step_of_the_backoff(gator: Gator, notes: Path) -> None:
    gator.options(retries=2, backoff=[5 * HOUR, 9 * HOUR]).task(tasks.snooze_then_fail, str(notes))
    assert [(run(gator).status, hours_to_wait(gator)) for _ in range(3)] == [
        (DELAYED, 1),
        (RETRYING, 5),
        (RETRYING, 9),
    ]


def test_execute_waits_as_after_the_first_failed_try(gator: Gator) -> None:
    gator.execute(Task(retries=2, backoff=(3 * HOUR, 9 * HOUR)).to_call(tasks.fail))
    assert hours_to_wait(gator) == 3


def test_a_hook_may_change_the_backoff(gator: Gator) -> None:
    with gator.options(retries=1, backoff=1, on_error=tasks.wait_four_hours) as opts:
        opts.task(tasks.fail)
    assert run(gator).status == RETRYING
    assert hours_to_wait(gator) == 4


def test_a_hook_that_spoils_the_backoff_fails_its_task(gator: Gator) -> None:
    gator.options(retries=1, on_error=tasks.wait_in_words).task(tasks.fail)
    assert run(gator).status == FAILED
    (failure,) = only(gator).failures
    assert failure.error == (
        "ValueError: no such user (not queued again: InvalidTask: "
        "backoff 'an hour' is not a number of at least 0)"
    )


# -- five verbs -----------------------------------------------------------------------------------


def test_a_snooze_works_with_five_verbs(notes: Path) -> None:
    with Gator("mine://", backend_class=FiveVerbQueue) as gator:
        task = gator.task(tasks.snooze_times, str(notes), 1, HOUR)
        snoozed = gator.pop()
        assert snoozed is not None
        assert (snoozed.status, gator.len(), gator.pop()) == (DELAYED, 1, None)
        finished = gator.get(task.task_id)
        assert finished is not None
        assert finished.result == "done at call 2"
