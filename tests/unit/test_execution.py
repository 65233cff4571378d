"""From a lease to its outcome: whatever the task does, there is one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from alligator import DELAYED, FAILED, RETRYING, SUCCESS, Task, execution
from alligator.backends.base import MAX_TRACEBACK, Ack, Defer, Fail, Lease, Retry
from alligator.exceptions import (
    GiveUp,
    RetryIn,
    Snooze,
    TaskTimeout,
    UndecodableTask,
    UnknownCallableError,
    UnknownModuleError,
)
from alligator.retries import exponential
from alligator.utils import DottedPath

from .. import tasks

WORKER = "host:1"


def lease_of(task: Task, **fields: Any) -> Lease:
    values = {"queue": "all", "task_id": "held-id", "body": execution.encode(task), "token": "t"}
    return Lease(**(values | fields))


def run(task: Task, **fields: Any) -> execution.Done:
    return execution.run(execution.prepare(Task, lease_of(task, **fields), WORKER))


def test_a_success_is_acked() -> None:
    done = run(Task().to_call(tasks.add, 1, 2))
    assert done.task is not None
    assert (done.task.result, done.task.status, done.error) == (3, SUCCESS, None)
    assert done.outcome == Ack(done.outcome.lease, b"", 0.0)


def test_a_result_that_is_wanted_goes_with_the_ack() -> None:
    done = run(Task(result_ttl=60).to_call(tasks.add, 1, 2))
    assert done.outcome == Ack(done.outcome.lease, b"3", 60.0)


def test_a_result_that_cannot_be_shown_is_a_success_all_the_same() -> None:
    done = run(Task(result_ttl=60).to_call(tasks.return_unprintable))
    assert isinstance(done.outcome, Ack)
    assert done.outcome.result == b'"a value of type Unprintable"'


def test_the_broker_has_the_say_on_id_and_priority() -> None:
    done = run(Task("chosen", priority=1).to_call(tasks.nothing), task_id="held", priority=7)
    assert done.task is not None
    assert (done.task.task_id, done.task.priority) == ("held", 7)


def test_a_lease_without_an_id_gets_the_one_in_the_body() -> None:
    done = run(Task("chosen").to_call(tasks.nothing), task_id="")
    assert done.outcome.lease.task_id == "chosen"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (tasks.fail, ValueError),
        (tasks.leave, SystemExit),
        (tasks.interrupt, KeyboardInterrupt),
        (DottedPath("tests.tasks", "no_such"), UnknownCallableError),
        (DottedPath("tests.tasks", "NUMBER"), UnknownCallableError),
        (DottedPath("no_such_module", "job"), UnknownModuleError),
    ],
)
def test_whatever_it_raises_fails_it(call: Callable[[], None], kind: type[BaseException]) -> None:
    done = run(Task().to_call(call))
    assert isinstance(done.error, kind)
    assert done.task is not None
    assert done.task.status == FAILED
    assert isinstance(done.outcome, Fail)
    assert done.outcome.failure.error.startswith(kind.__name__)
    assert done.outcome.failure.worker == WORKER


def test_a_failure_keeps_the_traceback() -> None:
    outcome = run(Task().to_call(tasks.fail)).outcome
    assert isinstance(outcome, Fail)
    assert outcome.failure.error == "ValueError: no such user"
    assert "tasks.py" in outcome.failure.traceback
    assert outcome.failure.traceback.endswith("ValueError: no such user\n")


def test_a_failed_try_with_retries_left_goes_back_with_one_less() -> None:
    done = run(Task(retries=3, backoff=2.5).to_call(tasks.fail))
    assert done.task is not None
    assert done.task.status == RETRYING
    assert isinstance(done.outcome, Retry)
    assert done.outcome.delay == 2.5
    assert json.loads(done.outcome.body)["retries"] == 2


@pytest.mark.parametrize(
    ("backoff", "attempts", "wait"),
    [
        ([1, 10, 60], 0, 1),
        ([1, 10, 60], 1, 10),
        ([1, 10, 60], 7, 60),
        (exponential(2, 100, jitter=False), 0, 2),
        (exponential(2, 100, jitter=False), 3, 16),
        (exponential(2, 100, jitter=False), 2000, 100),
    ],
)
def test_the_wait_goes_by_how_many_tries_have_failed(
    backoff: Any, attempts: int, wait: float
) -> None:
    outcome = run(Task(retries=1, backoff=backoff).to_call(tasks.fail), attempts=attempts).outcome
    assert isinstance(outcome, Retry)
    assert outcome.delay == wait


@pytest.mark.parametrize("attempts", [0, 5])
def test_a_process_that_will_be_ended_leaves_the_same_wait(attempts: int) -> None:
    task = Task(retries=9, timeout=60, backoff=[1, 10]).to_call(tasks.nothing)
    lease = lease_of(task, attempts=attempts)
    prepared = execution.prepare(Task, lease, WORKER)
    assert isinstance(prepared, execution.Try)
    limit = prepared.limit()
    assert limit is not None
    assert limit.delay == (10 if attempts else 1)


def test_a_task_that_asks_to_be_run_later_has_neither_failed_nor_lost_a_retry(
    tmp_path: Path,
) -> None:
    notes = str(tmp_path / "notes")
    task = Task(retries=2, backoff=5, on_error=tasks.note_error)
    done = run(task.to_call(tasks.snooze_times, notes, 1, 90.5), attempts=1)
    assert isinstance(done.error, Snooze)
    assert done.task is not None
    assert (done.task.status, done.task.retries, done.task.error) == (DELAYED, 2, done.error)
    assert done.outcome == Defer(done.outcome.lease, 90.5)
    assert tasks.lines(Path(notes)) == ["called"]  # no word from on_error


def test_whatever_is_ready_goes_before_a_task_that_asks_for_no_wait(tmp_path: Path) -> None:
    outcome = run(Task().to_call(tasks.snooze_times, str(tmp_path / "notes"), 1, 0)).outcome
    assert isinstance(outcome, Defer)
    assert outcome.delay == execution.SHORTEST_SNOOZE > 0


def test_a_hook_may_ask_for_a_later_run(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    outcome = run(Task(on_start=tasks.snooze_in_hook).to_call(tasks.append, str(notes), "")).outcome
    assert outcome == Defer(outcome.lease, 3600)
    assert not notes.exists()


def test_a_task_may_set_the_wait_for_its_next_try() -> None:
    done = run(Task(retries=2, backoff=5).to_call(tasks.ask_for_a_retry, 90))
    assert isinstance(done.error, RetryIn)
    assert done.task is not None
    assert (done.task.status, done.task.retries) == (RETRYING, 1)
    assert isinstance(done.outcome, Retry)
    assert done.outcome.delay == 90
    assert done.outcome.failure.error == "RetryIn: the server is busy"
    assert "ValueError: no such user" in done.outcome.failure.traceback


def test_asking_for_another_try_gives_no_retry() -> None:
    done = run(Task().to_call(tasks.ask_for_a_retry, 90))
    assert isinstance(done.outcome, Fail)


def test_a_task_that_gives_up_fails_whatever_retries_are_left(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    done = run(Task(retries=9, on_error=tasks.note_error).to_call(tasks.give_up, str(notes)))
    assert isinstance(done.error, GiveUp)
    assert done.task is not None
    assert done.task.status == FAILED
    assert isinstance(done.outcome, Fail)
    assert done.outcome.failure.error == "GiveUp: the account is closed"
    assert len(tasks.lines(notes)) == 1


def test_a_timeout_is_retried_as_any_failure() -> None:
    done = run(Task(retries=1, timeout=0.05).to_call(tasks.rest, 10))
    assert isinstance(done.error, TaskTimeout)
    assert isinstance(done.outcome, Retry)


@pytest.mark.parametrize("path", [("no_such_module", "job"), ("tests.tasks", "no_such")])
def test_what_another_try_would_only_repeat_is_not_retried(path: tuple[str, str]) -> None:
    outcome = run(Task(retries=3).to_call(DottedPath(*path))).outcome
    assert isinstance(outcome, Fail)


def test_a_module_that_raises_as_it_is_imported_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "comes_up_late.py").write_text(
        "import os\nif not os.path.exists(__file__ + '.up'): raise ConnectionError('away')\n"
        "def job(): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    call = Task(retries=1).to_call(DottedPath("comes_up_late", "job"))
    outcome = run(call).outcome
    assert isinstance(outcome, Retry)
    error = "BrokenModuleError: importing 'comes_up_late' raised ConnectionError: away"
    assert outcome.failure.error == error
    assert isinstance(run(Task().to_call(DottedPath("comes_up_late", "job"))).outcome, Fail)
    (tmp_path / "comes_up_late.py.up").touch()
    assert isinstance(run(call).outcome, Ack)


def test_the_error_hook_may_add_a_retry(tmp_path: Path) -> None:
    call = Task(on_error=tasks.one_retry_more).to_call(tasks.fail, str(tmp_path / "notes"))
    first = run(call).outcome
    assert isinstance(first, Retry)
    assert isinstance(
        execution.run(execution.prepare(Task, lease_of(call, body=first.body), WORKER)).outcome,
        Fail,
    )


def test_the_error_hook_may_end_the_retries() -> None:
    assert isinstance(
        run(Task(retries=9, on_error=tasks.no_retries).to_call(tasks.fail)).outcome, Fail
    )


def test_a_retry_is_the_call_that_was_pushed_whatever_the_try_did_to_its_arguments() -> None:
    call = Task(retries=1).to_call(tasks.use_up, [1, 2], options={"a": 1})
    outcome = run(call).outcome
    assert isinstance(outcome, Retry)
    assert outcome.failure.error == "ValueError: [2]"
    again = Task.deserialize(outcome.body)
    assert (again.func_args, again.func_kwargs) == (([1, 2],), {"options": {"a": 1}})


def test_a_hook_may_choose_what_the_next_try_is_called_with() -> None:
    outcome = run(Task(retries=1, on_error=tasks.call_with_two).to_call(tasks.fail, 1)).outcome
    assert isinstance(outcome, Retry)
    assert Task.deserialize(outcome.body).func_args == (2,)


@pytest.mark.parametrize("hook", [tasks.unreadable_options, tasks.no_number_of_retries])
def test_a_hook_that_spoils_the_task_fails_it(hook: Callable[..., None]) -> None:
    done = run(Task(retries=2, on_error=hook).to_call(tasks.fail))
    assert isinstance(done.outcome, Fail)
    assert done.task is not None
    assert done.task.status == FAILED


def test_a_task_that_cannot_go_back_fails_with_its_own_error_and_why() -> None:
    outcome = run(Task(on_error=tasks.unreadable_options).to_call(tasks.fail)).outcome
    assert isinstance(outcome, Fail)
    reason = "(not queued again: UnserialisableTask: args[0] is"
    assert outcome.failure.error.startswith(f"ValueError: no such user {reason}")


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b'{"task_id": "x"}', b"[" * 100_000])
def test_a_body_that_is_no_task_fails(data: bytes) -> None:
    done = execution.run(execution.prepare(Task, Lease("all", "id", data, "t"), WORKER))
    assert done.task is None
    assert isinstance(done.error, UndecodableTask)
    assert isinstance(done.outcome, Fail)
    assert done.outcome.failure.error.startswith("UndecodableTask: the body")


def test_a_body_with_nothing_to_call_fails() -> None:
    data = b'{"task_id": "x", "retries": 0, "async": true}'
    outcome = execution.run(execution.prepare(Task, Lease("all", "id", data, "t"), WORKER)).outcome
    assert isinstance(outcome, Fail)
    assert "nothing to call" in outcome.failure.error


class Picky(Task):
    """A reader of its own that raises what it likes."""

    @classmethod
    def deserialize(cls, data: str | bytes) -> Self:
        raise LookupError("not mine")


def test_whatever_a_reader_of_its_own_raises_fails_the_task() -> None:
    done = execution.run(execution.prepare(Picky, Lease("all", "id", b"body", "t"), WORKER))
    assert isinstance(done.error, UndecodableTask)
    assert "Picky.deserialize raised LookupError: not mine" in str(done.error)
    assert isinstance(done.error.__cause__, LookupError)


def test_an_error_that_cannot_be_shown_is_described() -> None:
    outcome = run(Task().to_call(tasks.fail_unprintably)).outcome
    assert isinstance(outcome, Fail)
    assert outcome.failure.error == "BrokenError: (its __str__ raised RuntimeError)"


def test_an_error_without_a_message_is_its_name() -> None:
    assert execution.failure_of(KeyboardInterrupt(), WORKER).error == "KeyboardInterrupt"


def test_a_failure_is_capped_and_safe_to_encode() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            raise ValueError("\ud800" + "x" * 100_000)

    with pytest.raises(ValueError, match="x") as caught:
        deep(200)
    failure = execution.failure_of(caught.value, WORKER)
    failure.error.encode()
    failure.traceback.encode()
    assert failure.error.startswith("ValueError: \\ud800xxx")
    assert len(failure.error) < 2000
    assert len(failure.traceback) <= MAX_TRACEBACK


def test_no_part_of_a_password_is_left_where_a_failure_is_cut() -> None:
    dsn = "redis://ann:s3cretPassw0rd@host:6379/0"
    for place in range(60):
        error = f"{'x' * (930 + place)} {dsn} {'y' * 2000}"
        trace = f"{dsn} {'z' * (MAX_TRACEBACK - 80 + place)}"
        failure = execution.failure_of(ValueError(f"{error} {trace}"), WORKER)
        assert len(failure.error) == 1000
        assert not re.search("s3cre|sw0rd", failure.error + failure.traceback)


def test_a_traceback_begins_with_the_users_code() -> None:
    outcome = run(Task().to_call(tasks.fail)).outcome
    assert isinstance(outcome, Fail)
    first_frame = outcome.failure.traceback.splitlines()[1]
    assert first_frame.strip().startswith(f'File "{tasks.__file__}", line')


def test_a_module_that_lacks_another_shows_the_import_and_nothing_of_ours_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pdf_of_orders.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)

    outcome = run(Task().to_call(DottedPath("pdf_of_orders", "render"))).outcome

    assert isinstance(outcome, Fail)
    cause, _, ours = outcome.failure.traceback.partition("direct cause of the following")
    assert "    import no_such_package\nModuleNotFoundError: " in cause
    assert "UnknownModuleError: 'pdf_of_orders' cannot be imported" in ours
    assert 'File "' not in ours


def test_a_traceback_that_is_nowhere_the_users_is_shown_whole() -> None:
    outcome = run(Task().to_call(tasks.add, 1)).outcome
    assert isinstance(outcome, Fail)
    assert 'File "' in outcome.failure.traceback
    assert outcome.failure.error.startswith("TypeError: ")
