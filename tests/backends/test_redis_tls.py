"""Redis over TLS: who is trusted, and what is said when somebody is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from alligator import Gator, Worker
from alligator.backends.base import Entry
from alligator.backends.redis_backend import Client
from alligator.backends.redis_driver import translate
from alligator.exceptions import BrokerRefused, BrokerUnreachable, InvalidDSN

from .. import tasks
from ..servers import Server
from ..topologies import certificates, tls_server

Connect = Callable[..., Client]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def connect(keys: Path) -> Iterator[Connect]:
    """Make a client of a server; files are named as `ca`, `certificate` and `key` in `keys`."""
    opened: list[Client] = []

    def make(server: Server, ca: str = "ca", own: str = "", **options: str) -> Client:
        options |= {"ssl_ca_certs": str(keys / f"{ca}.pem")} if ca else {}
        if own:
            options |= {"ssl_certfile": f"{keys}/{own}.pem", "ssl_keyfile": f"{keys}/{own}.key"}
        query = "&".join(f"{name}={value}" for name, value in options.items())
        opened.append(Client(f"rediss://127.0.0.1:{server.port}/?timeout=1&{query}"))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def server(tmp_path: Path, keys: Path) -> Iterator[Server]:
    with tls_server(tmp_path, keys) as one:
        yield one


def test_tasks_travel_encrypted(server: Server, keys: Path, tmp_path: Path) -> None:
    gator = Gator(f"valkeys://127.0.0.1:{server.port}/2?ssl_ca_certs={keys}/ca.pem")
    gator.task(tasks.append, str(tmp_path / "ran"), "done")

    Worker(gator, max_tasks=1).run_forever()

    assert tasks.lines(tmp_path / "ran") == ["done"]
    gator.client.close()


@pytest.mark.parametrize("ca", ["", "stranger"])
def test_a_server_signed_by_an_unknown_authority_is_refused(
    server: Server, connect: Connect, ca: str
) -> None:
    with pytest.raises(
        BrokerRefused, match=r"name the file of the authority .* ssl_ca_certs=/path"
    ):
        connect(server, ca).ping()


def test_an_authority_that_newer_pythons_do_not_believe_has_a_remedy_of_its_own() -> None:
    said = "certificate verify failed: CA cert does not include key usage extension (_ssl.c:1020)"
    error = redis.ConnectionError(f"Error 1 connecting. [SSL: CERTIFICATE_VERIFY_FAILED] {said}")

    ours = translate(error, "rediss://host")

    assert isinstance(ours, BrokerRefused)
    assert "with keyUsage=keyCertSign" in str(ours)


def test_whom_nobody_is_to_check_is_not_checked(server: Server, connect: Connect) -> None:
    assert connect(server, ca="", ssl_cert_reqs="none").ping().startswith("Redis ")


def test_a_server_of_another_name_is_refused(tmp_path: Path, keys: Path, connect: Connect) -> None:
    with tls_server(tmp_path, keys, certificate="elsewhere") as server:
        with pytest.raises(BrokerRefused, match="write a host that the certificate names, or set"):
            connect(server).ping()

        assert connect(server, ssl_check_hostname="no").ping().startswith("Redis ")
        with pytest.raises(BrokerRefused, match="name the file of the authority"):
            connect(server, ca="stranger", ssl_check_hostname="no").ping()


def test_a_server_may_want_to_know_its_clients(
    tmp_path: Path, keys: Path, connect: Connect
) -> None:
    # With TLS 1.3 the client learns of it late, and perhaps not why.
    strict = ("--tls-auth-clients", "yes", "--tls-protocols", "TLSv1.2")
    with tls_server(tmp_path, keys, *strict) as server:
        assert connect(server, own="client").push_many("all", [Entry("one", b"")])[0].queued

        with pytest.raises(BrokerRefused, match="set ssl_certfile and ssl_keyfile"):
            connect(server).ping()
        with pytest.raises(BrokerRefused, match="does not know the authority that signed our ssl"):
            connect(server, own="stranger").ping()


def test_a_newer_server_that_wants_to_know_its_clients_is_refused_or_hinted_at(
    tmp_path: Path, keys: Path, connect: Connect
) -> None:
    with tls_server(tmp_path, keys, "--tls-auth-clients", "yes") as server:
        with pytest.raises((BrokerRefused, BrokerUnreachable), match="ssl_certfile"):
            connect(server).ping()
        assert connect(server, own="client").ping().startswith("Redis ")


def test_a_server_that_speaks_no_tls_is_hinted_at(redis: Server, connect: Connect) -> None:
    with pytest.raises(BrokerUnreachable, match=r"check that it .*, that it speaks TLS"):
        connect(redis, timeout="0.2").ping()


def test_a_certificate_and_the_key_of_another_are_told_apart(
    server: Server, connect: Connect, keys: Path
) -> None:
    with pytest.raises(BrokerRefused, match="check the files that the ssl_ options name"):
        connect(server, ssl_certfile=f"{keys}/client.pem", ssl_keyfile=f"{keys}/server.key").ping()
    with pytest.raises(BrokerRefused, match="check the files that the ssl_ options name"):
        connect(server, ssl_certfile=f"{keys}/client.pem").ping()


def test_whoever_forgot_tls_is_told(server: Server) -> None:
    client = Client(f"redis://127.0.0.1:{server.port}/?timeout=1")

    with pytest.raises(BrokerUnreachable, match=r", and whether it wants TLS \(rediss://\)$"):
        client.ping()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ssl_ca_certs=/missing/ca.pem", "ssl_ca_certs='/missing/ca.pem' is no file we can read"),
        ("ssl_certfile=/missing", "ssl_certfile='/missing' is no file"),
        ("ssl_keyfile=/missing", "ssl_keyfile='/missing' is no file"),
        ("ssl_cert_reqs=maybe", "ssl_cert_reqs='maybe' is not none, optional or required"),
        ("ssl_ciphers=x", "unknown option 'ssl_ciphers'; rediss knows: prefix"),
    ],
)
def test_an_option_that_cannot_be_meant(query: str, message: str) -> None:
    with pytest.raises(InvalidDSN, match=message):
        Client(f"rediss://h?{query}")
