"""The five verbs that make the least backend: len, drop_all, push, pop, get."""

from __future__ import annotations

import time

import pytest

from alligator.backends.base import Backend, State
from alligator.exceptions import TaskRunning

from .verbs import LATER, not_running, push_in, reserve


def test_what_is_pushed_is_popped_once_in_order(client: Backend) -> None:
    for body in (b"1", b"2", b"3"):
        client.push("all", f"id-{body!r}", body)
    assert client.len("all") == 3

    assert [client.pop("all") for _ in range(4)] == [b"1", b"2", b"3", None]
    assert client.len("all") == 0
    assert client.queues() == []


def test_a_body_may_be_pushed_as_text(client: Backend) -> None:
    client.push("all", "id", '"ž"')
    assert client.pop("all") == '"ž"'.encode()


def test_a_task_is_got_by_the_id_that_push_returned(client: Backend) -> None:
    ids = [client.push("all", f"id-{number}", b"%d" % number) for number in range(3)]

    assert client.get("all", ids[1]) == b"1"
    assert client.get("all", ids[1]) is None
    assert [client.pop("all"), client.pop("all"), client.pop("all")] == [b"0", b"2", None]


def test_a_delayed_task_is_got_but_not_popped(client: Backend) -> None:
    task_id = client.push("all", "id", b"body", time.time() + LATER)

    assert client.pop("all") is None
    assert client.len("all") == 1
    assert client.get("all", task_id) == b"body"
    assert client.len("all") == 0


def test_a_task_is_got_from_every_state_but_running(client: Backend) -> None:
    for state in not_running(client):
        task_id = push_in(client, state, queue=f"q-{state}")
        record = client.find(task_id)
        assert record is not None

        assert client.get(f"q-{state}", task_id) == record.body
        assert f"q-{state}" not in client.queues()


def test_a_running_task_is_neither_popped_nor_got(client: Backend) -> None:
    task_id = client.push("all", "id", b"body")
    reserve(client)

    assert client.pop("all") is None
    with pytest.raises(TaskRunning):
        client.get("all", task_id)


def test_drop_all_empties_one_queue(client: Backend) -> None:
    push_in(client, State.FAILED)
    client.push("all", "id", b"body")
    client.push("other", "id-2", b"body")

    client.drop_all("all")

    assert client.queues() == ["other"]
    assert client.pop("all") is None


def test_an_unknown_id_is_not_got(client: Backend) -> None:
    assert client.get("all", "no-such-id") is None
