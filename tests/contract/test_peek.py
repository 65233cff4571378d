"""Peeking: pages of one state, in its order, changing nothing."""

from __future__ import annotations

import time

import pytest

from alligator.backends.base import Backend, Capability, Defer, Fail, Page, Record, State

from .verbs import (
    LATER,
    ack,
    bodies,
    entry,
    failure,
    let_the_time_differ,
    listed,
    not_running,
    push,
    push_in,
    reserve,
    retry,
    settle,
    steady,
)


def paged(client: Backend, state: State, limit: int, reverse: bool = False) -> list[Record]:
    """All tasks of one state, a page at a time."""
    records: list[Record] = []
    cursor = None
    while True:
        page = client.peek("all", state, limit, cursor, reverse)
        records += page.records
        cursor = page.cursor
        if cursor is None:
            return records
        assert len(page.records) == limit


def test_an_empty_queue_has_an_empty_page(client: Backend) -> None:
    for state in State:
        assert client.peek("all", state) == Page([], None)


def test_each_state_shows_its_own_tasks(client: Backend) -> None:
    ids = {state: push_in(client, state) for state in not_running(client)}

    for state in not_running(client):
        assert [record.task_id for record in listed(client, "all", state)] == [ids[state]]
        assert [record.state for record in listed(client, "all", state)] == [state]
    assert listed(client, "other") == []


def test_waiting_tasks_are_in_the_order_they_will_run(client: Backend) -> None:
    for number, priority in enumerate([0, 3, -1, 3, 0]):
        push(client, body=b"%d" % number, priority=priority)

    assert bodies(listed(client)) == [b"1", b"3", b"0", b"4", b"2"]


def test_delayed_tasks_are_in_the_order_of_their_due_time(client: Backend) -> None:
    now = time.time()
    for number, hours in enumerate([3, 1, 2]):
        push(client, body=b"%d" % number, priority=number, delay_until=now + hours * LATER)

    assert bodies(listed(client, state=State.DELAYED)) == [b"1", b"2", b"0"]


def test_tasks_due_in_the_same_second_are_each_shown_once(client: Backend) -> None:
    client.push_many("all", [entry(b"%d" % number) for number in range(4)])
    for lease in reversed(client.reserve(["all"], 4)):
        settle(client, Defer(lease, LATER))

    shown = bodies(paged(client, State.DELAYED, limit=1))

    assert sorted(shown) == [b"0", b"1", b"2", b"3"]


def test_retrying_tasks_are_in_the_order_of_their_due_time(client: Backend) -> None:
    told_apart = Capability.RETRYING in client.capabilities
    for number, hours in enumerate([3, 1, 2]):
        push(client, body=b"%d" % number)
        settle(client, retry(reserve(client), delay=hours * LATER))

    state = State.RETRYING if told_apart else State.DELAYED
    assert bodies(listed(client, state=state)) == [b"1", b"2", b"0"]


def test_running_tasks_are_all_shown(client: Backend) -> None:
    pushed = [entry() for _ in range(3)]
    client.push_many("all", pushed)
    client.reserve(["all"], 3)

    assert set(bodies(listed(client, state=State.RUNNING))) == {each.body for each in pushed}


def test_failed_tasks_are_in_the_order_of_their_failure(client: Backend) -> None:
    for number in range(3):
        push(client, body=b"%d" % number)
    first, second, third = client.reserve(["all"], 3)

    for lease in (third, first, second):
        settle(client, Fail(lease, failure()))
        let_the_time_differ()

    assert bodies(listed(client, state=State.FAILED)) == [b"2", b"0", b"1"]


def test_blocked_tasks_are_in_the_order_of_their_push(client: Backend) -> None:
    if Capability.DEPENDENCIES not in client.capabilities:
        return
    first = push(client, "first")
    for number in range(3):
        push(client, body=b"%d" % number, priority=number, depends_on=(first,))

    assert bodies(listed(client, state=State.BLOCKED)) == [b"0", b"1", b"2"]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_neither_repeat_nor_skip(client: Backend, limit: int, reverse: bool) -> None:
    for number in range(7):
        push(client, body=b"%d" % number, priority=number % 3)
    whole = bodies(listed(client))

    shown = bodies(paged(client, State.WAITING, limit, reverse))

    assert shown == (whole[::-1] if reverse else whole)


@pytest.mark.parametrize("state", [State.DELAYED, State.FAILED])
def test_pages_hold_records_of_equal_time_apart(client: Backend, state: State) -> None:
    until = time.time() + LATER
    client.push_many("all", [entry(b"%d" % number, delay_until=until) for number in range(5)])
    if state is State.FAILED:
        why = failure()
        for record in listed(client, state=State.DELAYED):
            lease = client.claim(record.task_id)
            assert lease is not None
            settle(client, Fail(lease, why))

    shown = bodies(paged(client, state, limit=2))

    assert sorted(shown) == [b"%d" % number for number in range(5)]


def test_a_page_goes_on_where_the_last_one_ended_whatever_has_left(client: Backend) -> None:
    for number in range(6):
        push(client, body=b"%d" % number)
    first = client.peek("all", State.WAITING, limit=2)

    ack(client, *client.reserve(["all"], 2))
    second = client.peek("all", State.WAITING, limit=2, cursor=first.cursor)

    assert bodies(first.records) == [b"0", b"1"]
    assert bodies(second.records) == [b"2", b"3"]


def test_peeking_changes_nothing(client: Backend) -> None:
    task_id = push(client)
    before = steady(client.find(task_id))

    for _ in range(3):
        listed(client)

    assert steady(client.find(task_id)) == before
    assert reserve(client).deliveries == 1
