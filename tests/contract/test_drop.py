"""Dropping a queue's tasks by state."""

from __future__ import annotations

import pytest

from alligator.backends.base import Backend, State

from .verbs import ack, entry, not_running, push, push_in, reserve


def test_only_the_states_asked_for_are_dropped(client: Backend) -> None:
    ids = {state: push_in(client, state) for state in not_running(client)}

    for state in not_running(client):
        assert client.drop("all", [state]) == 1

        assert client.find(ids.pop(state)) is None
        assert all(client.find(task_id) for task_id in ids.values())
    assert "all" not in client.queues()


def test_many_are_dropped_at_once_from_one_queue_only(client: Backend) -> None:
    client.push_many("all", [entry() for _ in range(250)])
    push_in(client, State.FAILED)
    push_in(client, State.DELAYED)
    push(client, "other")

    assert client.drop("all", [State.WAITING, State.DELAYED]) == 251

    assert client.counts("all").failed == 1
    assert client.len("all") == 0
    assert client.len("other") == 1


def test_an_empty_queue_has_nothing_to_drop(client: Backend) -> None:
    assert client.drop("all", [State.WAITING]) == 0
    assert client.drop("all", []) == 0
    assert client.drop_all("all") == 0


@pytest.mark.parametrize("states", [[State.RUNNING], [State.WAITING, State.RUNNING]])
def test_running_tasks_cannot_be_dropped(client: Backend, states: list[State]) -> None:
    push(client)
    push(client)
    lease = reserve(client)

    with pytest.raises(ValueError, match="running"):
        client.drop("all", states)

    assert client.len("all") == 1
    ack(client, lease)


def test_drop_all_leaves_what_runs_to_its_worker(client: Backend) -> None:
    push(client)
    lease = reserve(client)
    for state in not_running(client):
        push_in(client, state)

    assert client.drop_all("all") == len(not_running(client))

    assert client.counts("all").running == 1
    assert client.len("all") == 0
    ack(client, lease)
    assert "all" not in client.queues()
