"""SAQ over Redis."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import uvloop
import work
from saq import Queue

# The worker's loop is made after this import, so it is of this kind.
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

queue = Queue.from_url(os.environ["BENCH_BROKER"])


async def noop(_context: dict[str, Any]) -> None:
    """As work.noop."""
    work.noop()


async def stamp(_context: dict[str, Any], *, value: int) -> None:
    """As work.stamp."""
    work.stamp(value)


async def rest(_context: dict[str, Any], *, value: float) -> None:
    """As work.rest."""
    await work.rest(value)


settings = {
    "queue": queue,
    "functions": [noop, stamp, rest],
    "concurrency": int(os.environ.get("BENCH_CONCURRENCY", "100")),
}


async def send(name: str, *args: object) -> None:
    """Push one call, keeping no result."""
    named = {"value": args[0]} if args else {}
    await queue.enqueue(name, ttl=-1, **named)
