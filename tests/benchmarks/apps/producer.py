"""Push tasks through one queue's own library, and say as JSON how it went.

It runs in the environment of that queue: `python producer.py APP DEED ARGUMENT...`.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import work

#: Calls in one bulk push, for the queues that have such a thing.
BULK = 1000

#: Pushes before the clock starts: connections are made and scripts are loaded by then.
WARM_UP = 20

#: Seconds after which a median is not made better by more of the same.
LONG_ENOUGH = 2.0


async def send(app: ModuleType, name: str, *args: object) -> None:
    """Push one call, whether the queue's library is synchronous or not."""
    answer = app.send(name, *args)
    if inspect.isawaitable(answer):
        await answer


async def push(app: ModuleType, name: str, count: str, *args: str) -> dict[str, float]:
    """Push calls one at a time; the first ones, WARM_UP of them, are not timed."""
    values = [float(arg) for arg in args]
    for _ in range(WARM_UP):
        await send(app, name, *values)
    number = int(count) - WARM_UP
    started = time.perf_counter()
    # Two loops, so that a synchronous library does not pay for awaiting.
    if inspect.iscoroutinefunction(app.send):
        for _ in range(number):
            await app.send(name, *values)
    else:
        for _ in range(number):
            app.send(name, *values)
    return {"rate": number / (time.perf_counter() - started)}


async def fill(app: ModuleType, name: str, count: str, *args: str) -> dict[str, float]:
    """Push calls in the fastest way that the library has."""
    if not hasattr(app, "send_many"):
        return await push(app, name, count, *args)
    values = [float(arg) for arg in args]
    started = time.perf_counter()
    for size in _sizes(int(count)):
        app.send_many(name, [values] * size)
    return {"rate": int(count) / (time.perf_counter() - started)}


def _sizes(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, BULK)
        count -= BULK


async def latency(app: ModuleType, count: str, seed: str) -> dict[str, list[float]]:
    """Push one task at a time to an idle worker, and tell how long each took to start, in ms."""
    gaps = random.Random(int(seed))
    for number in range(1, int(count) + WARM_UP + 1):
        await asyncio.sleep(gaps.uniform(0.01, 0.04))
        await send(app, "stamp", time.monotonic_ns())
        await _grown_to(number * work.STAMP.size)
    with open(os.environ["BENCH_EVIDENCE"], "rb") as file:
        stamps = list(work.STAMP.iter_unpack(file.read()))
    return {"ms": [round((start - pushed) / 1e6, 4) for pushed, start in stamps[WARM_UP:]]}


async def _grown_to(size: int) -> None:
    deadline = time.monotonic() + 60
    while os.path.getsize(os.environ["BENCH_EVIDENCE"]) < size:
        if time.monotonic() > deadline:
            raise SystemExit("a task has not started for 60 s")
        await asyncio.sleep(0.001)


async def look(app: ModuleType, times: str) -> dict[str, float]:
    """Tell how long peek, show and cancel take on the queue as it is, in ms; Alligator only."""
    state = importlib.import_module("alligator.backends.base").State.WAITING
    client, queue = app.gator.client, app.gator.queue_name
    ids = [record.task_id for record in client.peek(queue, state, int(times)).records]
    return {
        "peek": _median_ms(lambda _: client.peek(queue, state, 20), ids),
        "show": _median_ms(client.find, ids),
        "cancel": _median_ms(client.cancel, ids),
    }


def _median_ms(verb: Any, ids: list[str]) -> float:
    """Time a verb on each id, or on some of them where that would take long."""
    seconds: list[float] = []
    for task_id in ids:
        if sum(seconds) > LONG_ENOUGH:
            break
        started = time.perf_counter()
        verb(task_id)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


async def waiting(app: ModuleType) -> dict[str, int]:
    """Count what waits; Alligator only."""
    return {"waiting": len(app.gator)}


DEEDS = {deed.__name__: deed for deed in (push, fill, latency, look, waiting)}


def main(app: str, deed: str, *arguments: str) -> None:
    """Do one deed, on the faster event loop where the environment has it."""
    factory = None
    if importlib.util.find_spec("uvloop"):
        factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        answer = runner.run(DEEDS[deed](importlib.import_module(app), *arguments))
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
