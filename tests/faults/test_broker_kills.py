"""The kills of brokers in short."""

from __future__ import annotations

import pytest

from . import broker_kills


@pytest.mark.parametrize("broker", ["sqlite", "redis"])
def test_a_killed_broker_loses_nothing(broker: str) -> None:
    verdict = broker_kills.torment(broker, kills=8, seed=7, limit=30)

    assert (verdict.lost, verdict.problems) == ([], [])
    assert verdict.kills == 8
    assert verdict.acknowledged > 0
    assert verdict.executed > 0


def test_workers_and_producers_outlive_the_kills_of_a_beanstalkd() -> None:
    verdict = broker_kills.torment("beanstalk", kills=6, seed=7, limit=30)

    # What its log keeps is its own affair: see docs/guarantees.md.
    assert verdict.problems == []
    assert verdict.kills == 6
    assert verdict.executed > 0
