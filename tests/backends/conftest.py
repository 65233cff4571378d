"""Clients of the Redis that a test has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from alligator.backends.redis_backend import Client


@pytest.fixture
def make(redis_dsn: str) -> Iterator[Callable[..., Client]]:
    """A function that opens one more client of the test's namespace."""
    opened: list[Client] = []

    def open_client(dsn: str = redis_dsn) -> Client:
        opened.append(Client(dsn))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()
