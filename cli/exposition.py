"""Queues and workers in the text format that Prometheus reads (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alligator.backends.roster import WorkerRecord

from .types import STATES


def exposition(queues: Sequence[Mapping[str, Any]], workers: Sequence[WorkerRecord] | None) -> str:
    """Return metrics of the rows of queues, and of the workers if the broker knows them."""
    return "\n".join(_lines(queues, workers))


def _lines(
    queues: Sequence[Mapping[str, Any]], workers: Sequence[WorkerRecord] | None
) -> Iterator[str]:
    tasks = [
        ({"queue": row["queue"], "state": state}, row[state]) for row in queues for state in STATES
    ]
    yield from _metric("gator_queue_tasks", "gauge", "Tasks of a queue by state.", tasks)
    for field, name, kind, text in (
        ("oldest_age", "oldest_age_seconds", "gauge", "Age of the first task in line."),
        ("paused", "paused", "gauge", "1 while nothing is taken from the queue."),
        ("done_total", "done_total", "counter", "Tasks that have succeeded."),
        ("failed_total", "failed_total", "counter", "Tasks that have failed for good."),
        ("workers", "workers", "gauge", "Live workers that take from the queue."),
    ):
        values = [({"queue": row["queue"]}, row[field]) for row in queues]
        yield from _metric(f"gator_queue_{name}", kind, text, values)
    if workers is None:
        return
    stale = sum(worker.stale for worker in workers)
    states = [({"state": "alive"}, len(workers) - stale), ({"state": "stale"}, stale)]
    yield from _metric("gator_workers", "gauge", "Workers that have not left.", states)
    for name, kind, text in (
        ("done", "counter", "Tasks a worker has done."),
        ("failed", "counter", "Tasks a worker has put into the failed set."),
        ("running", "gauge", "Tasks a worker is running."),
    ):
        values = [({"worker": one.name}, _number(getattr(one, name))) for one in workers]
        total = "_total" if kind == "counter" else ""
        yield from _metric(f"gator_worker_{name}{total}", kind, text, values)
    rates = [({"worker": one.name}, None if one.stale else one.rate) for one in workers]
    text = "Tasks of a worker that ended each second, over the last minute."
    yield from _metric("gator_worker_rate", "gauge", text, rates)


def _number(value: Any) -> Any:
    return value if isinstance(value, int) else len(value)


def _metric(
    name: str, kind: str, text: str, values: Sequence[tuple[Mapping[str, str], Any]]
) -> Iterator[str]:
    known = [(labels, value) for labels, value in values if value is not None]
    if not known:
        return
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in known:
        pairs = ",".join(f'{label}="{_escaped(of)}"' for label, of in labels.items())
        yield f"{name}{{{pairs}}} {+value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
