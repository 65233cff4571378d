"""Alligator, as its documentation has it."""

from __future__ import annotations

import os

import work

from alligator import Gator, Task

gator = Gator(os.environ["BENCH_BROKER"])


def send(name: str, *args: object) -> None:
    """Push one call."""
    gator.task(getattr(work, name), *args)


def send_many(name: str, calls: list[list[object]]) -> None:
    """Push calls in one round trip."""
    func = getattr(work, name)
    gator.push_many([Task().to_call(func, *args) for args in calls])
