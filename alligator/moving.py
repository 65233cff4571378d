"""Moving tasks to another queue, for which signed ones are signed anew."""

from __future__ import annotations

from collections.abc import Iterable

from .backends.base import Backend, Capability, Mended, Move, Moved, Record
from .exceptions import BadSignature
from .trust import Trust


def move_many(
    client: Backend, trust: Trust, tasks: Iterable[str | Record], queue_name: str
) -> list[Moved]:
    """Move tasks, given by id or as they were found; see Gator.move_many."""
    client.require(Capability.MOVE)
    moves: list[Move] = []
    left: list[Moved | None] = []  # None for one that goes to the broker
    for task in tasks:
        record = client.find(task) if isinstance(task, str) else task
        task_id = task if isinstance(task, str) else task.task_id
        try:
            moves.append(Move(task_id, record and trust.resealed(record, queue_name)))
            left.append(None)
        except BadSignature:
            left.append(Moved(Mended.UNVERIFIED, task_id))
    moved = iter(client.move_many(moves, queue_name) if moves else [])
    return [one or next(moved) for one in left]
