"""What changes with the number of waiting tasks: the drain, peek, show, cancel, and memory."""

from __future__ import annotations

import statistics
import subprocess
from urllib.parse import urlsplit

from ..bench import Bench, Measure, Values
from ..systems import SYSTEMS
from ..trial import Trial

#: Of a depth, the part that is drained to find its rate.
PART = 0.9

#: No more is drained at any depth: the beginning of a drain, when batches are small, then weighs
#: the same at all of them.
MOST = int(PART * 10_000)


def take(bench: Bench, subject: str) -> Values:
    """Fill the queue to each depth in turn, and measure there."""
    values: dict[str, list[float]] = {"depth": list(bench.size.depths)}
    with bench.trial(SYSTEMS[subject]) as trial:
        empty = _memory(trial)
        for depth in bench.size.depths:
            trial.produce("fill", "noop", depth - _waiting(trial))
            if empty:
                _append(values, bytes_a_task=(_memory(trial) - empty) / depth)
            _append(values, **trial.produce("look", min(bench.size.looks, depth // 10)))
            _append(values, rate=_drain_rate(trial, depth, bench.size.repeats))
    return values


def _drain_rate(trial: Trial, depth: int, repeats: int) -> float:
    """The median rate of a few short drains, each begun at the depth."""
    rates = []
    for _ in range(repeats):
        trial.produce("fill", "noop", depth - _waiting(trial))
        with trial.worker() as worker:
            rates.append(worker.rate(min(MOST, int(PART * depth))))
    return statistics.median(rates)


def _waiting(trial: Trial) -> int:
    return int(trial.produce("waiting")["waiting"])


def _append(values: dict[str, list[float]], **more: float) -> None:
    for name, value in more.items():
        values.setdefault(name, []).append(value)


def _memory(trial: Trial) -> int:
    """Bytes that Redis uses; 0 with another broker."""
    if trial.system.broker != "redis":
        return 0
    port = urlsplit(trial.broker).port
    text = subprocess.run(
        ["redis-cli", "-p", str(port), "info", "memory"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return int(text.partition("used_memory:")[2].split()[0])


MEASURE = Measure(
    "depth", ("alligator-c1", "alligator-sqlite", "alligator-beanstalk"), take, once=True
)
