"""How fast a worker runs no-op tasks that wait already, from the first that it runs."""

from __future__ import annotations

from ..bench import Bench, Measure, Values
from ..systems import SYSTEMS

SUBJECTS = (
    *("floor", "alligator-c1", "alligator-c2"),
    *("celery-solo", "celery-prefork", "rq-simple", "rq-fork"),
    *("huey-thread", "huey-process", "huey-greenlet", "dramatiq", "saq", "arq"),
    *("taskiq-stream", "taskiq-list", "alligator-sqlite", "huey-sqlite", "alligator-beanstalk"),
)

#: A trial has so many tasks at least: some workers take a hundred at once.
FEWEST = 200


def take(bench: Bench, subject: str) -> Values:
    """Queue tasks for some seconds of work, start the worker, and watch the evidence grow."""
    system = SYSTEMS[subject]
    count = max(FEWEST, int(system.rate * bench.size.drain_seconds))
    with bench.trial(system) as trial:
        trial.produce("fill", "noop", count)
        with trial.worker() as worker:
            rate = worker.rate(count)
        shares = trial.shares()
    return {"rate": rate, "tasks": count, "least_share": shares[-1] / sum(shares)}


MEASURE = Measure("drain", SUBJECTS, take)
