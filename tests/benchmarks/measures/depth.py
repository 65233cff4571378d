"""What changes with the number of waiting tasks: the drain, peek, show, cancel, and memory."""

from __future__ import annotations

import statistics
import subprocess
from contextlib import ExitStack
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
    """Fill a broker to each depth and look around in it; then drain each for a while, in turns, so
    that noise hits all alike."""
    depths = bench.size.depths
    values: dict[str, list[float]] = {"depth": list(depths)}
    with ExitStack() as stack:
        trials = [stack.enter_context(bench.trial(SYSTEMS[subject])) for _ in depths]
        for trial, depth in zip(trials, depths, strict=True):
            empty = _memory(trial)
            _fill(trial, depth)
            if empty:
                _append(values, bytes_a_task=(_memory(trial) - empty) / depth)
            _append(values, **trial.produce("look", min(bench.size.looks, depth // 10)))
        rounds = [
            [_drain_rate(trial, depth) for trial, depth in zip(trials, depths, strict=True)]
            for _ in range(bench.size.repeats)
        ]
    values["rate"] = [statistics.median(rates) for rates in zip(*rounds, strict=True)]
    return values


def _drain_rate(trial: Trial, depth: int) -> float:
    """The rate of a short drain that begins at the depth."""
    _fill(trial, depth)
    with trial.worker() as worker:
        return worker.rate(min(MOST, int(PART * depth)))


def _fill(trial: Trial, depth: int) -> None:
    trial.produce("fill", "noop", depth - _waiting(trial))


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
