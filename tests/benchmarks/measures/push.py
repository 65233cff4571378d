"""How fast tasks are pushed: one at a time, many at once, and as lines into the command line."""

from __future__ import annotations

import os
import subprocess
import time

from ..bench import Bench, Measure, Unavailable, Values
from ..systems import SYSTEMS
from ..trial import Trial

ON_REDIS = ("raw", "floor", "alligator-c1", *("celery-solo", "rq-simple", "huey-thread"))
ON_REDIS += ("dramatiq", "saq", "arq", "taskiq-stream", "taskiq-list")
OF_ALLIGATOR = ("alligator-c1", "alligator-sqlite", "alligator-beanstalk")


def one_at_a_time(bench: Bench, subject: str) -> Values:
    """Push calls one after the other, each with its answer."""
    with bench.trial(SYSTEMS[subject]) as trial:
        return trial.produce("push", "noop", bench.size.pushes)


def many(bench: Bench, subject: str) -> Values:
    """Push calls in thousands by the library."""
    with bench.trial(SYSTEMS[subject]) as trial:
        return trial.produce("fill", "noop", bench.size.bulk)


def lines(bench: Bench, subject: str) -> Values:
    """Give `gator push --from -` lines, a tenth of them first: memory has to stay the same."""
    with bench.trial(SYSTEMS[subject]) as trial:
        if not offers(trial, "push", "--from"):
            raise Unavailable("gator push has no --from")
        _, few_kib = _push_lines(trial, bench.size.lines // 10)
        seconds, kib = _push_lines(trial, bench.size.lines)
    rate = bench.size.lines / seconds
    return {"rate": rate, "rss_mb": kib / 1024, "rss_mb_of_a_tenth": few_kib / 1024}


def _push_lines(trial: Trial, count: int) -> tuple[float, int]:
    """Return the seconds it took, and the largest size of the process in KiB."""
    path = trial.folder / "lines.ndjson"
    with path.open("w") as file:
        for _ in range(count):
            file.write('{"task": "work.noop"}\n')
    started = time.perf_counter()
    with path.open("rb") as stdin:
        process = subprocess.Popen(
            [trial.programs / "gator", "push", "--from", "-"],
            env=trial.variables,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"gator push --from - ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss


def offers(trial: Trial, command: str, option: str) -> bool:
    """Tell whether this gator has an option."""
    text = subprocess.run(
        [trial.programs / "gator", command, "--help"],
        env=trial.variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return option in text


ONE_AT_A_TIME = Measure("push", (*ON_REDIS, "alligator-sqlite", "huey-sqlite"), one_at_a_time)
MANY = Measure("push-many", (*OF_ALLIGATOR, "floor", "rq-simple"), many)
LINES = Measure("push-lines", OF_ALLIGATOR, lines, once=True)
