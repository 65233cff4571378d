"""Requeuing: one task made ready now, as if it had never run, but for its failures."""

from __future__ import annotations

import pytest

from alligator.backends.base import Backend, Capability, Fail, Mended, Receipt, State
from alligator.exceptions import TaskRunning

from .verbs import (
    MakeClient,
    ack,
    bodies,
    entry,
    failure,
    held,
    listed,
    not_running,
    push,
    push_failed,
    push_in,
    push_retrying,
    reserve,
    retry,
    settle,
)


def test_a_task_is_requeued_from_every_state_but_running(client: Backend) -> None:
    for state in not_running(client):
        queue = f"q-{state}"
        record = client.find(push_in(client, state, queue=queue))
        assert record is not None

        assert client.requeue(record.task_id) is True

        again = held(client, record.body, queue)
        assert again.state is State.WAITING
        assert (again.attempts, again.deliveries) == (0, 0)
        assert (again.due, again.depends_on) == (None, ())
        assert again.failures == record.failures
        assert again.priority == record.priority
        lease = reserve(client, queue)
        assert (lease.body, lease.attempts, lease.deliveries) == (record.body, 0, 1)
        ack(client, lease)
        assert queue not in client.queues()


def test_a_requeued_task_goes_to_the_tail_of_its_priority(client: Backend) -> None:
    push(client, body=b"failed")
    push(client, body=b"waiting")
    push(client, body=b"low", priority=-1)
    settle(client, Fail(reserve(client), failure()))

    client.requeue(held(client, b"failed").task_id)

    assert bodies(listed(client)) == [b"waiting", b"failed", b"low"]
    assert [lease.body for lease in client.reserve(["all"], 3)] == [b"waiting", b"failed", b"low"]


def test_requeuing_a_waiting_task_changes_nothing(client: Backend) -> None:
    first, second = push(client), push(client)

    assert client.requeue(first) is True
    assert client.requeue_many([first, second]) == [Mended.WAITING] * 2

    assert [lease.task_id for lease in client.reserve(["all"], 2)] == [first, second]


def test_a_task_nobody_holds_is_not_requeued(client: Backend) -> None:
    for task_id in ("no-such-id", "4294967295", "-1", "0", ""):
        assert client.requeue(task_id) is False


def test_a_running_task_is_not_requeued(make_client: MakeClient) -> None:
    client = make_client()
    task_id = push(client)
    lease = reserve(client)

    with pytest.raises(TaskRunning, match=task_id):
        make_client().requeue(task_id)

    ack(client, lease)


def test_attempts_are_counted_anew_after_a_requeue(client: Backend) -> None:
    body = client.find(push_retrying(client))
    assert body is not None
    client.requeue(body.task_id)

    settle(client, retry(reserve(client)))

    record = held(client, body.body)
    assert (record.attempts, record.deliveries) == (1, 1)
    assert len(record.failures) == 2


def test_a_requeued_task_can_fail_again(client: Backend) -> None:
    push(client, body=b"body")
    settle(client, Fail(reserve(client), failure()))
    client.requeue(held(client, b"body").task_id)

    settle(client, Fail(reserve(client), failure()))

    record = held(client, b"body")
    assert (record.state, record.attempts, record.deliveries) == (State.FAILED, 1, 1)


def test_a_failed_task_is_requeued_though_its_key_is_taken(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    failed = push_failed(client, unique="key")
    later = push(client, unique="key")

    assert client.requeue(failed) is True

    assert [lease.task_id for lease in client.reserve(["all"], 2)] == [failed, later]


def test_a_requeued_task_takes_its_key_again(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    failed = push_failed(client, unique="key")

    client.requeue(failed)

    assert client.push_many("all", [entry(unique="key")]) == [Receipt(failed, False)]


def test_a_requeued_blocked_task_forgets_what_it_depended_on(client: Backend) -> None:
    if Capability.DEPENDENCIES not in client.capabilities:
        return
    first = push(client, "first")
    task_id = push(client, depends_on=(first,))
    client.requeue(task_id)
    taken = reserve(client)

    ack(client, reserve(client, "first"))

    assert client.queues() == ["all"]
    ack(client, taken)
    assert client.queues() == []
