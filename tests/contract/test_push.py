"""Pushing: what is queued, what is refused, and what the receipt says."""

from __future__ import annotations

import time

import pytest

from alligator.backends.base import (
    MAX_PRIORITY,
    MIN_PRIORITY,
    Ack,
    Backend,
    Capability,
    Entry,
    Fail,
    Receipt,
    Release,
    State,
)
from alligator.exceptions import BodyTooLarge, InvalidName, InvalidTask, UnsupportedByBroker

from .verbs import (
    LATER,
    MakeClient,
    ack,
    bodies,
    drain,
    entry,
    failure,
    held,
    listed,
    not_running,
    push,
    push_delayed,
    push_failed,
    push_in,
    push_retrying,
    reserve,
    reserve_eventually,
    settle,
    shortly,
    steady,
)


def test_a_pushed_task_waits_and_is_found_under_the_receipts_id(client: Backend) -> None:
    wanted = entry()

    (receipt,) = client.push_many("all", [wanted])

    record = client.find(receipt.task_id)
    assert receipt.queued
    assert record is not None
    assert (record.state, record.body, record.queue) == (State.WAITING, wanted.body, "all")


def test_the_pushers_id_is_kept_where_the_broker_can(client: Backend) -> None:
    (receipt,) = client.push_many("all", [entry(task_id="report ✓ für 7")])

    if Capability.CUSTOM_IDS in client.capabilities:
        assert receipt.task_id == "report ✓ für 7"
    assert receipt.task_id
    assert reserve(client).task_id == receipt.task_id


@pytest.mark.parametrize(
    "body", [b"x", b"\x00\xff\xfe", b"line\r\nline\n", b"{}\n" * 3000, bytes(range(256)) * 100]
)
def test_a_body_comes_back_byte_for_byte(client: Backend, body: bytes) -> None:
    push(client, body=body)

    assert bodies(listed(client)) == [body]
    assert reserve(client).body == body


def test_pushing_nothing_queues_nothing(client: Backend) -> None:
    assert client.push_many("all", []) == []
    assert client.queues() == []


def test_many_are_queued_in_their_order(client: Backend) -> None:
    entries = [entry() for _ in range(300)]

    receipts = client.push_many("all", entries)

    assert [receipt.queued for receipt in receipts] == [True] * 300
    assert len({receipt.task_id for receipt in receipts}) == 300
    leases = client.reserve(["all"], 300)
    assert bodies(leases) == [each.body for each in entries]
    assert [lease.task_id for lease in leases] == [receipt.task_id for receipt in receipts]


def test_another_client_sees_what_was_pushed(make_client: MakeClient) -> None:
    task_id = push(make_client())

    assert reserve(make_client()).task_id == task_id


def test_a_held_id_is_not_queued_again(client: Backend) -> None:
    if Capability.CUSTOM_IDS not in client.capabilities:
        return
    for state in not_running(client):
        task_id = push_in(client, state, queue=f"q-{state}")
        record = steady(client.find(task_id))

        receipts = client.push_many("other", [entry(task_id=task_id)])

        assert receipts == [Receipt(task_id, False)]
        assert steady(client.find(task_id)) == record
    assert "other" not in client.queues()


def test_a_running_id_is_not_queued_again(client: Backend) -> None:
    if Capability.CUSTOM_IDS not in client.capabilities:
        return
    task_id = push(client)
    lease = reserve(client)

    receipts = client.push_many("all", [entry(task_id=task_id)])

    assert receipts == [Receipt(task_id, False)]
    ack(client, lease)
    assert client.queues() == []


def test_an_id_twice_in_one_push_is_queued_once(client: Backend) -> None:
    if Capability.CUSTOM_IDS not in client.capabilities:
        return
    first = entry()

    receipts = client.push_many("all", [first, entry(task_id=first.task_id), entry()])

    assert [receipt.queued for receipt in receipts] == [True, False, True]
    assert drain(client)[0] == first.body


def test_an_id_is_free_once_its_task_is_gone(client: Backend) -> None:
    task_id = push(client, task_id="nightly")
    ack(client, reserve(client))
    push(client, task_id="nightly")
    client.cancel(held(client, bodies(listed(client))[0]).task_id)

    push(client, task_id="nightly")

    assert client.find(task_id) is not None or Capability.CUSTOM_IDS not in client.capabilities
    assert client.len("all") == 1


def test_a_delayed_task_is_held_back_until_it_is_due(client: Backend) -> None:
    until = time.time() + LATER

    task_id = push(client, delay_until=until)

    record = client.find(task_id)
    assert record is not None
    assert record.state is State.DELAYED
    assert record.due is not None
    # Rounded up to a second and read to a second on brokers without SUBSECOND.
    slack = 0.01 if Capability.SUBSECOND in client.capabilities else 2.0
    assert record.due == pytest.approx(until, abs=slack)
    assert client.reserve(["all"], 1) == []


def test_a_delayed_task_becomes_ready_in_its_place(client: Backend) -> None:
    early = time.time() + 2  # longer than the next two lines take on a busy machine
    first = push(client, delay_until=early)
    second = push(client)
    assert reserve(client).task_id == second

    lease = reserve_eventually(client)

    assert lease.task_id == first
    assert time.time() >= early - 0.01


def test_a_due_task_keeps_the_order_of_its_push(client: Backend) -> None:
    push(client, "other", body=b"delayed", delay_until=time.time() + shortly(client))
    push(client, "other", body=b"waiting")
    push(client, "clock", delay_until=time.time() + shortly(client))
    reserve_eventually(client, "clock")

    assert drain(client, "other") == [b"delayed", b"waiting"]


@pytest.mark.parametrize("before", [0.0, 1.0, 1e9])
def test_a_time_that_has_passed_does_not_delay(client: Backend, before: float) -> None:
    push(client, delay_until=time.time() - before)

    assert reserve(client).deliveries == 1


@pytest.mark.parametrize("priority", [MIN_PRIORITY - 1, MAX_PRIORITY + 1])
def test_a_priority_out_of_range_queues_nothing(client: Backend, priority: int) -> None:
    with pytest.raises(InvalidTask, match=f"priority {priority} is outside -1000 to 1000"):
        client.push_many("all", [entry(), entry(priority=priority)])

    assert client.queues() == []


@pytest.mark.parametrize("name", ["", "a\nb", "nul\x00", "x" * 201, "\ud800"])
def test_a_name_no_broker_could_keep_queues_nothing(client: Backend, name: str) -> None:
    with pytest.raises(InvalidName, match="queue name"):
        client.push_many(name, [entry()])
    with pytest.raises(InvalidName, match="task id"):
        client.push_many("all", [entry(), Entry(name, b"{}")])

    assert client.queues() == []


@pytest.mark.parametrize("name", ["mail.high-1", "naïve ☂", "a b", "{x}", "-x", "q" * 200, "*?[%_"])
def test_a_queues_name_is_kept_exactly_or_refused(client: Backend, name: str) -> None:
    try:
        push(client, name)
    except InvalidName:
        assert client.queues() == []
        return
    push(client, "q")

    assert client.queues() == sorted([name, "q"])
    assert client.len(name) == 1
    assert reserve(client, name).queue == name


def test_a_body_over_the_limit_queues_nothing(client: Backend) -> None:
    client.ping()  # a broker may tell its limit only when asked
    client.body_limit = min(client.body_limit, 1_000_000)  # 16 MB of each would cost seconds
    push(client, "fits", body=b"x" * client.body_limit)

    with pytest.raises(BodyTooLarge, match=f"takes {client.body_limit}"):
        client.push_many("all", [entry(), entry(b"x" * (client.body_limit + 1))])

    assert client.queues() == ["fits"]


def test_what_the_broker_cannot_hold_queues_nothing(client: Backend) -> None:
    asked = {
        Capability.UNIQUE: entry(unique="key"),
        Capability.DEPENDENCIES: entry(depends_on=("some-id",)),
    }
    for capability, one in asked.items():
        if capability in client.capabilities:
            continue
        with pytest.raises(UnsupportedByBroker, match=capability.value):
            client.push_many("all", [entry(), one])

    assert client.queues() == []


def test_one_task_is_held_for_a_unique_key(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    holder = push(client, unique="daily")

    receipts = client.push_many("all", [entry(unique="daily"), entry(unique="weekly"), entry()])

    assert receipts[0] == Receipt(holder, False)
    assert [receipt.queued for receipt in receipts] == [False, True, True]
    record = client.find(holder)
    assert record is not None
    assert record.unique == "daily"


def test_a_unique_key_is_taken_within_one_push(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    first = entry(unique="daily")

    receipts = client.push_many("all", [first, entry(unique="daily")])

    assert receipts == [Receipt(first.task_id, True), Receipt(first.task_id, False)]


def test_a_unique_key_is_taken_in_every_state_but_failed(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    delayed = push_delayed(client, unique="delayed")
    retrying = push_retrying(client, unique="retrying")
    running = push(client, unique="running")
    assert reserve(client).task_id == running

    receipts = client.push_many(
        "all", [entry(unique=key) for key in ("delayed", "retrying", "running")]
    )

    assert receipts == [Receipt(holder, False) for holder in (delayed, retrying, running)]


def test_a_unique_key_is_free_once_its_holder_is_gone_or_failed(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    push(client, unique="key")
    ack(client, reserve(client))
    canceled = push(client, unique="key")
    client.cancel(canceled)
    push(client, unique="key")
    client.drop_all("all")
    push(client, unique="key")
    settle(client, Fail(reserve(client), failure()))

    push(client, unique="key")


@pytest.mark.parametrize("mended_by", ["requeue", "claim"])
@pytest.mark.parametrize("ended_by", ["ack", "fail", "cancel", "drop"])
@pytest.mark.parametrize("first_to_end", ["mended", "later"])
def test_a_unique_key_is_taken_until_all_that_have_it_are_gone_or_failed(
    client: Backend, mended_by: str, ended_by: str, first_to_end: str
) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    mended = push_failed(client, unique="key")
    later = push(client, "later", unique="key")
    if mended_by == "requeue":
        client.requeue(mended)
    else:
        lease = client.claim(mended)
        assert lease is not None
        settle(client, Release(lease))

    def end(task_id: str) -> None:
        if ended_by == "cancel":
            client.cancel(task_id)
        elif ended_by == "drop":
            client.drop_all("all" if task_id == mended else "later")
        else:
            lease = client.claim(task_id)
            assert lease is not None
            settle(client, Ack(lease) if ended_by == "ack" else Fail(lease, failure()))

    first, last = (mended, later) if first_to_end == "mended" else (later, mended)
    end(first)
    assert client.push_many("all", [entry(unique="key")]) == [Receipt(last, False)]
    end(last)
    push(client, unique="key")


def test_a_failed_task_leaves_its_key_to_the_one_that_took_it(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    failed = push(client, unique="key")
    settle(client, Fail(reserve(client), failure()))
    later = push(client, unique="key")
    client.cancel(failed)

    assert client.push_many("all", [entry(unique="key")]) == [Receipt(later, False)]
