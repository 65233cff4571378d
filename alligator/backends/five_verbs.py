"""Any object with five verbs, as a whole backend: at most once, and only what five verbs can do."""

from __future__ import annotations

import select
import time
from collections.abc import Collection, Sequence
from typing import ClassVar, NoReturn

from ..exceptions import UnsupportedByBroker
from .base import (
    Backend,
    Capability,
    Counts,
    Defer,
    Entry,
    FiveVerbs,
    Lease,
    Mended,
    Outcome,
    Page,
    Receipt,
    Record,
    Release,
    Retry,
    Settled,
    State,
)


class FiveVerbBackend(Backend):
    """Speaks the contract to Gator and Worker, and five verbs to the object it holds.

    A pop removes the task, so a lease is a memory of it and a worker that is killed loses it.
    """

    broker = "a five-verb backend"
    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    def __init__(self, verbs: FiveVerbs, queue_name: str) -> None:
        super().__init__()
        self.verbs = verbs
        self._queue = queue_name

    def push_many(self, queue_name: str, entries: Sequence[Entry]) -> list[Receipt]:
        self.check(queue_name, entries)
        if any(entry.priority for entry in entries):
            raise UnsupportedByBroker(f"{self.broker} cannot order tasks by priority")
        return [
            Receipt(self._push(queue_name, entry.task_id, entry.body, entry.delay_until), True)
            for entry in entries
        ]

    def _push(self, queue: str, task_id: str, body: bytes, due: float | None) -> str:
        # In 2015 no backend knew of a delay: one that does not need not, until a task has it.
        later = () if due is None else (due,)
        return self.verbs.push(queue, task_id, body, *later) or task_id

    def reserve(self, queues: Sequence[str], limit: int) -> list[Lease]:
        leases: list[Lease] = []
        for queue in queues:
            while len(leases) < limit and (body := self.verbs.pop(queue)) is not None:
                # Its id is in the body, which only the task's class can read: see
                # execution.prepare.
                leases.append(Lease(queue, "", _bytes(body), ""))
        return leases

    def settle(
        self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        for outcome in outcomes:
            lease = outcome.lease
            if isinstance(outcome, Retry):
                due = time.time() + outcome.delay if outcome.delay else None
                self._push(lease.queue, lease.task_id, outcome.body, due)
            elif isinstance(outcome, Release | Defer):
                due = time.time() + outcome.delay if isinstance(outcome, Defer) else None
                self._push(lease.queue, lease.task_id, lease.body, due)
        # Nothing is reserved on the way: what is popped here and then not run would be lost.
        return Settled([True] * len(outcomes), [])

    def extend(self, leases: Sequence[Lease]) -> list[bool]:
        return [True] * len(leases)

    def wait(self, queues: Sequence[str], timeout: float, wake_on: int | None = None) -> None:
        # Whoever waits has just found nothing to pop; a length counts delayed tasks too.
        poll = select.poll()
        if wake_on is not None:
            poll.register(wake_on, select.POLLIN)
        poll.poll(timeout * 1000)

    def claim(self, task_id: str, force: bool = False) -> Lease | None:
        body = self.verbs.get(self._queue, task_id)
        return None if body is None else Lease(self._queue, task_id, _bytes(body), "")

    def cancel(self, task_id: str) -> bytes | None:
        body = self.verbs.get(self._queue, task_id)
        return None if body is None else _bytes(body)

    def cancel_many(self, task_ids: Sequence[str]) -> list[Mended]:
        canceled = (self.cancel(task_id) is not None for task_id in task_ids)
        return [Mended.DONE if found else Mended.MISSING for found in canceled]

    def len(self, queue_name: str) -> int:
        return self.verbs.len(queue_name)

    def drop_all(self, queue_name: str) -> int:
        count = self.verbs.len(queue_name)
        self.verbs.drop_all(queue_name)
        return count

    def close(self) -> None:
        close = getattr(self.verbs, "close", None)
        if close is not None:
            close()

    def _cannot(self, what: str) -> NoReturn:
        raise UnsupportedByBroker(f"{type(self.verbs).__name__} has five verbs and cannot {what}")

    def queues(self, empty: bool = False) -> list[str]:
        self._cannot("name its queues")

    def counts(self, queue_name: str) -> Counts:
        return Counts(queue_name, waiting=self.verbs.len(queue_name))

    def peek(
        self,
        queue_name: str,
        state: State,
        limit: int = 20,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page:
        self._cannot("list tasks")

    def find(self, task_id: str) -> Record | None:
        self._cannot("look at a task without taking it")

    def requeue_many(self, task_ids: Sequence[str]) -> list[Mended]:
        self._cannot("requeue")

    def drop(self, queue_name: str, states: Collection[State]) -> int:
        self._cannot("drop by state")

    def result(self, task_id: str) -> bytes | None:
        self._cannot("store results")

    def ping(self) -> str:
        return type(self.verbs).__name__


def complete(client: FiveVerbs, queue_name: str) -> Backend:
    """Return `client` itself when it keeps the whole contract, else wrapped.

    Args:
        queue_name: where `claim` and `cancel` look, since five verbs find nothing by id alone.
    """
    return client if isinstance(client, Backend) else FiveVerbBackend(client, queue_name)


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body
