"""What a locmem broker holds: each task once, by state, with who is next and who is blocked.

Every method runs under `locmem_wake.lock`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .base import Entry, Failure, Record, State
from .locmem_wake import wake

_TIMED = (State.DELAYED, State.RETRYING)

#: Entries of a heap that may be out of date before it is built again from what is held.
_SLACK = 64


@dataclass(slots=True, eq=False)
class Task:
    queue: str
    entry: Entry
    body: bytes
    sequence: int  # the place in line: by push, until a retry or a requeue sends it to the tail
    pushed_at: float
    due: float | None
    depends_on: list[str]
    state: State = State.BLOCKED
    attempts: int = 0
    deliveries: int = 0
    failures: tuple[Failure, ...] = ()
    failed: int = 0  # the place in the failed set
    token: str = ""
    worker: str | None = None
    lease_until: float | None = None

    def rank(self) -> tuple[float, int]:
        """What peek orders by, within the task's state."""
        match self.state:
            case State.WAITING:
                return -self.entry.priority, self.sequence
            case State.DELAYED | State.RETRYING:
                return self.due or 0.0, self.sequence
            case State.RUNNING:
                return self.lease_until or 0.0, self.sequence
            case State.FAILED:
                return self.failed, 0
            case State.BLOCKED:
                return self.sequence, 0

    def record(self) -> Record:
        return Record(
            queue=self.queue,
            task_id=self.entry.task_id,
            state=self.state,
            body=self.body,
            priority=self.entry.priority,
            attempts=self.attempts,
            deliveries=self.deliveries,
            pushed_at=self.pushed_at,
            due=self.due,
            lease_until=self.lease_until,
            worker=self.worker,
            failures=self.failures,
            depends_on=tuple(self.depends_on),
            unique=self.entry.unique,
        )


@dataclass(slots=True, eq=False)
class Queue:
    """The tasks of one queue by state, and two heaps that say which comes next.

    A heap's entry is (rank, sequence, id) and is out of date once the task it names has moved on;
    whoever takes it from the heap finds that out. `first_lease_end` is never later than the first
    end of a lease, so the running tasks are looked through only once that time has passed.
    """

    by_state: dict[State, dict[str, Task]] = field(
        default_factory=lambda: {state: {} for state in State}
    )
    ready: list[tuple[float, int, str]] = field(default_factory=list)
    timed: list[tuple[float, int, str]] = field(default_factory=list)
    first_lease_end: float = float("inf")

    def add(self, task: Task, state: State) -> None:
        task.state = state
        self.by_state[state][task.entry.task_id] = task
        if state is State.WAITING:
            self._line_up(self.ready, task, (State.WAITING,))
        elif state in _TIMED:
            self._line_up(self.timed, task, _TIMED)
        elif state is State.RUNNING and task.lease_until is not None:
            self.first_lease_end = min(self.first_lease_end, task.lease_until)

    def remove(self, task: Task) -> None:
        del self.by_state[task.state][task.entry.task_id]

    def first(self) -> Task | None:
        """The task that is next in line, left there."""
        return self._head(self.ready, (State.WAITING,))

    def first_due(self) -> float | None:
        """The next time at which a task may become ready by itself."""
        task = self._head(self.timed, _TIMED)
        times = [task.due] if task is not None and task.due is not None else []
        if self.by_state[State.RUNNING]:
            times.append(self.first_lease_end)
        return min(times, default=None)

    def promote(self, now: float) -> None:
        """Make ready what is due and what its worker has lost."""
        while (task := self._head(self.timed, _TIMED)) and (task.due or 0.0) <= now:
            self.remove(task)
            task.due = None
            self.add(task, State.WAITING)
        if self.first_lease_end <= now:
            self._end_leases(now)

    def _end_leases(self, now: float) -> None:
        running = list(self.by_state[State.RUNNING].values())
        self.first_lease_end = float("inf")
        for task in running:
            if task.lease_until is not None and task.lease_until <= now:
                self.remove(task)
                task.token, task.worker, task.lease_until = "", None, None
                self.add(task, State.WAITING)
            elif task.lease_until is not None:
                self.first_lease_end = min(self.first_lease_end, task.lease_until)

    def _head(self, heap: list[tuple[float, int, str]], states: Iterable[State]) -> Task | None:
        while heap:
            for state in states:
                task = self.by_state[state].get(heap[0][2])
                if task is not None and task.rank() == heap[0][:2]:
                    return task
            heapq.heappop(heap)
        return None

    def _line_up(
        self, heap: list[tuple[float, int, str]], task: Task, states: Sequence[State]
    ) -> None:
        held = [self.by_state[state] for state in states]
        if len(heap) > 2 * sum(map(len, held)) + _SLACK:
            heap[:] = [(*each.rank(), each.entry.task_id) for of in held for each in of.values()]
            heapq.heapify(heap)
        else:
            heapq.heappush(heap, (*task.rank(), task.entry.task_id))


class Store:
    """What the Clients of one name share."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.queues: dict[str, Queue] = {}
        #: Of each unique key the ids that have it and have not failed: more than one where a failed
        #: task was mended while another had it.
        self.unique: dict[str, dict[str, None]] = {}
        self.dependents: dict[str, dict[str, None]] = {}
        self.results: dict[str, tuple[float, bytes]] = {}
        self.expiries: list[tuple[float, str]] = []
        self.paused: set[str] = set()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.workers: dict[str, tuple[float, str]] = {}
        self.numbers = itertools.count(1)

    def put(self, task: Task, state: State) -> None:
        """Move a task, held or new, to `state`."""
        task_id = task.entry.task_id
        if task_id in self.tasks:
            self.queues[task.queue].remove(task)
        self.tasks[task_id] = task
        self.queues.setdefault(task.queue, Queue()).add(task, state)
        key = task.entry.unique
        if key is not None:
            if state is State.FAILED:
                self.free_key(task)
            else:
                self.unique.setdefault(key, {})[task_id] = None
        if state is State.FAILED:
            wake(self, task_id=task_id)
        elif state is not State.RUNNING and state is not State.BLOCKED:
            self.wake(task.queue)

    def wake(self, queue_name: str) -> None:
        if queue_name not in self.paused:
            wake(self, queue=queue_name)

    def move(self, task: Task, queue_name: str) -> None:
        """Put a held task into another queue, in the state it is in."""
        self._take_out(task)
        task.queue = queue_name
        self.queues.setdefault(queue_name, Queue()).add(task, task.state)
        if task.state in (State.WAITING, *_TIMED):
            self.wake(queue_name)

    def _take_out(self, task: Task) -> None:
        queue = self.queues[task.queue]
        queue.remove(task)
        if not any(queue.by_state.values()):
            del self.queues[task.queue]

    def remove(self, task: Task) -> None:
        self._take_out(task)
        del self.tasks[task.entry.task_id]
        self.free_key(task)
        self.forget_dependencies(task)
        wake(self, task_id=task.entry.task_id)

    def free_key(self, task: Task) -> None:
        key = task.entry.unique
        if key is not None and key in self.unique:
            self.unique[key].pop(task.entry.task_id, None)
            if not self.unique[key]:
                del self.unique[key]

    def forget_dependencies(self, task: Task) -> None:
        for dependency in task.depends_on:
            waiting = self.dependents[dependency]
            del waiting[task.entry.task_id]
            if not waiting:
                del self.dependents[dependency]
        task.depends_on = []

    def succeeded(self, task_id: str, now: float) -> None:
        """Free the tasks that depended on this one only."""
        for dependent in self.dependents.pop(task_id, ()):
            task = self.tasks[dependent]
            task.depends_on.remove(task_id)
            if not task.depends_on:
                self.line_up(task, State.DELAYED, now)

    def line_up(self, task: Task, when_due_later: State, now: float) -> None:
        """Put a task that no other one blocks where its due time says."""
        if task.due is not None and task.due > now:
            self.put(task, when_due_later)
        else:
            task.due = None
            self.put(task, State.WAITING)

    def promote(self, queue_names: Iterable[str], now: float) -> None:
        for name in queue_names:
            if name in self.queues:
                self.queues[name].promote(now)

    def keep_result(self, task_id: str, result: bytes, expires: float) -> None:
        self.results[task_id] = (expires, result)
        heapq.heappush(self.expiries, (expires, task_id))

    def expire_results(self, now: float) -> None:
        while self.expiries and self.expiries[0][0] <= now:
            expires, task_id = heapq.heappop(self.expiries)
            if self.results.get(task_id, (0.0,))[0] == expires:
                del self.results[task_id]
