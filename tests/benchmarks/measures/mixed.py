"""Whether short tasks wait for a long one that was taken together with them."""

from __future__ import annotations

from ..bench import Bench, Measure, Values
from ..systems import SYSTEMS


def take(bench: Bench, subject: str) -> Values:
    """Put a long task in the middle of short ones, and time when the last short one is done."""
    shorts, long_seconds = bench.size.shorts
    half = shorts // 2
    with bench.trial(SYSTEMS[subject]) as trial:
        trial.produce("fill", "noop", half)
        trial.produce("fill", "linger", 1, long_seconds)
        trial.produce("fill", "noop", shorts - half)
        with trial.worker() as worker:
            started = worker.until(1)
            seconds = worker.until(shorts) - started
    return {"seconds": seconds, "long_seconds": long_seconds, "tasks": shorts}


MEASURE = Measure("mixed", ("alligator-c2",), take)
