"""What a worker says of itself to the broker, and the text in which a broker keeps it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

#: Seconds that a worker which no longer says anything is kept, as stale.
STALE_KEPT = 86_400.0


class Running(NamedTuple):
    """A task that a worker has begun.

    Attributes:
        task: the dotted path of its call, or "" where that cannot be told.
        since: Unix time by the worker's clock.
    """

    task_id: str
    queue: str
    task: str
    since: float


class WorkerRecord(NamedTuple):
    """One worker, as it last described itself.

    Attributes:
        name: no other worker has it: "host:pid", and more for one that is a thread among others.
        queues: in order of preference.
        processes: how many run its tasks.
        started_at: Unix time by the worker's clock.
        beat_at: Unix time by the broker's clock of its last beat.
        done, failed: tasks it has acked, and put into the failed set, since it started.
        version: of Alligator.
        rate: tasks that ended each second, over the last minute; None right after the start.
        stale: no beat came for so long that it must have ended without saying so, or is cut off; or
            the broker knows that its process has ended.
    """

    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    processes: int
    started_at: float
    beat_at: float = 0.0
    running: tuple[Running, ...] = ()
    done: int = 0
    failed: int = 0
    version: str = ""
    rate: float | None = None
    stale: bool = False


def dump_worker(worker: WorkerRecord, ttl: float, life: str = "") -> str:
    """Return as JSON what a broker keeps of a worker, beside the time of the beat.

    Args:
        life: by which the broker can tell that the worker's process has ended; "" where it cannot.
    """
    return json.dumps({**worker._asdict(), "ttl": ttl, "life": life})


def load_workers(
    beats: Iterable[tuple[str | bytes, float]],
    now: float,
    lives: Callable[[str], bool] = lambda _life: True,
) -> Iterator[WorkerRecord]:
    """Yield what dump_worker wrote, in this version or another: what is unknown here is left out,
    and so is what is no worker's word.

    Args:
        beats: what each worker said, and the Unix time by the broker's clock when it did.
        now: by that clock, too.
        lives: whether the process with a life that dump_worker was given still runs.
    """
    for text, beat_at in beats:
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            worker = _load_worker(text, beat_at, now, lives)
            if _is_sound(worker):
                yield worker


def _load_worker(
    text: str | bytes, beat_at: float, now: float, lives: Callable[[str], bool]
) -> WorkerRecord:
    kept: dict[str, Any] = json.loads(text)
    life = kept.get("life")  # a version that had none may have written it
    ended = isinstance(life, str) and life != "" and not lives(life)
    known = {name: value for name, value in kept.items() if name in WorkerRecord._fields}
    return WorkerRecord(**known)._replace(
        queues=tuple(kept["queues"]),
        running=tuple(Running(*one[:4]) for one in kept.get("running", ())),
        beat_at=beat_at,
        stale=ended or now > beat_at + kept["ttl"],
    )


def _is_sound(worker: WorkerRecord) -> bool:
    """Whether the values are of the types that they should be."""
    texts = [worker.name, worker.host, worker.version, *worker.queues]
    whole = [worker.pid, worker.processes, worker.done, worker.failed]
    times = [worker.started_at, 0.0 if worker.rate is None else worker.rate]
    for one in worker.running:
        texts += one[:3]
        times.append(one.since)
    return (
        all(isinstance(text, str) and text.isprintable() for text in texts)
        and all(isinstance(number, int) for number in whole)
        and all(isinstance(time, int | float) and abs(time) < math.inf for time in times)
    )
