"""Extending: a lease holds as long as its worker keeps asking for it."""

from __future__ import annotations

import time

from alligator.backends.base import Ack, Backend, Capability

from .verbs import MakeClient, ack, entry, lease_of, lose_lease, push, reserve


def test_a_held_lease_is_extended_and_a_lost_one_is_not(client: Backend) -> None:
    client.push_many("all", [entry() for _ in range(3)])
    one, two, three = client.reserve(["all"], 3)
    ack(client, two)

    assert client.extend([one, two, three]) == [True, False, True]
    assert client.extend([]) == []
    ack(client, one, three)


def test_a_lease_that_another_worker_took_is_not_extended(make_client: MakeClient) -> None:
    first, lost, second, holding = lose_lease(make_client)

    assert first.extend([lost]) == [False]
    assert second.extend([holding]) == [True]
    ack(second, holding)


def test_a_made_up_token_extends_nothing(client: Backend) -> None:
    push(client)
    lease = reserve(client)

    assert client.extend([lease._replace(token="made-up")]) == [False]


def test_a_lease_that_is_extended_outlives_its_time(make_client: MakeClient) -> None:
    seconds = 2
    worker, other = lease_of(make_client, seconds), make_client()
    push(worker)
    lease = reserve(worker)
    timed = Capability.TIMED_LEASES in worker.capabilities
    end = time.monotonic() + (1.25 * seconds if timed else 0.1)

    while time.monotonic() < end:
        assert worker.extend([lease]) == [True]
        assert other.reserve(["all"], 1) == []
        time.sleep(0.05)

    assert worker.settle([Ack(lease)]).accepted == [True]
