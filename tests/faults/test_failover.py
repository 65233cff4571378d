"""Workers and producers go on while the server that owns their keys changes under them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alligator import Gator

from ..servers import eventually
from ..topologies import Cluster, ask, cluster, role, watched
from . import deeds
from .conftest import StartWorker

GatorFor = Callable[[str], Gator]


class Flow:
    """A producer that pushes without pause, and a worker that runs what it pushed.

    Both have more patience than a fail-over takes, so that each call is answered in the end.
    """

    def __init__(self, dsn: str, gator_for: GatorFor, start: StartWorker, folder: Path) -> None:
        mark = "&" if "?" in dsn else "?"
        patient = f"{dsn}{mark}timeout=30&lease=60"
        self._gator = gator_for(patient)
        self._evidence = str(folder / "ran")
        self._over = threading.Event()
        self._acknowledged: list[str] = []
        self._worker = start(patient, "-c", "1", "--log-level", "warning")

    def _push(self) -> None:
        while not self._over.is_set():
            name = f"task-{len(self._acknowledged)}"
            self._gator.task(deeds.quick, self._evidence, name)
            self._acknowledged.append(name)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tasks flow before the block, and again after it; then each has run exactly once."""
        thread = threading.Thread(target=self._push, daemon=True)
        thread.start()
        try:
            self.flows()
            yield
            self.flows()
        finally:
            self._over.set()
            thread.join(60)
        assert not thread.is_alive()
        eventually(lambda: set(self._acknowledged) <= set(self._ran()), "each task runs")
        assert [name for name, times in Counter(self._ran()).items() if times > 1] == []
        assert self._worker.poll() is None

    def flows(self) -> None:
        """Wait until more tasks have been pushed and run."""
        pushed, run = len(self._acknowledged) + 30, len(self._ran()) + 30
        eventually(lambda: len(self._acknowledged) > pushed, "tasks are pushed")
        eventually(lambda: len(self._ran()) > run, "tasks are run")

    def _ran(self) -> list[str]:
        return deeds.lines(self._evidence)


@pytest.fixture
def flow_at(
    gator_for: GatorFor, start_worker: StartWorker, tmp_path: Path
) -> Callable[[str], Flow]:
    """Make a Flow over the broker of a DSN."""
    return lambda dsn: Flow(dsn, gator_for, start_worker, tmp_path)


def test_the_death_of_a_watched_master_loses_nothing_that_a_replica_has(
    tmp_path: Path, flow_at: Callable[[str], Flow]
) -> None:
    with watched(tmp_path, replicas=2) as servers, flow_at(f"{servers.dsn}?replicas=1").running():
        servers.fail_over()


def test_a_worker_says_once_that_its_master_is_gone_and_once_that_there_is_one_again(
    tmp_path: Path, gator_for: GatorFor, start_worker: StartWorker
) -> None:
    evidence, log = str(tmp_path / "ran"), tmp_path / "worker.log"
    with watched(tmp_path) as servers:
        gator = gator_for(f"{servers.dsn}?timeout=30")
        worker = start_worker(f"{servers.dsn}?timeout=0.2", "-c", "1")
        gator.task(deeds.quick, evidence, "before")
        eventually(lambda: deeds.lines(evidence) == ["before"], "it runs")

        servers.fail_over()
        gator.task(deeds.quick, evidence, "after")

        eventually(lambda: "after" in deeds.lines(evidence), "it runs")
        eventually(lambda: "the broker is back" in log.read_text(), "it says so")
        assert log.read_text().count("waiting for the broker") == 1
        assert log.read_text().count("the broker is back") == 1
        assert worker.poll() is None


def test_a_master_that_hands_over_while_it_lives_is_left(
    tmp_path: Path, flow_at: Callable[[str], Flow]
) -> None:
    with watched(tmp_path) as servers:
        old = servers.master()
        # Sentinels do not have the old master pause, so what it takes meanwhile has to be checked.
        with flow_at(f"{servers.dsn}?replicas=1").running():
            ask(servers.sentinels[0], "SENTINEL", "FAILOVER", "main")
            eventually(lambda: servers.master() is not old, "no fail-over")
            eventually(lambda: role(old) == "slave", "the old master stays one")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), masters=3, replicas=3) as made:
        yield made


def test_a_prefix_may_move_to_another_node_while_tasks_flow(
    nodes: Cluster, flow_at: Callable[[str], Flow]
) -> None:
    source = nodes.owner("moving")
    target = next(node for node in nodes.masters if node is not source)

    with flow_at(f"{nodes.dsn}?prefix=moving").running():
        nodes.move("moving", target)

    assert nodes.owner("moving") is target


def test_a_cluster_goes_on_with_the_replica_of_a_node_that_hands_over_or_dies(
    nodes: Cluster, flow_at: Callable[[str], Flow]
) -> None:
    first = nodes.owner("dying")
    second = nodes.replica_of(first)
    flow = flow_at(f"{nodes.dsn}?prefix=dying&replicas=1")

    with flow.running():
        ask(second, "CLUSTER", "FAILOVER")
        eventually(lambda: nodes.owner("dying") is second, "no hand-over")
        eventually(lambda: ask(second, "ROLE")[2], "the old master replicates")
        flow.flows()
        second.kill()
        eventually(lambda: nodes.owner("dying") is first, "no fail-over")
        second.start()  # since each change has to reach a replica
