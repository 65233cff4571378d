"""Counting tasks by state, and naming the queues that hold any."""

from __future__ import annotations

from alligator.backends.base import Backend, Capability, Counts, State

from ..servers import eventually
from .verbs import (
    MakeClient,
    ack,
    not_running,
    push,
    push_delayed,
    push_in,
    reserve,
)


def test_an_empty_queue_counts_nothing(client: Backend) -> None:
    none = 0 if Capability.TOTALS in client.capabilities else None
    assert client.counts("all") == Counts("all", done_total=none, failed_total=none)
    assert client.len("all") == 0
    assert client.queues() == []


def test_each_state_is_counted_apart(client: Backend) -> None:
    wanted = dict.fromkeys(map(str, State), 0)
    push(client)
    reserve(client)
    wanted["running"] = 1
    for number, state in enumerate(not_running(client), start=1):
        for _ in range(number):
            # One behind another queue's task counts in that queue.
            push_in(client, state)
        wanted[state] = number

    counts = client.counts("all")

    assert {state: getattr(counts, state) for state in wanted} == wanted
    assert client.len("all") == sum(wanted.values()) - wanted["running"] - wanted["failed"]


def test_a_queue_counts_its_own_tasks(make_client: MakeClient) -> None:
    one, other = make_client(), make_client()
    push(one, "a")
    push(other, "b")
    push(other, "b")

    assert [one.counts(name).waiting for name in ("a", "b", "c")] == [1, 2, 0]
    assert one.queues() == other.queues() == ["a", "b"]


def test_a_queue_is_named_while_it_holds_a_task_in_any_state(client: Backend) -> None:
    for state in not_running(client):
        push_in(client, state, queue=f"q-{state}")
    push(client, "q-running")
    lease = reserve(client, "q-running")
    names = {f"q-{state}" for state in not_running(client)} | {"q-running"}

    assert set(client.queues()) - {"first"} == names
    assert client.queues() == sorted(client.queues())
    ack(client, lease)
    assert "q-running" not in client.queues()


def test_the_oldest_age_is_that_of_the_task_first_in_line(client: Backend) -> None:
    push(client)

    age = client.counts("all").oldest_age

    assert age is not None
    assert age >= 0.0
    eventually(
        lambda: (client.counts("all").oldest_age or 0.0) > age, "the first in line grows no older"
    )
    push(client)
    aged = client.counts("all").oldest_age
    assert aged is not None
    assert aged > age


def test_there_is_no_oldest_age_when_nothing_waits(client: Backend) -> None:
    push_delayed(client)
    push(client)
    lease = reserve(client)

    assert client.counts("all").oldest_age is None
    ack(client, lease)
