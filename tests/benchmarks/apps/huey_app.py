"""Huey over Redis or SQLite, keeping no results."""

from __future__ import annotations

import os

import work
from huey import RedisHuey, SqliteHuey

_broker = os.environ["BENCH_BROKER"]
if _broker.startswith("redis:"):
    huey = RedisHuey("bench", url=_broker, results=False)
else:
    huey = SqliteHuey("bench", filename=_broker.removeprefix("sqlite:///"), results=False)

_TASKS = {
    name: huey.task(name=name)(getattr(work, name)) for name in ("noop", "stamp", "nap", "linger")
}


def send(name: str, *args: object) -> None:
    """Push one call."""
    _TASKS[name](*args)
