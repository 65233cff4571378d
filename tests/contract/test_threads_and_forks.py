"""One client in many threads, many clients on one broker, and clients carried over a fork."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from alligator.backends.base import Ack, Backend, Capability

from .verbs import (
    MakeClient,
    bodies,
    drain,
    entry,
    in_child,
    lease_of,
    listed,
    push,
    reserve,
    reserve_eventually,
)

THREADS = 3
EACH = 40


def run_all(*targets: Callable[[], object]) -> None:
    """Run the targets in a thread each; raise what any of them raised."""
    errors: list[BaseException] = []

    def guarded(target: Callable[[], object]) -> None:
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def push_and_run(pushers: Sequence[Backend], workers: Sequence[Backend]) -> None:
    """Push from all pushers while all workers drain; assert that each task ran exactly once."""
    wanted = {b"%d/%d" % (who, n) for who in range(len(pushers)) for n in range(EACH)}
    ran: Counter[bytes] = Counter()
    counted = threading.Lock()

    def pushing(who: int, client: Backend) -> None:
        for n in range(0, EACH, 2):
            client.push_many("all", [entry(b"%d/%d" % (who, n)), entry(b"%d/%d" % (who, n + 1))])

    def working(client: Backend) -> None:
        leases = client.reserve(["all"], 3)
        while True:
            with counted:
                ran.update(bodies(leases))
                if ran.total() >= len(wanted):
                    break
            if not leases:
                client.wait(["all"], 0.05)
            settled = client.settle([Ack(lease) for lease in leases], ["all"], 3)
            assert all(settled.accepted)
            leases = settled.leases
        client.settle([Ack(lease) for lease in leases])

    run_all(
        *(lambda w=who, c=client: pushing(w, c) for who, client in enumerate(pushers)),
        *(lambda c=client: working(c) for client in workers),
    )
    assert ran == Counter(wanted)
    assert workers[0].queues() == []


def test_threads_share_one_client(client: Backend) -> None:
    push_and_run([client] * THREADS, [client] * THREADS)


def test_clients_share_one_broker(make_client: MakeClient) -> None:
    push_and_run([make_client() for _ in range(THREADS)], [make_client() for _ in range(THREADS)])


def test_a_wait_in_one_thread_does_not_hold_up_another(client: Backend) -> None:
    reader, writer = os.pipe()
    try:
        thread = threading.Thread(target=client.wait, args=(["idle"], 60.0, reader))
        thread.start()
        push(client, body=b"body")
        assert drain(client) == [b"body"]
        os.write(writer, b"!")
        thread.join(20)
        assert not thread.is_alive()
    finally:
        os.close(reader)
        os.close(writer)


@pytest.fixture
def used_client(client: Backend) -> Backend:
    """A client whose connections are open."""
    push(client, "used")
    assert len(drain(client, "used")) == 1
    client.wait(["used"], 0.01)
    return client


def test_a_forked_child_uses_the_client_as_well(used_client: Backend) -> None:
    push(used_client, "parent", body=b"parent")

    def work() -> None:
        push(used_client, "child", body=b"child")
        assert bodies(listed(used_client, "child")) == [b"child"]
        used_client.wait(["child"], 1.0)

    assert in_child(work) == 0

    shared = Capability.SHARED in used_client.capabilities
    assert bodies(listed(used_client, "child")) == ([b"child"] if shared else [])
    assert drain(used_client, "parent") == [b"parent"]


def test_a_forked_child_leaves_the_parents_leases_alone(used_client: Backend) -> None:
    push(used_client)
    lease = reserve(used_client)

    def work() -> None:
        assert used_client.reserve(["all"], 1) == []
        push(used_client, "child")
        reserve(used_client, "child")
        used_client.close()

    assert in_child(work) == 0

    assert used_client.settle([Ack(lease)]).accepted == [True]
    push(used_client)
    assert len(drain(used_client)) == 1


def test_what_a_dead_child_held_is_ready_again(make_client: MakeClient) -> None:
    first = make_client()
    if Capability.SHARED not in first.capabilities:
        return
    client = lease_of(make_client, seconds=1)
    task_id = push(client)

    def work() -> None:
        reserve(client)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL

    lease = reserve_eventually(first)
    assert (lease.task_id, lease.deliveries) == (task_id, 2)


def test_a_fork_while_threads_are_busy_hangs_neither_side(used_client: Backend) -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            push(used_client, "busy")
            drain(used_client, "busy")

    def waits() -> None:
        while not stop.is_set():
            used_client.wait(["idle"], 0.02)

    def work() -> None:
        push(used_client, "child")

    def forks() -> None:
        try:
            for _ in range(5):
                assert in_child(work) == 0
        finally:
            stop.set()

    run_all(busy, waits, forks)
    push(used_client, body=b"after")
    assert drain(used_client) == [b"after"]
