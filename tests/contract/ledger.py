"""Every answer of a broker checked against the model, and the leases that were handed out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from alligator.backends.base import (
    MAX_FAILURES,
    Ack,
    Backend,
    Capability,
    Defer,
    Fail,
    Lease,
    Outcome,
    Record,
    Release,
    Retry,
    State,
)

from .model import Model, Task


class Ledger:
    """The model of one broker, the leases that its clients hold, and those they held before."""

    def __init__(self, client: Backend) -> None:
        self.capabilities = client.capabilities
        self.model = Model(self.capabilities)
        self.held: list[tuple[Backend, Lease]] = []
        self.ended: list[tuple[Backend, Lease]] = []

    def holds(self, lease: Lease) -> Task | None:
        """The task that this lease still holds."""
        task = self.model.tasks.get(lease.task_id)
        mine = task is not None and (task.state, task.token) == (State.RUNNING, lease.token)
        return task if mine else None

    def reserved(
        self, client: Backend, leases: Sequence[Lease], queues: Sequence[str], limit: int
    ) -> None:
        """These leases are the answer to a reserve."""
        wanted = self.model.next_ready(queues, limit)
        assert [lease.body for lease in leases] == [task.body for task in wanted]
        for lease, task in zip(leases, wanted, strict=True):
            if task.task_id != lease.task_id:
                assert Capability.CUSTOM_IDS not in self.capabilities
                self.model.renamed(task, lease.task_id)
            self.leased(client, lease, task)

    def leased(self, client: Backend, lease: Lease, task: Task) -> None:
        """This lease was handed out for the task."""
        assert lease._replace(token="") == Lease(
            queue=task.queue,
            task_id=task.task_id,
            body=task.body,
            token="",
            priority=task.priority,
            attempts=task.attempts,
            deliveries=task.deliveries + 1,
        )
        given = [old.token for _, old in self.held + self.ended if old.task_id == lease.task_id]
        assert lease.token not in given
        for holder in [pair for pair in self.held if self.holds(pair[1]) is task]:
            self._end(*holder)
        self.model.lease(task, lease)
        self.held.append((client, lease))

    def settled(self, client: Backend, outcome: Outcome) -> bool:
        """Whether the outcome has to be accepted; if so, what follows from it."""
        task = self.holds(outcome.lease)
        if task is None:
            return False
        self._end(client, outcome.lease)
        match outcome:
            case Ack(result=result, result_ttl=ttl):
                self.model.ack(task)
                if ttl > 0:
                    assert client.result(task.task_id) == result
            case Retry(body=body, delay=delay, failure=why):
                self.model.retry(task, body, time.time() + delay if delay > 0 else None, why)
            case Fail(failure=why, attempted=attempted, charged=charged):
                self.model.fail(task, why, attempted, charged)
            case Release(charged=charged):
                self.model.release(task, charged)
            case Defer(delay=delay):
                self.model.defer(task, time.time() + delay if delay > 0 else None)
        return True

    def shown(self, record: Record) -> None:
        """This record is what the broker says of a task."""
        task = self.model.tasks[record.task_id]
        assert (record.queue, record.state, record.body) == (task.queue, task.state, task.body)
        assert record.priority == task.priority
        assert (record.attempts, record.deliveries) == (task.attempts, task.deliveries)
        assert record.failures == tuple(task.failures[-MAX_FAILURES:])
        assert set(record.depends_on) == task.depends_on
        assert record.unique == task.unique
        if task.due is None:
            assert record.due is None
        else:
            assert record.due is not None
            assert abs(record.due - task.due) < 60.0  # far below an hour, far above a slow step

    def follow(self, client: Backend, task: Task) -> None:
        """Learn under which id the task is held now, where the broker chooses the ids."""
        if Capability.CUSTOM_IDS in self.capabilities:
            return
        page = client.peek(task.queue, task.state, limit=1000)
        (task_id,) = [record.task_id for record in page.records if record.body == task.body]
        if task_id != task.task_id:
            self.model.renamed(task, task_id)

    def _end(self, client: Backend, lease: Lease) -> None:
        self.held.remove((client, lease))
        self.ended.append((client, lease))
