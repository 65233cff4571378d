"""Brokers that hang, and connections that are dead without a word: errors in time, no doubles, and
workers that go on by themselves."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import State
from alligator.exceptions import BrokerUnreachable

from ..servers import Server, beanstalkd_server, eventually, redis_server, with_lease
from . import deeds
from .conftest import StartWorker, noted, pid_when_started
from .proxy import proxied

GatorFor = Callable[[str], Gator]

#: Of the clients here, in seconds; a stall is twice as long.
TIMEOUT = 0.5


@pytest.fixture(params=["redis", "beanstalk"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to be stopped."""
    start = redis_server(tmp_path) if request.param == "redis" else beanstalkd_server()
    with start as server:
        yield server


@contextmanager
def stopped(process_id: int) -> Iterator[None]:
    """Stop a process for the length of the block."""
    os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process_id, signal.SIGCONT)


def names(gator: Gator) -> list[str]:
    records = gator.client.peek("all", State.WAITING, 100_000).records
    return [json.loads(record.body)["args"][1] for record in records]


def unsettled(gator: Gator) -> int:
    return sum(gator.client.counts("all")[1:7])


class Producer(threading.Thread):
    """Pushes until told to stop, and keeps what came of each push."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: set[str] = set()
        self.failed: dict[str, BrokerUnreachable] = {}
        self._dsn = dsn
        self._label = name
        self._over = threading.Event()

    def run(self) -> None:
        with Gator(self._dsn) as gator:
            number = 0
            while not self._over.wait(0.002):
                number += 1
                name = f"{self._label}-{number}"
                try:
                    gator.task(deeds.quick, "nowhere", name)
                except BrokerUnreachable as error:
                    self.failed[name] = error
                else:
                    self.acknowledged.add(name)

    def end(self) -> None:
        self._over.set()
        self.join(60)
        assert not self.is_alive()


def test_pushes_into_a_stalled_server_are_queued_once_or_told_of_in_time(
    server: Server, gator_for: GatorFor
) -> None:
    producers = [Producer(f"{server.dsn}?timeout={TIMEOUT}", f"p{n}") for n in range(4)]
    for each in producers:
        each.start()
    try:
        eventually(lambda: all(each.acknowledged for each in producers), "all push")
        with stopped(server.process.pid):
            time.sleep(2 * TIMEOUT)
        before = [len(each.acknowledged) for each in producers]
        eventually(
            lambda: all(
                len(each.acknowledged) > many for each, many in zip(producers, before, strict=True)
            ),
            "all push again, by themselves",
        )
    finally:
        for each in producers:
            each.end()

    queued = names(gator_for(server.dsn))
    acknowledged = set().union(*(each.acknowledged for each in producers))
    failed = {name: error for each in producers for name, error in each.failed.items()}
    assert failed, "a stall of two time-outs shows"
    assert len(queued) == len(set(queued))
    assert acknowledged <= set(queued)
    told = {name for name, error in failed.items() if "is unknown" in str(error)}
    assert set(queued) <= acknowledged | told, "queued, and the error said that it was not"


def test_a_worker_waits_for_a_stalled_server_and_goes_on(
    server: Server,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
) -> None:
    gator = gator_for(server.dsn)
    go, log = tmp_path / "go", tmp_path / "worker.log"
    gator.task(deeds.until_told, evidence, str(go))
    start_worker(f"{server.dsn}?timeout={TIMEOUT}&lease=60", "-c", "2")
    pid_when_started(evidence)

    with stopped(server.process.pid):
        go.touch()
        eventually(lambda: "waiting for the broker" in log.read_text(), "it says so")
        time.sleep(2 * TIMEOUT)
    gator.task(deeds.quick, evidence, "quick 1")

    eventually(lambda: noted(evidence, "quick"), "it goes on")
    eventually(lambda: unsettled(gator) == 0, "all is settled")
    assert log.read_text().count("waiting for the broker") == 1
    assert log.read_text().count("the broker is back") == 1
    if server.name == "redis":  # leases outlive a connection there
        assert len(noted(evidence, "started")) == 1


def test_a_push_on_a_connection_that_is_dead_without_a_word(
    server: Server, gator_for: GatorFor
) -> None:
    with proxied(server.port) as proxy:
        gator = gator_for(f"{server.name}://127.0.0.1:{proxy.port}?timeout={TIMEOUT}")
        gator.task(deeds.quick, "nowhere", "before")
        proxy.forget()

        if server.name == "redis":
            gator.task(deeds.quick, "nowhere", "first")
        else:
            with pytest.raises(BrokerUnreachable, match=r"whether .* carried out is unknown"):
                gator.task(deeds.quick, "nowhere", "first")
        gator.task(deeds.quick, "nowhere", "second")

        first = ["first"] if server.name == "redis" else []
        assert names(gator_for(server.dsn)) == ["before", *first, "second"]
        gator.client.close()


def test_a_worker_whose_connections_are_dead_without_a_word_goes_on(
    server: Server, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(server.dsn)
    go, log = tmp_path / "go", tmp_path / "worker.log"
    gator.task(deeds.until_told, evidence, str(go))
    with proxied(server.port) as proxy:
        way = f"{server.name}://127.0.0.1:{proxy.port}?timeout={TIMEOUT}&lease=2"
        start_worker(way, "-c", "2")
        pid_when_started(evidence)

        proxy.forget()
        go.touch()
        gator.task(deeds.quick, evidence, "quick 1")

        eventually(lambda: noted(evidence, "quick"), "it goes on", 60)
        if server.name == "redis":
            eventually(lambda: unsettled(gator) == 0, "all is settled", 60)
            assert len(noted(evidence, "started")) == 1
            assert log.read_text().count("waiting for the broker") <= 1
        # Else neither end of the dead connection knows it, and the server keeps the first task with
        # it, at the latest until TCP keepalive gives up.

        proxy.forget()
        gator.task(deeds.quick, evidence, "quick 2")

        eventually(lambda: "2" in noted(evidence, "quick"), "an idle worker goes on, too", 30)


def test_what_a_request_without_an_answer_settled_is_not_told_as_lost(
    start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    go, log = tmp_path / "go", tmp_path / "worker.log"
    with redis_server(tmp_path) as server:
        gator = gator_for(server.dsn)
        gator.task(deeds.until_told, evidence, str(go))
        start_worker(f"{server.dsn}?timeout={TIMEOUT}&lease=30")
        pid_when_started(evidence)

        with stopped(server.process.pid):
            go.touch()
            eventually(lambda: "waiting for the broker" in log.read_text(), "it gives up")

        eventually(lambda: "settled by a request" in log.read_text(), "it is settled")
        assert "lost its lease" not in log.read_text()
        assert gator.client.counts("all").done_total == 1
        eventually(lambda: gator.workers()[0].done == 1, "the worker counts it")


@pytest.mark.parametrize("broker", ["redis", "sqlite"])
def test_a_stopped_worker_whose_leases_others_took_can_settle_nothing(
    request: pytest.FixtureRequest,
    broker: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
) -> None:
    dsn = with_lease(request.getfixturevalue(f"{broker}_dsn"), 1)
    gator = gator_for(dsn)
    go, log = tmp_path / "go", tmp_path / "worker.log"
    tasks = [
        Task().to_call(deeds.until_told, evidence, str(go)),
        Task().to_call(deeds.fail_when_told, evidence, str(go)),
        Task(retries=1, backoff=600).to_call(deeds.fail_when_told, evidence, str(go)),
    ]
    gator.push_many(tasks)
    stalled = start_worker(dsn, "-c", "3")
    pid_when_started(evidence, times=3)

    with stopped(stalled.pid):
        go.touch()
        eventually(lambda: len(noted(evidence, "finished")) == 3, "its children end their tasks")
        if broker == "redis":
            eventually(lambda: gator.client.counts("all").waiting == 3, "the leases end")
            leases = gator.client.reserve(["all"], 3)
        else:  # a life is no matter of time there, but may be taken
            claimed = [gator.client.claim(task.task_id, force=True) for task in tasks]
            leases = [lease for lease in claimed if lease is not None]
        assert len(leases) == 3

    refused = "lost its lease before it ended"
    eventually(lambda: log.read_text().count(refused) == 3, "all three are refused, and told of")
    held = [gator.client.find(task.task_id) for task in tasks]
    assert [record and (record.state, record.attempts) for record in held] == [
        (State.RUNNING, 0)
    ] * 3
    gator.client.extend(leases)
