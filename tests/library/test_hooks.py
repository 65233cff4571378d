"""Hooks, as they run where a task runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import FAILED, RETRYING, Gator, Task, Worker
from alligator.backends.base import State
from alligator.exceptions import NotImportable

from .. import tasks

Work = Callable[[Gator], Worker]


def test_hooks_run_in_the_worker(gator: Gator, work: Work, notes: Path) -> None:
    hooks = {"on_start": tasks.note_start, "on_success": tasks.note_success}
    with gator.options(**hooks) as opts:
        task = opts.task(tasks.append, str(notes), "call")
    assert tasks.lines(notes) == []

    work(gator)

    assert tasks.lines(notes) == [f"start {task.task_id}", "call", "success None"]


def test_the_error_hook_is_told_of_every_failed_try(gator: Gator, work: Work, notes: Path) -> None:
    with gator.options(retries=2, on_error=tasks.note_error) as opts:
        opts.task(tasks.fail, str(notes))
    work(gator)
    assert [line for line in tasks.lines(notes) if line.startswith("error")] == [
        f"error ValueError('no such user') status {FAILED}"
    ] * 3


def test_the_start_hook_runs_before_each_try(gator: Gator, work: Work, notes: Path) -> None:
    with gator.options(retries=2, on_start=tasks.note_start) as opts:
        opts.task(tasks.fail, str(notes))
    work(gator)
    assert len(tasks.lines(notes)) == 3


def test_the_error_hook_may_give_retries(gator: Gator, notes: Path) -> None:
    with gator.options(on_error=tasks.one_retry_more) as opts:
        opts.task(tasks.fail, str(notes))
    again = gator.pop()
    assert again is not None
    assert again.status == RETRYING
    with pytest.raises(ValueError, match="no such user"):
        gator.pop()
    assert gator.pop() is None


def test_the_error_hook_may_take_retries_away(gator: Gator) -> None:
    with gator.options(retries=5, on_error=tasks.no_retries) as opts:
        opts.task(tasks.fail)
    with pytest.raises(ValueError, match="no such user"):
        gator.pop()
    assert gator.len() == 0


def test_the_error_hook_is_honoured_here_and_now_too(local: Gator, notes: Path) -> None:
    with (
        local.options(is_async=False, on_error=tasks.one_retry_more) as opts,
        pytest.raises(ValueError, match="no such user"),
    ):
        opts.task(tasks.fail, str(notes))
    assert len(tasks.lines(Path(f"{notes}.hook"))) == 2


def test_a_hook_that_breaks_fails_its_task_only(gator: Gator, work: Work, notes: Path) -> None:
    with gator.options(on_success=tasks.raise_in_hook) as opts:
        opts.task(tasks.append, str(notes), "call")
    gator.task(tasks.append, str(notes), "next")
    assert work(gator).tasks_complete == 2
    assert tasks.lines(notes) == ["call", "next"]
    (record,) = gator.client.peek("all", State.FAILED).records
    (failure,) = record.failures
    assert failure.error == "RuntimeError: the hook broke (raised by the on_success hook)"


def test_an_error_hook_that_breaks_leaves_the_tasks_own_error(gator: Gator, work: Work) -> None:
    with gator.options(on_error=tasks.raise_in_hook) as opts:
        opts.task(tasks.fail)
    work(gator)
    (record,) = gator.client.peek("all", State.FAILED).records
    (failure,) = record.failures
    note = "its on_error hook raised RuntimeError: the hook broke"
    assert failure.error == f"ValueError: no such user ({note})"
    assert note in failure.traceback


@pytest.mark.parametrize("hook", [tasks.unreadable_options, tasks.no_number_of_retries])
def test_a_hook_that_spoils_its_task_does_not_end_the_worker(
    gator: Gator, work: Work, hook: Callable[..., None]
) -> None:
    with gator.options(retries=3, on_error=hook) as opts:
        opts.task(tasks.fail)
    gator.task(tasks.nothing)
    assert work(gator).tasks_complete == 2
    assert gator.client.counts("all").failed == 1


def test_a_hook_that_has_no_path_is_refused_at_the_push(gator: Gator) -> None:
    with pytest.raises(NotImportable, match="a lambda"):
        gator.push(Task(on_success=lambda task, result: None), tasks.nothing)
    assert gator.len() == 0


def test_hooks_may_be_static_and_class_methods(gator: Gator) -> None:
    with gator.options(on_start=tasks.Mail.send) as opts:
        opts.task(tasks.nothing)
    finished = gator.pop()
    assert finished is not None
    assert str(finished.on_start) == "tests.tasks.Mail.send"
