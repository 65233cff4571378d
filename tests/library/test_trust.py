"""Allow lists and secrets of a Gator and a Worker, on every broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alligator import CANCELED, RETRYING, SUCCESS, Gator, Task, Worker
from alligator.backends.base import MAX_BODY, Capability, Mended, Moved, State
from alligator.exceptions import BadSignature, BodyTooLarge, InvalidSetting, NotAllowed

from .. import tasks

SECRET = "a secret of some length"

Work = Callable[[Gator], Worker]


@pytest.fixture
def signed(dsn: str, gator: Gator) -> Gator:
    """A Gator with a secret on the broker of `gator`, which has none."""
    other = Gator(dsn, secret=SECRET)
    other.backend = other.client = gator.client  # locmem:// is of one Gator alone
    return other


def test_what_is_signed_runs_where_the_secret_is(signed: Gator, work: Work, notes: Path) -> None:
    signed.task(tasks.append, str(notes), "ran")
    signed.push_many([Task().to_call(tasks.append, str(notes), "many") for _ in range(2)])
    assert work(signed).tasks_complete == 3
    assert tasks.lines(notes) == ["ran", "many", "many"]


def test_what_is_not_signed_fails_where_a_secret_is(
    gator: Gator, signed: Gator, work: Work, notes: Path
) -> None:
    gator.task(tasks.append, str(notes), "ran")
    work(signed)
    (record,) = gator.client.peek("all", State.FAILED).records
    assert record.failures[-1].error.startswith("BadSignature: bad signature: the body is not sig")
    assert not notes.exists()


def test_what_is_signed_runs_where_no_secret_is(
    gator: Gator, signed: Gator, work: Work, notes: Path
) -> None:
    """So pushers can be given the secret before the workers."""
    signed.task(tasks.append, str(notes), "ran")
    work(gator)
    assert tasks.lines(notes) == ["ran"]


def test_pop_and_get_check_the_signature(gator: Gator, signed: Gator) -> None:
    gator.task(tasks.nothing)
    with pytest.raises(BadSignature):
        signed.pop()
    task = gator.task(tasks.nothing)
    with pytest.raises(BadSignature):
        signed.get(task.task_id)
    assert gator.client.counts("all").failed == 2


def test_a_signed_task_is_retried_canceled_and_run_from_the_failed_set(signed: Gator) -> None:
    signed.options(retries=1).task(tasks.fail)
    task = signed.pop()
    assert task is not None
    assert task.status == RETRYING
    with pytest.raises(ValueError, match="no such user"):
        signed.pop()
    (record,) = signed.client.peek("all", State.FAILED).records
    with pytest.raises(ValueError, match="no such user"):
        signed.get(record.task_id)
    (record,) = signed.client.peek("all", State.FAILED).records
    canceled = signed.cancel(record.task_id)
    assert canceled is not None
    assert (canceled.name, canceled.status) == ("tests.tasks.fail", CANCELED)


def test_whoever_lacks_the_secret_may_cancel(gator: Gator, signed: Gator) -> None:
    task = signed.task(tasks.echo, 1)
    canceled = gator.cancel(task.task_id)
    assert canceled is not None
    assert canceled.func_args == (1,)


def moved(one: Moved) -> str:
    assert one.mended is Mended.DONE
    return one.task_id


def test_a_signed_task_that_is_moved_is_signed_anew(signed: Gator, work: Work, notes: Path) -> None:
    if Capability.MOVE not in signed.client.capabilities:
        pytest.skip("this broker cannot move tasks")
    ids = [signed.task(tasks.append, str(notes), "ran").task_id for _ in range(3)]
    assert signed.move(ids[0], "mail") is not None
    page = signed.client.peek("all", State.WAITING)
    for one in signed.move_many([ids[1], page.records[-1]], "mail"):
        moved(one)
    signed.queue_name = "mail"
    work(signed)
    assert tasks.lines(notes) == ["ran"] * 3


def test_a_signed_task_is_not_moved_without_the_secret(gator: Gator, signed: Gator) -> None:
    if Capability.MOVE not in signed.client.capabilities:
        pytest.skip("this broker cannot move tasks")
    plain, sealed = gator.task(tasks.nothing).task_id, signed.task(tasks.nothing).task_id
    with pytest.raises(InvalidSetting, match=f"'{sealed}' is signed for queue 'all'"):
        gator.move(sealed, "mail")
    with pytest.raises(InvalidSetting, match="is signed for queue 'all'"):
        gator.move_many([plain, sealed], "mail")
    assert gator.client.queues() == ["all"]
    assert gator.move(plain, "mail") is not None


def test_a_task_with_another_signature_stays_and_holds_up_no_other(
    dsn: str, gator: Gator, signed: Gator
) -> None:
    if Capability.MOVE not in signed.client.capabilities:
        pytest.skip("this broker cannot move tasks")
    other = Gator(dsn, secret="another one of some length")
    other.backend = other.client = gator.client
    theirs, ours = other.task(tasks.nothing).task_id, signed.task(tasks.nothing).task_id
    with pytest.raises(BadSignature):
        signed.move(theirs, "mail")
    first, second, third = signed.move_many([theirs, ours, "999999"], "mail")
    assert first == (Mended.UNVERIFIED, theirs)
    moved(second)
    assert third.mended is Mended.MISSING


def test_unique_and_chosen_ids_hold_for_signed_tasks(signed: Gator) -> None:
    if Capability.UNIQUE not in signed.client.capabilities:
        pytest.skip("this broker chooses the ids")
    first = signed.options(unique="key").task(tasks.nothing)
    second = signed.options(unique="key").task(tasks.nothing)
    assert (second.queued, second.task_id) == (False, first.task_id)
    assert signed.push(Task("mine"), tasks.nothing).queued
    assert not signed.push(Task("mine"), tasks.nothing).queued
    assert signed.pop() is not None
    assert signed.pop() is not None
    assert signed.pop() is None


def test_the_limit_of_a_body_counts_the_signature(signed: Gator) -> None:
    signed.client.ping()  # a broker may tell its limit only when asked
    limit = min(signed.client.body_limit, 60_000)
    signed.client.body_limit = limit
    body = len(signed.entry(Task().to_call(tasks.echo, "")).body)
    signed.task(tasks.echo, "x" * (limit - body))
    with pytest.raises(BodyTooLarge, match=f"the task is {limit + 1} bytes"):
        signed.task(tasks.echo, "x" * (limit - body + 1))


def test_no_broker_takes_what_no_worker_would(gator: Gator) -> None:
    assert gator.client.body_limit <= MAX_BODY


def test_only_what_is_allowed_runs(dsn: str, gator: Gator, work: Work, notes: Path) -> None:
    gator.task(tasks.append, str(notes), "ran")
    gator.options(on_success=tasks.note_success).task(tasks.append, str(notes), "with a hook")
    careful = Gator(dsn, allow=["tests.tasks.app*"])
    careful.backend = careful.client = gator.client
    work(careful)
    assert tasks.lines(notes) == ["ran"]
    (record,) = gator.client.peek("all", State.FAILED).records
    assert record.failures[-1].error == (
        "NotAllowed: not allowed: tests.tasks.note_success; allowed here: tests.tasks.app*"
    )


def test_a_worker_may_have_a_list_of_its_own(local: Gator) -> None:
    local.task(tasks.add, 1, 2)
    worker = Worker(local, allow="tests.tasks.nothing")
    assert worker.check_and_run_task()
    assert local.client.counts("all").failed == 1
    local.task(tasks.add, 1, 2)
    task = local.pop()
    assert task is not None
    assert task.status == SUCCESS


def test_a_worker_goes_by_its_gators_list() -> None:
    with Gator("locmem://", allow="tests.tasks.nothing") as gator:
        gator.task(tasks.add, 1, 2)
        Worker(gator).check_and_run_task()
        assert gator.client.counts("all").failed == 1


def test_pop_and_get_go_by_the_list() -> None:
    with Gator("locmem://", allow="tests.tasks.nothing") as gator:
        task = gator.task(tasks.add, 1, 2)
        with pytest.raises(NotAllowed, match=r"^not allowed: tests\.tasks\.add; allowed here: "):
            gator.pop()
        with pytest.raises(NotAllowed):
            gator.get(task.task_id)
        assert gator.client.counts("all").failed == 1


def test_what_a_program_calls_itself_is_its_own_affair() -> None:
    with Gator("locmem://", allow="tests.tasks.nothing") as gator:
        assert gator.options(is_async=False).task(tasks.add, 1, 2).result == 3


def test_settings_of_no_use_show_when_they_are_made() -> None:
    with pytest.raises(InvalidSetting, match="can be guessed"):
        Gator("locmem://", secret="short")
    with pytest.raises(InvalidSetting, match="allow is empty"):
        Gator("locmem://", allow=[])
    with pytest.raises(InvalidSetting, match="no pattern"):
        Worker(Gator("locmem://"), allow="a..b")


def test_the_environment_binds_every_gator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("GATOR_SECRET_FILE", str(file))
    monkeypatch.setenv("GATOR_ALLOW", "tests.tasks.nothing")
    with Gator("locmem://") as gator:
        assert gator.entry(Task().to_call(tasks.nothing)).body.startswith(b"signed-1 ")
        gator.task(tasks.add, 1, 2)
        with pytest.raises(NotAllowed):
            gator.pop()


def test_what_the_environment_has_of_no_use_shows_at_the_first_push(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATOR_SECRET_FILE", str(tmp_path / "none"))
    with Gator("locmem://") as gator:
        assert gator.len() == 0
        with pytest.raises(InvalidSetting, match=r"^GATOR_SECRET_FILE .* cannot be read"):
            gator.task(tasks.nothing)
        assert gator.len() == 0
