"""Gator: pushing calls, and running them here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from alligator import CANCELED, DELAYED, FAILED, RETRYING, SUCCESS, WAITING, Gator, Task, Worker
from alligator.backends.base import Capability, Fail, Failure, Mended, Record, State
from alligator.exceptions import (
    InvalidDSN,
    InvalidTask,
    TaskFailed,
    TaskRunning,
    UnknownCallableError,
    UnserialisableTask,
    UnsupportedByBroker,
)

from .. import tasks
from ..servers import eventually

HOUR = 3600


def state_of(gator: Gator, task: Task) -> State | None:
    record = gator.client.find(task.task_id)
    return record.state if record else None


def only(gator: Gator, state: State) -> Record:
    """The one task in this state. A broker that chooses the ids gives it a new one on the way."""
    (record,) = gator.client.peek("all", state).records
    return record


def has(gator: Gator, capability: Capability) -> bool:
    return capability in gator.client.capabilities


def pop(gator: Gator) -> Task:
    task = gator.pop()
    assert task is not None
    return task


# -- pushing --------------------------------------------------------------------------------------


def test_a_pushed_task_waits_until_it_is_popped(gator: Gator) -> None:
    task = gator.task(tasks.add, 1, b=2)
    assert (task.status, task.result, task.queued) == (WAITING, None, True)
    assert gator.len() == len(gator) == 1

    finished = pop(gator)

    assert (finished.result, finished.status) == (3, SUCCESS)
    assert finished.task_id == task.task_id
    assert gator.len() == 0
    assert gator.pop() is None


def test_an_empty_gator_is_still_true(gator: Gator) -> None:
    assert gator
    assert len(gator) == 0


def test_tasks_run_in_the_order_of_their_push(gator: Gator) -> None:
    for number in range(5):
        gator.task(tasks.add, number, 0)
    assert [pop(gator).result for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_higher_priority_goes_first(gator: Gator) -> None:
    for priority in (0, -5, 5, 0):
        gator.push(Task(priority=priority), tasks.echo, priority)
    assert [pop(gator).func_args for _ in range(4)] == [(5,), (0,), (0,), (-5,)]


def test_push_takes_a_configured_task_and_returns_it(gator: Gator) -> None:
    task = Task("chosen", retries=2)
    assert gator.push(task, tasks.add, 1, 2) is task
    if has(gator, Capability.CUSTOM_IDS):
        assert task.task_id == "chosen"
    record = gator.client.find(task.task_id)
    assert record is not None
    assert Task.deserialize(record.body).task_id == "chosen"


@pytest.mark.parametrize("name", ["func", "task", "self", "gator", "args"])
def test_a_call_may_have_keyword_arguments_of_any_name(gator: Gator, name: str) -> None:
    gator.task(tasks.echo, **{name: 1})
    gator.push(Task(), tasks.echo, **{name: 2})
    gator.options().task(tasks.echo, **{name: 3})
    assert [pop(gator).result[1] for _ in range(3)] == [{name: 1}, {name: 2}, {name: 3}]


def test_an_id_is_held_once(gator: Gator) -> None:
    if not has(gator, Capability.CUSTOM_IDS):
        pytest.skip("this broker chooses the ids")
    assert gator.push(Task("id"), tasks.add, 1, 1).queued
    assert not gator.push(Task("id"), tasks.add, 2, 2).queued
    assert gator.len() == 1
    assert pop(gator).result == 2
    assert gator.push(Task("id"), tasks.add, 3, 3).queued


def test_a_unique_key_is_held_once(gator: Gator) -> None:
    if not has(gator, Capability.UNIQUE):
        with pytest.raises(UnsupportedByBroker):
            gator.push(Task(unique="tick"), tasks.nothing)
        assert gator.len() == 0
        return
    first = gator.push(Task(unique="tick"), tasks.nothing)
    second = gator.push(Task(unique="tick"), tasks.nothing)
    assert (second.task_id, second.queued) == (first.task_id, False)
    pop(gator)
    assert gator.push(Task(unique="tick"), tasks.nothing).queued


def test_many_tasks_are_pushed_together_in_order(gator: Gator) -> None:
    made = [Task().to_call(tasks.add, number, 0) for number in range(250)]
    pushed = gator.push_many(iter(made))
    assert pushed == made
    assert gator.len() == 250
    assert len({task.task_id for task in pushed}) == 250
    assert [pop(gator).result for _ in range(250)] == list(range(250))


def test_pushing_no_tasks_does_nothing(gator: Gator) -> None:
    assert gator.push_many([]) == []
    assert gator.len() == 0


def test_one_bad_task_of_many_keeps_all_back(gator: Gator) -> None:
    good, bad = Task().to_call(tasks.add, 1, 2), Task().to_call(tasks.add, object(), 2)
    with pytest.raises(UnserialisableTask, match="args"):
        gator.push_many([good, bad])
    assert gator.len() == 0


def test_tasks_to_run_here_run_after_the_push_of_the_others(gator: Gator) -> None:
    here = Task(is_async=False).to_call(tasks.add, 1, 2)
    there = Task().to_call(tasks.add, 3, 4)
    assert gator.push_many([here, there]) == [here, there]
    assert (here.result, here.status) == (3, SUCCESS)
    assert (there.result, there.status) == (None, WAITING)


def test_a_task_is_found_by_its_dotted_path(gator: Gator) -> None:
    gator.task(tasks.Mail.send, "Ann")
    gator.task(tasks.Letter.kind)
    gator.task(tasks.add_later, 1, 2)
    gator.task(tasks.Mail)
    assert [pop(gator).result for _ in range(3)] == ["sent to Ann", "Letter", 3]
    assert isinstance(pop(gator).result, tasks.Mail)


def test_tuples_arrive_as_lists(gator: Gator) -> None:
    gator.task(tasks.echo, (1, (2, 3)), {"a": ()})
    assert pop(gator).result == [[[1, [2, 3]], {"a": []}], {}]


def test_any_text_arrives_as_it_was(gator: Gator) -> None:
    text = 'žluťoučký \U0001f40a "quoted"\r\n\0\\'
    gator.task(tasks.echo, text, **{text: text})
    assert pop(gator).result == [[text], {text: text}]


def test_queues_are_apart(dsn: str) -> None:
    with Gator(dsn) as gator:
        mail = Gator(dsn, queue_name="mail")
        # Two clients of locmem:// have a store each.
        mail.client = gator.client
        gator.task(tasks.add, 1, 0)
        mail.task(tasks.add, 2, 0)
        assert (len(gator), len(mail)) == (1, 1)
        assert pop(mail).result == 2
        assert mail.pop() is None
        assert pop(gator).result == 1


# -- here and now ---------------------------------------------------------------------------------


def test_a_task_that_is_not_async_runs_at_once(gator: Gator) -> None:
    task = gator.push(Task(is_async=False), tasks.add, 1, 2)
    assert (task.result, task.status) == (3, SUCCESS)
    assert gator.len() == 0


def test_a_task_that_is_not_async_may_call_anything(gator: Gator) -> None:
    assert gator.push(Task(is_async=False), lambda: {1, 2}).result == {1, 2}


def test_a_task_that_is_not_async_has_its_retries(gator: Gator, notes: Path) -> None:
    task = gator.push(Task(is_async=False, retries=2), tasks.fail_times, str(notes), 2)
    assert (task.result, task.status) == ("done at try 3", SUCCESS)


def test_a_task_that_is_not_async_raises_its_last_error(gator: Gator, notes: Path) -> None:
    task = Task(is_async=False, retries=2)
    with pytest.raises(ValueError, match="try 3 failed"):
        gator.push(task, tasks.fail_times, str(notes), 9)
    assert task.status == FAILED
    assert gator.len() == 0


def test_execute_runs_a_task_one_made(gator: Gator) -> None:
    task = Task(is_async=False, retries=5).to_call(tasks.add, 101, 35)
    assert gator.execute(task) is task
    assert (task.result, task.status) == (136, SUCCESS)


def test_execute_puts_a_failing_async_task_on_the_queue(gator: Gator, notes: Path) -> None:
    task = gator.execute(Task(retries=1).to_call(tasks.fail_times, str(notes), 1))
    assert (task.status, task.retries, gator.len()) == (RETRYING, 0, 1)
    finished = pop(gator)
    assert (finished.task_id, finished.result) == (task.task_id, "done at try 2")


def test_execute_raises_what_a_task_without_retries_raised(gator: Gator) -> None:
    task = Task().to_call(tasks.fail)
    with pytest.raises(ValueError, match="no such user"):
        gator.execute(task)
    assert (task.status, gator.len()) == (FAILED, 0)


# -- failing --------------------------------------------------------------------------------------


def test_a_task_that_fails_for_good_raises_and_is_kept_with_its_reason(gator: Gator) -> None:
    gator.task(tasks.fail)
    with pytest.raises(ValueError, match="no such user"):
        gator.pop()
    assert gator.len() == 0
    assert gator.pop() is None
    record = only(gator, State.FAILED)
    assert record.failures[-1].error == "ValueError: no such user"
    assert "in fail" in record.failures[-1].traceback


def test_a_failed_try_with_retries_goes_back_on_the_queue(gator: Gator, notes: Path) -> None:
    task = gator.push(Task(retries=2), tasks.fail_times, str(notes), 2)
    for left in (1, 0):
        again = pop(gator)
        assert (again.status, again.retries, again.result) == (RETRYING, left, None)
        assert again.task_id == task.task_id or not has(gator, Capability.CUSTOM_IDS)
        assert gator.len() == 1
    assert (pop(gator).result, gator.len()) == ("done at try 3", 0)


def test_when_the_retries_are_used_up_the_error_is_raised(gator: Gator, notes: Path) -> None:
    gator.push(Task(retries=1), tasks.fail_times, str(notes), 9)
    assert pop(gator).status == RETRYING
    with pytest.raises(ValueError, match="try 2 failed"):
        gator.pop()
    record = only(gator, State.FAILED)
    assert record.attempts == 2
    assert [failure.error[-12:] for failure in record.failures] == ["try 1 failed", "try 2 failed"]


def test_a_backoff_holds_the_next_try_back(gator: Gator, notes: Path) -> None:
    gator.push(Task(retries=1, backoff=HOUR), tasks.fail_times, str(notes), 1)
    assert pop(gator).status == RETRYING
    assert gator.pop() is None
    assert only(gator, State.RETRYING if has(gator, Capability.RETRYING) else State.DELAYED)
    assert gator.len() == 1


def test_a_task_that_exits_fails(gator: Gator) -> None:
    gator.task(tasks.leave)
    with pytest.raises(SystemExit):
        gator.pop()
    assert only(gator, State.FAILED).failures[-1].error == "SystemExit: 7"


def test_control_c_is_no_failure_of_the_task(gator: Gator) -> None:
    task = gator.task(tasks.press_control_c)
    with pytest.raises(KeyboardInterrupt):
        gator.pop()
    assert state_of(gator, task) is State.WAITING
    assert only(gator, State.WAITING).deliveries == 0


def test_control_c_on_a_failed_task_leaves_it_failed(gator: Gator) -> None:
    gator.task(tasks.press_control_c)
    (lease,) = gator.client.reserve(["all"], 1)
    gator.settle(Fail(lease, Failure("it is poison", "", 1.0, "host:1")))
    before = only(gator, State.FAILED)
    with pytest.raises(KeyboardInterrupt):
        gator.get(before.task_id)
    after = only(gator, State.FAILED)
    assert [failure.error for failure in after.failures] == [
        "it is poison",
        "interrupted while it was run by its id",
    ]
    assert (after.attempts, after.deliveries) == (before.attempts, before.deliveries)
    assert gator.pop() is None


def test_control_c_on_a_delayed_task_leaves_it_delayed(gator: Gator) -> None:
    task = gator.options(delay_by=HOUR).task(tasks.press_control_c)
    before = only(gator, State.DELAYED)
    with pytest.raises(KeyboardInterrupt):
        gator.get(task.task_id)
    after = only(gator, State.DELAYED)
    assert after.due is not None
    assert before.due is not None
    assert abs(after.due - before.due) <= 2, "a broker may know whole seconds only"
    assert after.deliveries == 0


def test_control_c_on_a_blocked_task_has_no_worker_run_it_too_soon(gator: Gator) -> None:
    if not has(gator, Capability.DEPENDENCIES):
        pytest.skip("this broker has no dependencies, and says so: see below")
    first = gator.options(delay_by=HOUR).task(tasks.nothing)
    second = gator.options(depends_on=first).task(tasks.press_control_c)
    with pytest.raises(KeyboardInterrupt):
        gator.get(second.task_id)
    assert only(gator, State.FAILED).failures[-1].error == (
        "interrupted while it was run by its id; it waited for other tasks, and does no more"
    )
    assert gator.pop() is None


def test_a_keyboard_interrupt_that_a_task_raises_itself_is_its_failure(gator: Gator) -> None:
    gator.task(tasks.interrupt)
    with pytest.raises(KeyboardInterrupt):
        gator.pop()
    assert only(gator, State.FAILED).failures[-1].error == "KeyboardInterrupt"
    assert gator.pop() is None


def test_tasks_of_one_push_may_depend_on_earlier_ones_only(gator: Gator) -> None:
    first = Task().to_call(tasks.nothing)
    second = Task(depends_on=first).to_call(tasks.nothing)

    with pytest.raises(InvalidTask, match=f"{first.task_id}.*comes later in the same push"):
        gator.push_many([second, first])

    assert gator.len() == 0


# -- by id ----------------------------------------------------------------------------------------


def test_get_runs_one_task_out_of_turn(gator: Gator) -> None:
    first, second = gator.task(tasks.add, 1, 0), gator.task(tasks.add, 2, 0)
    finished = gator.get(second.task_id)
    assert finished is not None
    assert (finished.result, finished.status, finished.task_id) == (2, SUCCESS, second.task_id)
    assert gator.get(second.task_id) is None
    assert pop(gator).task_id == first.task_id


def test_get_runs_a_task_that_is_delayed(gator: Gator) -> None:
    task = gator.push(Task(delay_by=HOUR), tasks.add, 1, 2)
    finished = gator.get(task.task_id)
    assert finished is not None
    assert finished.result == 3


def test_get_runs_a_task_that_failed(gator: Gator, notes: Path) -> None:
    gator.task(tasks.fail_times, str(notes), 1)
    with pytest.raises(ValueError, match="try 1"):
        gator.pop()
    finished = gator.get(only(gator, State.FAILED).task_id)
    assert finished is not None
    assert finished.result == "done at try 2"


def test_get_raises_what_the_task_raised(gator: Gator) -> None:
    task = gator.task(tasks.fail)
    with pytest.raises(ValueError, match="no such user"):
        gator.get(task.task_id)
    assert only(gator, State.FAILED).attempts == 1


def test_get_leaves_a_running_task_alone(gator: Gator) -> None:
    task = gator.task(tasks.nothing)
    gator.client.reserve(["all"], 1)
    with pytest.raises(TaskRunning):
        gator.get(task.task_id)


@pytest.mark.parametrize("task_id", ["no-such-task", "999999"])
def test_an_id_that_the_broker_does_not_have_is_none(gator: Gator, task_id: str) -> None:
    gator.task(tasks.nothing)
    assert gator.get(task_id) is None
    assert gator.cancel(task_id) is None
    assert gator.len() == 1


def test_cancel_takes_a_task_off_without_running_it(gator: Gator, notes: Path) -> None:
    task = gator.task(tasks.append, str(notes), "ran")
    canceled = gator.cancel(task.task_id)
    assert canceled is not None
    assert (canceled.status, canceled.task_id) == (CANCELED, task.task_id)
    assert canceled.func_args == (str(notes), "ran")
    assert gator.len() == 0
    assert gator.pop() is None
    assert tasks.lines(notes) == []


def test_cancel_takes_a_delayed_and_a_failed_task_too(gator: Gator) -> None:
    gator.task(tasks.fail)
    with pytest.raises(ValueError, match="no such user"):
        gator.pop()
    gator.push(Task(delay_by=HOUR), tasks.nothing)
    for state in (State.FAILED, State.DELAYED):
        task_id = only(gator, state).task_id
        assert gator.cancel(task_id) is not None
        assert gator.client.find(task_id) is None


def test_a_running_task_is_not_canceled(gator: Gator) -> None:
    task = gator.task(tasks.nothing)
    gator.client.reserve(["all"], 1)
    with pytest.raises(TaskRunning):
        gator.cancel(task.task_id)


# -- delays ---------------------------------------------------------------------------------------


def test_a_delayed_task_does_not_run_before_its_time(gator: Gator) -> None:
    task = gator.push(Task(delay_by=HOUR), tasks.nothing)
    assert task.status == DELAYED
    assert gator.len() == 1
    assert gator.pop() is None
    assert state_of(gator, task) is State.DELAYED


def test_a_delayed_task_runs_once_its_time_has_come(gator: Gator) -> None:
    due = time.time() + (0.3 if has(gator, Capability.SUBSECOND) else 1)
    gator.push(Task(delay_until=due), tasks.add, 1, 2)
    results: list[int] = []

    def ran() -> bool:
        task = gator.pop()
        results.extend([task.result] if task else [])
        return bool(results)

    eventually(ran, "it never runs")
    assert time.time() >= due
    assert results == [3]


def test_a_delay_that_is_over_is_none(gator: Gator) -> None:
    task = gator.push(Task(delay_until=1), tasks.add, 1, 2)
    assert task.status == WAITING
    assert pop(gator).result == 3


# -- dependencies ---------------------------------------------------------------------------------


@pytest.fixture
def ordering(gator: Gator) -> Gator:
    """A Gator whose broker can hold a task back for others."""
    if not has(gator, Capability.DEPENDENCIES):
        pytest.skip("this broker has no dependencies, and says so: see below")
    return gator


def test_dependencies_are_refused_where_the_broker_has_none(gator: Gator) -> None:
    if has(gator, Capability.DEPENDENCIES):
        pytest.skip("this broker has them")
    with pytest.raises(UnsupportedByBroker, match="succeeded"):
        gator.push(Task(depends_on="other"), tasks.nothing)
    assert gator.len() == 0


def test_a_task_waits_for_all_that_it_depends_on(ordering: Gator) -> None:
    first = ordering.push(Task(delay_by=HOUR), tasks.add, 1, 0)
    second = ordering.task(tasks.add, 2, 0)
    last = ordering.push(Task(depends_on=[first, second]), tasks.add, 3, 0)

    assert pop(ordering).result == 2
    assert ordering.pop() is None
    assert state_of(ordering, last) is State.BLOCKED
    assert ordering.len() == 2

    ordering.get(first.task_id)
    assert pop(ordering).result == 3


def test_a_dependency_with_retries_left_still_blocks(ordering: Gator, notes: Path) -> None:
    first = ordering.push(Task(retries=1), tasks.fail_times, str(notes), 1)
    last = ordering.push(Task(depends_on=first), tasks.add, 3, 0)
    assert pop(ordering).status == RETRYING
    assert state_of(ordering, last) is State.BLOCKED
    assert [pop(ordering).result, pop(ordering).result] == ["done at try 2", 3]


def test_a_dependency_that_fails_leaves_it_blocked_until_it_succeeds(
    ordering: Gator, notes: Path
) -> None:
    first = ordering.task(tasks.fail_times, str(notes), 1)
    last = ordering.push(Task(depends_on=first), tasks.add, 3, 0)
    with pytest.raises(ValueError, match="try 1"):
        ordering.pop()
    assert ordering.pop() is None
    assert state_of(ordering, last) is State.BLOCKED
    assert ordering.client.counts("all").blocked == 1

    ordering.get(first.task_id)
    assert pop(ordering).result == 3


def test_an_unknown_dependency_counts_as_done(ordering: Gator) -> None:
    done = ordering.task(tasks.nothing)
    pop(ordering)
    ordering.push(Task(depends_on=[done, "never-pushed"]), tasks.add, 3, 0)
    assert pop(ordering).result == 3


# -- results --------------------------------------------------------------------------------------


def test_a_result_is_waited_for(gator: Gator, work: Callable[[Gator], Worker]) -> None:
    if not has(gator, Capability.RESULTS):
        with pytest.raises(UnsupportedByBroker, match="store results"):
            gator.push(Task(result_ttl=60), tasks.nothing)
        assert gator.len() == 0
        return
    task = gator.push(Task(result_ttl=60), tasks.echo, 1)
    with pytest.raises(TimeoutError, match=task.task_id):
        gator.wait(task, timeout=0)
    work(gator)
    assert gator.wait(task) == gator.wait(task.task_id, timeout=0) == [[1], {}]


def test_waiting_for_a_task_that_failed_says_why(gator: Gator) -> None:
    if not has(gator, Capability.RESULTS):
        pytest.skip("this broker stores no results")
    task = gator.push(Task(result_ttl=60), tasks.fail)
    with pytest.raises(ValueError, match="no such user"):
        gator.pop()
    with pytest.raises(TaskFailed, match="ValueError: no such user"):
        gator.wait(task)


def test_waiting_for_a_task_that_is_gone_says_so(gator: Gator) -> None:
    if not has(gator, Capability.RESULTS):
        pytest.skip("this broker stores no results")
    with pytest.raises(TaskFailed, match="has no task no-such-task and no result"):
        gator.wait("no-such-task")


# -- which backend --------------------------------------------------------------------------------


def test_build_backend_makes_a_client_for_a_dsn(gator: Gator, dsn: str) -> None:
    backend = gator.build_backend(dsn)
    assert type(backend) is type(gator.backend)
    assert backend.len("all") == 0
    backend.close()


def test_an_unknown_scheme_is_refused_with_what_there_is() -> None:
    with pytest.raises(InvalidDSN, match=r"no backend answers to 'nosuch'.*locmem, redis"):
        Gator("nosuch://user:secret@host/0")


@pytest.mark.parametrize(("wrong", "meant"), [("redsi", "redis"), ("sqlit", "sqlite")])
def test_a_misspelt_scheme_gets_the_nearest_one(wrong: str, meant: str) -> None:
    with pytest.raises(InvalidDSN, match=rf"answers to '{wrong}'.*\. Did you mean '{meant}'\?$"):
        Gator(f"{wrong}://host/0")


def test_a_wrong_dsn_does_not_show_the_password() -> None:
    with pytest.raises(InvalidDSN) as caught:
        Gator("nosuch://user:secret@host/0")
    assert "secret" not in str(caught.value)


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a package that adds the scheme `acme`."""
    (tmp_path / "acme_queue.py").write_text(
        "from alligator.backends.locmem_backend import Client as Locmem\n"
        "class Client(Locmem):\n"
        "    def __init__(self, conn_string):\n"
        "        super().__init__('locmem://')\n"
        "        self.conn_string = conn_string\n"
    )
    info = tmp_path / "acme_queue-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-queue\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[alligator.backends]\nacme = acme_queue:Client\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "acme://somewhere"


def test_another_package_adds_a_scheme(plug_in: str) -> None:
    with Gator(plug_in) as gator:
        assert type(gator.backend).__module__ == "acme_queue"
        assert gator.backend.conn_string == plug_in
        gator.task(tasks.add, 1, 2)
        assert pop(gator).result == 3


def test_what_went_unknown_since_the_push_is_an_error_of_the_task(
    gator: Gator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("alligator_test_old_code")
    exec("def job(): pass", vars(module))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "alligator_test_old_code", module)
        gator.task(module.job)
        del module.job
        with pytest.raises(UnknownCallableError, match="was it renamed"):
            gator.pop()
    assert only(gator, State.FAILED)


def test_a_closed_gator_opens_again_when_it_is_used(gator: Gator) -> None:
    gator.task(tasks.add, 1, 2)
    gator.close()
    if has(gator, Capability.SHARED):
        assert pop(gator).result == 3
    gator.close()


# -- looking after queues -------------------------------------------------------------------------


def test_a_failed_task_is_requeued_and_moved(gator: Gator) -> None:
    gator.task(tasks.fail)
    with pytest.raises(ValueError, match="no such user"):
        gator.pop()
    (failed,) = gator.client.peek("all", State.FAILED).records

    moved = gator.move(failed.task_id, "other")

    assert moved is not None
    assert gator.requeue(moved) is True
    assert [gator.client.counts(name).waiting for name in ("all", "other")] == [0, 1]
    assert gator.requeue("no-such-task") is False
    assert gator.move("no-such-task", "other") is None


def test_many_are_moved_requeued_and_canceled(gator: Gator) -> None:
    pushed = gator.push_many(Task().to_call(tasks.add, n, n) for n in range(3))

    moved = gator.move_many((task.task_id for task in pushed), "other")

    assert [mended for mended, _ in moved] == [Mended.DONE] * 3
    ids = [task_id for _, task_id in moved]
    assert gator.requeue_many(ids[:1]) == [Mended.WAITING]
    assert gator.cancel_many(iter([*ids, "no-such-task"])) == [*[Mended.DONE] * 3, Mended.MISSING]
    assert gator.client.queues() == []


def test_a_paused_queue_is_not_popped(gator: Gator) -> None:
    if not has(gator, Capability.PAUSE):
        with pytest.raises(UnsupportedByBroker, match="cannot pause a queue"):
            gator.pause()
        return
    gator.task(tasks.add, 1, 2)
    gator.pause()
    gator.pause("other")

    assert gator.paused() == ["all", "other"]
    assert gator.pop() is None
    gator.resume()
    gator.resume("other")
    assert gator.paused() == []
    assert pop(gator).result == 3
