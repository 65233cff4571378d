"""Celery over Redis; early acknowledgement, no results, a large prefetch."""

from __future__ import annotations

import os

import work
from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    task_serializer="json",
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "128")),
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
)

_TASKS = {name: app.task(name=name)(getattr(work, name)) for name in ("noop", "stamp", "nap")}


def send(name: str, *args: object) -> None:
    """Push one call."""
    _TASKS[name].delay(*args)
