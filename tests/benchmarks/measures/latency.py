"""How long a task takes from its push to its start when the worker has nothing else to do."""

from __future__ import annotations

from ..bench import Bench, Measure, Values
from ..systems import SYSTEMS

SUBJECTS = (
    *("floor", "alligator-c1", "celery-solo", "rq-simple", "rq-fork", "huey-thread"),
    *("dramatiq", "saq", "arq", "taskiq-stream", "taskiq-list"),
    *("alligator-sqlite", "huey-sqlite", "alligator-beanstalk"),
)

#: The gaps between pushes are drawn with it: the same for all.
SEED = 4


def take(bench: Bench, subject: str) -> Values:
    """Push tasks that write when they were pushed and when they start, one at a time."""
    with bench.trial(SYSTEMS[subject]) as trial, trial.worker():
        return trial.produce("latency", bench.size.latencies, SEED)


MEASURE = Measure("latency", SUBJECTS, take)
