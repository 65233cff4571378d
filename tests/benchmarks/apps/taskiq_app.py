"""Taskiq over Redis: streams, which acknowledge, or lists, which do not."""

from __future__ import annotations

import os

import work
from taskiq_redis import ListQueueBroker, RedisStreamBroker

_BROKERS = {"stream": RedisStreamBroker, "list": ListQueueBroker}
broker = _BROKERS[os.environ["BENCH_KIND"]](url=os.environ["BENCH_BROKER"])
_started: list[bool] = []


@broker.task
async def noop() -> None:
    """As work.noop."""
    work.noop()


@broker.task
async def stamp(pushed: int) -> None:
    """As work.stamp."""
    work.stamp(pushed)


@broker.task
async def rest(seconds: float) -> None:
    """As work.rest."""
    await work.rest(seconds)


_TASKS = {"noop": noop, "stamp": stamp, "rest": rest}


async def send(name: str, *args: object) -> None:
    """Push one call."""
    if not _started:
        await broker.startup()
        _started.append(True)
    await _TASKS[name].kiq(*args)
