"""What a worker costs that has nothing to do: how often it wakes, and its memory."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from ..bench import Bench, Measure, Values
from ..systems import SYSTEMS
from ..trial import session

SUBJECTS = (
    *("alligator-c1", "alligator-sqlite", "alligator-beanstalk"),
    *("floor", "celery-solo", "rq-simple", "huey-thread", "dramatiq", "saq", "arq"),
    *("taskiq-stream", "taskiq-list", "huey-sqlite"),
)


def take(bench: Bench, subject: str) -> Values:
    """Let it run one task, settle, and count how often its threads give up the processor."""
    with bench.trial(SYSTEMS[subject]) as trial, trial.worker() as worker:
        trial.produce("push", "noop", 21)
        worker.until(21)
        time.sleep(min(2.0, bench.size.idle_seconds))
        before = _switches(worker.pid)
        started = time.monotonic()
        time.sleep(bench.size.idle_seconds)
        after = _switches(worker.pid)
        elapsed = time.monotonic() - started
        # A thread that ended meanwhile counts as one that slept; one that began counts from 0.
        wakes = sum(count - before.get(thread, 0) for thread, count in after.items())
        leader, *others = (_status(pid, "VmRSS") / 1024 for pid in session(worker.pid))
    return {
        "wakes": wakes / elapsed,
        "leader_mb": leader,
        "child_mb": max(others, default=leader),
        "tree_mb": leader + sum(others),
    }


def _switches(leader: int) -> dict[int, int]:
    """How often each thread of a worker's processes has waited for something so far."""
    return {
        thread: _status(thread, "voluntary_ctxt_switches")
        for pid in session(leader)
        for thread in _threads(pid)
    }


def _status(pid: int, name: str) -> int:
    """A number of /proc/PID/status of a process or thread, see proc(5); 0 once it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0])
    return 0


def _threads(pid: int) -> list[int]:
    try:
        return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


MEASURE = Measure("idle", SUBJECTS, take, once=True)
