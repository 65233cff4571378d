"""Moving tasks to another queue, as they are."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter

import pytest

from alligator.backends.base import (
    Ack,
    Backend,
    Capability,
    Fail,
    Mended,
    Move,
    Receipt,
    Record,
    State,
)
from alligator.exceptions import BodyTooLarge, InvalidName, TaskRunning, UnsupportedByBroker

from ..servers import eventually
from .test_wait import waiting
from .verbs import (
    MakeClient,
    ack,
    bodies,
    entry,
    failure,
    held,
    let_the_time_differ,
    listed,
    not_running,
    push,
    push_failed,
    push_in,
    push_retrying,
    reserve,
    reserve_eventually,
    retry,
    settle,
    shortly,
    steady,
)


def as_it_was(record: Record | None, keeps_ids: bool) -> Record | None:
    """What a move has to leave alone."""
    kept = steady(record)
    return kept if kept is None or keeps_ids else kept._replace(task_id="")


def test_a_task_is_moved_in_every_state_but_running(client: Backend) -> None:
    keeps_ids = Capability.CUSTOM_IDS in client.capabilities
    for state in not_running(client):
        task_id = push_in(client, state, queue=f"q-{state}")
        before = client.find(task_id)
        assert before is not None
        assert before.state is state

        ((mended, moved_as),) = client.move_many([Move(task_id)], f"to-{state}")

        after = client.find(moved_as)
        assert mended is Mended.DONE
        assert (moved_as == task_id) is keeps_ids
        wanted = before._replace(queue=f"to-{state}")
        assert as_it_was(after, keeps_ids) == as_it_was(wanted, keeps_ids)
        assert after is not None
        assert (after.due is None) is (before.due is None)
        if before.due is not None and after.due is not None:
            assert abs(after.due - before.due) < 2.5  # which a server of whole seconds rounds
        assert f"q-{state}" not in client.queues()
        assert f"to-{state}" in client.queues()
        assert [record.task_id for record in listed(client, f"to-{state}", state)] == [moved_as]


def test_failures_and_counts_go_along(client: Backend) -> None:
    push(client, body=b"body")
    settle(client, retry(reserve(client)))
    settle(client, Fail(reserve_eventually(client), failure("OSError: gone")))
    before = held(client, b"body")

    moved = client.move(before.task_id, "other")

    assert moved is not None
    after = client.find(moved)
    assert after is not None
    assert (after.attempts, after.deliveries, len(after.failures)) == (2, 2, 2)
    assert after.failures == before.failures
    assert client.requeue(moved) is True
    assert reserve(client, "other").body == b"body"


def test_a_running_task_is_not_moved(make_client: MakeClient) -> None:
    client, other = make_client(), make_client()
    running, waits = push(client, priority=1), push(client)
    lease = reserve(client)

    moved = other.move_many([Move(running), Move(waits)], "elsewhere")

    assert [one.mended for one in moved] == [Mended.RUNNING, Mended.DONE]
    with pytest.raises(TaskRunning, match=running):
        other.move(running, "elsewhere")
    assert client.counts("elsewhere").waiting == 1
    ack(client, lease)


def test_a_task_nobody_holds_is_missing(client: Backend) -> None:
    for task_id in ("no-such-id", "4294967295", "-1", "0", ""):
        assert client.move_many([Move(task_id)], "other") == [(Mended.MISSING, task_id)]
        assert client.move(task_id, "other") is None
    assert client.move_many([], "other") == []
    assert client.queues() == []


def test_a_task_that_is_there_already_is_left_alone(client: Backend) -> None:
    first, second = push(client), push(client)

    assert client.move_many([Move(first)], "all") == [(Mended.DONE, first)]

    assert [lease.task_id for lease in client.reserve(["all"], 2)] == [first, second]


def test_many_are_moved_at_once(client: Backend) -> None:
    receipts = client.push_many("all", [entry() for _ in range(1500)])
    wanted = bodies(listed(client))
    moves = [Move(receipt.task_id) for receipt in receipts]
    moves.insert(700, Move("4294967295"))

    moved = client.move_many(moves, "other")

    missing = moved.pop(700)
    assert missing.mended is Mended.MISSING
    assert {one.mended for one in moved} == {Mended.DONE}
    assert (client.counts("all").waiting, client.counts("other").waiting) == (0, 1500)
    assert bodies(listed(client, "other")) == wanted
    assert {record.task_id for record in listed(client, "other")} <= {one.task_id for one in moved}


def test_a_moved_task_takes_the_place_that_its_age_gives_it(client: Backend) -> None:
    older = push(client, "from", b"older")
    push(client, "to", b"younger")
    push(client, "to", b"urgent", priority=1)

    client.move(older, "to")

    line = [b"urgent", b"older", b"younger"]
    if Capability.CUSTOM_IDS not in client.capabilities:
        line = [b"urgent", b"younger", b"older"]
    assert bodies(client.reserve(["to"], 3)) == line


def test_a_new_body_takes_the_place_of_the_old_one(client: Backend) -> None:
    for state in not_running(client):
        task_id = push_in(client, state, queue="from")
        record = client.find(task_id)
        assert record is not None

        moved = client.move(task_id, "to", b"sealed anew\n\x00")
        again = client.move(moved or "", "to", b"and again")

        found = client.find(again or "")
        assert found is not None
        assert (found.queue, found.state, found.body) == ("to", state, b"and again")
        assert client.cancel(found.task_id) == b"and again"
        client.drop_all("first")
    assert client.queues() == []


def test_a_body_over_the_limit_moves_nothing(client: Backend) -> None:
    task_id = push(client)
    client.ping()  # a server may have a limit of its own
    limit = client.body_limit
    if limit is None or limit > 1 << 20:
        return

    with pytest.raises(BodyTooLarge, match=str(limit)):
        client.move_many([Move(task_id), Move("other", b"x" * (limit + 1))], "to")

    assert client.counts("all").waiting == 1


def test_a_queue_that_cannot_be_is_refused(client: Backend) -> None:
    task_id = push(client)

    for name in ("", "x" * 201, "a\nb"):
        with pytest.raises(InvalidName, match="queue name"):
            client.move(task_id, name)

    assert client.counts("all").waiting == 1


def test_a_moved_task_keeps_its_unique_key(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    task_id = push(client, unique="key")

    client.move(task_id, "other")

    assert client.push_many("all", [entry(unique="key")]) == [Receipt(task_id, False)]
    ack(client, reserve(client, "other"))
    assert push(client, unique="key")


def test_a_moved_blocked_task_still_waits_for_its_dependency(client: Backend) -> None:
    if Capability.DEPENDENCIES not in client.capabilities:
        return
    first = push(client, "first")
    task_id = push(client, depends_on=(first,))

    client.move(first, "first-too")
    client.move(task_id, "other")

    assert client.reserve(["all", "other"], 1) == []
    ack(client, reserve(client, "first-too"))
    assert reserve(client, "other").task_id == task_id
    assert client.counts("all")[1:7] == (0, 0, 0, 0, 0, 0)


def test_a_moved_delayed_task_runs_where_it_is_when_its_time_comes(client: Backend) -> None:
    task_id = push(client, body=b"body", delay_until=time.time() + shortly(client))

    client.move(task_id, "other")

    assert reserve_eventually(client, "other").body == b"body"


def test_a_task_moved_in_wakes_those_who_wait_there(make_client: MakeClient) -> None:
    client = make_client()
    task_id = push(client, "from")

    with waiting(make_client(), "to"):
        client.move(task_id, "to")


def test_failed_tasks_stay_in_the_order_of_their_failures(client: Backend) -> None:
    failed_first = push_failed(client, "from")
    let_the_time_differ()
    failed_last = push_failed(client, "to")

    moved = client.move(failed_first, "to")

    line = [moved, failed_last]
    if Capability.CUSTOM_IDS not in client.capabilities:
        line.reverse()
    assert [record.task_id for record in listed(client, "to", State.FAILED)] == line


def test_a_retrying_task_that_moves_is_due_there(client: Backend) -> None:
    task_id = push_retrying(client)

    moved = client.move(task_id, "other")

    record = client.find(moved or "")
    assert record is not None
    assert record.due is not None
    assert record.attempts == 1


def test_a_delayed_task_is_never_due_before_its_time_however_often_it_moves(
    client: Backend,
) -> None:
    due = time.time() + 100
    task_id = push(client, delay_until=due)

    for number in range(4):
        task_id = client.move(task_id, f"to-{number}") or ""

    record = client.find(task_id)
    assert record is not None
    assert record.due is not None
    assert record.due >= due - 0.01


def test_nothing_is_lost_or_doubled_while_workers_take_what_moves(make_client: MakeClient) -> None:
    mover = make_client()
    names = [uuid.uuid4().hex.encode() for _ in range(300)]
    mover.push_many("a", [entry(name) for name in names])
    done: Counter[bytes] = Counter()
    stop = threading.Event()

    def work(worker: Backend) -> None:
        while not stop.is_set():
            leases = worker.reserve(["a", "b"], 3)
            accepted = worker.settle([Ack(lease) for lease in leases]).accepted
            assert all(accepted)
            for lease in leases:
                done[lease.body] += 1

    threads = [threading.Thread(target=work, args=(make_client(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for source, target in (("a", "b"), ("b", "a"), ("a", "b")):
            waiting_there = [record.task_id for record in listed(mover, source)]
            mover.move_many([Move(task_id) for task_id in waiting_there], target)
        eventually(lambda: len(done) == len(names), "a task was lost")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert done == Counter(names)
    assert mover.queues() == []


def test_a_broker_that_cannot_move_says_so(client: Backend) -> None:
    if Capability.MOVE in client.capabilities:
        return
    with pytest.raises(UnsupportedByBroker, match="cannot move tasks to another queue"):
        client.move("id", "other")
