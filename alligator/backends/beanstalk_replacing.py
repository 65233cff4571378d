"""Requeueing and moving tasks of beanstalkd: a job cannot be changed, so another takes its place.

The new job is put with a delay, then the old one is deleted, and only then the new one is made what
it is to be. So a task is never missing, and never ready twice. Who is killed in between leaves both
jobs, and the task may run twice; or the new one alone, which is ready when its delay is over.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from . import beanstalk_job as jobs
from .base import Mended, Moved, Record, State
from .beanstalk_job import Header
from .beanstalk_leases import put_command
from .beanstalk_mending import records
from .beanstalk_wire import Connection, Reply, refuse

#: Seconds that a new job is kept from being ready while the old one is deleted.
_HOLD = 60


class _New(NamedTuple):
    """The job that is to take the place of that of `old`; `delay` in seconds, 0 for none."""

    old: Record
    queue: str
    header: Header
    body: bytes
    delay: int = 0


class Replacer:
    """Replaces jobs over one connection that holds nothing.

    Args:
        ttr: seconds of a lease of the new jobs.
        max_job: bytes a job may have.
    """

    def __init__(self, connection: Connection, shown: str, ttr: int, max_job: int) -> None:
        self._connection = connection
        self._shown = shown
        self._ttr = ttr
        self._max_job = max_job

    def requeue(self, job_ids: Sequence[int]) -> list[Moved]:
        """Make jobs ready that neither run nor wait.

        Raises:
            BrokerRefused: the server takes no new job; the old one stays as it was.
        """
        found = records(self._connection, job_ids)
        return self._replace_each("requeue tasks", found, _requeued, unchanged=Mended.WAITING)

    def move(self, moves: Sequence[tuple[int, bytes | None]], queue: str) -> list[Moved]:
        """Put jobs that do not run into another tube.

        Raises:
            As `requeue`.
        """
        found = records(self._connection, [job_id for job_id, _ in moves])
        bodies = {str(job_id): body for job_id, body in moves}
        return self._replace_each(
            "move tasks",
            found,
            lambda old: _moved(old, queue, bodies[old.task_id]),
            unchanged=Mended.DONE,
        )

    def _replace_each(
        self,
        doing: str,
        found: Sequence[Record | None],
        change: Callable[[Record], _New | None],
        unchanged: Mended,
    ) -> list[Moved]:
        """Replace each job by what `change` says; None leaves it as it is, which `unchanged` is the
        word for."""
        changes: dict[str, _New | None] = {}
        for record in found:
            if record is not None and record.state is not State.RUNNING:
                changes[record.task_id] = change(record)
        new_ids = self._replace(doing, [new for new in changes.values() if new is not None])
        answers: list[Moved] = []
        for record in found:
            if record is None:
                answers.append(Moved(Mended.MISSING, ""))
            elif record.task_id in changes and changes[record.task_id] is None:
                answers.append(Moved(unchanged, record.task_id))
            elif record.task_id in new_ids:
                answers.append(Moved(Mended.DONE, new_ids[record.task_id]))
            else:
                answers.append(Moved(Mended.RUNNING, record.task_id))
        return answers

    def _replace(self, doing: str, wanted: Sequence[_New]) -> dict[str, str]:
        """Return the new id by the old one, for all but those that a worker took meanwhile."""
        placed: list[tuple[_New, bytes]] = []
        strays: list[bytes] = []
        refused: Reply | None = None
        for new, reply in self._put(wanted):
            if reply.status == b"INSERTED":
                placed.append((new, reply.values[0]))
            else:
                refused = refused or reply
                strays += reply.values
        deleted = self._connection.ask(
            b"delete " + new.old.task_id.encode("ascii") for new, _ in placed
        )
        done: list[tuple[_New, bytes]] = []
        for (new, new_id), reply in zip(placed, deleted, strict=True):
            if reply.status == b"DELETED":
                done.append((new, new_id))
            else:
                strays.append(new_id)
        finish = [command for new, new_id in done for command in _finish(new, new_id)]
        self._connection.ask([*finish, *(b"delete " + stray for stray in strays)])
        if refused is not None:
            refuse(refused, doing, self._shown)
        return {new.old.task_id: new_id.decode("ascii") for new, new_id in done}

    def _put(self, wanted: Sequence[_New]) -> Iterator[tuple[_New, Reply]]:
        by_queue = attrgetter("queue")
        for queue, group in itertools.groupby(sorted(wanted, key=by_queue), key=by_queue):
            several = list(group)
            commands = map(self._put_command, several)
            yield from zip(several, self._connection.ask(commands, use=queue), strict=True)

    def _put_command(self, new: _New) -> bytes:
        # Without room for a header it is another program's task, and has no counts to keep.
        data = jobs.pack(new.header, new.body, self._max_job) or new.body
        return put_command(data, jobs.to_pri(new.old.priority), new.delay or _HOLD, self._ttr)


def _requeued(old: Record) -> _New | None:
    if old.state is State.WAITING:
        return None
    header = Header(pushed_at=old.pushed_at, failures=old.failures)
    return _New(old, old.queue, header, old.body)


def _moved(old: Record, queue: str, body: bytes | None) -> _New | None:
    if body is None and old.queue == queue:
        return None
    header = Header(
        attempts=old.attempts,
        deliveries=old.deliveries,
        pushed_at=old.pushed_at,
        failures=old.failures,
        failed=old.state is State.FAILED,
    )
    delay = 0 if old.due is None else max(1, jobs.to_delay(old.due - time.time()))
    return _New(old, queue, header, old.body if body is None else body, delay)


def _finish(new: _New, new_id: bytes) -> list[bytes]:
    """Return the commands that put a new job into the state of the old one, or make it ready."""
    if new.header.failed:
        return [
            b"reserve-job " + new_id,
            b"bury %b %d" % (new_id, jobs.to_pri(new.old.priority)),
        ]
    return [] if new.delay else [b"kick-job " + new_id]
