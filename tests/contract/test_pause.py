"""Pausing a queue: nothing is reserved from it, and everything else goes on."""

from __future__ import annotations

import threading
import time

import pytest

from alligator.backends.base import Ack, Backend, Capability, State
from alligator.exceptions import InvalidName

from ..servers import eventually
from .test_wait import waiting
from .verbs import (
    LATER,
    MakeClient,
    ack,
    drain,
    entry,
    listed,
    not_running,
    push,
    push_failed,
    push_in,
    reserve,
    reserve_eventually,
    retry,
    settle,
    shortly,
)


@pytest.fixture(autouse=True)
def _brokers_that_pause(client: Backend) -> None:
    if Capability.PAUSE not in client.capabilities:
        pytest.skip(f"{client.broker} declares that it cannot pause")


def test_nothing_is_reserved_from_a_paused_queue(make_client: MakeClient) -> None:
    pauser, worker = make_client(), make_client()
    first, second = push(pauser), push(pauser)
    running = reserve(worker)

    pauser.pause("all")

    assert worker.reserve(["all"], 2) == []
    assert worker.settle([Ack(running)], ["all"], 2) == ([True], [])
    assert worker.pop("all") is None
    pauser.resume("all")
    assert running.task_id == first
    assert reserve(worker).task_id == second


def test_a_pause_outlives_the_client_that_asked_for_it(make_client: MakeClient) -> None:
    pauser = make_client()
    push(pauser)
    pauser.pause("all")
    pauser.close()

    assert make_client().reserve(["all"], 1) == []
    assert make_client().paused() == ["all"]


def test_paused_queues_are_named_and_counted_as_such(client: Backend) -> None:
    push(client, "b")
    for name in ("b", "a", "b"):
        client.pause(name)

    assert client.paused() == ["a", "b"]
    assert [client.counts(name).paused for name in ("a", "b", "c")] == [True, True, False]
    assert client.queues() == ["b"]
    assert client.queues(empty=True) == ["a", "b"]
    client.forget("a")
    assert client.queues(empty=True) == ["a", "b"]
    for name in ("a", "b", "c", "b"):
        client.resume(name)
    assert client.paused() == []
    assert client.counts("b").paused is False


def test_a_queue_that_cannot_be_is_not_paused(client: Backend) -> None:
    for name in ("", "x" * 201, "a\nb"):
        with pytest.raises(InvalidName, match="queue name"):
            client.pause(name)
    assert client.paused() == []


def test_the_next_queue_in_order_is_served_while_the_first_is_paused(client: Backend) -> None:
    for name in ("first", "second", "third"):
        client.push_many(name, [entry(b"%b-%d" % (name.encode(), n)) for n in range(2)])
    client.pause("first")
    client.pause("third")

    taken = client.reserve(["first", "second", "third"], 5)

    assert [lease.body for lease in taken] == [b"second-0", b"second-1"]
    client.resume("first")
    assert drain(client, "first", "second", "third") == [b"first-0", b"first-1"]
    client.resume("third")
    assert drain(client, "first", "second", "third") == [b"third-0", b"third-1"]


def test_all_other_verbs_go_on(client: Backend) -> None:
    client.pause("all")

    for state in not_running(client):
        assert push_in_open(client, state) in [r.task_id for r in listed(client, "all", state)]
    waits = listed(client)[0].task_id
    assert client.find(waits) is not None
    lease = client.claim(waits)
    assert lease is not None
    assert client.extend([lease]) == [True]
    settle(client, retry(lease))
    assert client.requeue(waits) is True
    assert client.cancel(waits) is not None
    moved = push(client, "other")
    assert client.move(moved, "all")
    assert client.drop("all", [State.DELAYED]) == 1
    assert client.reserve(["all"], 10) == []


def push_in_open(client: Backend, state: State) -> str:
    """Put a task into a state of the paused queue, by way of another where it has to run first."""
    if state in (State.FAILED, State.RETRYING):
        return client.move(push_in(client, state, queue="open"), "all") or ""
    return push_in(client, state)


def test_what_runs_is_settled(client: Backend) -> None:
    tasks = [push(client) for _ in range(3)]
    leases = client.reserve(["all"], 3)
    client.pause("all")

    settle(client, retry(leases[0]), Ack(leases[1]))

    assert [record.task_id for record in listed(client)] == tasks[:1]
    ack(client, leases[2])
    assert client.reserve(["all"], 3) == []


def test_tasks_become_due_while_their_queue_is_paused(client: Backend) -> None:
    client.pause("all")
    task_id = push(client, delay_until=time.time() + shortly(client))

    eventually(lambda: client.counts("all").waiting, "it does not become due")

    assert client.reserve(["all"], 1) == []
    client.resume("all")
    assert reserve_eventually(client).task_id == task_id


def test_a_wait_does_not_end_for_what_a_paused_queue_holds(client: Backend) -> None:
    push(client)
    push(client, delay_until=time.time() + 0.01)
    client.pause("all")
    eventually(lambda: client.counts("all").waiting == 2, "the second is not due")

    turns, ended = 0, time.monotonic() + 0.5
    while (left := ended - time.monotonic()) > 0:
        client.wait(["all"], left)
        assert client.reserve(["all"], 1) == []
        turns += 1

    assert turns < 10  # a loop without a sleep in it makes thousands


def test_a_push_to_a_paused_queue_does_not_end_a_wait_again_and_again(
    make_client: MakeClient,
) -> None:
    pusher, sleeper = make_client(), make_client()
    pusher.pause("all")
    ends = []
    stop = threading.Event()

    def sleep() -> None:
        while not stop.is_set():
            sleeper.wait(["all"], 1.0)
            ends.append(time.monotonic())

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        for _ in range(200):
            push(pusher)
    finally:
        stop.set()
        thread.join()

    assert len(ends) < 50


def test_the_end_of_a_pause_wakes_who_waits(make_client: MakeClient) -> None:
    pauser = make_client()
    pauser.pause("all")
    push(pauser)

    with waiting(make_client(), "other", "all"):
        pauser.resume("all")


def test_a_pause_reaches_a_worker_that_waits_already(make_client: MakeClient) -> None:
    pauser, sleeper = make_client(), make_client()
    started, taken = threading.Event(), []

    def work() -> None:
        started.set()
        while not taken:
            sleeper.wait(["all", "end"], LATER)
            taken.extend(sleeper.reserve(["all", "end"], 1))

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    pauser.pause("all")
    push(pauser, "all", b"paused")
    push(pauser, "end", b"end")
    thread.join(20)

    assert [lease.body for lease in taken] == [b"end"]
    pauser.resume("all")
    assert reserve(pauser, "all").body == b"paused"


def test_nothing_is_handed_out_once_pause_has_returned(make_client: MakeClient) -> None:
    pauser = make_client()
    pauser.push_many("all", [entry() for _ in range(500)])
    stop = threading.Event()
    late: list[float] = []
    paused_at = float("inf")

    def work(worker: Backend) -> None:
        while not stop.is_set():
            asked = time.monotonic()
            leases = worker.reserve(["all"], 1)
            if leases and asked > paused_at:
                late.append(asked)
            worker.settle([Ack(lease) for lease in leases])

    threads = [threading.Thread(target=work, args=(make_client(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: pauser.counts("all").waiting < 450, "nobody works")
        pauser.pause("all")
        paused_at = time.monotonic()
        left = pauser.counts("all").waiting
        eventually(lambda: pauser.counts("all").running == 0, "what runs does not end")
        time.sleep(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert late == []
    assert pauser.counts("all").waiting == left


def test_a_requeue_in_a_paused_queue_waits_for_its_end(make_client: MakeClient) -> None:
    client = make_client()
    failed = push_failed(client)
    client.pause("all")

    client.requeue(failed)

    assert client.counts("all").waiting == 1
    with waiting(make_client(), "all"):
        client.resume("all")


def test_a_lease_that_is_lost_comes_back_to_the_paused_queue(make_client: MakeClient) -> None:
    if Capability.TIMED_LEASES not in make_client().capabilities:
        return
    worker, looker = make_client(lease=1), make_client()
    push(worker)
    reserve(worker)
    worker.pause("all")

    eventually(lambda: looker.counts("all").waiting == 1, "the lease does not end")

    assert looker.reserve(["all"], 1) == []
