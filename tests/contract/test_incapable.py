"""What a broker does not declare it refuses, in words, and does not do by halves."""

from __future__ import annotations

import pytest

from alligator.backends.base import Backend, Capability
from alligator.backends.roster import WorkerRecord
from alligator.exceptions import UnsupportedByBroker

WORKER = WorkerRecord("host:1", "host", 1, ("all",), 1, 0.0)


def test_a_verb_that_is_not_declared_is_refused(client: Backend) -> None:
    verbs = {
        Capability.MOVE: [lambda: client.move("id", "other")],
        Capability.PAUSE: [
            lambda: client.pause("all"),
            lambda: client.resume("all"),
            client.paused,
        ],
        Capability.WORKERS: [
            lambda: client.beat(WORKER, 10.0),
            lambda: client.leave("host:1"),
            client.workers,
        ],
    }
    for capability, calls in verbs.items():
        if capability not in client.capabilities:
            for call in calls:
                with pytest.raises(UnsupportedByBroker, match=f"cannot {capability.value}"):
                    call()


def test_totals_are_told_by_those_who_declare_them(client: Backend) -> None:
    counts = client.counts("all")

    able = Capability.TOTALS in client.capabilities
    assert (counts.done_total is not None) is able
    assert (counts.failed_total is not None) is able
