"""Finding one task by its id, and what its record says."""

from __future__ import annotations

import time

from alligator.backends.base import Backend, Capability, Fail, State

from .verbs import (
    LATER,
    ack,
    failure,
    held,
    not_running,
    push,
    push_in,
    reserve,
    settle,
    steady,
)


def test_a_task_is_found_in_every_state(client: Backend) -> None:
    for state in not_running(client):
        task_id = push_in(client, state, queue=f"q-{state}")

        record = client.find(task_id)

        assert record is not None
        assert (record.task_id, record.queue, record.state) == (task_id, f"q-{state}", state)
        assert steady(record) == steady(held(client, record.body, record.queue))


def test_a_task_nobody_holds_is_not_found(client: Backend) -> None:
    gone = push(client)
    ack(client, reserve(client))

    for task_id in (gone, "no-such-id", "4294967295", "-1", "0", "١", ""):
        assert client.find(task_id) is None


def test_a_waiting_task_shows_what_was_pushed(client: Backend) -> None:
    record = client.find(push(client, body=b"body", priority=-7))

    assert record is not None
    assert (record.body, record.priority) == (b"body", -7)
    assert (record.attempts, record.deliveries, record.failures) == (0, 0, ())
    assert (record.due, record.lease_until, record.worker) == (None, None, None)
    assert (record.depends_on, record.unique) == ((), None)


def test_ages_follow_the_order_of_pushes(client: Backend) -> None:
    first, second = client.find(push(client)), client.find(push(client))

    assert first is not None
    assert second is not None
    if first.pushed_at is not None and second.pushed_at is not None:
        # A broker that tells an age in whole seconds may be off by one.
        assert first.pushed_at <= second.pushed_at + 1.0
        assert first.pushed_at <= time.time() + 1.0


def test_a_running_task_shows_its_worker_and_lease(client: Backend) -> None:
    task_id = push(client)
    reserve(client)

    record = client.find(task_id)

    assert record is not None
    assert (record.state, record.deliveries) == (State.RUNNING, 1)
    if Capability.TIMED_LEASES in client.capabilities:
        assert record.lease_until is not None
        assert record.lease_until <= time.time() + client.lease_seconds + 1.0
    else:
        assert record.lease_until is None
    assert record.worker in (client.worker, None)


def test_a_task_that_ran_shows_no_worker(client: Backend) -> None:
    task_id = push_in(client, State.FAILED)

    record = client.find(task_id)

    assert record is not None
    assert (record.worker, record.lease_until, record.due) == (None, None, None)
    assert record.attempts == 1


def test_failures_survive_every_later_state(client: Backend) -> None:
    push(client, body=b"body")
    why = failure()
    settle(client, Fail(reserve(client), why))
    client.requeue(held(client, b"body").task_id)

    assert held(client, b"body").failures == (why,)
    reserve(client)
    assert held(client, b"body").failures == (why,)


def test_a_blocked_task_shows_its_due_time_and_what_it_waits_for(client: Backend) -> None:
    if Capability.DEPENDENCIES not in client.capabilities:
        return
    until = time.time() + LATER
    needed = [push(client, "first"), push(client, "first")]

    record = client.find(push(client, depends_on=(*needed, "unknown"), delay_until=until))

    assert record is not None
    assert record.state is State.BLOCKED
    assert sorted(record.depends_on) == sorted(needed)
    assert record.due is not None
