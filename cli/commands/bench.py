"""gator bench: how fast this broker is from here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from alligator.backends.base import Ack, Backend, Entry, Lease, Release
from alligator.execution import encode
from alligator.tasks import Task
from alligator.utils import DottedPath

from ..broker import open_client
from ..interrupting import held_back
from ..options import Command
from ..session import Session, pass_session

EXAMPLES = """
gator bench
gator bench --tasks 100000 --json
"""

#: Tasks in a round trip of the batched figures, and round trips of one task.
BATCH, SINGLE = 500, 200

FIELDS = (
    "broker",
    "tasks",
    "batch",
    "pushed_per_second",
    "done_per_second",
    "push_p50",
    "push_p99",
    "cycle_p50",
    "cycle_p99",
)


@click.command("bench", cls=Command, examples=EXAMPLES, fields=FIELDS)
@click.option(
    "--tasks",
    type=click.IntRange(1, 10_000_000),
    default=10_000,
    show_default=True,
    metavar="N",
    help="How many for the batched figures.",
)
@pass_session
def command(session: Session, tasks: int) -> None:
    """Measure this broker, in a queue of its own that is removed at the end.

    Tasks a second in batches, pushed and worked off (reserved and settled, nothing is run); and the
    seconds that a round trip of one task takes: half of them (p50) and all but one in a hundred
    (p99) take no longer.
    """
    client = open_client(session)
    broker = client.ping()
    queue = _Queue(client)
    try:
        figures = {**_batched(queue, tasks), **_single(queue)}
    finally:
        queue.remove()
    session.out.record({"broker": broker, "tasks": tasks, "batch": BATCH, **figures})


class _Queue:
    """The queue of this run. An interruption waits for the end of a round trip, so that it is known
    what is leased, and nothing is left."""

    def __init__(self, client: Backend) -> None:
        self._client = client
        self._name = f"gator-bench-{os.getpid()}-{time.time_ns()}"
        self._leases: list[Lease] = []

    def push(self, entries: Sequence[Entry]) -> float:
        """Push tasks; return the seconds that it took."""
        return _seconds(lambda: self._client.push_many(self._name, entries))

    def work_off(self, size: int) -> list[float]:
        """Take all tasks off, `size` in a round trip; return the seconds of each of them. The first
        has nothing to settle yet."""
        cycles = [_seconds(lambda: self._cycle(size))]
        while self._leases:
            cycles.append(_seconds(lambda: self._cycle(size)))
        return cycles

    def _cycle(self, size: int) -> None:
        done = [Ack(lease) for lease in self._leases]
        self._leases = self._client.settle(done, [self._name], size).leases

    def remove(self) -> None:
        with held_back():
            self._client.settle([Release(lease) for lease in self._leases])
            self._client.drop_all(self._name)
            self._client.forget(self._name)


def _batched(queue: _Queue, tasks: int) -> dict[str, float]:
    sizes = [min(BATCH, tasks - done) for done in range(0, tasks, BATCH)]
    batches = [[_entry() for _ in range(size)] for size in sizes]
    return {
        "pushed_per_second": round(tasks / sum(map(queue.push, batches))),
        "done_per_second": round(tasks / sum(queue.work_off(BATCH))),
    }


def _single(queue: _Queue) -> dict[str, float]:
    pushes = sorted([queue.push([entry]) for entry in [_entry() for _ in range(SINGLE)]])
    cycles = sorted(queue.work_off(1)[1:])
    return {
        "push_p50": _at(pushes, 0.5),
        "push_p99": _at(pushes, 0.99),
        "cycle_p50": _at(cycles, 0.5),
        "cycle_p99": _at(cycles, 0.99),
    }


def _entry() -> Entry:
    task = Task().to_call(DottedPath("builtins", "bool"), 1)
    return Entry(task.task_id, encode(task))


def _seconds(act: Callable[[], Any]) -> float:
    with held_back():
        began = time.perf_counter()
        act()
        return time.perf_counter() - began


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
