"""Canceling and requeueing many tasks at once."""

from __future__ import annotations

from alligator.backends.base import Backend, Capability, Mended, State

from .verbs import (
    MakeClient,
    ack,
    bodies,
    drain,
    entry,
    listed,
    not_running,
    push,
    push_failed,
    push_in,
    reserve,
)

DONE, MISSING = Mended.DONE, Mended.MISSING
RUNNING, WAITING = Mended.RUNNING, Mended.WAITING


def test_tasks_of_every_state_are_requeued_in_one_call(client: Backend) -> None:
    ids = [push_in(client, state) for state in not_running(client)]
    records = [record for task_id in ids if (record := client.find(task_id))]

    wanted = [WAITING if record.state is State.WAITING else DONE for record in records]
    assert client.requeue_many(ids) == wanted

    waiting = listed(client)
    # The one that waited keeps its place; the others follow as they were named.
    line = sorted(records, key=lambda record: -record.priority)
    assert bodies(waiting) == bodies(line)
    assert all(record.attempts == record.deliveries == 0 for record in waiting)


def test_requeued_tasks_are_found_under_the_ids_that_it_tells(make_client: MakeClient) -> None:
    worker, client = make_client(), make_client()
    running, waiting = push(worker), push(worker)
    lease = reserve(worker)
    failed = push_failed(client)
    before = client.find(failed)

    answers = client.requeued([running, "4294967295", failed, waiting])

    assert [mended for mended, _ in answers] == [RUNNING, MISSING, DONE, WAITING]
    ids = [task_id for _, task_id in answers]
    assert [ids[0], ids[1], ids[3]] == [running, "4294967295", waiting]
    after = client.find(ids[2])
    assert before is not None
    assert after is not None
    assert (after.body, after.state) == (before.body, State.WAITING)
    ack(worker, lease)


def test_tasks_of_every_state_are_canceled_in_one_call(client: Backend) -> None:
    ids = [push_in(client, state) for state in not_running(client)]

    assert client.cancel_many(ids) == [DONE] * len(ids)

    assert "all" not in client.queues()
    assert client.cancel_many(ids) == [MISSING] * len(ids)


def test_one_that_runs_or_is_missing_does_not_hold_up_the_others(make_client: MakeClient) -> None:
    worker, client = make_client(), make_client()
    running = push(worker)
    lease = reserve(worker)
    failed, other = push_failed(client), push_failed(client)

    assert client.requeue_many(["4294967295", running, failed]) == [MISSING, RUNNING, DONE]
    assert client.cancel_many([other, running, "no-such-id"]) == [DONE, RUNNING, MISSING]

    assert client.counts("all").waiting == 1
    ack(worker, lease)


def test_nothing_is_asked_for_nothing(client: Backend) -> None:
    assert client.requeue_many([]) == []
    assert client.cancel_many([]) == []


def test_thousands_are_mended(client: Backend) -> None:
    ids = [receipt.task_id for receipt in client.push_many("all", [entry() for _ in range(2500)])]
    line = bodies(listed(client))

    assert client.requeue_many(ids) == [WAITING] * 2500
    assert bodies(listed(client)) == line
    assert client.cancel_many([*ids[:1200], "4294967295"]) == [*[DONE] * 1200, MISSING]

    assert client.counts("all").waiting == 1300


def test_tasks_of_several_queues_go_to_the_tail_of_their_own(client: Backend) -> None:
    failed = {queue: push_failed(client, queue) for queue in ("a", "b")}
    wanted = {}
    for queue, task_id in failed.items():
        record = client.find(task_id)
        assert record is not None
        push(client, queue, b"before", priority=1000)
        wanted[queue] = [b"before", record.body]

    assert client.requeue_many(list(failed.values())) == [DONE, DONE]

    assert {queue: drain(client, queue) for queue in failed} == wanted


def test_a_task_named_twice_is_mended_once(client: Backend) -> None:
    failed = push_failed(client)

    first, second = client.requeue_many([failed, failed])

    assert first is DONE
    assert second in (DONE, WAITING, MISSING)  # beanstalkd gives the task a new id
    assert client.counts("all").waiting == 1


def test_canceling_many_frees_what_they_held(client: Backend) -> None:
    if Capability.UNIQUE not in client.capabilities:
        return
    first = push(client, unique="key")
    blocked = push(client, depends_on=(first,))

    assert client.cancel_many([first, blocked]) == [DONE, DONE]

    assert push(client, unique="key")
    assert client.counts("all").blocked == 0
    assert listed(client, "all", State.BLOCKED) == []
