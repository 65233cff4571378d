"""Reserving: which tasks are handed out, in which order, and what a lease says."""

from __future__ import annotations

from alligator.backends.base import Backend, State

from .verbs import (
    MakeClient,
    bodies,
    drain,
    entry,
    lease_of,
    lose_lease,
    push,
    push_delayed,
    push_failed,
    reserve,
    reserve_eventually,
)


def test_nothing_ready_gives_nothing(client: Backend) -> None:
    push_delayed(client)
    push_failed(client)

    assert client.reserve(["all"], 10) == []
    assert client.reserve(["no-such-queue"], 10) == []
    assert client.reserve([], 10) == []


def test_no_more_than_the_limit_is_taken(client: Backend) -> None:
    client.push_many("all", [entry() for _ in range(5)])

    assert client.reserve(["all"], 0) == []
    assert len(client.reserve(["all"], 3)) == 3
    assert len(client.reserve(["all"], 3)) == 2


def test_a_lease_says_what_was_taken(client: Backend) -> None:
    task_id = push(client, "mail", body=b"body", priority=7)

    lease = reserve(client, "mail")

    assert lease.token
    assert lease._replace(token="") == (
        "mail", task_id, b"body", "", 7, 0, 1
    )  # fmt: skip
    record = client.find(task_id)
    assert record is not None
    assert record.state is State.RUNNING


def test_a_reserved_task_is_nobody_elses(make_client: MakeClient) -> None:
    one, other = make_client(), make_client()
    first, second = push(one), push(one)

    assert reserve(one).task_id == first
    assert reserve(other).task_id == second
    assert one.reserve(["all"], 1) == other.reserve(["all"], 1) == []


def test_higher_priority_goes_first_then_first_in_first_out(client: Backend) -> None:
    for number, priority in enumerate([0, 5, -1000, 5, 0, 1000]):
        push(client, body=b"%d" % number, priority=priority)

    assert drain(client) == [b"5", b"1", b"3", b"0", b"4", b"2"]


def test_order_holds_within_one_batch(client: Backend) -> None:
    priorities = [number % 7 - 3 for number in range(50)]
    client.push_many(
        "all", [entry(b"%d" % n, priority=priority) for n, priority in enumerate(priorities)]
    )

    leases = client.reserve(["all"], 50)

    wanted = sorted(range(50), key=lambda n: (-priorities[n], n))
    assert bodies(leases) == [b"%d" % n for n in wanted]


def test_queues_are_taken_in_order_of_preference(client: Backend) -> None:
    push(client, "low", body=b"low 1")
    push(client, "high", body=b"high 1", priority=1000)
    push(client, "low", body=b"low 2")
    push(client, "high", body=b"high 2")

    leases = client.reserve(["low", "high"], 3)

    assert bodies(leases) == [b"low 1", b"low 2", b"high 1"]
    assert [lease.queue for lease in leases] == ["low", "low", "high"]
    assert bodies(client.reserve(["high", "low"], 3)) == [b"high 2"]


def test_a_queue_that_is_not_named_is_left_alone(client: Backend) -> None:
    push(client, "other")

    assert client.reserve(["all"], 1) == []
    assert client.len("other") == 1


def test_a_lost_lease_makes_the_task_ready_for_another_delivery(make_client: MakeClient) -> None:
    _, lost, _, lease = lose_lease(make_client)

    assert lease.task_id == lost.task_id
    assert lease.token != lost.token
    assert (lease.deliveries, lease.attempts) == (2, 0)


def test_what_a_closed_client_held_is_ready_again(make_client: MakeClient) -> None:
    closing, other = lease_of(make_client, seconds=1), make_client()
    first, second = push(closing), push(closing)
    push(closing, "taken-last")
    assert reserve(closing).task_id == first
    reserve(closing, "taken-last")

    closing.close()

    reserve_eventually(other, "taken-last")
    leases = other.reserve(["all"], 2)
    assert [lease.task_id for lease in leases] == [first, second]
    assert [lease.deliveries for lease in leases] == [2, 1]
