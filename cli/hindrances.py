"""Telling who waits for a queue's tasks why they do not run."""

from __future__ import annotations

from collections.abc import Iterable

from alligator.backends.base import Backend, Capability

from .quoting import arguments


def held_up(client: Backend, queues: Iterable[str]) -> list[str]:
    """Say of each queue that is paused that it is, and how to go on: who waits for its tasks would
    wait in vain."""
    if Capability.PAUSE not in client.capabilities:
        return []
    paused = client.paused()
    return [
        f"queue {queue!r} is paused; gator resume {arguments(queue)}"
        for queue in queues
        if queue in paused
    ]


def hindrances(client: Backend, queues: Iterable[str]) -> list[str]:
    """Say of each queue why its tasks do not run: it is paused, or no worker takes from it."""
    queues = list(queues)
    return held_up(client, queues) + [
        f"no worker takes from queue {queue!r}; gator worker -q {arguments(queue)}"
        for queue in queues
        if client.attended(queue) is False
    ]


def sentences(hints: Iterable[str]) -> str:
    """Return hints one a line, each with a capital letter."""
    return "\n".join(hint[:1].upper() + hint[1:] for hint in hints)
