"""How close a worker comes to the ideal with tasks that only wait, 100 ms each."""

from __future__ import annotations

from ..bench import Bench, Measure, Unavailable, Values
from ..systems import SYSTEMS
from .push import offers

SECONDS = 0.1

#: How many run at once, and the task: a coroutine, or a function for a thread.
SUBJECTS = {
    "alligator-coroutines": (500, "rest"),
    "saq-500": (500, "rest"),
    "arq-500": (500, "rest"),
    "taskiq-500": (500, "rest"),
    "alligator-threads": (50, "nap"),
    "celery-threads": (50, "nap"),
    "huey-threads": (50, "nap"),
    "dramatiq-threads": (50, "nap"),
}


def take(bench: Bench, subject: str) -> Values:
    """Queue the tasks, start the worker, and time from the first start to the last end."""
    at_once, task = SUBJECTS[subject]
    with bench.trial(SYSTEMS[subject]) as trial:
        option = f"--{subject.partition('-')[2]}"
        if subject.startswith("alligator") and not offers(trial, "worker", option):
            raise Unavailable(f"gator worker has no {option}")
        trial.produce("fill", task, bench.size.waits, SECONDS)
        queued = bench.size.waits
        with trial.worker() as worker:
            # The first byte is written at the end of a task that began SECONDS before.
            started = worker.until(1) - SECONDS
            seconds = worker.until(queued) - started
    ideal = SECONDS * queued / at_once
    return {"efficiency": ideal / seconds, "seconds": seconds, "at_once": at_once}


MEASURE = Measure("concurrency", tuple(SUBJECTS), take)
