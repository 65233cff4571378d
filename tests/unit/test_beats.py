"""What a worker counts, and says of itself, whatever the broker makes of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from alligator import Gator
from alligator.backends.base import Ack, Backend, Fail, Failure, Lease, Release
from alligator.backends.locmem_backend import Client
from alligator.backends.roster import WorkerRecord, dump_worker, load_workers
from alligator.beats import Pulse
from alligator.exceptions import BrokerError, BrokerRefused, BrokerUnreachable

from .. import tasks

LEASE = Lease("all", "id", b"{}", "token")
FAILURE = Failure("ValueError: no", "", 0.0, "host:1")


@pytest.fixture
def gator() -> Iterator[Gator]:
    with Gator("locmem://") as gator:
        yield gator


def only(client: Backend) -> WorkerRecord:
    (worker,) = client.workers()
    return worker


def test_what_counted_is_told(gator: Gator) -> None:
    pulse = Pulse(gator.client, ["all"], 1)
    outcomes = [Ack(LEASE), Fail(LEASE, FAILURE), Release(LEASE), Ack(LEASE), Ack(LEASE)]

    pulse.count(outcomes, [True, True, True, False, True])
    pulse.beat([])

    worker = only(gator.client)
    assert (worker.done, worker.failed, worker.rate) == (2, 1, None)


def test_what_runs_is_told_with_the_name_of_its_call(gator: Gator) -> None:
    task = gator.task(tasks.echo, "x")
    (lease,) = gator.client.reserve(["all"], 1)
    others = [b"", b"\xff", b"[]", b'"text"', b'{"module": 1}', b"[" * 50_000, b" " * 100_000]

    Pulse(gator.client, ["all"], 1).beat(
        [(lease, 2.5), *((LEASE._replace(body=body), 0.0) for body in others)]
    )

    worker = only(gator.client)
    first, *rest = worker.running
    assert first[:3] == (task.task_id, "all", "tests.tasks.echo")
    assert [one.task for one in rest] == [""] * len(others)
    assert rest[0].since - first.since == pytest.approx(2.5)


def test_a_worker_that_never_beat_has_nothing_to_leave(gator: Gator) -> None:
    elsewhere = Pulse(gator.client, ["all"], 1)
    elsewhere.beat([])

    Pulse(gator.client, ["all"], 1).leave()
    assert len(gator.client.workers()) == 1

    elsewhere.leave()
    assert gator.client.workers() == []


def test_no_beat_is_due_where_no_list_is_kept(gator: Gator) -> None:
    class Listless(Client):
        capabilities = frozenset()

    assert Pulse(gator.client, ["all"], 1).due()
    assert not Pulse(Listless("locmem://"), ["all"], 1).due()


class Refusing(Client):
    """A broker that notes nothing."""

    error: BrokerError = BrokerRefused("the disk is full")

    def beat(self, worker: WorkerRecord, ttl: float) -> None:
        raise self.error


def test_a_refusal_is_told_of_once_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pulse = Pulse(Refusing("locmem://"), ["all"], 1)

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            pulse.beat([])

    assert caplog.messages == ["the broker does not note that this worker lives: the disk is full"]


def test_a_broker_that_is_away_is_for_the_worker_to_wait_for() -> None:
    client = Refusing("locmem://")
    client.error = BrokerUnreachable("no answer")

    with pytest.raises(BrokerUnreachable):
        Pulse(client, ["all"], 1).beat([])


def test_a_record_of_another_version_is_read() -> None:
    worker = WorkerRecord("host:1", "host", 1, ("all",), 1, 5.0, version="2.0")
    kept = json.loads(dump_worker(worker, 20.0))
    kept["mood"] = "good"
    del kept["rate"]

    beats = [("no worker", 10.0), (json.dumps(kept), 10.0), ("{}", 10.0)]
    assert list(load_workers(beats, 30.0)) == [worker._replace(beat_at=10.0)]
    assert [one.stale for one in load_workers(beats, 30.1)] == [True]
