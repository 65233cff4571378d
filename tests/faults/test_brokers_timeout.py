"""A broker that cannot be reached, or says nothing, is an error within one time-out of its DSN."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alligator import Gator
from alligator.exceptions import BrokerUnreachable

from ..servers import Server
from . import deeds
from .conftest import ROOT
from .proxy import proxied

GatorFor = Callable[[str], Gator]

#: Seconds, for a verb, and for a command, which has to start as well.
TIMEOUT, OF_COMMAND = 2.0, 4.0


@contextmanager
def within(timeout: float, start: float = 0.0) -> Iterator[None]:
    """Twice as long is too long; that much more is for a busy machine.

    Args:
        start: seconds that the start of a command took just now.
    """
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 1.8 * timeout + 2 * start


@pytest.fixture(params=["sqlite", "redis", "beanstalk"])
def silent(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, Callable[[], None]]]:
    """A DSN, and a function that has its broker fall silent."""
    if request.param == "sqlite":
        with open(tmp_path / "queue.db-lock", "w") as lock:
            dsn: str = request.getfixturevalue("sqlite_dsn")
            yield dsn, lambda: fcntl.flock(lock, fcntl.LOCK_EX)
        return
    server: Server = request.getfixturevalue("redis" if request.param == "redis" else "beanstalkd")
    with proxied(server.port) as proxy:
        yield f"{server.name}://127.0.0.1:{proxy.port}", proxy.stall


def gator_push(dsn: str, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alligator", "push", "shop.sell", "--dsn", dsn],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def start(tmp_path: Path) -> float:
    """How long a command takes that has nothing to wait for."""
    began = time.monotonic()
    gator_push("redis://127.0.0.1:1", tmp_path)
    return time.monotonic() - began


def test_a_broker_that_fell_silent(
    silent: tuple[str, Callable[[], None]], gator_for: GatorFor
) -> None:
    dsn, fall_silent = silent
    gator = gator_for(f"{dsn}?timeout={TIMEOUT}")
    gator.len()
    fall_silent()

    with within(TIMEOUT), pytest.raises(BrokerUnreachable):
        gator.task(deeds.quick, "nowhere", "one")
    if "sqlite" not in dsn:  # where looking waits for nobody
        with within(TIMEOUT), pytest.raises(BrokerUnreachable):
            gator.len()
        with within(TIMEOUT), pytest.raises(BrokerUnreachable):
            gator.client.wait(["all"], 600)


def test_a_broker_that_is_silent_from_the_start(
    silent: tuple[str, Callable[[], None]], gator_for: GatorFor, tmp_path: Path, start: float
) -> None:
    dsn, fall_silent = silent
    gator_for(dsn).len()
    fall_silent()

    with within(OF_COMMAND, start):
        ran = gator_push(f"{dsn}?timeout={OF_COMMAND}", tmp_path)

    assert ran.returncode == 69
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("Error: ")


@pytest.mark.parametrize("scheme", ["redis", "beanstalk"])
def test_a_broker_that_is_not_there_is_not_waited_for(scheme: str, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening, so nobody else answers here
        taken.bind(("127.0.0.1", 0))
        dsn = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}?timeout=600"
        ran = gator_push(dsn, tmp_path)

    assert ran.returncode == 69
    assert "Connection refused" in ran.stderr


@pytest.mark.parametrize("scheme", ["redis", "beanstalk"])
def test_a_host_that_takes_no_connection_is_given_up(
    scheme: str, tmp_path: Path, start: float
) -> None:
    # A queue for one connection, which is full: the next ones get no answer at all.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        first = socket.create_connection(address)
        with first, within(OF_COMMAND, start):
            ran = gator_push(f"{scheme}://127.0.0.1:{address[1]}?timeout={OF_COMMAND}", tmp_path)

    assert ran.returncode == 69
    assert re.search("timed out|Timeout", ran.stderr)
