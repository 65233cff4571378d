"""Tasks that nothing frees by itself: what they depend on was canceled or dropped, or failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from alligator.backends.base import Backend, Capability, Counts, Record, State

#: Blocked tasks of a queue that are looked at, the oldest; each may cost a few questions.
LOOKED_AT = 500


class Stuck(NamedTuple):
    """Blocked tasks of one queue that somebody has to free.

    Attributes:
        tasks: by id, those that each depends on and that no queue has.
        failed: by id of those that wait for no such one, the failed ones that each depends on.
        looked_at: how many blocked ones were looked at.
    """

    tasks: dict[str, list[str]]
    failed: dict[str, list[str]]
    looked_at: int


def stuck_in(client: Backend, counts: Counts) -> Stuck:
    """Look for such tasks among the oldest blocked ones of a queue."""
    if not counts.blocked or Capability.DEPENDENCIES not in client.capabilities:
        return Stuck({}, {}, 0)
    states: dict[str, State | None] = {}
    tasks, failed = {}, {}
    looked_at = 0
    for record in _blocked(client, counts.queue):
        looked_at += 1
        for task_id in record.depends_on:
            if task_id not in states:
                found = client.find(task_id)
                states[task_id] = found.state if found else None
        if held_by := [one for one in record.depends_on if states[one] is State.FAILED]:
            failed[record.task_id] = held_by
        if all(states[task_id] for task_id in record.depends_on):
            continue
        # One that succeeded meanwhile is gone, too; the task does not depend on it any more.
        again = client.find(record.task_id)
        still = again.depends_on if again is not None else ()
        if gone := [one for one in still if one in states and states[one] is None]:
            tasks[record.task_id] = gone
            failed.pop(record.task_id, None)
    return Stuck(tasks, failed, looked_at)


def _blocked(client: Backend, queue: str) -> Iterator[Record]:
    left, cursor = LOOKED_AT, None
    while left > 0:
        page = client.peek(queue, State.BLOCKED, min(left, 100), cursor)
        yield from page.records
        left -= len(page.records)
        cursor = page.cursor
        if cursor is None:
            return
