"""arq, keeping no results and polling often."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import uvloop
import work
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings

# The worker's loop is made after this import, so it is of this kind.
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

_redis = RedisSettings.from_dsn(os.environ["BENCH_BROKER"])
_pool: list[ArqRedis] = []


async def noop(_context: dict[str, Any]) -> None:
    """As work.noop."""
    work.noop()


async def stamp(_context: dict[str, Any], value: int) -> None:
    """As work.stamp."""
    work.stamp(value)


async def rest(_context: dict[str, Any], value: float) -> None:
    """As work.rest."""
    await work.rest(value)


class WorkerSettings:
    """What `arq arq_app.WorkerSettings` reads."""

    functions = (noop, stamp, rest)
    redis_settings = _redis
    max_jobs = int(os.environ.get("BENCH_CONCURRENCY", "100"))
    poll_delay = 0.01
    keep_result = 0


async def send(name: str, *args: object) -> None:
    """Push one call."""
    if not _pool:
        _pool.append(await create_pool(_redis))
    await _pool[0].enqueue_job(name, *args)
