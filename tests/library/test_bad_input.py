"""What cannot be a task, at the push and at the pop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alligator import Gator, Task, Worker
from alligator.backends.base import State
from alligator.exceptions import (
    BodyTooLarge,
    InvalidName,
    InvalidTask,
    NotImportable,
    UndecodableTask,
    UnserialisableTask,
)

from .. import tasks

Work = Callable[[Gator], Worker]


def nothing_queued(gator: Gator) -> bool:
    return gator.len() == 0 and gator.client.queues() == []


# -- at the push ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        ({1: "a"}, "key 1"),
        ("\ud800", "surrogate"),
        (object(), "object"),
        (b"bytes", "bytes"),
        ([{"a": {1, 2}}], r"\['a'\] is \{1, 2\}"),
    ],
    ids=["nan", "inf", "key", "surrogate", "object", "bytes", "set"],
)
def test_arguments_that_would_not_come_back_are_refused(
    gator: Gator, value: Any, named: str
) -> None:
    with pytest.raises(UnserialisableTask, match=rf"args\[0\].*{named}.*pass only text"):
        gator.task(tasks.echo, value)
    with pytest.raises(UnserialisableTask, match=rf"kwargs\['k'\].*{named}.*pass only text"):
        gator.task(tasks.echo, k=value)
    assert nothing_queued(gator)


def test_what_cannot_be_imported_is_refused(gator: Gator) -> None:
    def inner() -> None:
        pass

    for func in (lambda: None, inner, tasks.Mail().reply):
        with pytest.raises(NotImportable, match="cannot be a task") as caught:
            gator.task(func)
        assert repr(func) in str(caught.value)
    assert nothing_queued(gator)


@pytest.mark.parametrize(
    "name", ["", "a\nb", "a\0", "\x7f", "a\u2028b", "\ud800", "x" * 201, 5, b"id"], ids=repr
)
def test_an_id_that_no_broker_keeps_is_refused(gator: Gator, name: Any) -> None:
    with pytest.raises(InvalidTask) as caught:
        gator.push(Task(name), tasks.nothing)
    assert repr(name)[:30] in str(caught.value)
    assert nothing_queued(gator)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[1m", "x" * 201], ids=repr)
def test_a_queue_name_that_no_broker_keeps_is_refused(gator: Gator, name: str) -> None:
    gator.queue_name = name
    with pytest.raises(InvalidName, match="queue name"):
        gator.task(tasks.nothing)
    assert gator.client.queues() == []


ODD_NAMES = ["x" * 200, "žlutý kůň", "a b:c/d*?{e}", "'; --", "\U0001f40a"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_other_id_is_kept(gator: Gator, name: str) -> None:
    gator.push(Task(name), tasks.add, 1, 2)
    finished = gator.pop()
    assert finished is not None
    assert finished.result == 3


@pytest.mark.parametrize("name", ["x" * 200, "mail", "Mail-2.high_priority"])
def test_a_plain_queue_name_is_kept(gator: Gator, name: str) -> None:
    gator.queue_name = name
    gator.task(tasks.nothing)
    assert gator.client.queues() == [name]
    assert gator.pop() is not None


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_queue_name_is_kept_or_refused(gator: Gator, name: str) -> None:
    gator.queue_name = name
    try:
        gator.task(tasks.nothing)
    except InvalidName as error:  # some brokers take fewer characters than others
        refused = str(error)
        named = repr(name) in refused and "use letters" in refused
        assert (named, gator.client.queues()) == (True, [])
    else:
        assert gator.client.queues() == [name]
        assert gator.pop() is not None


def test_a_body_over_the_brokers_limit_is_refused(gator: Gator) -> None:
    limit = gator.client.body_limit
    if limit > 1_000_000:
        pytest.skip("this broker takes more than this test wants to send")
    with pytest.raises(BodyTooLarge, match=f"{limit}; pass an id or a path"):
        gator.task(tasks.echo, "x" * limit)
    assert nothing_queued(gator)


def test_a_task_that_grows_over_the_limit_at_a_retry_is_not_lost(gator: Gator, work: Work) -> None:
    gator.options(retries=1, on_error=tasks.grow).task(tasks.fail)
    gator.task(tasks.nothing)
    work(gator)
    counts = gator.client.counts("all")
    assert (gator.len(), counts.running, counts.failed) == (0, 0, 1)


def test_a_large_body_under_the_limit_arrives(gator: Gator) -> None:
    text = "x" * 60_000
    gator.task(tasks.echo, text)
    finished = gator.pop()
    assert finished is not None
    assert finished.result == [[text], {}]


@pytest.mark.parametrize("priority", [1001, -1001])
def test_a_priority_out_of_range_is_refused(gator: Gator, priority: int) -> None:
    with pytest.raises(InvalidTask, match=f"priority {priority} is outside"):
        gator.push(Task(priority=priority), tasks.nothing)
    assert nothing_queued(gator)


# -- at the pop -----------------------------------------------------------------------------------


ABSENT = "(absent)"


def body(**changes: Any) -> bytes:
    """A body that would run, changed."""
    plain = json.loads(Task("id").to_call(tasks.nothing).serialize())
    changed = {name: value for name, value in (plain | changes).items() if value != ABSENT}
    return json.dumps(changed).encode()


BAD_BODIES = {
    "no JSON": (b"\x80\xff not json", "no JSON"),
    "empty": (b"", "no JSON"),
    "half": (b'{"task_id": "id"', "no JSON"),
    "a list": (b"[1, 2]", "not an object"),
    "no id": (body(task_id=ABSENT), "lacks task_id"),
    "no retries": (body(retries=ABSENT), "lacks retries"),
    "no async": (body(**{"async": ABSENT}), "lacks async"),
    "no call": (body(callable=ABSENT, module=ABSENT), "nothing to call"),
    "no module": (body(module=ABSENT), "not a task"),
    "odd args": (body(args="abc"), "args is not a list"),
    "odd retries": (body(retries="many"), "retries 'many'"),
    "deep": (b'{"task_id":' + b"[" * 60_000, "nests deeper than"),
    "long number": (body(args=[0]).replace(b"[0]", b"[" + b"9" * 5000 + b"]"), "no JSON"),
    "unknown module": (body(module="no_such_module"), "no module named 'no_such_module'"),
    "unknown callable": (body(callable="no_such"), "has no 'no_such'"),
    "not callable": (body(callable="NUMBER"), "cannot be called"),
    "odd module": (body(module="../x"), "../x"),
    "wrong arguments": (body(args=[1, 2, 3]), "TypeError"),
}


@pytest.mark.parametrize(("data", "reason"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_what_is_no_task_goes_to_the_failed_set_and_the_worker_goes_on(
    gator: Gator, work: Work, data: bytes, reason: str
) -> None:
    gator.client.push("all", "raw", data)
    gator.task(tasks.nothing)

    worker = work(gator)

    assert worker.tasks_complete == 2
    assert gator.len() == 0
    (record,) = gator.client.peek("all", State.FAILED).records
    assert record.body == data
    assert reason in record.failures[-1].error


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import no_such_thing", "it needs 'no_such_thing'"),
        ("def", "SyntaxError"),
    ],
)
def test_a_module_that_fails_on_import_fails_its_task_only(
    gator: Gator,
    work: Work,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    reason: str,
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "alligator_test_broken.py").write_text(code)
    data = body(module="alligator_test_broken", callable="job")
    gator.client.push("all", "raw", data)
    gator.task(tasks.nothing)

    assert work(gator).tasks_complete == 2

    (record,) = gator.client.peek("all", State.FAILED).records
    assert record.body == data
    assert reason in record.failures[-1].error


def test_pop_says_what_was_wrong_with_it(gator: Gator) -> None:
    gator.client.push("all", "raw", b"not json")
    with pytest.raises(UndecodableTask, match="no JSON"):
        gator.pop()
    assert gator.client.counts("all").failed == 1


def test_what_is_no_task_can_be_canceled(gator: Gator) -> None:
    task_id = gator.client.push("all", "raw", b"not json")
    with pytest.raises(UndecodableTask):
        gator.cancel(task_id)
    assert gator.client.find(task_id) is None
