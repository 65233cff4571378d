"""Several clients on one empty broker, for each of the four and for Redis in all its shapes.

ALLIGATOR_CONTRACT_DSN names another one instead, with {} where a test puts a word of its own: the
backend of another package, say, that has to keep the contract too.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from alligator.backends.base import Backend
from alligator.backends.registry import client_class

from ..topologies import certificates, cluster, tls_server, valkey_program, watched
from .verbs import MakeClient


@pytest.fixture(scope="session")
def _sentinel_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with watched(tmp_path_factory.mktemp("sentinel"), replicas=0, sentinels=1) as servers:
        yield servers.dsn


@pytest.fixture(scope="session")
def _cluster_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("cluster")
    with cluster(folder, masters=2, program=valkey_program()) as nodes:
        yield nodes.dsn.replace("redis", "valkey")


@pytest.fixture(scope="session")
def _tls_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    keys = certificates(tmp_path_factory.mktemp("keys"))
    with tls_server(tmp_path_factory.mktemp("tls"), keys) as server:
        yield f"rediss://127.0.0.1:{server.port}/?ssl_ca_certs={keys}/ca.pem"


SHAPES = ["sentinel", "cluster", "tls"]
OTHER = os.environ.get("ALLIGATOR_CONTRACT_DSN")


@pytest.fixture(params=["other"] if OTHER else ["locmem", "sqlite", "redis", "beanstalk", *SHAPES])
def dsn(request: pytest.FixtureRequest) -> str:
    """A DSN under which several clients see the same tasks."""
    if OTHER:
        return OTHER.replace("{}", uuid.uuid4().hex)
    if request.param == "locmem":
        return f"locmem://{uuid.uuid4().hex}"
    if request.param not in SHAPES:
        chosen: str = request.getfixturevalue(f"{request.param}_dsn")
        return chosen
    shape: str = request.getfixturevalue(f"_{request.param}_dsn")
    return f"{shape}{'&' if '?' in shape else '?'}prefix={uuid.uuid4().hex}"


@pytest.fixture
def make_client(dsn: str) -> Iterator[MakeClient]:
    """A function that opens one more client; its keywords become options of the DSN."""
    opened: list[Backend] = []
    make_backend = client_class(dsn)

    def make(**options: object) -> Backend:
        mark = "&" if "?" in dsn else "?"
        query = "&".join(f"{name}={value}" for name, value in options.items())
        client: Backend = make_backend(f"{dsn}{mark}{query}" if query else dsn)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(make_client: MakeClient) -> Backend:
    """One client on an empty broker."""
    return make_client()
