"""Keeping leases alive while a task runs in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from alligator.backends.base import Ack, Backend, Lease, State
from alligator.backends.locmem_backend import Client
from alligator.exceptions import BrokerUnreachable
from alligator.leases import LeaseKeeper

from ..servers import eventually

SHORT = "locmem://?lease=0.15"


class Away(Client):
    """A broker that does not answer an extend until it is back."""

    asked = 0
    back = False

    def extend(self, leases: object) -> list[bool]:
        self.asked += 1
        if not self.back:
            raise BrokerUnreachable("no answer")
        return super().extend(leases)  # type: ignore[arg-type]


@pytest.fixture
def client() -> Backend:
    return Client(SHORT)


@pytest.fixture
def keeper(client: Backend) -> Iterator[LeaseKeeper]:
    keeper = LeaseKeeper(client)
    yield keeper
    keeper.close()


def lease(client: Backend, task_id: str = "id") -> Lease:
    client.push("all", task_id, b"body")
    return client.reserve(["all"], 1)[0]


def end_of(client: Backend, held: Lease) -> float:
    record = client.find(held.task_id)
    assert record is not None
    assert record.lease_until is not None
    return record.lease_until


def test_a_shorter_lease_is_extended_in_time_too(client: Client, keeper: LeaseKeeper) -> None:
    client.lease_seconds = 600
    first = lease(client, "first")
    with keeper.holding(first):
        eventually(lambda: keeper._reckoned == 600, "it waits for long")
        client.lease_seconds = 0.15
        second = lease(client, "second")
        before = end_of(client, second)
        with keeper.holding(second):
            eventually(lambda: end_of(client, second) > before, "it is extended")
    assert client.settle([Ack(second)]).accepted == [True]


def lease_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "alligator-leases"}


def test_a_lease_is_extended_for_as_long_as_it_is_held(
    client: Backend, keeper: LeaseKeeper
) -> None:
    held = lease(client)
    whole = end_of(client, held) + 3 * client.lease_seconds
    with keeper.holding(held):
        eventually(lambda: end_of(client, held) > whole, "the lease is not extended")
        assert client.reserve(["all"], 1) == []
    assert client.settle([Ack(held)]).accepted == [True]


def test_a_lease_no_longer_held_runs_out(client: Backend, keeper: LeaseKeeper) -> None:
    held = lease(client)
    with keeper.holding(held):
        pass
    eventually(lambda: client.reserve(["all"], 1), "the lease does not run out")
    assert client.settle([Ack(held)]).accepted == [False]


def test_several_leases_are_held_at_once_and_one_after_another(
    client: Backend, keeper: LeaseKeeper
) -> None:
    others = lease_threads()
    for round_ in range(2):
        first, second = lease(client, f"a{round_}"), lease(client, f"b{round_}")
        ends = end_of(client, first), end_of(client, second)
        with keeper.holding(first), keeper.holding(second):
            eventually(
                lambda f=first, s=second, e=ends: (
                    end_of(client, f) > e[0]  # type: ignore[misc]
                    and end_of(client, s) > e[1]
                ),
                "not both leases are extended",
            )
        client.settle([Ack(first), Ack(second)])
    assert len(lease_threads() - others) == 1


def test_a_lost_lease_is_said_once_and_let_go(
    client: Backend, keeper: LeaseKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    held, other = lease(client), lease(client, "other")
    with keeper.holding(held), keeper.holding(other):
        client.claim(held.task_id, force=True)
        eventually(lambda: caplog.records, "nobody says that the lease is lost")
        end = end_of(client, other)
        eventually(lambda: end_of(client, other) > end, "the other lease is not extended")
    assert [record.getMessage() for record in caplog.records] == [
        "task id lost its lease while it ran; another worker may run it too"
    ]


def test_a_broker_that_does_not_answer_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    client = Away("locmem://?lease=0.15")
    keeper = LeaseKeeper(client)
    held = lease(client)
    with keeper.holding(held):
        eventually(lambda: client.asked > 1, "it is not asked again")
        assert caplog.records[0].levelno == logging.WARNING
        assert "no answer" in caplog.records[0].getMessage()
        client.back = True
        asked = client.asked
        eventually(lambda: client.asked > asked, "it is not asked when it is back")
    keeper.close()


def test_closing_ends_the_thread_and_the_next_lease_starts_another(
    client: Backend, keeper: LeaseKeeper
) -> None:
    keeper.close()
    others = lease_threads()
    for _ in range(2):
        held = lease(client)
        end = end_of(client, held)
        with keeper.holding(held):
            eventually(lambda h=held, e=end: end_of(client, h) > e, "not extended")  # type: ignore[misc]
        client.settle([Ack(held)])
        keeper.close()
        assert lease_threads() == others


def test_a_closed_keeper_does_not_hold_a_lease(client: Backend, keeper: LeaseKeeper) -> None:
    held = lease(client)
    with keeper.holding(held):
        keeper.close()
        eventually(lambda: client.counts("all").waiting, "the lease is kept though nobody is there")
    record = client.find("id")
    assert record is not None
    assert record.state is State.WAITING
