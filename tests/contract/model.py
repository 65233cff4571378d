"""A plain model of a broker: what the contract says, with no regard for speed or for time.

No time passes here: a delay never ends and no lease is lost but to a claim by force.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from alligator.backends.base import Capability, Entry, Failure, Lease, State


@dataclass(eq=False)
class Task:
    """One task that the broker has to hold."""

    queue: str
    task_id: str
    body: bytes
    priority: int
    due: float | None
    unique: str | None
    sequence: int
    depends_on: set[str]
    state: State = State.WAITING
    attempts: int = 0
    deliveries: int = 0
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0
    token: str = ""


class Model:
    """Every task that is held, by its id; which queues are paused; what has ended, by queue."""

    def __init__(self, capabilities: Collection[Capability]) -> None:
        self.capabilities = capabilities
        self.tasks: dict[str, Task] = {}
        self.paused: set[str] = set()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._numbers = itertools.count(1)

    def in_state(self, queue: str, state: State) -> list[Task]:
        """The tasks of one state, in the order in which peek shows them."""
        tasks = [t for t in self.tasks.values() if (t.queue, t.state) == (queue, state)]
        match state:
            case State.WAITING:
                return sorted(tasks, key=lambda task: (-task.priority, task.sequence))
            case State.FAILED:
                return sorted(tasks, key=lambda task: task.failed)
            case State.DELAYED | State.RETRYING:
                return sorted(tasks, key=lambda task: (task.due or 0.0, task.sequence))
            case _:
                return sorted(tasks, key=lambda task: task.sequence)

    def holders(self, entry: Entry) -> list[str]:
        """The ids of the held tasks because of which `entry` is not queued; which of several with
        one key a receipt names is not part of the contract."""
        if entry.task_id in self.tasks and Capability.CUSTOM_IDS in self.capabilities:
            return [entry.task_id]
        if entry.unique is None:
            return []
        return [
            task.task_id
            for task in self.tasks.values()
            if task.unique == entry.unique and task.state is not State.FAILED
        ]

    def push(self, queue: str, entry: Entry, task_id: str) -> None:
        task = Task(
            queue=queue,
            task_id=task_id,
            body=entry.body,
            priority=entry.priority,
            due=entry.delay_until,
            unique=entry.unique,
            sequence=next(self._numbers),
            depends_on={each for each in entry.depends_on if each in self.tasks},
        )
        self.tasks[task_id] = task
        if task.depends_on:
            task.state = State.BLOCKED
        else:
            self._line_up(task)

    def next_ready(self, queues: Sequence[str], limit: int) -> list[Task]:
        names = [name for name in queues if name not in self.paused]
        return [task for name in names for task in self.in_state(name, State.WAITING)][:limit]

    def lease(self, task: Task, lease: Lease) -> None:
        task.state = State.RUNNING
        task.token = lease.token
        task.deliveries += 1
        task.depends_on = set()
        task.due = None

    def ack(self, task: Task) -> None:
        self.done[task.queue] += 1
        del self.tasks[task.task_id]
        for other in self.tasks.values():
            if task.task_id in other.depends_on:
                other.depends_on.remove(task.task_id)
                if not other.depends_on:
                    self._line_up(other)

    def retry(self, task: Task, body: bytes, due: float | None, failure: Failure) -> None:
        task.body = body
        task.sequence = next(self._numbers)
        self._count(task, failure)
        task.due = due
        retrying = Capability.RETRYING in self.capabilities
        task.state = State.RETRYING if retrying else State.DELAYED
        if due is None:
            task.state = State.WAITING

    def fail(
        self, task: Task, failure: Failure, attempted: bool = True, charged: bool = True
    ) -> None:
        self.failed[task.queue] += 1
        task.state = State.FAILED
        task.failed = next(self._numbers)
        self._count(task, failure)
        task.attempts -= not attempted
        task.deliveries -= not charged
        if Capability.CUSTOM_IDS not in self.capabilities:
            task.sequence = next(self._numbers)  # the place goes with the id

    def release(self, task: Task, charged: bool) -> None:
        task.state = State.WAITING
        task.token = ""
        task.deliveries -= not charged

    def defer(self, task: Task, due: float | None) -> None:
        task.token = ""
        task.deliveries -= 1
        task.due = due
        self._line_up(task)

    def requeue(self, task: Task) -> None:
        if task.state is State.WAITING:
            return
        task.state = State.WAITING
        task.sequence = next(self._numbers)
        task.due = None
        task.depends_on = set()
        task.attempts = task.deliveries = 0

    def move(self, task: Task, queue: str, body: bytes | None) -> None:
        if Capability.CUSTOM_IDS not in self.capabilities and (body or queue != task.queue):
            task.sequence = next(self._numbers)  # the place goes with the id
            task.failed = next(self._numbers)
        task.queue = queue
        task.body = task.body if body is None else body

    def remove(self, task: Task) -> None:
        del self.tasks[task.task_id]

    def renamed(self, task: Task, task_id: str) -> None:
        """The broker holds the task under another id now."""
        del self.tasks[task.task_id]
        task.task_id = task_id
        self.tasks[task_id] = task

    def _count(self, task: Task, failure: Failure) -> None:
        task.token = ""
        task.attempts += 1
        task.failures.append(failure)

    def _line_up(self, task: Task) -> None:
        task.state = State.WAITING if task.due is None else State.DELAYED
