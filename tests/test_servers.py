"""The harness's own promise: no two tests get the same port, even while nobody listens on it."""

from __future__ import annotations

import random

import pytest

from . import servers


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = set()
    for _ in range(3):
        monkeypatch.setattr(servers, "_chance", random.Random(7))
        given.add(servers.free_port())

    assert len(given) == 3
