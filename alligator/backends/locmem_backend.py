"""The broker inside this process: the whole contract in dictionaries and heaps.

`locmem://` gives each Client a store of its own. Clients of `locmem://name` share one store, which
lives until the process ends. Nothing is durable, and no other process sees it: a forked child
works on a copy of what the parent held at that moment. The option `?lease=SECONDS` sets how long
a lease lasts.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import select
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from .. import dsn as dsns
from ..exceptions import TaskRunning
from ..version import __version__
from .base import (
    MAX_FAILURES,
    Ack,
    Backend,
    Capability,
    Counts,
    Defer,
    Entry,
    Fail,
    Failure,
    Lease,
    Mended,
    Move,
    Moved,
    Outcome,
    Page,
    Receipt,
    Record,
    Release,
    Retry,
    Settled,
    State,
    check_name,
)
from .locmem_store import Queue, Store, Task
from .locmem_wake import Waiter, lock, poke, waiting
from .roster import STALE_KEPT, WorkerRecord, dump_worker, load_workers

_shared: dict[str, Store] = {}


class Client(Backend):
    """A view of a store in this process.

    Attributes:
        clock: returns the Unix time; a test may set its own.
    """

    capabilities = frozenset(Capability) - {Capability.SHARED}
    broker = "locmem"

    def __init__(self, conn_string: str) -> None:
        super().__init__()
        dsn = dsns.parse(conn_string)
        dsn.expect_options("lease")
        self.lease_seconds = dsn.seconds("lease", self.lease_seconds)
        self.clock: Callable[[], float] = time.time
        name = conn_string.partition("://")[2].partition("?")[0]
        with lock:
            self._store = _shared.setdefault(name, Store()) if name else Store()

    # -- queueing ---------------------------------------------------------------------------

    def push_many(self, queue_name: str, entries: Sequence[Entry]) -> list[Receipt]:
        self.check(queue_name, entries)
        held_as: dict[str, str] = {}
        with self._now() as now:
            return [self._push(queue_name, entry, now, held_as) for entry in entries]

    def _push(self, queue_name: str, entry: Entry, now: float, held_as: dict[str, str]) -> Receipt:
        store = self._store
        if entry.task_id in store.tasks:
            return Receipt(entry.task_id, False)
        if entry.unique is not None and entry.unique in store.unique:
            held_as[entry.task_id] = next(iter(store.unique[entry.unique]))
            return Receipt(held_as[entry.task_id], False)
        # What an earlier task of this id left must not make the new one look finished.
        store.results.pop(entry.task_id, None)
        awaited = dict.fromkeys(held_as.get(each, each) for each in entry.depends_on)
        depends_on = [each for each in awaited if each in store.tasks]
        task = Task(
            queue=queue_name,
            entry=entry,
            body=entry.body,
            sequence=next(store.numbers),
            pushed_at=now,
            due=entry.delay_until,
            depends_on=depends_on,
        )
        if depends_on:
            for each in depends_on:
                store.dependents.setdefault(each, {})[entry.task_id] = None
            store.put(task, State.BLOCKED)
        else:
            store.line_up(task, State.DELAYED, now)
        return Receipt(entry.task_id, True)

    # -- working ----------------------------------------------------------------------------

    def reserve(self, queues: Sequence[str], limit: int) -> list[Lease]:
        with self._now() as now:
            return self._reserve(queues, limit, now)

    def _reserve(self, queues: Sequence[str], limit: int, now: float) -> list[Lease]:
        leases: list[Lease] = []
        self._store.promote(queues, now)
        for name in queues:
            if name in self._store.paused:
                continue
            queue = self._store.queues.get(name)
            while queue and len(leases) < limit and (task := queue.first()):
                leases.append(self._lease(task, now))
        return leases

    def _lease(self, task: Task, now: float) -> Lease:
        self._store.forget_dependencies(task)
        task.token = str(next(self._store.numbers))
        task.worker = self.worker
        task.lease_until = now + self.lease_seconds
        task.due = None
        task.deliveries += 1
        self._store.put(task, State.RUNNING)
        return Lease(
            queue=task.queue,
            task_id=task.entry.task_id,
            body=task.body,
            token=task.token,
            priority=task.entry.priority,
            attempts=task.attempts,
            deliveries=task.deliveries,
        )

    def settle(
        self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        with self._now() as now:
            accepted = [self._settle(outcome, now) for outcome in outcomes]
            return Settled(accepted, self._reserve(queues, limit, now))

    def _settle(self, outcome: Outcome, now: float) -> bool:
        task = self._leased(outcome.lease, now)
        if task is None:
            return False
        task.token, task.worker, task.lease_until = "", None, None
        match outcome:
            case Ack(result=result, result_ttl=seconds):
                if seconds > 0:
                    self._store.keep_result(task.entry.task_id, result, now + seconds)
                self._store.remove(task)
                self._store.succeeded(task.entry.task_id, now)
                self._store.done[task.queue] += 1
            case Retry(body=body, delay=delay, failure=failure):
                _count(task, failure)
                task.body, task.due = body, now + delay
                task.sequence = next(self._store.numbers)
                self._store.line_up(task, State.RETRYING, now)
            case Fail(failure=failure, attempted=attempted, charged=charged):
                _count(task, failure, attempted)
                task.deliveries -= not charged
                task.failed = next(self._store.numbers)
                self._store.put(task, State.FAILED)
                self._store.failed[task.queue] += 1
            case Defer(delay=delay):
                task.deliveries -= 1
                task.due = now + delay
                self._store.line_up(task, State.DELAYED, now)
            case Release(charged=charged):
                task.deliveries -= not charged
                self._store.put(task, State.WAITING)
        return True

    def extend(self, leases: Sequence[Lease]) -> list[bool]:
        with self._now() as now:
            tasks = [self._leased(lease, now) for lease in leases]
            for task in tasks:
                if task is not None:
                    task.lease_until = now + self.lease_seconds
            return [task is not None for task in tasks]

    def wait(self, queues: Sequence[str], timeout: float, wake_on: int | None = None) -> None:
        pipe = os.pipe()
        try:
            os.set_blocking(pipe[1], False)
            waiter = Waiter(self._store, partial(poke, pipe[1]), frozenset(queues), pipe=pipe)
            with waiting(waiter):
                poller = select.poll()
                for end in (pipe[0], wake_on):
                    if end is not None:
                        poller.register(end, select.POLLIN)
                seconds = min(timeout, self._seconds_to_next(queues))
                poller.poll(max(0, math.ceil(seconds * 1000)))
        finally:
            for end in pipe:
                os.close(end)

    def _seconds_to_next(self, queues: Sequence[str]) -> float:
        with self._now() as now:
            self._store.promote(queues, now)
            names = self._store.queues.keys() & set(queues) - self._store.paused
            held = [self._store.queues[name] for name in names]
            if any(queue.first() for queue in held):
                return 0.0
            times = [due for queue in held if (due := queue.first_due()) is not None]
            return min(times, default=float("inf")) - now

    def claim(self, task_id: str, force: bool = False) -> Lease | None:
        with self._now() as now:
            task = self._held(task_id, now)
            if task is None:
                return None
            if not force:
                _refuse_running(task)
            return self._lease(task, now)

    # -- looking and mending ------------------------------------------------------------------

    def queues(self, empty: bool = False) -> list[str]:
        store = self._store
        with lock:
            names = set(store.queues)
            if empty:
                names |= store.paused | store.done.keys() | store.failed.keys()
            return sorted(names)

    def counts(self, queue_name: str) -> Counts:
        with self._now() as now:
            self._store.promote([queue_name], now)
            queue = self._store.queues.get(queue_name, Queue())
            first = queue.first()
            numbers: dict[str, Any] = {
                state.value: len(tasks) for state, tasks in queue.by_state.items()
            }
            return Counts(
                queue_name,
                **numbers,
                oldest_age=None if first is None else max(0.0, now - first.pushed_at),
                paused=queue_name in self._store.paused,
                done_total=self._store.done[queue_name],
                failed_total=self._store.failed[queue_name],
            )

    def peek(
        self,
        queue_name: str,
        state: State,
        limit: int = 20,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page:
        after = None if cursor is None else tuple(json.loads(cursor))
        with self._now() as now:
            self._store.promote([queue_name], now)
            queue = self._store.queues.get(queue_name, Queue())
            ranked = (
                ((*task.rank(), task_id), task) for task_id, task in queue.by_state[state].items()
            )
            left = (
                (rank, task)
                for rank, task in ranked
                if after is None or (rank < after if reverse else rank > after)
            )
            pick = heapq.nlargest if reverse else heapq.nsmallest
            page = pick(limit + 1, left)
            more = len(page) > limit > 0
            return Page(
                [task.record() for _, task in page[:limit]],
                json.dumps(page[limit - 1][0]) if more else None,
            )

    def find(self, task_id: str) -> Record | None:
        with self._now() as now:
            task = self._held(task_id, now)
            return task.record() if task is not None else None

    def cancel(self, task_id: str) -> bytes | None:
        with self._now() as now:
            task = self._held(task_id, now)
            if task is None:
                return None
            _refuse_running(task)
            self._store.remove(task)
            return task.body

    def cancel_many(self, task_ids: Sequence[str]) -> list[Mended]:
        return [self._mend(task_id, self._remove) for task_id in task_ids]

    def _remove(self, task: Task) -> Mended:
        self._store.remove(task)
        return Mended.DONE

    def requeue_many(self, task_ids: Sequence[str]) -> list[Mended]:
        return [self._mend(task_id, self._requeue) for task_id in task_ids]

    def _requeue(self, task: Task) -> Mended:
        if task.state is State.WAITING:
            return Mended.WAITING
        self._store.forget_dependencies(task)
        task.due = None
        task.attempts = task.deliveries = 0
        task.sequence = next(self._store.numbers)
        self._store.put(task, State.WAITING)
        return Mended.DONE

    def move_many(self, moves: Sequence[Move], queue_name: str) -> list[Moved]:
        self.check_moves(queue_name, moves)
        return [
            Moved(self._mend(move.task_id, partial(self._move, move, queue_name)), move.task_id)
            for move in moves
        ]

    def _move(self, move: Move, queue_name: str, task: Task) -> Mended:
        if move.body is not None:
            task.body = move.body
        self._store.move(task, queue_name)
        return Mended.DONE

    def _mend(self, task_id: str, act: Callable[[Task], Mended]) -> Mended:
        with self._now() as now:
            task = self._held(task_id, now)
            if task is None:
                return Mended.MISSING
            if task.state is State.RUNNING:
                return Mended.RUNNING
            return act(task)

    def drop(self, queue_name: str, states: Collection[State]) -> int:
        if State.RUNNING in states:
            raise ValueError("running tasks cannot be dropped; their workers hold them")
        with self._now() as now:
            self._store.promote([queue_name], now)
            queue = self._store.queues.get(queue_name, Queue())
            tasks = [task for state in set(states) for task in queue.by_state[state].values()]
            for task in tasks:
                self._store.remove(task)
            return len(tasks)

    def pause(self, queue_name: str) -> None:
        check_name("queue name", queue_name)
        with lock:
            self._store.paused.add(queue_name)

    def resume(self, queue_name: str) -> None:
        with lock:
            self._store.paused.discard(queue_name)
            self._store.wake(queue_name)

    def paused(self) -> list[str]:
        with lock:
            return sorted(self._store.paused)

    def forget(self, queue_name: str) -> None:
        with lock:
            if queue_name not in self._store.queues:
                for totals in (self._store.done, self._store.failed):
                    totals.pop(queue_name, None)

    # -- workers ----------------------------------------------------------------------------

    def beat(self, worker: WorkerRecord, ttl: float) -> None:
        with self._now() as now:
            self._store.workers[worker.name] = (now, dump_worker(worker, ttl))

    def leave(self, name: str) -> None:
        with lock:
            self._store.workers.pop(name, None)

    def workers(self) -> list[WorkerRecord]:
        with self._now() as now:
            known = sorted(self._store.workers.items())
            kept = [(at, said) for _, (at, said) in known if at >= now - STALE_KEPT]
            return list(load_workers(((said, at) for at, said in kept), now))

    # -- results ----------------------------------------------------------------------------

    def result(self, task_id: str) -> bytes | None:
        with self._now():
            kept = self._store.results.get(task_id)
            return kept[1] if kept is not None else None

    @contextmanager
    def watching(self, task_id: str) -> Iterator[Callable[[float], None]]:
        finished = threading.Event()

        def wait(seconds: float) -> None:
            finished.wait(seconds)
            finished.clear()

        with waiting(Waiter(self._store, finished.set, task_id=task_id)):
            yield wait

    # -- the connection -----------------------------------------------------------------------

    def ping(self) -> str:
        return f"locmem {__version__}"

    def close(self) -> None:
        """Do nothing: there is no connection, and leases end by time."""

    # -- with the store in hand -----------------------------------------------------------------

    @contextmanager
    def _now(self) -> Iterator[float]:
        """Hold the store, and give the time at which this verb happens."""
        now = self.clock()
        with lock:
            self._store.expire_results(now)
            yield now

    def _held(self, task_id: str, now: float) -> Task | None:
        task = self._store.tasks.get(task_id)
        if task is not None:
            self._store.promote([task.queue], now)
        return task

    def _leased(self, lease: Lease, now: float) -> Task | None:
        task = self._held(lease.task_id, now)
        held = task is not None and task.state is State.RUNNING and task.token == lease.token
        return task if held else None


def _count(task: Task, failure: Failure, attempted: bool = True) -> None:
    task.attempts += attempted
    task.failures = (*task.failures, failure)[-MAX_FAILURES:]


def _refuse_running(task: Task) -> None:
    if task.state is State.RUNNING:
        raise TaskRunning(
            f"task {task.entry.task_id!r} is running on {task.worker}; wait until it ends"
        )
