"""A task runs alike to its end in a thread and awaited on a loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alligator import DELAYED, FAILED, RETRYING, SUCCESS, Gator, Task, execution
from alligator.awaiting import to_end
from alligator.backends.base import Ack, Defer, Fail, Lease, Retry
from alligator.exceptions import InvalidTask, Snooze, TaskTimeout
from alligator.loop import _make_task

from .. import tasks

Run = Callable[[Task], Any]


def test_libraries_see_how_far_a_coroutine_of_a_task_has_come() -> None:
    async def child() -> None:
        await asyncio.sleep(0)

    async def main() -> list[str]:
        asyncio.get_running_loop().set_task_factory(_make_task)
        task = asyncio.ensure_future(child())
        coroutine: Any = task.get_coro()
        seen = [inspect.getcoroutinestate(coroutine)]
        await asyncio.sleep(0)
        seen.append(inspect.getcoroutinestate(coroutine))
        await task
        return [*seen, inspect.getcoroutinestate(coroutine), coroutine.__name__]

    states = [inspect.CORO_CREATED, inspect.CORO_SUSPENDED, inspect.CORO_CLOSED]
    assert asyncio.run(main()) == [*states, "child"]


def run_here(task: Task) -> Any:
    return task.run()


def run_on_loop(task: Task) -> Any:
    return asyncio.run(task.run_async())


def run_inside_a_loop(task: Task) -> Any:
    """Run it to its end in a thread that has a running loop already."""

    async def main() -> Any:
        return task.run()

    return asyncio.run(main())


@pytest.fixture(params=[run_here, run_on_loop, run_inside_a_loop])
def run(request: pytest.FixtureRequest) -> Run:
    way: Run = request.param
    return way


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


HOOKS = {
    "plain": (tasks.note_start, tasks.note_success, tasks.note_error),
    "async": (tasks.note_start_later, tasks.note_success_later, tasks.note_error_later),
}


@pytest.mark.parametrize("hooks", HOOKS.values(), ids=HOOKS)
def test_hooks_of_both_kinds_are_called_in_order(
    run: Run, hooks: tuple[Callable[..., Any], ...], notes: Path
) -> None:
    start, success, error = hooks
    task = Task("id", on_start=start, on_success=success, on_error=error)

    assert run(task.to_call(tasks.append_later, str(notes), "call")) == "call"

    assert tasks.lines(notes) == ["start id", "call", "success call"]
    assert (task.status, task.result) == (SUCCESS, "call")


@pytest.mark.parametrize("hooks", HOOKS.values(), ids=HOOKS)
def test_on_error_of_both_kinds_is_told(
    run: Run, hooks: tuple[Callable[..., Any], ...], notes: Path
) -> None:
    task = Task(on_error=hooks[2]).to_call(tasks.append_later_and_fail, str(notes), "call")

    with pytest.raises(ValueError, match="call"):
        run(task)

    assert tasks.lines(notes) == ["call", f"error ValueError('call') status {FAILED}"]


@pytest.mark.parametrize("call", [tasks.add, tasks.add_later])
def test_plain_functions_and_coroutine_functions_return_alike(
    run: Run, call: Callable[..., Any]
) -> None:
    assert run(Task().to_call(call, 1, 2)) == 3


def test_a_hook_that_fails_fails_the_try(run: Run) -> None:
    with pytest.raises(ValueError, match="no such user") as caught:
        run(Task(on_start=tasks.fail_later).to_call(tasks.nothing))
    assert caught.value.__notes__ == ["raised by the on_start hook"]


def test_a_snooze_is_none(run: Run) -> None:
    task = Task(on_start=tasks.snooze_in_hook).to_call(tasks.nothing)
    with pytest.raises(Snooze):
        run(task)
    assert task.status == DELAYED


def test_nothing_to_call_is_an_error(run: Run) -> None:
    with pytest.raises(InvalidTask, match="has nothing to call"):
        run(Task("id"))


def test_a_time_limit_stops_a_coroutine(run: Run) -> None:
    task = Task(timeout=0.05).to_call(tasks.rest_on_loop, 10)
    with pytest.raises(TaskTimeout, match=r"its time limit of 0\.05 s"):
        run(task)


def test_a_time_limit_is_not_lost_in_a_callback_of_the_loop(run: Run) -> None:
    """A loop logs what is raised in there, and goes on."""
    task = Task(timeout=0.05).to_call(tasks.spend_time_in_a_callback, 0.2, 10)
    with pytest.raises(TaskTimeout, match=r"its time limit of 0\.05 s"):
        run(task)


def test_a_time_limit_goes_on_after_a_coroutine(run: Run) -> None:
    task = Task(timeout=0.3, on_start=tasks.rest_in_hook).to_call(time.sleep, 10)
    if run is run_on_loop:
        task = task.to_call(tasks.rest_on_loop, 10)
    with pytest.raises(TaskTimeout, match=r"its time limit of 0\.3 s"):
        run(task)


def test_one_time_limit_holds_for_all_coroutines_of_a_try(run: Run) -> None:
    task = Task(timeout=0.3, on_start=tasks.rest_in_hook).to_call(tasks.rest_on_loop, 10)
    with pytest.raises(TaskTimeout, match=r"its time limit of 0\.3 s"):
        run(task)


def test_time_limits_of_coroutines_hold_in_threads_too() -> None:
    raised: list[BaseException] = []

    def limited(task: Task) -> None:
        try:
            task.run()
        except TaskTimeout as error:
            raised.append(error)

    spent = Task(timeout=0.05).to_call(tasks.spend_time_in_a_callback, 0.2, 10)
    # What comes behind the coroutine has to let the interpreter raise something.
    behind = Task(timeout=0.3, on_start=tasks.rest_in_hook).to_call(tasks.spin)
    for task in (spent, behind):
        thread = threading.Thread(target=limited, args=(task,))
        thread.start()
        thread.join()

    assert [str(error) for error in raised] == [
        "the task ran longer than its time limit of 0.05 s",
        "the task ran longer than its time limit of 0.3 s",
    ]


def test_a_limit_from_outside_holds_on_a_loop_too() -> None:
    task = Task(timeout=10).to_call(tasks.rest_on_loop, 10)
    with pytest.raises(TaskTimeout, match=r"its time limit of 0\.05 s"):
        asyncio.run(task.run_async(0.05))


def test_a_stop_iteration_stays_one() -> None:
    """A coroutine could not raise it, and part of the path is written as coroutines."""
    task = Task().to_call(tasks.stop_iteration)
    with pytest.raises(StopIteration):
        task.run()
    assert isinstance(execution.run_here(task), StopIteration)


@pytest.mark.parametrize("hook", ["on_start", "on_success"])
def test_a_stop_iteration_of_a_hook_stays_one_too(hook: str) -> None:
    task = Task().to_call(tasks.nothing)
    setattr(task, hook, tasks.stop_iteration)
    with pytest.raises(StopIteration) as caught:
        task.run()
    assert caught.value.__notes__ == [f"raised by the {hook} hook"]


def test_a_stop_iteration_of_on_error_is_noted_beside_the_task_s_own_error() -> None:
    task = Task(on_error=tasks.stop_iteration).to_call(tasks.fail)
    with pytest.raises(ValueError, match="no such user") as caught:
        task.run()
    assert caught.value.__notes__ == ["its on_error hook raised StopIteration: "]


def test_a_task_that_runs_twice_at_once_raises_in_each_thread_what_its_run_did() -> None:
    begun, failed = threading.Event(), threading.Event()

    def call() -> None:
        if threading.current_thread() is good:
            begun.set()
            assert failed.wait(20)
        else:
            assert begun.wait(20)
            raise ValueError("the other one")

    task = Task().to_call(call)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            task.run()
        except BaseException as error:
            errors.append(error)

    good = threading.Thread(target=run)
    good.start()
    with pytest.raises(ValueError, match="the other one"):
        task.run()
    failed.set()
    good.join()
    assert errors == []


@pytest.mark.parametrize(
    ("call", "retries", "outcome", "status"),
    [
        (tasks.add_later, 0, Ack, SUCCESS),
        (tasks.fail_later, 0, Fail, FAILED),
        (tasks.fail_later, 2, Retry, RETRYING),
        (tasks.give_up, 2, Fail, FAILED),
        (tasks.snooze_in_hook, 0, Defer, DELAYED),
    ],
)
def test_outcomes_on_a_loop_are_those_elsewhere(
    call: Callable[..., Any], retries: int, outcome: type, status: int
) -> None:
    def one() -> execution.Try:
        body = execution.encode(Task("id", retries=retries).to_call(call, 1, 2))
        prepared = execution.prepare(Task, Lease("all", "id", body, "t"), "host:1")
        assert isinstance(prepared, execution.Try)
        return prepared

    for done in (execution.run(one()), asyncio.run(execution.run_async(one()))):
        assert isinstance(done.outcome, outcome)
        assert done.task is not None
        assert done.task.status == status


def test_a_program_with_a_running_loop_may_run_async_tasks_at_once() -> None:
    async def main() -> Any:
        with Gator("locmem://") as gator:
            gator.task(tasks.add_later, 1, 2)
            popped = gator.pop()
            here = gator.push(Task(is_async=False), tasks.add_later, 3, 4)
            assert popped is not None
            return popped.result, here.result

    assert asyncio.run(main()) == (3, 7)


def test_what_waits_with_no_loop_is_told_so() -> None:
    async def wait() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits, and no loop is there"):
        to_end(wait())
