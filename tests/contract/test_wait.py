"""Waiting for a task without polling, and without taking it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alligator.backends.base import Backend, Release

from ..servers import eventually
from .verbs import LATER, MakeClient, ack, entry, push, reserve, retry, settle, shortly


@contextmanager
def waiting(client: Backend, *queues: str, wake_on: int | None = None) -> Iterator[None]:
    """Wait for the queues in another thread; the block has to make that wait end."""

    def wait() -> None:
        # A wait may return early, so a worker looks and waits again.
        while not (woken := _readable(wake_on)) and not _ready(client, queues):
            client.wait(queues, LATER, wake_on)
        ended.append(woken)

    ended: list[bool] = []
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    yield
    eventually(lambda: ended, f"the wait for {queues} does not end")
    thread.join()


def _readable(descriptor: int | None) -> bool:
    if descriptor is None:
        return False
    try:
        return bool(os.read(descriptor, 1))
    except BlockingIOError:
        return False


def _ready(client: Backend, queues: tuple[str, ...]) -> bool:
    leases = client.reserve(queues, 1)
    ack(client, *leases)
    return bool(leases)


def test_a_ready_task_ends_the_wait_and_is_not_taken(client: Backend) -> None:
    push(client, "second")

    client.wait(["first", "second"], LATER)

    assert client.counts("second").waiting == 1
    assert reserve(client, "first", "second").deliveries == 1


def test_the_wait_ends_by_itself(client: Backend) -> None:
    push(client, "other")

    for timeout in (0.0, 0.01, 0.1):
        client.wait(["all"], timeout)

    assert client.reserve(["all"], 1) == []


def test_a_push_by_another_client_ends_the_wait(make_client: MakeClient) -> None:
    waiter, pusher = make_client(), make_client()

    for queue in ("second", "first"):
        with waiting(waiter, "first", "second"):
            push(pusher, queue)

    assert waiter.queues() == []


def test_a_push_through_the_same_client_ends_the_wait(client: Backend) -> None:
    with waiting(client, "all"):
        push(client)


def test_a_readable_descriptor_ends_the_wait(client: Backend) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        with waiting(client, "all", wake_on=reader):
            os.write(writer, b"!")
        push(client)
        assert reserve(client).deliveries == 1
    finally:
        os.close(reader)
        os.close(writer)


def test_a_descriptor_that_is_readable_already_ends_the_wait(client: Backend) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"!")
        for _ in range(3):
            client.wait(["all"], LATER, reader)
        assert os.read(reader, 9) == b"!"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_task_that_becomes_due_ends_the_wait(make_client: MakeClient) -> None:
    waiter, pusher = make_client(), make_client()

    with waiting(waiter, "all"):
        push(pusher, delay_until=time.time() + shortly(pusher))


def test_a_task_that_comes_back_ends_the_wait(make_client: MakeClient) -> None:
    waiter, worker = make_client(), make_client()
    for come_back in (Release, retry):
        push(worker)
        lease = reserve(worker)
        with waiting(waiter, "all"):
            settle(worker, come_back(lease))

    assert worker.queues() == []


def test_every_waiter_gets_work_when_there_is_enough(make_client: MakeClient) -> None:
    pusher = make_client()

    with waiting(make_client(), "all"), waiting(make_client(), "all"):
        pusher.push_many("all", [entry(), entry()])

    assert pusher.queues() == []
