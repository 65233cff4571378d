"""Telling who waits for a queue's tasks why they do not run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from alligator.backends.base import Backend, Capability, Record, State

from .quoting import arguments

#: Dependencies that are looked at for one task, each of which is a question to the broker, and
#: failed ones that are named.
LOOKED_AT = 100
NAMED = 5


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
        f"no worker takes from queue {queue!r}; gator worker -q {shlex.quote(queue)}"
        for queue in queues
        if client.attended(queue) is False
    ]


def held_back(client: Backend, record: Record) -> list[str]:
    """Say which failed tasks a blocked one waits for, through other blocked ones if need be."""
    failed = []
    ahead, seen = [record], {record.task_id}
    while ahead:
        one = ahead.pop(0)
        if one.state is State.FAILED:
            failed.append(one.task_id)
        elif one.state is State.BLOCKED:
            for task_id in one.depends_on:
                if task_id not in seen and len(seen) <= LOOKED_AT:
                    seen.add(task_id)
                    found = client.find(task_id)
                    ahead += [found] if found else []
    if not failed:
        return []
    some = failed[:NAMED]
    more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    return [f"it waits for {', '.join(some)}{more}, which failed; gator retry {arguments(*some)}"]


def sentences(hints: Iterable[str]) -> str:
    """Return hints one a line, each with a capital letter."""
    return "\n".join(hint[:1].upper() + hint[1:] for hint in hints)
