"""Fixtures that build on each other: a server a session, an empty namespace a test."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from .servers import Server, beanstalkd_server, redis_server

# A shell's background job ignores these, and so would every process that the tests start.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

_numbers = itertools.count()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ALLIGATOR_TEST_ONE set, keep one test: for pages that show how to run the tests, which
    would else run themselves."""
    if os.environ.get("ALLIGATOR_TEST_ONE"):
        items[:] = sorted(items, key=lambda item: item.nodeid)[:1]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a parallel run have."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Redis for all tests of this process; each test uses a prefix of its own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def raw(redis: Server) -> Iterator[Any]:
    """That Redis without Alligator; the driver's own types are too loose to help."""
    with redis_py.Redis(port=redis.port) as connection:
        yield connection


@pytest.fixture
def beanstalkd() -> Iterator[Server]:
    """A beanstalkd of the test's own: it has no namespaces, and starts in milliseconds."""
    with beanstalkd_server() as server:
        yield server


@pytest.fixture
def redis_dsn(redis: Server) -> str:
    """A DSN whose keys no other test touches."""
    return f"{redis.dsn}?prefix=t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def beanstalk_dsn(beanstalkd: Server) -> str:
    return beanstalkd.dsn


@pytest.fixture
def sqlite_dsn(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queue.db'}"


@pytest.fixture(params=["sqlite", "redis", "beanstalk"])
def shared_dsn(request: pytest.FixtureRequest) -> str:
    """The DSN of an empty broker that other processes see, once for each of the three."""
    dsn: str = request.getfixturevalue(f"{request.param}_dsn")
    return dsn


@pytest.fixture(params=["locmem", "sqlite", "redis", "beanstalk"])
def dsn(request: pytest.FixtureRequest) -> str:
    """The DSN of an empty broker, once for each of the four."""
    if request.param == "locmem":
        return "locmem://"
    chosen: str = request.getfixturevalue(f"{request.param}_dsn")
    return chosen
