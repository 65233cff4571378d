"""A cluster: all keys of a prefix in one slot, on whichever node serves it now."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alligator.backends.base import Entry
from alligator.backends.redis_backend import Client
from alligator.backends.registry import client_class
from alligator.exceptions import BrokerRefused, BrokerUnreachable, InvalidDSN

from ..servers import Server, eventually
from ..topologies import Cluster, ask, cluster, hosts, slot_of

ONE = [Entry("one", b"body")]
TWO = [Entry("two", b"body")]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three masters; a test that moves a slot uses a prefix that no other test uses."""
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def others(nodes: Cluster, owner: Server) -> list[Server]:
    return [node for node in nodes.masters if node is not owner]


def prefix_on(nodes: Cluster, node: Server, name: str) -> str:
    """A prefix whose slot this node serves."""
    names = (f"{name}-{number}" for number in range(1000))
    return next(name for name in names if nodes.owner(name) is node)


# -- finding the node ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_prefix_is_served_wherever_it_is(nodes: Cluster, number: int) -> None:
    node = nodes.masters[number]
    prefix = prefix_on(nodes, node, "found")
    client = Client(f"{nodes.dsn}?prefix={prefix}")

    client.push_many("all", ONE)
    client.wait(["other"], 0.01)

    slot = slot_of(node, prefix)
    assert client.counts("all").waiting == 1
    assert client.ping().startswith("Redis ")
    assert client.ping().endswith(f" at 127.0.0.1:{node.port}, the cluster's node for slot {slot}")
    assert ask(node, "CLUSTER", "COUNTKEYSINSLOT", slot) > 0
    client.close()


def test_one_node_that_answers_is_enough(nodes: Cluster) -> None:
    prefix = prefix_on(nodes, nodes.masters[0], "enough")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]},{hosts(nodes.masters[2:])}"
        client = Client(f"redis+cluster://{where}/?prefix={prefix}")

        assert client.push_many("all", ONE)[0].queued

    client.close()


def test_nodes_that_the_dsn_does_not_name_are_learnt(tmp_path: Path) -> None:
    with cluster(tmp_path, masters=2, replicas=1) as nodes:
        (named,) = nodes.replicas
        client = Client(f"redis+cluster://{hosts([named])}?prefix=learnt")
        client.push_many("all", ONE)

        named.kill()
        ask(nodes.owner("learnt"), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        assert client.push_many("all", TWO)[0].queued
        client.close()


def test_a_plain_dsn_follows_the_cluster_too(nodes: Cluster) -> None:
    prefix = prefix_on(nodes, nodes.masters[0], "plain")
    client = Client(f"{nodes.masters[1].dsn}?prefix={prefix}")

    assert client.push_many("all", ONE)[0].queued
    client.wait(["all"], 0.01)

    assert ask(nodes.masters[0], "EXISTS", f"{{{prefix}}}:tasks") == 1
    client.close()


def test_a_server_without_a_cluster_is_refused(redis: Server) -> None:
    client = Client(f"redis+cluster://{hosts([redis])}")
    with pytest.raises(BrokerRefused, match=f"127.0.0.1:{redis.port} is in no cluster; use redis:"):
        client.ping()
    client.close()


def test_a_node_that_may_evict_tasks_is_refused_when_the_slot_comes_to_it(nodes: Cluster) -> None:
    source = nodes.owner("evicted")
    target = others(nodes, source)[0]
    client = Client(f"{nodes.dsn}?prefix=evicted")
    client.push_many("all", ONE)
    ask(target, "CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru")
    try:
        nodes.move("evicted", target)
        with pytest.raises(BrokerRefused, match="maxmemory-policy allkeys-lru"):
            client.push_many("all", TWO)
    finally:
        ask(target, "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
    assert client.push_many("all", TWO)[0].queued
    client.close()


# -- a slot that moves ---------------------------------------------------------------------------


def test_a_slot_that_is_half_moved_is_left_alone_until_it_has_arrived(nodes: Cluster) -> None:
    source = nodes.owner("half")
    target = others(nodes, source)[0]
    client = Client(f"{nodes.dsn}?prefix=half&timeout=30")
    hasty = Client(f"{nodes.dsn}?prefix=half&timeout=0.1")
    client.push_many("all", ONE)
    hasty.push_many("all", TWO)
    pushed = threading.Thread(target=client.push_many, args=("all", [Entry("three", b"body")]))

    def halfway() -> None:
        # A script that ran now would see some of the keys only, and make new ones beside the rest.
        pushed.start()
        slot = slot_of(target, "half")
        before = ask(target, "CLUSTER", "COUNTKEYSINSLOT", slot)
        for call in (lambda: hasty.push_many("all", ONE), lambda: hasty.counts("all")):
            with pytest.raises(BrokerUnreachable, match=r"cannot serve now \(ASK\)"):
                call()
        assert ask(target, "CLUSTER", "COUNTKEYSINSLOT", slot) == before == 1

    nodes.move("half", target, halfway)
    pushed.join(30)

    assert nodes.owner("half") is target
    assert not pushed.is_alive()
    assert [lease.task_id for lease in client.reserve(["all"], 9)] == ["one", "two", "three"]
    client.close()
    hasty.close()


def test_a_sleeper_is_woken_at_the_node_that_its_slot_moved_to(nodes: Cluster) -> None:
    target = others(nodes, nodes.owner("sleep"))[0]
    sleeper, pusher = (Client(f"{nodes.dsn}?prefix=sleep") for _ in range(2))
    woken = threading.Event()

    def sleep() -> None:
        while sleeper.counts("all").waiting == 0:
            sleeper.wait(["all"], 3600.0)
        woken.set()

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    nodes.move("sleep", target)
    pusher.push_many("all", ONE)

    thread.join(30)
    assert woken.is_set()
    sleeper.close()
    pusher.close()


# -- a cluster that is not whole -----------------------------------------------------------------


def test_a_cluster_that_is_down_is_said_so_and_gone_on_with(tmp_path: Path) -> None:
    with cluster(tmp_path, masters=2) as nodes:
        first = nodes.masters[0]
        prefix = prefix_on(nodes, first, "down")
        client = Client(f"{nodes.dsn}?prefix={prefix}&timeout=0.2")
        client.push_many("all", ONE)
        slot = slot_of(first, prefix)

        for node in nodes.masters:
            ask(node, "CLUSTER", "DELSLOTS", slot)
        eventually(lambda: "state:fail" in ask(first, "CLUSTER", "INFO"), "it is down")
        with pytest.raises(BrokerUnreachable, match=r"cannot serve now \(CLUSTERDOWN\)|no node"):
            client.push_many("all", TWO)
        fresh = Client(f"{nodes.dsn}?prefix={prefix}&timeout=0.2")
        with pytest.raises(BrokerUnreachable, match=f"no node serves slot {slot}, where this"):
            fresh.ping()

        ask(first, "CLUSTER", "ADDSLOTS", slot)
        eventually(lambda: "state:ok" in ask(first, "CLUSTER", "INFO"), "it is up")
        assert client.push_many("all", TWO)[0].queued
        for each in (client, fresh):
            each.close()


def test_a_dead_node_without_a_replica_is_named(tmp_path: Path) -> None:
    with cluster(tmp_path, masters=2) as nodes:
        first = nodes.masters[0]
        prefix = prefix_on(nodes, first, "dead")
        client = Client(f"{nodes.dsn}?prefix={prefix}&timeout=0.2")
        client.push_many("all", ONE)

        first.kill()

        with pytest.raises(BrokerUnreachable, match=f"no answer from Redis: .*{first.port}"):
            client.push_many("all", TWO)
        client.close()


# -- the DSN -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("redis+cluster://h/1", "a cluster has one database, 0; leave the number out"),
        ("redis+cluster://h?db=2", "a cluster has one database, 0"),
        ("redis+cluster://", r"names no host; write redis\+cluster://host1:6379,host2:6379"),
        ("redis+cluster://h?sentinel_password=x", "unknown option 'sentinel_password'"),
        ("redis+cluster://h:0x1,h2", "port is not a number"),
        ("redis+clutser://h", r"no backend answers to 'redis\+clutser'; there are: .*redis\+clus"),
    ],
)
def test_a_dsn_that_cannot_be_meant(dsn: str, message: str) -> None:
    with pytest.raises(InvalidDSN, match=message):
        client_class(dsn)(dsn)


@pytest.mark.parametrize("dsn", ["redis+cluster://h", "valkeys+cluster://[::1]:1,h2/0?replicas=1"])
def test_a_dsn_that_can(dsn: str) -> None:
    client_class(dsn)(dsn).close()
