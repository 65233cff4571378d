"""RQ, keeping no results."""

from __future__ import annotations

import os

import redis
import work
from rq import Queue

queue = Queue("bench", connection=redis.Redis.from_url(os.environ["BENCH_BROKER"]))


def send(name: str, *args: object) -> None:
    """Push one call."""
    queue.enqueue(getattr(work, name), *args, result_ttl=0)


def send_many(name: str, calls: list[list[object]]) -> None:
    """Push calls in one pipeline."""
    func = getattr(work, name)
    queue.enqueue_many([Queue.prepare_data(func, args=args, result_ttl=0) for args in calls])
