"""Several clients on one empty broker, for each of the four."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator

import pytest

from alligator.backends.base import Backend

from .verbs import MakeClient


@pytest.fixture
def dsn(dsn: str) -> str:
    """A DSN under which several clients see the same tasks."""
    return f"{dsn}{uuid.uuid4().hex}" if dsn == "locmem://" else dsn


@pytest.fixture
def make_client(dsn: str) -> Iterator[MakeClient]:
    """A function that opens one more client; its keywords become options of the DSN."""
    opened: list[Backend] = []
    module = importlib.import_module(f"alligator.backends.{dsn.partition(':')[0]}_backend")

    def make(**options: object) -> Backend:
        mark = "&" if "?" in dsn else "?"
        query = "&".join(f"{name}={value}" for name, value in options.items())
        client: Backend = module.Client(f"{dsn}{mark}{query}" if query else dsn)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(make_client: MakeClient) -> Backend:
    """One client on an empty broker."""
    return make_client()
