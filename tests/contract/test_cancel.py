"""Canceling one task by its id."""

from __future__ import annotations

import pytest

from alligator.backends.base import Backend, Fail
from alligator.exceptions import TaskRunning

from .verbs import (
    MakeClient,
    ack,
    failure,
    held,
    not_running,
    push,
    push_in,
    reserve,
    settle,
)


def test_a_task_is_canceled_from_every_state_but_running(client: Backend) -> None:
    for state in not_running(client):
        queue = f"q-{state}"
        task_id = push_in(client, state, queue=queue)
        record = client.find(task_id)
        assert record is not None

        assert client.cancel(task_id) == record.body

        assert client.find(task_id) is None
        assert client.cancel(task_id) is None
        assert client.claim(task_id) is None
        assert client.reserve([queue], 1) == []
        assert queue not in client.queues()


def test_a_task_nobody_holds_is_not_canceled(client: Backend) -> None:
    for task_id in ("no-such-id", "4294967295", "-1", "0", ""):
        assert client.cancel(task_id) is None


def test_a_running_task_is_not_canceled(make_client: MakeClient) -> None:
    client = make_client()
    task_id = push(client)
    lease = reserve(client)

    with pytest.raises(TaskRunning, match=task_id):
        make_client().cancel(task_id)

    ack(client, lease)


def test_canceling_one_task_leaves_the_others_in_line(client: Backend) -> None:
    ids = [push(client) for _ in range(3)]

    client.cancel(ids[1])

    assert [lease.task_id for lease in client.reserve(["all"], 3)] == [ids[0], ids[2]]


def test_a_task_with_failures_is_canceled_with_its_own_body(client: Backend) -> None:
    push(client, body=b"\x00body\n")
    settle(client, Fail(reserve(client), failure()))

    assert client.cancel(held(client, b"\x00body\n").task_id) == b"\x00body\n"
