"""Claiming one task by its id, from whichever state it is in."""

from __future__ import annotations

import pytest

from alligator.backends.base import Ack, Backend, Capability, Release, State
from alligator.exceptions import TaskRunning, UnsupportedByBroker

from .verbs import (
    MakeClient,
    ack,
    bodies,
    listed,
    not_running,
    push,
    push_in,
    reserve,
    settle,
)


def test_a_task_is_claimed_from_every_state_but_running(client: Backend) -> None:
    for state in not_running(client):
        queue = f"q-{state}"
        task_id = push_in(client, state, queue=queue)
        record = client.find(task_id)
        assert record is not None
        assert record.state is state

        lease = client.claim(task_id)

        assert lease is not None
        assert (lease.queue, lease.task_id, lease.body) == (queue, task_id, record.body)
        assert lease.priority == record.priority
        assert lease.attempts == record.attempts
        assert lease.deliveries == record.deliveries + 1
        assert bodies(listed(client, queue, State.RUNNING)) == [record.body]
        assert client.reserve([queue], 1) == []
        ack(client, lease)
        assert queue not in client.queues()


def test_a_task_nobody_holds_is_not_claimed(client: Backend) -> None:
    gone = push(client)
    ack(client, reserve(client))

    for task_id in (gone, "no-such-id", "4294967295", "-1", "0", "١", "1 2"):
        assert client.claim(task_id) is None


def test_a_running_task_is_not_claimed(make_client: MakeClient) -> None:
    client = make_client()
    task_id = push(client)
    lease = reserve(client)

    with pytest.raises(TaskRunning, match=task_id):
        make_client().claim(task_id)

    ack(client, lease)


def test_a_claimed_task_is_running(client: Backend) -> None:
    task_id = push(client)
    lease = client.claim(task_id)
    assert lease is not None

    with pytest.raises(TaskRunning, match=task_id):
        client.claim(task_id)


def test_force_takes_a_task_from_its_worker(make_client: MakeClient) -> None:
    worker, other = make_client(), make_client()
    task_id = push(worker)
    lost = reserve(worker)

    if Capability.STEAL not in worker.capabilities:
        with pytest.raises(UnsupportedByBroker, match="take over"):
            other.claim(task_id, force=True)
        ack(worker, lost)
        return
    lease = other.claim(task_id, force=True)

    assert lease is not None
    assert lease.deliveries == 2
    assert worker.settle([Ack(lost)]).accepted == [False]
    ack(other, lease)
    assert worker.queues() == []


def test_force_takes_a_task_that_nobody_runs_too(client: Backend) -> None:
    if Capability.STEAL not in client.capabilities:
        return
    task_id = push(client)

    lease = client.claim(task_id, force=True)

    assert lease is not None
    assert client.claim("no-such-id", force=True) is None


def test_a_claimed_task_that_is_released_waits(client: Backend) -> None:
    for state in not_running(client):
        queue = f"q-{state}"
        lease = client.claim(push_in(client, state, queue=queue))
        assert lease is not None

        settle(client, Release(lease))

        assert bodies(listed(client, queue)) == [lease.body]


def test_a_claimed_task_leaves_the_others_in_line(client: Backend) -> None:
    ids = [push(client) for _ in range(4)]

    claimed = client.claim(ids[1])

    assert claimed is not None
    assert [lease.task_id for lease in client.reserve(["all"], 4)] == [ids[0], *ids[2:]]
