"""The list of workers: each says that it lives, and what it does."""

from __future__ import annotations

import pytest

from alligator.backends.base import Backend, Capability
from alligator.backends.roster import Running, WorkerRecord

from ..servers import eventually
from .verbs import LATER, MakeClient, push

WORKER = WorkerRecord(
    name="app-1:4711",
    host="app-1",
    pid=4711,
    queues=("mail", "all"),
    processes=2,
    started_at=1_700_000_000.25,
    running=(Running("id-1", "mail", "app.mail.send", 1_700_000_001.5), Running("2", "ä", "", 0.0)),
    done=12,
    failed=3,
    version="2.0.0",
    rate=1.5,
)


@pytest.fixture(autouse=True)
def _brokers_that_list(client: Backend) -> None:
    if Capability.WORKERS not in client.capabilities:
        pytest.skip(f"{client.broker} declares that it knows no workers")


def test_a_worker_is_listed_as_it_described_itself(make_client: MakeClient) -> None:
    make_client().beat(WORKER, LATER)

    (shown,) = make_client().workers()

    assert shown.beat_at > 1_700_000_000
    assert shown == WORKER._replace(beat_at=shown.beat_at)


def test_a_later_beat_takes_the_place_of_the_one_before(client: Backend) -> None:
    client.beat(WORKER, LATER)
    (first,) = client.workers()
    eventually(lambda: _beaten(client) > first.beat_at, "the time of the beat does not change")

    client.beat(WORKER._replace(running=(), done=13, rate=None), LATER)

    (shown,) = client.workers()
    assert (shown.running, shown.done, shown.rate) == ((), 13, None)


def _beaten(client: Backend) -> float:
    client.beat(WORKER, LATER)
    (shown,) = client.workers()
    return shown.beat_at


def test_workers_are_listed_by_name(make_client: MakeClient) -> None:
    names = ["b:1", "a:2", "c:3", "a:10"]
    for name in names:
        make_client().beat(WORKER._replace(name=name), LATER)

    assert [worker.name for worker in make_client().workers()] == sorted(names)


def test_a_worker_that_left_is_forgotten(make_client: MakeClient) -> None:
    client = make_client()
    client.beat(WORKER, LATER)
    client.beat(WORKER._replace(name="other:1"), LATER)

    make_client().leave(WORKER.name)
    client.leave("nobody:0")

    assert [worker.name for worker in client.workers()] == ["other:1"]


def test_a_worker_that_falls_silent_is_stale_and_stays_listed(client: Backend) -> None:
    client.beat(WORKER, 0.05)
    client.beat(WORKER._replace(name="other:1"), LATER)

    eventually(lambda: client.workers()[0].stale, "it is not stale")

    assert [worker.stale for worker in client.workers()] == [True, False]
    client.beat(WORKER, LATER)
    assert [worker.stale for worker in client.workers()] == [False, False]


def test_workers_are_no_tasks_and_no_queues(client: Backend) -> None:
    client.beat(WORKER, LATER)

    assert client.queues() == []
    assert client.len("mail") == 0
    push(client, "mail")
    client.drop_all("mail")
    assert len(client.workers()) == 1
