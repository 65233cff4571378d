"""Brokers that are there and cannot serve: the push says why at once, workers wait it out."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from alligator import Gator
from alligator.exceptions import BrokerError, BrokerRefused, BrokerUnreachable

from ..servers import Server, eventually, redis_server
from . import deeds
from .conftest import StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]


def raw(server: Server) -> Any:
    return redis_py.Redis(port=server.port)


@contextmanager
def loading(server: Server, folder: Path) -> Iterator[None]:
    """The server starts anew with much to read, and is slow at it."""
    with raw(server) as redis, redis.pipeline(transaction=False) as ballast:
        for number in range(40_000):
            ballast.set(f"ballast{number}", "x")
        ballast.execute()
    server.kill()
    # Microseconds a command. It looks up every 1024 of them and, by the second, bytes.
    slow = ["--key-load-delay", "100", "--loading-process-events-interval-bytes", "1024"]
    server.command += slow
    server.start()
    yield
    with raw(server) as redis:

        def loaded() -> bool:
            return not redis.info("persistence")["loading"]

        assert not loaded(), "it was too fast"
        redis.config_set("key-load-delay", "0")
        eventually(loaded, "it has read everything")


@contextmanager
def replica(server: Server, folder: Path) -> Iterator[None]:
    """A fail-over made it a replica, of a master that is gone."""
    with raw(server) as redis:
        redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield
        redis.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def no_slots(server: Server, folder: Path) -> Iterator[None]:
    """Nobody in the cluster serves the slots."""
    with raw(server) as redis:
        redis.execute_command("CLUSTER", "DELSLOTSRANGE", "0", "16383")
        yield
        redis.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")


@contextmanager
def no_snapshots(server: Server, folder: Path) -> Iterator[None]:
    """The server cannot write its snapshot, and was told to take no writes then."""
    in_the_way = folder / "dump.rdb"
    with raw(server) as redis:

        def saves() -> bool:
            state = redis.info("persistence")
            return not state["rdb_bgsave_in_progress"] and state["rdb_last_bgsave_status"] == "ok"

        redis.config_set("save", "3600 1")
        in_the_way.mkdir()
        redis.bgsave()
        eventually(lambda: not saves() and not redis.info()["rdb_bgsave_in_progress"], "it fails")
        yield
        shutil.rmtree(in_the_way)
        redis.bgsave()
        eventually(saves, "it saves")


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    options = ["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no"]
    if request.node.callspec.params["outage"] is not no_slots:
        with redis_server(tmp_path, *options) as server:
            yield server
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        bus = probe.getsockname()[1]  # the default, 10000 above the other, may not exist
    cluster = ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
    with redis_server(tmp_path, *options, *cluster) as server:
        with raw(server) as redis:
            redis.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            eventually(lambda: redis.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "ok")
        yield server


@pytest.mark.parametrize(
    ("outage", "error", "message"),
    [
        (loading, BrokerUnreachable, r"cannot serve now \(LOADING\)"),
        (replica, BrokerUnreachable, r"cannot serve now \(READONLY\)"),
        (no_slots, BrokerUnreachable, r"cannot serve now \(CLUSTERDOWN\)"),
        (no_snapshots, BrokerRefused, r"refuses \(MISCONF\).*look at its log and the room on"),
    ],
)
def test_an_outage_is_an_error_for_pushers_and_a_pause_for_workers(
    server: Server,
    outage: Any,
    error: type[BrokerError],
    message: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    tmp_path: Path,
) -> None:
    gator = gator_for(f"{server.dsn}?timeout=1")
    go, log = tmp_path / "go", tmp_path / "worker.log"
    gator.task(deeds.until_told, evidence, str(go))
    worker = start_worker(f"{server.dsn}?timeout=1&lease=60")
    pid_when_started(evidence)

    with outage(server, tmp_path):
        with pytest.raises(error, match=message):
            gator.task(deeds.quick, evidence, "quick 0")
        go.touch()
        eventually(lambda: "waiting for the broker" in log.read_text(), "the worker says so")
    gator_for(f"{server.dsn}?timeout=60").task(deeds.quick, evidence, "quick 1")

    eventually(lambda: noted(evidence, "quick"), "the worker goes on")
    eventually(lambda: sum(gator.client.counts("all")[1:7]) == 0, "all is settled")
    assert noted(evidence, "quick") == ["1"], "the push that failed queued nothing"
    assert len(noted(evidence, "started")) == 1
    assert log.read_text().count("waiting for the broker") == 1
    assert worker.poll() is None


def test_a_worker_with_nothing_to_settle_finds_that_the_server_is_back_and_hands_back_at_its_end(
    start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        dsn = f"{server.dsn}?lease=600"
        gator_for(dsn).task(deeds.until_told, evidence, str(tmp_path / "never"))
        worker = start_worker(dsn, "--drain-timeout", "0")
        pid_when_started(evidence)
        server.kill()
        eventually(lambda: "waiting for the broker" in log.read_text(), "its beat is in vain")

        server.start()

        eventually(lambda: "the broker is back" in log.read_text(), "its next beat is not")
        worker.terminate()
        assert worker.wait(30) == 0
        counts = gator_for(dsn).client.counts("all")
        assert (counts.waiting, counts.running) == (1, 0)


def fill(gator: Gator, evidence: str) -> None:
    while True:
        gator.task(deeds.measure, evidence, "x" * 20_000)


def test_a_worker_makes_room_in_a_server_that_is_full(
    start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    limit = ["--maxmemory", "8mb"]
    with redis_server(tmp_path, *limit) as server:
        gator = gator_for(server.dsn)
        with pytest.raises(BrokerRefused, match=r"\(OOM\).*drain the queues, drop failed tasks"):
            fill(gator, evidence)
        queued = gator.len()

        worker = start_worker(server.dsn, "--burst")

        assert worker.wait(60) == 0
        assert noted(evidence, "length") == ["20000"] * queued
        gator.task(deeds.measure, evidence, "and on it goes")
        assert gator.len() == 1
        assert "waiting for the broker" not in (tmp_path / "worker.log").read_text()
