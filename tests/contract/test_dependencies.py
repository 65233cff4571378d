"""Dependencies: a task is held back until the tasks it depends on have succeeded."""

from __future__ import annotations

import time

import pytest

from alligator.backends.base import Ack, Backend, Capability, Fail, Release, State
from alligator.exceptions import UnsupportedByBroker

from .verbs import (
    LATER,
    MakeClient,
    ack,
    bodies,
    entry,
    failure,
    listed,
    push,
    reserve,
    reserve_eventually,
    retry,
    settle,
    shortly,
)


def blocks(client: Backend) -> bool:
    """Whether tasks can be blocked; where they cannot, pushing one must say so."""
    if Capability.DEPENDENCIES in client.capabilities:
        return True
    with pytest.raises(UnsupportedByBroker, match="until others have succeeded"):
        client.push_many("all", [entry(depends_on=("some-id",))])
    return False


def state_of(client: Backend, task_id: str) -> State | None:
    record = client.find(task_id)
    return None if record is None else record.state


def test_the_last_ack_frees_a_task(make_client: MakeClient) -> None:
    client = make_client()
    if not blocks(client):
        return
    one, two = push(client, "a"), push(client, "b")
    last = push(make_client(), depends_on=(one, two))
    assert client.reserve(["all"], 1) == []

    ack(client, reserve(client, "b"))
    record = client.find(last)
    assert record is not None
    assert (record.state, record.depends_on) == (State.BLOCKED, (one,))
    ack(client, reserve(client, "a"))

    record = client.find(last)
    assert record is not None
    assert (record.state, record.depends_on) == (State.WAITING, ())
    assert reserve(client).task_id == last


def test_settle_may_reserve_what_it_freed(client: Backend) -> None:
    if not blocks(client):
        return
    last = push(client, depends_on=(push(client),))

    settled = client.settle([Ack(reserve(client))], ["all"], 1)

    assert [lease.task_id for lease in settled.leases] == [last]


def test_what_depends_on_a_task_whose_key_is_taken_waits_for_the_one_that_has_it(
    client: Backend,
) -> None:
    if not (blocks(client) and Capability.UNIQUE in client.capabilities):
        return
    holder = push(client, unique="key")
    refused = entry(unique="key")
    last = entry(depends_on=(refused.task_id,))

    receipts = client.push_many("all", [refused, last])

    assert receipts == [(holder, False), (last.task_id, True)]
    record = client.find(last.task_id)
    assert record is not None
    assert (record.state, record.depends_on) == (State.BLOCKED, (holder,))
    ack(client, reserve(client))
    assert reserve(client).task_id == last.task_id


def test_one_task_may_free_many_and_a_chain_is_freed_link_by_link(client: Backend) -> None:
    if not blocks(client):
        return
    first = entry(b"first")
    many = [entry(b"%d" % number, depends_on=(first.task_id,)) for number in range(3)]
    last = entry(b"last", depends_on=tuple(each.task_id for each in many))
    client.push_many("all", [first, *many, last])

    ack(client, reserve(client))
    leases = client.reserve(["all"], 9)
    assert bodies(leases) == [b"0", b"1", b"2"]
    ack(client, *leases)

    assert bodies(client.reserve(["all"], 9)) == [b"last"]


def test_ids_unknown_to_the_broker_count_as_done(client: Backend) -> None:
    if not blocks(client):
        return
    done = push(client)
    ack(client, reserve(client))

    task_id = push(client, task_id="own", depends_on=(done, "never-pushed", "own"))

    assert state_of(client, task_id) is State.WAITING


def test_a_dependency_named_twice_is_waited_for_once(client: Backend) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    task_id = push(client, depends_on=(one, one))

    ack(client, reserve(client, "a"))

    assert state_of(client, task_id) is State.WAITING


def test_a_freed_task_is_delayed_while_its_time_has_not_come(client: Backend) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    late = push(client, depends_on=(one,), delay_until=time.time() + LATER)
    soon = push(client, "soon", depends_on=(one,), delay_until=time.time() + shortly(client))

    ack(client, reserve(client, "a"))

    assert state_of(client, late) is State.DELAYED
    assert reserve_eventually(client, "soon").task_id == soon
    assert client.reserve(["all"], 1) == []


def test_neither_a_retry_nor_a_release_frees(client: Backend) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    task_id = push(client, depends_on=(one,))

    settle(client, retry(reserve(client, "a")))
    settle(client, Release(reserve(client, "a")))

    assert state_of(client, task_id) is State.BLOCKED
    ack(client, reserve(client, "a"))
    assert state_of(client, task_id) is State.WAITING


@pytest.mark.parametrize("mend", ["requeue", "claim"])
def test_a_failed_dependency_blocks_until_it_succeeds(client: Backend, mend: str) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    before = push(client, depends_on=(one,))
    settle(client, Fail(reserve(client, "a"), failure()))
    after = push(client, depends_on=(one,))
    assert [state_of(client, each) for each in (before, after)] == [State.BLOCKED] * 2

    if mend == "requeue":
        client.requeue(one)
        ack(client, reserve(client, "a"))
    else:
        lease = client.claim(one)
        assert lease is not None
        ack(client, lease)

    assert [state_of(client, each) for each in (before, after)] == [State.WAITING] * 2


@pytest.mark.parametrize("remove", ["cancel", "drop"])
def test_a_removed_dependency_leaves_its_dependents_blocked(client: Backend, remove: str) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    task_id = push(client, depends_on=(one,))

    if remove == "cancel":
        client.cancel(one)
    else:
        client.drop_all("a")

    record = client.find(task_id)
    assert record is not None
    assert (record.state, record.depends_on) == (State.BLOCKED, (one,))
    assert client.counts("all").blocked == 1
    assert client.requeue(task_id)
    assert reserve(client).task_id == task_id


def test_a_stale_ack_frees_nothing(make_client: MakeClient) -> None:
    client, thief = make_client(), make_client()
    if not blocks(client):
        return
    one = push(client, "a")
    task_id = push(client, depends_on=(one,))
    lost = reserve(client, "a")
    holding = thief.claim(one, force=True)
    assert holding is not None

    assert client.settle([Ack(lost)]).accepted == [False]

    assert state_of(client, task_id) is State.BLOCKED
    ack(thief, holding)
    assert state_of(client, task_id) is State.WAITING


def test_a_claimed_blocked_task_runs_and_is_not_freed_again(client: Backend) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    lease = client.claim(push(client, depends_on=(one,)))
    assert lease is not None

    ack(client, reserve(client, "a"))

    assert client.counts("all").running == 1
    assert client.reserve(["all"], 1) == []
    ack(client, lease)
    assert client.queues() == []


def test_a_canceled_dependent_does_not_come_back(client: Backend) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    client.cancel(push(client, depends_on=(one,)))

    ack(client, reserve(client, "a"))

    assert client.queues() == []


def test_a_blocked_task_takes_its_place_by_priority_when_freed(client: Backend) -> None:
    if not blocks(client):
        return
    one = push(client, "a")
    push(client, body=b"urgent", priority=1, depends_on=(one,))
    push(client, body=b"usual")
    ack(client, reserve(client, "a"))

    assert bodies(listed(client)) == [b"urgent", b"usual"]
