"""Task: its options, its wire format and one run of it."""

from __future__ import annotations

import datetime
import json
import math
import time
import uuid
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alligator import CANCELED, DELAYED, FAILED, RETRYING, SUCCESS, WAITING, Task
from alligator.exceptions import (
    InvalidTask,
    MultipleDelayError,
    NotImportable,
    TaskTimeout,
    UndecodableTask,
    UnknownModuleError,
    UnserialisableTask,
)
from alligator.retries import exponential
from alligator.utils import DottedPath

from .. import tasks


def body_of(task: Task) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(task.serialize())
    return found


def again(task: Task) -> Task:
    """The task as a worker gets it."""
    return Task.deserialize(task.serialize())


# -- options --------------------------------------------------------------------------------------


def test_what_a_class_has_by_an_options_name_is_not_the_option() -> None:
    class Own(Task):
        retries = 3
        priority = 7
        timeout = 60.0
        status = FAILED

    made = Own(retries=0)
    assert (made.retries, made.priority, made.timeout, made.status) == (0, 0, None, WAITING)
    assert Own.deserialize(Task().to_call(tasks.nothing).serialize()).retries == 0


@pytest.mark.parametrize("option", ["retries", "priority", "backoff", "result_ttl"])
def test_false_is_no_number(option: str) -> None:
    with pytest.raises(InvalidTask, match="False"):
        Task(**{option: False})


def test_a_plain_task_runs_later_once_and_has_an_id_of_its_own() -> None:
    task = Task()
    assert uuid.UUID(task.task_id) != uuid.UUID(Task().task_id)
    assert (task.retries, task.is_async, task.status) == (0, True, WAITING)
    assert (task.on_start, task.on_success, task.on_error) == (None, None, None)
    assert (task.depends_on, task.delay_until, task.result) == ((), None, None)


def test_the_documented_options_may_be_given_by_position() -> None:
    hooks = (tasks.note_start, tasks.note_success, tasks.note_error)
    task = Task("id", 3, False, *hooks, ["a", "b"], None, 2_000_000_000)
    assert (task.task_id, task.retries, task.is_async) == ("id", 3, False)
    assert (task.on_start, task.on_success, task.on_error) == hooks
    assert (task.depends_on, task.delay_until) == (("a", "b"), 2_000_000_000.0)


@pytest.mark.parametrize("word", ["async", "is_async"])
@pytest.mark.parametrize("value", [True, False])
def test_the_reserved_word_async_is_an_option_too(word: str, value: bool) -> None:
    assert Task(**{word: value}).is_async is value


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="'retires'"):
        Task(retires=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": -1}, "retries -1"),
        ({"retries": 1.5}, "retries 1.5 is not a whole number"),
        ({"retries": "3"}, "retries '3'"),
        ({"retries": True}, "retries True"),
        ({"retries": None}, "retries None"),
        ({"priority": 1.5}, "priority 1.5 is not a whole number"),
        ({"priority": "high"}, "priority 'high'"),
        ({"backoff": -1}, "backoff -1"),
        ({"backoff": math.inf}, "backoff inf"),
        ({"backoff": []}, "backoff is an empty list"),
        ({"backoff": [1, "2"]}, "backoff '2'"),
        ({"timeout": 0}, "timeout 0 leaves no time"),
        ({"timeout": math.nan}, "timeout nan"),
        ({"result_ttl": -1}, "result_ttl -1"),
        ({"delay_by": -1}, "delay_by -1"),
        ({"delay_by": "5"}, "delay_by '5'"),
        ({"delay_until": math.nan}, "delay_until nan"),
        ({"delay_until": "tomorrow"}, "delay_until 'tomorrow'"),
        ({"depends_on": [5]}, "depends_on 5 is neither a task nor its id"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        Task(**options)


def test_a_task_may_depend_on_one_task_or_several_by_object_or_id() -> None:
    first, second = Task("first"), Task("second")
    assert Task(depends_on=first).depends_on == ("first",)
    assert Task(depends_on="first").depends_on == ("first",)
    assert Task(depends_on=[first, "third", second]).depends_on == ("first", "third", "second")
    assert Task(depends_on=iter(["a"])).depends_on == ("a",)


# -- delays ---------------------------------------------------------------------------------------


@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/New_York"])
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The time zone that this process is in."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize("seconds", [30, 0.5, datetime.timedelta(minutes=1)])
def test_delay_by_is_seconds_from_now(seconds: float | datetime.timedelta) -> None:
    given = seconds.total_seconds() if isinstance(seconds, datetime.timedelta) else seconds
    before = time.time()
    due = Task(delay_by=seconds).delay_until
    assert due is not None
    assert before + given <= due <= time.time() + given


def test_delay_until_may_be_a_unix_time() -> None:
    assert Task(delay_until=2_000_000_000).delay_until == 2_000_000_000.0
    assert Task(delay_until=0.5).delay_until == 0.5


def test_delay_until_an_aware_datetime_is_in_its_own_zone(local_zone: str) -> None:
    noon = datetime.datetime(2033, 5, 18, 12, 0, tzinfo=zoneinfo.ZoneInfo("Europe/Vienna"))
    assert Task(delay_until=noon).delay_until == 1_999_936_800 + 86_400


def test_delay_until_a_naive_datetime_is_local_time(local_zone: str) -> None:
    naive = datetime.datetime(2033, 5, 18, 12, 30)
    expected = naive.replace(tzinfo=zoneinfo.ZoneInfo(local_zone)).timestamp()
    assert Task(delay_until=naive).delay_until == expected


def test_delay_until_a_date_is_its_start_in_local_time(local_zone: str) -> None:
    expected = datetime.datetime(2033, 5, 18, tzinfo=zoneinfo.ZoneInfo(local_zone)).timestamp()
    assert Task(delay_until=datetime.date(2033, 5, 18)).delay_until == expected


def test_both_delays_together_are_refused() -> None:
    with pytest.raises(MultipleDelayError, match="delay_by=5 and delay_until=7"):
        Task(delay_by=5, delay_until=7)


def test_a_delay_of_nothing_is_still_one_of_the_two() -> None:
    with pytest.raises(MultipleDelayError):
        Task(delay_by=0, delay_until=0)


# -- status ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("to_waiting", WAITING),
        ("to_success", SUCCESS),
        ("to_failed", FAILED),
        ("to_delayed", DELAYED),
        ("to_retrying", RETRYING),
        ("to_canceled", CANCELED),
    ],
)
def test_each_status_has_a_method(method: str, status: int) -> None:
    task = Task()
    task.status = 99
    getattr(task, method)()
    assert task.status == status


# -- the wire format ------------------------------------------------------------------------------


def test_the_body_is_the_documented_json_object() -> None:
    task = Task("id", retries=2).to_call(tasks.add, 1, b="two")
    assert body_of(task) == {
        "task_id": "id",
        "retries": 2,
        "async": True,
        "module": "tests.tasks",
        "callable": "add",
        "args": [1],
        "kwargs": {"b": "two"},
    }


def test_what_is_empty_is_left_out_of_the_body() -> None:
    task = Task("id").to_call(tasks.nothing)
    assert body_of(task).keys() == {"task_id", "retries", "async", "module", "callable"}
    assert Task.deserialize(task.serialize()).func_args == ()


def test_only_options_that_are_set_are_written() -> None:
    task = Task(
        on_start=tasks.note_start,
        on_success=tasks.Mail.send,
        on_error=DottedPath("far.away", "hook"),
        depends_on=["a"],
        delay_until=2_000_000_000,
        timeout=5,
        backoff=1.5,
        result_ttl=60,
    ).to_call(tasks.nothing)
    assert body_of(task)["options"] == {
        "on_start": {"module": "tests.tasks", "callable": "note_start"},
        "on_success": {"module": "tests.tasks", "callable": "Mail.send"},
        "on_error": {"module": "far.away", "callable": "hook"},
        "depends_on": ["a"],
        "delay_until": 2_000_000_000.0,
        "timeout": 5,
        "backoff": 1.5,
        "result_ttl": 60,
    }
    copy = again(task)
    assert copy._options() == task._options()


@pytest.mark.parametrize(
    ("backoff", "written"),
    [
        ([1, 10], [1, 10]),
        ((0, 0.5), [0, 0.5]),
        (exponential(1, 600), {"exponential": 1, "cap": 600}),
        (exponential(1, 60, jitter=False), {"exponential": 1, "cap": 60, "jitter": False}),
    ],
)
def test_a_backoff_travels_with_its_task(backoff: Any, written: Any) -> None:
    task = Task(backoff=backoff).to_call(tasks.nothing)
    assert body_of(task)["options"] == {"backoff": written}
    assert again(task).backoff == task.backoff


def test_a_task_comes_back_from_its_body() -> None:
    copy = again(Task("id", retries=2, is_async=False).to_call(tasks.add, 1, b=2))
    assert (copy.task_id, copy.retries, copy.is_async) == ("id", 2, False)
    assert (copy.func_args, copy.func_kwargs, copy.name) == ((1,), {"b": 2}, "tests.tasks.add")
    assert copy.run() == 3


@pytest.mark.parametrize("name", ["func", "self", "task", "args", "kwargs", "module"])
def test_a_call_may_have_keyword_arguments_of_any_name(name: str) -> None:
    copy = again(Task().to_call(tasks.echo, **{name: 1}))
    assert copy.run() == [[], {name: 1}]


def test_a_body_is_read_as_text_or_bytes() -> None:
    text = Task("id").to_call(tasks.nothing).serialize()
    assert isinstance(text, str)
    assert Task.deserialize(text).task_id == Task.deserialize(text.encode()).task_id == "id"


def test_a_body_of_alligator_1_is_read() -> None:
    task = Task.deserialize(
        '{"task_id": "id", "retries": 3, "is_async": false, "module": "tests.tasks",'
        ' "callable": "add", "args": [1, 2], "kwargs": {}, "options": {"on_start":'
        ' {"module": "tests.tasks", "callable": "note_start"}}}'
    )
    assert (task.task_id, task.retries, task.is_async) == ("id", 3, False)
    assert task.on_start == DottedPath("tests.tasks", "note_start")


def test_reading_a_body_imports_nothing() -> None:
    payload = body_of(Task().to_call(tasks.nothing))
    payload |= {"module": "no.such.module"}
    payload["options"] = {"on_start": {"module": "nor.this", "callable": "hook"}}
    task = Task.deserialize(json.dumps(payload))
    assert task.name == "no.such.module.nothing"


@pytest.mark.parametrize("key", ["task_id", "retries", "async"])
def test_a_body_without_a_required_key_is_no_task(key: str) -> None:
    payload = body_of(Task().to_call(tasks.nothing))
    del payload[key]
    with pytest.raises(UndecodableTask, match=f"lacks {key}"):
        Task.deserialize(json.dumps(payload))


@pytest.mark.parametrize(
    "change",
    [
        {"retries": "3"},
        {"retries": -1},
        {"retries": None},
        {"args": "abc"},
        {"args": {"a": 1}},
        {"args": None},
        {"kwargs": [1]},
        {"kwargs": "abc"},
        {"module": None},
        {"module": 5},
        {"callable": ["add"]},
        {"options": [1]},
        {"options": "abc"},
        {"options": {"on_start": "tests.tasks.note_start"}},
        {"options": {"on_error": {"module": "tests.tasks"}}},
        {"options": {"delay_until": "tomorrow"}},
        {"options": {"timeout": "5"}},
        {"options": {"backoff": []}},
        {"options": {"backoff": "1s"}},
        {"options": {"backoff": [1, None]}},
        {"options": {"backoff": {"exponential": 1}}},
        {"options": {"backoff": {"exponential": 9, "cap": 1}}},
        {"options": {"result_ttl": "x"}},
        {"options": {"depends_on": 5}},
        {"options": {"depends_on": [5]}},
    ],
    ids=str,
)
def test_a_body_with_a_value_of_the_wrong_type_is_no_task(change: dict[str, Any]) -> None:
    payload = body_of(Task().to_call(tasks.nothing)) | change
    with pytest.raises(UndecodableTask):
        Task.deserialize(json.dumps(payload))


def test_a_task_with_nothing_to_call_can_be_neither_written_nor_run() -> None:
    with pytest.raises(InvalidTask, match="use to_call first"):
        Task().serialize()
    with pytest.raises(InvalidTask, match="use to_call first"):
        Task().run()


def test_a_call_that_has_no_path_cannot_be_written() -> None:
    with pytest.raises(NotImportable):
        Task().to_call(lambda: None).serialize()


def test_a_hook_that_has_no_path_cannot_be_written() -> None:
    with pytest.raises(NotImportable):
        Task(on_error=lambda task, error: None).to_call(tasks.nothing).serialize()


def test_an_argument_that_json_cannot_say_cannot_be_written() -> None:
    with pytest.raises(UnserialisableTask, match=r"args\[0\] is nan"):
        Task().to_call(tasks.echo, math.nan).serialize()


# -- running --------------------------------------------------------------------------------------


def test_a_run_calls_and_keeps_the_result() -> None:
    task = Task().to_call(tasks.add, 1, b=2)
    assert task.run() == 3
    assert (task.result, task.status) == (3, SUCCESS)


def test_a_coroutine_is_run_to_its_end() -> None:
    assert Task().to_call(tasks.add_later, 1, 2).run() == 3


def test_hooks_are_called_around_a_success(notes: Path) -> None:
    task = Task("id", on_start=tasks.note_start, on_success=tasks.note_success)
    task.to_call(tasks.append, str(notes), "call").run()
    assert tasks.lines(notes) == ["start id", "call", "success None"]


def test_a_failure_is_told_and_raised_and_the_status_is_known_to_the_hook(notes: Path) -> None:
    task = Task("id", on_error=tasks.note_error, on_success=tasks.note_success)
    with pytest.raises(ValueError, match="no such user"):
        task.to_call(tasks.fail, str(notes)).run()
    assert tasks.lines(notes) == [f"error ValueError('no such user') status {FAILED}"]
    assert task.status == FAILED


@pytest.mark.parametrize("hook", ["on_start", "on_success"])
def test_a_hook_that_raises_is_a_failure_of_the_task(hook: str, notes: Path) -> None:
    task = Task(on_error=tasks.note_error, **{hook: tasks.raise_in_hook})
    with pytest.raises(RuntimeError, match="the hook broke"):
        task.to_call(tasks.append, str(notes), "call").run()
    assert tasks.lines(notes)[-1].startswith("error RuntimeError")
    assert task.status == FAILED


def test_an_error_hook_that_raises_does_not_hide_the_error() -> None:
    with pytest.raises(ValueError, match="no such user") as caught:
        Task(on_error=tasks.raise_in_hook).to_call(tasks.fail).run()
    assert caught.value.__notes__ == ["its on_error hook raised RuntimeError: the hook broke"]


def test_a_missing_hook_fails_the_task() -> None:
    task = Task(on_start=DottedPath("no_such_module", "hook")).to_call(tasks.nothing)
    with pytest.raises(UnknownModuleError):
        task.run()


def test_a_hook_may_set_a_status_of_its_own() -> None:
    def mark(task: Task, _result: object) -> None:
        task.status = 42

    task = Task(on_success=mark).to_call(tasks.nothing)
    task.run()
    assert task.status == 42


def test_a_run_past_the_time_limit_is_a_failure(notes: Path) -> None:
    task = Task(timeout=0.05, on_error=lambda task, error: tasks.append(str(notes), repr(error)))
    with pytest.raises(TaskTimeout):
        task.to_call(tasks.rest, 10).run()
    assert "TaskTimeout" in tasks.lines(notes)[0]


def test_a_task_is_shown_by_its_id_and_call() -> None:
    task = Task("id").to_call(tasks.Mail.send, "Ann")
    assert repr(task) == "<Task id Mail.send>"
    assert repr(again(task)) == "<Task id tests.tasks.Mail.send>"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"
