"""How long commands take from start to end, beside the imports that they cannot do without."""

from __future__ import annotations

import os
import statistics
import subprocess
import time

from ..bench import Bench, Measure, Values
from ..systems import GATOR, GATOR_SQLITE, System
from ..trial import Trial

#: What is started, in an environment with Redis or SQLite.
SUBJECTS: dict[str, tuple[System, tuple[str, ...]]] = {
    "python": (GATOR_SQLITE, ("python", "-c", "pass")),
    "import click": (GATOR_SQLITE, ("python", "-c", "import click")),
    "gator --help": (GATOR_SQLITE, ("gator", "--help")),
    "push on SQLite": (GATOR_SQLITE, ("gator", "push", "work.noop")),
    "import redis": (GATOR, ("python", "-c", "import redis")),
    "push on Redis": (GATOR, ("gator", "push", "work.noop")),
}


def take(bench: Bench, subject: str) -> Values:
    """Start a command some times; the first, which may compile or make a file, does not count."""
    system, command = SUBJECTS[subject]
    with bench.trial(system) as trial:
        _start(trial, command)
        runs = [_start(trial, command) for _ in range(bench.size.starts)]
    wall, cpu = zip(*runs, strict=True)
    return {"wall_ms": 1000 * statistics.median(wall), "cpu_ms": 1000 * statistics.median(cpu)}


def _start(trial: Trial, command: tuple[str, ...]) -> tuple[float, float]:
    """Return the seconds by the wall clock, and of the processor."""
    program, *rest = command
    started = time.perf_counter()
    process = subprocess.Popen(
        [trial.programs / program, *rest],
        env=trial.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return elapsed, usage.ru_utime + usage.ru_stime


MEASURE = Measure("start", tuple(SUBJECTS), take)
