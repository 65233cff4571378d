"""A broker that never answers cannot keep a worker from ending in time: a server that takes
connections and no more, a queue file that another program keeps locked."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from alligator import Gator

from ..servers import Server, beanstalkd_server, eventually, redis_server, with_lease
from . import deeds
from .conftest import StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]

#: Far longer than a worker may take: by itself no conversation ends in this time.
TIMEOUT = 600

DRAIN = 2


class Broker(NamedTuple):
    """A broker, and a context in which it answers nobody."""

    dsn: str
    silenced: Callable[[], AbstractContextManager[None]]


@pytest.fixture(params=["redis", "beanstalk", "sqlite"])
def broker(request: pytest.FixtureRequest, tmp_path: Path, sqlite_dsn: str) -> Iterator[Broker]:
    if request.param == "sqlite":
        yield Broker(sqlite_dsn, partial(locked, sqlite_dsn.removeprefix("sqlite:///")))
        return
    make = redis_server(tmp_path) if request.param == "redis" else beanstalkd_server()
    with make as started:
        yield Broker(started.dsn, partial(stopped, started))


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """The server's socket takes connections and what is sent; nobody reads it."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Another program is in the middle of writing to the file."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def dsn_of(broker: Broker) -> str:
    return f"{broker.dsn}?timeout={TIMEOUT}"


def test_what_cannot_be_settled_is_waited_for_as_long_as_a_running_task(
    broker: Broker, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    gator_for(dsn_of(broker)).task(deeds.until_told, evidence, str(go))
    worker = start_worker(dsn_of(broker), "--drain-timeout", str(DRAIN))
    pid_when_started(evidence)

    with broker.silenced():
        go.touch()
        eventually(lambda: noted(evidence, "finished"), "the task ends")
        began = time.monotonic()
        worker.terminate()

        assert worker.wait(60) == 0
        assert time.monotonic() - began < 3 * DRAIN
    assert "left leased, until their time is up: 1" in (tmp_path / "worker.log").read_text()


@pytest.mark.parametrize("options", ["", f"?timeout={TIMEOUT}"], ids=["defaults", "long"])
def test_a_second_signal_ends_the_wait_at_once(
    broker: Broker,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
    options: str,
) -> None:
    go, dsn = tmp_path / "go", broker.dsn + options
    gator_for(dsn).task(deeds.until_told, evidence, str(go))
    worker = start_worker(dsn, "--drain-timeout", "600")
    pid_when_started(evidence)

    with broker.silenced():
        go.touch()
        eventually(lambda: noted(evidence, "finished"), "the task ends")
        worker.terminate()
        worker.send_signal(signal.SIGINT)

        assert worker.wait(60) in (130, 143)


@pytest.mark.parametrize(
    "lease",
    [None, 1, 600],
    ids=["defaults", "extended meanwhile", "handed back in the end"],
)
def test_a_task_that_runs_has_its_time_and_no_more(
    broker: Broker,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    lease: int | None,
) -> None:
    dsn = with_lease(dsn_of(broker), lease) if lease else broker.dsn
    gator_for(dsn).task(deeds.until_told, evidence, "never")
    worker = start_worker(dsn, "--drain-timeout", str(DRAIN))
    pid_when_started(evidence)

    with broker.silenced():
        began = time.monotonic()
        worker.terminate()

        assert worker.wait(60) == 0
        assert time.monotonic() - began < 3 * DRAIN


def test_an_idle_worker_does_not_wait_for_it(
    broker: Broker, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator_for(dsn_of(broker)).task(deeds.quick, evidence, "quick 1")
    worker = start_worker(dsn_of(broker), "--drain-timeout", "600")
    eventually(lambda: noted(evidence, "quick"), "it works")
    eventually(lambda: gator_for(dsn_of(broker)).client.counts("all").running == 0, "it is settled")

    with broker.silenced():
        worker.terminate()

        assert worker.wait(60) == 0


def test_the_worker_is_not_bothered_by_silence_while_nobody_wants_it_to_stop(
    broker: Broker, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(dsn_of(broker))
    go = tmp_path / "go"
    gator.task(deeds.until_told, evidence, str(go))
    worker = start_worker(dsn_of(broker))
    pid_when_started(evidence)

    with broker.silenced():
        go.touch()
        eventually(lambda: noted(evidence, "finished"), "the task ends")
    gator.task(deeds.quick, evidence, "quick 1")

    eventually(lambda: noted(evidence, "quick"), "it goes on")
    assert worker.poll() is None
