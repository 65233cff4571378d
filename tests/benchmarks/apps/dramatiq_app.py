"""Dramatiq over Redis, with its default middleware."""

from __future__ import annotations

import os

import dramatiq
import work
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["BENCH_BROKER"])
dramatiq.set_broker(broker)

_ACTORS = {
    name: dramatiq.actor(getattr(work, name), actor_name=name) for name in ("noop", "stamp", "nap")
}


def send(name: str, *args: object) -> None:
    """Push one call."""
    _ACTORS[name].send(*args)
