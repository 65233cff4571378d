"""gator bench: how fast this broker is from here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import click

from alligator.backends.base import Ack, Backend, Entry, Lease
from alligator.execution import encode
from alligator.tasks import Task
from alligator.utils import DottedPath

from ..broker import open_client
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
    queue = f"gator-bench-{os.getpid()}-{time.time_ns()}"
    try:
        figures = {**_batched(client, queue, tasks), **_single(client, queue)}
    finally:
        client.drop_all(queue)
        client.forget(queue)
    session.out.record({"broker": broker, "tasks": tasks, "batch": BATCH, **figures})


def _batched(client: Backend, queue: str, tasks: int) -> dict[str, float]:
    sizes = [min(BATCH, tasks - done) for done in range(0, tasks, BATCH)]
    batches = [[_entry() for _ in range(size)] for size in sizes]
    pushing = _seconds(lambda: [client.push_many(queue, batch) for batch in batches])

    def work_off() -> None:
        leases: list[Lease] = client.reserve([queue], BATCH)
        while leases:
            leases = client.settle([Ack(lease) for lease in leases], [queue], BATCH).leases

    return {
        "pushed_per_second": round(tasks / pushing),
        "done_per_second": round(tasks / _seconds(work_off)),
    }


def _single(client: Backend, queue: str) -> dict[str, float]:
    pushes = []
    for entry in [_entry() for _ in range(SINGLE)]:
        began = time.perf_counter()
        client.push_many(queue, [entry])
        pushes.append(time.perf_counter() - began)
    cycles = []
    leases = client.reserve([queue], 1)
    while leases:
        began = time.perf_counter()
        leases = client.settle([Ack(leases[0])], [queue], 1).leases
        cycles.append(time.perf_counter() - began)
    pushes.sort()
    cycles.sort()
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
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
