"""Valkey: the same client, and it is called by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alligator import Gator, Worker
from alligator.backends.redis_backend import Client

from .. import tasks
from ..servers import Server, redis_server
from ..topologies import ask, valkey_program


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Server]:
    with redis_server(tmp_path, program=valkey_program()) as server:
        yield server


def valkey_dsn(server: Server) -> str:
    return server.dsn.replace("redis", "valkey")


def test_a_task_travels(valkey: Server, tmp_path: Path) -> None:
    gator = Gator(valkey_dsn(valkey))
    gator.task(tasks.append, str(tmp_path / "ran"), "done")

    Worker(gator, max_tasks=1).run_forever()

    assert tasks.lines(tmp_path / "ran") == ["done"]
    gator.client.close()


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_it_is_called_by_its_name_and_version(valkey: Server, scheme: str) -> None:
    client = Client(valkey.dsn.replace("redis", scheme))
    version = ask(valkey, "INFO", "server").partition("valkey_version:")[2].split()[0]

    assert client.ping() == f"Valkey {version}"
    client.close()


def test_one_that_passes_for_redis_is_called_by_its_name_too(valkey: Server) -> None:
    ask(valkey, "CONFIG", "SET", "extended-redis-compatibility", "yes")
    client = Client(valkey_dsn(valkey))

    assert client.ping().startswith("Valkey ")
    client.close()


def test_one_that_hides_its_settings_is_asked_otherwise(valkey: Server) -> None:
    ask(valkey, "ACL", "SETUSER", "me", "on", ">pw", "~*", "&*", "+@all", "-info")
    client = Client(valkey_dsn(valkey).replace("//", "//me:pw@"))

    assert client.ping().startswith("Valkey ")
    client.close()
