"""Options: pushing several calls in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alligator import DELAYED, RETRYING, SUCCESS, Gator, Options, Task
from alligator.exceptions import InvalidTask, MultipleDelayError

from .. import tasks


def test_every_task_gets_the_options(local: Gator, notes: Path) -> None:
    with local.options(retries=1) as opts:
        first = opts.task(tasks.fail_times, str(notes), 1)
        second = opts.task(tasks.add, 1, b=2)
    assert first.task_id != second.task_id
    popped = local.pop()
    assert popped is not None
    assert popped.status == RETRYING
    assert [task and task.result for task in (local.pop(), local.pop())] == [3, "done at try 2"]


def test_options_may_be_used_many_times_and_without_with(local: Gator) -> None:
    opts = local.options(delay_by=3600)
    assert isinstance(opts, Options)
    for _ in range(2):
        with opts as same:
            assert same is opts
            assert same.task(tasks.nothing).status == DELAYED
    assert opts.task(tasks.nothing).status == DELAYED
    assert local.len() == 3


def test_what_every_task_depends_on_may_come_from_a_generator(local: Gator) -> None:
    first = [local.task(tasks.nothing) for _ in range(2)]
    with local.options(depends_on=(task.task_id for task in first)) as opts:
        pushed = [opts.task(tasks.nothing) for _ in range(2)]
    ids = tuple(task.task_id for task in first)
    assert [task.depends_on for task in pushed] == [ids, ids]
    assert local.client.counts("all").blocked == 2


def test_tasks_pushed_beside_the_options_do_not_get_them(local: Gator) -> None:
    with local.options(retries=3) as opts:
        assert opts.task(tasks.nothing).retries == 3
        assert local.task(tasks.nothing).retries == 0


def test_an_error_inside_the_block_passes_and_what_was_pushed_stays(local: Gator) -> None:
    opts = local.options(retries=3)
    with pytest.raises(KeyError), opts:
        push_and_fail(opts)
    assert local.len() == 1


def push_and_fail(opts: Options) -> None:
    opts.task(tasks.nothing)
    raise KeyError


@pytest.mark.parametrize("word", ["async", "is_async"])
def test_async_false_runs_at_once(local: Gator, word: str) -> None:
    with local.options(**{word: False}) as opts:
        task = opts.task(tasks.add, 1, 2)
    assert (task.result, task.status, local.len()) == (3, SUCCESS, 0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"delay_by": 1, "delay_until": 2}, MultipleDelayError),
        ({"retries": -1}, InvalidTask),
        ({"retires": 1}, TypeError),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(
    local: Gator, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        local.options(**options)


class Loud(Task):
    def run(self) -> Any:
        return f"{super().run()}!"


def test_options_make_tasks_of_the_gators_class() -> None:
    with Gator("locmem://", task_class=Loud) as gator:
        assert type(gator.options(retries=1).task(tasks.nothing)) is Loud


def test_the_options_of_a_task_travel_with_it(gator: Gator) -> None:
    with gator.options(retries=2, timeout=30, backoff=1.5, on_start=tasks.note_start) as opts:
        pushed = opts.task(tasks.nothing)
    record = gator.client.find(pushed.task_id)
    assert record is not None
    task = Task.deserialize(record.body)
    assert (task.retries, task.timeout, task.backoff) == (2, 30, 1.5)
    assert str(task.on_start) == "tests.tasks.note_start"
