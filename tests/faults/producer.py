"""A process that pushes tasks until told to stop, and notes each one whose push returned."""

from __future__ import annotations

import itertools
import os
import random
import sys
import time

from alligator import Gator, Task
from alligator.exceptions import BrokerError

from . import fragile, mortal
from .deeds import note

#: Tasks that lie ready before a producer pauses, so that the workers can keep up.
BACKLOG = 100


def produce(dsn: str, folder: str, name: str) -> None:
    """Push until the file `stop` is in the folder."""
    evidence, stop = os.path.join(folder, "evidence"), os.path.join(folder, "stop")
    acknowledged = os.path.join(folder, "acknowledged")
    chance = random.Random(name)
    numbers = itertools.count()
    with Gator(dsn) as gator:
        while not os.path.exists(stop):
            names = [f"{name}-{next(numbers)}" for _ in range(chance.choice((1, 1, 1, 8)))]
            try:
                if gator.len() > BACKLOG:
                    time.sleep(0.02)
                    continue
                gator.push_many([_task(chance, evidence, each) for each in names])
            except BrokerError:
                continue  # nobody was told that these are queued; whether they are is open
            note(acknowledged, "\n".join(names))


def _task(chance: random.Random, evidence: str, name: str) -> Task:
    kind = chance.random()
    if kind < 0.02:
        return Task(retries=1).to_call(mortal.fail, evidence, name)
    if kind < 0.07:
        return Task(retries=2).to_call(mortal.stumble, evidence, name)
    if kind < 0.15:
        return Task().to_call(fragile.work, evidence, name)
    if kind < 0.25:
        return Task(on_start=mortal.before).to_call(mortal.work, evidence, name)
    if kind < 0.45:
        return Task().to_call(mortal.work_on_loop, evidence, name)
    return Task(priority=0 if kind < 0.9 else 5).to_call(mortal.work, evidence, name)


if __name__ == "__main__":
    produce(*sys.argv[1:])
