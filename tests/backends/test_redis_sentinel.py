"""A master that sentinels name: found through whichever of them answers, and checked."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alligator.backends.base import Ack, Entry
from alligator.backends.redis_backend import Client
from alligator.backends.registry import client_class
from alligator.exceptions import BrokerRefused, BrokerUnreachable, InvalidDSN

from ..servers import Server
from ..topologies import Watched, ask, hosts, valkey_program, watched


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A master, its replica and three sentinels, which no test changes for good."""
    with watched(tmp_path_factory.mktemp("watched")) as servers:
        yield servers


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port that is taken and on which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def stopped(guarded: Watched) -> Iterator[list[Server]]:
    """Servers to be stopped with SIGSTOP, which go on after the test."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.process.send_signal(signal.SIGCONT)


def stop(server: Server, stopped: list[Server]) -> None:
    stopped.append(server)
    server.process.send_signal(signal.SIGSTOP)


def sentinel_dsn(where: str, *options: str, service: str = "main") -> str:
    return f"redis+sentinel://{where}/{service}/0?" + "&".join(options)


# -- finding the master --------------------------------------------------------------------------


def test_the_master_is_found_and_named(guarded: Watched) -> None:
    client = Client(f"{guarded.dsn}?prefix=found")

    assert client.push_many("all", [Entry("one", b"body")])[0].queued

    master = guarded.servers[0]
    assert client.ping().startswith("Redis ")
    assert client.ping().endswith(f" at 127.0.0.1:{master.port}, the master of 'main'")
    assert ask(master, "KEYS", "{found}:*")
    client.close()


def test_a_service_may_have_a_database(guarded: Watched) -> None:
    client = Client(f"{guarded.dsn.removesuffix('/0')}/3?prefix=third")
    client.push_many("all", [Entry("one", b"body")])

    assert "db3" in ask(guarded.servers[0], "INFO", "keyspace")
    assert client.counts("all").waiting == 1
    client.close()


def test_dead_and_silent_sentinels_are_passed_over_within_the_time_out(
    guarded: Watched, nowhere: int, stopped: list[Server]
) -> None:
    silent, *_, alive = guarded.sentinels
    stop(silent, stopped)
    where = f"127.0.0.1:{nowhere},{hosts([silent])},127.0.0.1:{nowhere},{hosts([alive])}"
    client = Client(sentinel_dsn(where, "timeout=4", "prefix=passed"))

    began = time.monotonic()
    assert client.counts("all").waiting == 0

    # The silent one had a quarter of half the time-out.
    assert time.monotonic() - began < 4
    client.close()


def test_sentinels_that_are_all_silent_are_given_up_after_half_the_time_out(
    guarded: Watched, stopped: list[Server]
) -> None:
    for sentinel in guarded.sentinels:
        stop(sentinel, stopped)
    client = Client(f"{guarded.dsn}?timeout=0.3")

    with pytest.raises(BrokerUnreachable, match="no sentinel knows the master of 'main'") as caught:
        client.ping()

    assert all(f"127.0.0.1:{each.port}: Timeout" in str(caught.value) for each in guarded.sentinels)
    client.close()


def test_a_client_whose_sentinels_are_silent_goes_on_with_the_master_it_has(
    guarded: Watched, stopped: list[Server]
) -> None:
    client = Client(f"{guarded.dsn}?prefix=goes-on")
    client.push_many("all", [Entry("one", b"body")])
    for sentinel in guarded.sentinels:
        stop(sentinel, stopped)

    assert client.push_many("all", [Entry("two", b"body")])[0].queued
    client.wait(["other"], 0.01)  # a second connection, to where the first one is
    client.close()


def test_nobody_there_shows_at_once_with_all_that_were_asked(nowhere: int) -> None:
    where = f"127.0.0.1:{nowhere},localhost:{nowhere}"
    client = Client(sentinel_dsn(where, "timeout=600"))

    with pytest.raises(BrokerUnreachable) as caught:
        client.ping()

    assert f"no sentinel knows the master of 'main': 127.0.0.1:{nowhere}: Error" in str(
        caught.value
    )
    assert f"; localhost:{nowhere}: Error" in str(caught.value)
    assert ".." not in str(caught.value)
    client.close()


def test_a_service_that_nobody_watches_shows_at_once(guarded: Watched) -> None:
    client = Client(sentinel_dsn(hosts(guarded.sentinels), "timeout=600", service="mian"))

    with pytest.raises(BrokerUnreachable, match="Check the service's name") as caught:
        client.ping()

    assert "no sentinel knows the master of 'mian'" in str(caught.value)
    assert all(f":{each.port} knows none" in str(caught.value) for each in guarded.sentinels)
    client.close()


def test_a_server_that_is_no_sentinel_is_refused(redis: Server) -> None:
    client = Client(sentinel_dsn(hosts([redis])))
    with pytest.raises(BrokerRefused, match="is a sentinel there") as caught:
        client.ping()
    assert f"sentinel 127.0.0.1:{redis.port} answered: " in str(caught.value)
    client.close()


def test_a_replica_that_sentinels_still_take_for_the_master_is_not_written_to(
    tmp_path: Path,
) -> None:
    with watched(tmp_path, replicas=0, sentinels=1) as servers:
        ask(servers.servers[0], "REPLICAOF", "127.0.0.1", "1")  # the sentinel notices much later
        client = Client(f"{servers.dsn}?timeout=0.2")
        with pytest.raises(BrokerUnreachable, match="as the master of 'main', and it is a replica"):
            client.counts("all")

        ask(servers.servers[0], "REPLICAOF", "NO", "ONE")
        assert client.push_many("all", [Entry("one", b"body")])[0].queued
        client.close()


# -- passwords -----------------------------------------------------------------------------------


def test_sentinels_have_passwords_of_their_own(tmp_path: Path) -> None:
    right = "sentinel_password=open-sesame"
    with watched(tmp_path, sentinels=1, replicas=0) as servers:
        ask(servers.sentinels[0], "ACL", "SETUSER", "default", "resetpass", ">open-sesame")
        where = hosts(servers.sentinels)
        for wrong in ("", "sentinel_password=guessed", "sentinel_username=ann&" + right):
            client = Client(sentinel_dsn(where, wrong))
            with pytest.raises(BrokerRefused, match="check the options sentinel_username") as e:
                client.ping()
            assert "guessed" not in str(e.value)
            assert "sesame" not in str(e.value)
            client.close()

        client = Client(sentinel_dsn(where, right))
        assert client.ping().startswith("Redis ")
        client.close()

        # It is not the server's password.
        ask(servers.servers[0], "CONFIG", "SET", "requirepass", "server-secret")
        for user, accepted in (("", False), (":open-sesame@", False), (":server-secret@", True)):
            client = Client(sentinel_dsn(user + where, right))
            if accepted:
                assert client.counts("all").waiting == 0
            else:
                with pytest.raises(BrokerRefused, match=r"(user name and|wants a) password"):
                    client.counts("all")
            client.close()


# -- fail-over -----------------------------------------------------------------------------------


def test_a_new_client_waits_for_the_fail_over_too(tmp_path: Path) -> None:
    with watched(tmp_path, sentinels=1) as servers:
        old = servers.master()
        old.kill()
        client = Client(f"{servers.dsn}?timeout=20")

        assert client.push_many("all", [Entry("one", b"body")])[0].queued

        assert f":{servers.servers[1].port}," in client.ping()
        client.close()


def test_a_push_repeated_to_the_new_master_after_its_task_has_run_does_not_run_again(
    tmp_path: Path,
) -> None:
    with watched(tmp_path) as servers:
        client, worker = Client(f"{servers.dsn}?timeout=20"), Client(f"{servers.dsn}?replicas=1")
        client.push_many("all", [Entry("one", b"body")])
        worker.settle([Ack(lease) for lease in worker.reserve(["all"], 1)])

        servers.fail_over()
        # As if the answer had been lost with the old master.
        link = client._link
        with link._lock:
            repeated = link._run(link._calls, "push", link._number, ("all", "one", b"body", ""))

        assert repeated == []
        assert client.counts("all").waiting == 0
        for each in (client, worker):
            each.close()


@pytest.mark.parametrize("program", ["redis-server", valkey_program()], ids=["redis", "valkey"])
def test_a_change_that_no_replica_has_is_an_error_and_done_once(
    tmp_path: Path, program: str
) -> None:
    with watched(tmp_path, sentinels=1, program=program) as servers:
        replica = servers.servers[1]
        client = Client(f"{servers.dsn}?replicas=1&timeout=20")
        hasty = Client(f"{servers.dsn}?replicas=1&timeout=1")
        client.push_many("all", [Entry("one", b"body")])
        replica.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(BrokerUnreachable, match="0 of 1 replicas have it, so a fail-over"):
                hasty.push_many("all", [Entry("two", b"body")])
            # Over a connection that has written nothing yet, for which WAIT has nothing to wait.
            link = hasty._link
            with link._lock, pytest.raises(BrokerUnreachable, match="0 of 1 replicas"):
                link._run(link._make(), "push", link._number, ("all", "two", b"body", ""))
            assert hasty.counts("all").waiting == 2  # looking needs no replica
        finally:
            replica.process.send_signal(signal.SIGCONT)

        assert client.push_many("all", [Entry("two", b"body")]) == [("two", False)]
        for each in (client, hasty):
            each.close()


# -- the DSN -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        (
            "redis+sentinel://h1,h2",
            r"names no service; write redis\+sentinel://host1,host2/service",
        ),
        ("redis+sentinel:///main", r"names no host; write redis\+sentinel://host1:26379,host2"),
        ("redis+sentinel://h1,,h2/main", "bad host"),
        ("redis+sentinel://h1:1,h2:x/main", "port is not a number"),
        ("redis+sentinel://h/main/first", "the database is not a number"),
        ("redis+sentinel://h/main?replicas=some", "replicas='some' is not a number from 0"),
        ("redis+sentinel://h/main?sentinel_pasword=x", "unknown option 'sentinel_pasword'"),
        ("redis://h?sentinel_password=x", "unknown option 'sentinel_password'"),
        ("redis://h1,h2", "redis takes one host; only redis"),
        ("beanstalk://h1,h2", "beanstalk takes one host"),
    ],
)
def test_a_dsn_that_cannot_be_meant(dsn: str, message: str) -> None:
    with pytest.raises(InvalidDSN, match=message):
        client_class(dsn)(dsn)
