"""The contract every broker client keeps, and the value types it speaks.

A task's body is opaque bytes here. What a broker counts and orders by (queue, priority, due time,
attempts, deliveries, failures) lives beside the body, so acking, listing and moving never parse
one, and a task class with a body of its own (compressed, say) works on every broker.

The life of a task, by the verb that moves it::

    push ──► waiting ◄─────────────── due ── delayed | retrying
      │         │  ▲                            ▲
      │ reserve │  │ Release, lease lost        │ Retry, Defer
      │         ▼  │                            │
      │       running ──────────────────────────┘
      │         ├─ Ack ──► gone
      │         └─ Fail ──► failed ── requeue ──► waiting
      └──► blocked ── the last task it depends on is acked ──► waiting | delayed

`claim` takes a task into running from every other state; `cancel` and `drop_all` remove it from
every state but running; `move_many` puts it into another queue, in the state it is in, from every
state but running.
"""

from __future__ import annotations

import abc
import json
import math
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar, NamedTuple, Protocol

from ..exceptions import (
    BodyTooLarge,
    InvalidName,
    InvalidTask,
    TaskRunning,
    UnsupportedByBroker,
)
from .roster import WorkerRecord

#: Seconds a reserved task stays with its worker unless extended; the DSN option `lease` overrides.
DEFAULT_LEASE = 10.0

#: Bytes a body may have on any broker. JSON grows up to thirtyfold as it is parsed, and a worker
#: has to survive that; what is larger belongs into a file or a table, and its name into the body.
MAX_BODY = 16 * 2**20

#: Priorities a task may have. Higher runs first; 0 is the default.
MIN_PRIORITY, MAX_PRIORITY = -1000, 1000

#: Failures kept with a task, the newest ones; a traceback is cut to its last MAX_TRACEBACK chars.
MAX_FAILURES = 10
MAX_TRACEBACK = 8000

#: Characters shown of a failure that no worker wrote.
MAX_UNREADABLE = 200

#: The name of this machine, not asked of the socket module, which is slow to import.
HOST = os.uname().nodename

#: Characters a task id or a queue name may have.
MAX_NAME = 200


class State(StrEnum):
    """Where a task is while a broker holds it."""

    WAITING = "waiting"
    DELAYED = "delayed"
    RETRYING = "retrying"  # it failed, and its next try is due at a set time
    BLOCKED = "blocked"  # tasks it depends on have not succeeded
    RUNNING = "running"  # under a lease
    FAILED = "failed"


def waiting_last(states: Collection[State]) -> list[State]:
    """Return states in the order in which tasks pass from one to the next without being run, so
    that going through them one after the other misses none that does so meanwhile."""
    order = sorted(State, key=lambda state: (state is State.WAITING, state is not State.BLOCKED))
    return [state for state in order if state in states]


class Capability(StrEnum):
    """What a broker can do beyond the part of the contract that all of them keep."""

    SHARED = "be seen by other processes"
    CUSTOM_IDS = "keep the id that the pusher chose"
    UNIQUE = "hold one task for a unique key"
    DEPENDENCIES = "hold a task back until others have succeeded"
    RESULTS = "store results"
    STEAL = "take over a task that a worker holds"
    TIMED_LEASES = "end a lease by time alone"
    RETRYING = "tell retrying tasks from delayed ones"
    SUBSECOND = "delay by parts of a second"
    MOVE = "move tasks to another queue"
    PAUSE = "pause a queue"
    WORKERS = "keep a list of the workers"
    TOTALS = "count the tasks that have ended"


class Entry(NamedTuple):
    """One task to push.

    Attributes:
        task_id: unique among all queues of the broker.
        body: the serialized task.
        delay_until: Unix time before which it does not run, or None.
        priority: MIN_PRIORITY to MAX_PRIORITY, higher first.
        depends_on: ids that have to succeed first. Ids unknown to the broker count as done; for
            one that this push had refused for its unique key stands the task that holds the key.
        unique: while any task with this key is held and has not failed, a push queues no other. One
            that failed may be requeued or claimed though another has the key by then: no third one
            is queued until both are gone or have failed.
    """

    task_id: str
    body: bytes
    delay_until: float | None = None
    priority: int = 0
    depends_on: tuple[str, ...] = ()
    unique: str | None = None

    def is_plain(self) -> bool:
        """Whether nothing but id and body is given."""
        return self[2:] == _PLAIN


_PLAIN = Entry("", b"")[2:]


class Receipt(NamedTuple):
    """What became of an Entry: the id under which the task is held, and whether this push queued
    it (False: the broker held that id, or that unique key, already)."""

    task_id: str
    queued: bool


class Failure(NamedTuple):
    """One try that failed.

    Attributes:
        error: "TypeName: message", one line where possible.
        traceback: the formatted traceback, or "" where there was none.
        at: Unix time.
        worker: who ran it ("host:pid").
    """

    error: str
    traceback: str
    at: float
    worker: str


class Lease(NamedTuple):
    """A task that was handed out.

    Attributes:
        token: the fence. A settle counts only while the broker holds this very token for the task.
        attempts: tries that ended in an exception so far.
        deliveries: times it was handed out to run, this one included; handed-back ones don't count.
    """

    queue: str
    task_id: str
    body: bytes
    token: str
    priority: int = 0
    attempts: int = 0
    deliveries: int = 1


class Ack(NamedTuple):
    """Done: remove the task; keep `result` (JSON) for `result_ttl` seconds when that is above 0."""

    lease: Lease
    result: bytes = b""
    result_ttl: float = 0.0


class Retry(NamedTuple):
    """This try failed: count it, and queue `body` again at the tail, due in `delay` seconds."""

    lease: Lease
    body: bytes
    delay: float
    failure: Failure


class Fail(NamedTuple):
    """Failed for good: keep the task in the failed set.

    Attributes:
        attempted: count a try. False: none ended in an exception, but its worker died.
        charged: the delivery stays counted. False: the task was not begun.
    """

    lease: Lease
    failure: Failure
    attempted: bool = True
    charged: bool = True


class Release(NamedTuple):
    """Hand back to where it stood. `charged`: the delivery stays counted (its worker died)."""

    lease: Lease
    charged: bool = False


class Defer(NamedTuple):
    """Not yet: queue it again as it is, delayed for `delay` seconds, in its old place in line once
    that is over. Neither an attempt nor a delivery is counted."""

    lease: Lease
    delay: float


Outcome = Ack | Retry | Fail | Release | Defer


class Settled(NamedTuple):
    """The answer to `settle`: for each outcome whether its lease still held, and new leases."""

    accepted: list[bool]
    leases: list[Lease]


class Record(NamedTuple):
    """Everything a broker knows about one task it holds.

    Attributes:
        pushed_at, due, lease_until: Unix times; due is None when nothing holds it back by time,
            lease_until is None unless it is running under a timed lease.
        worker: who runs it, or None.
        failures: the newest tries that failed, oldest first.
        depends_on: ids that have yet to succeed.
    """

    queue: str
    task_id: str
    state: State
    body: bytes
    priority: int = 0
    attempts: int = 0
    deliveries: int = 0
    pushed_at: float | None = None
    due: float | None = None
    lease_until: float | None = None
    worker: str | None = None
    failures: tuple[Failure, ...] = ()
    depends_on: tuple[str, ...] = ()
    unique: str | None = None

    @property
    def deaths(self) -> int:
        """How many workers died with the task: deliveries that ended in neither an attempt nor a
        hand-back."""
        return max(0, self.deliveries - self.attempts - (self.state is State.RUNNING))


class Page(NamedTuple):
    """Some records of one state, in its order, and the cursor of the next page (None: the end)."""

    records: list[Record]
    cursor: str | None


class Counts(NamedTuple):
    """How many tasks of a queue are in each state, and what else is known about it.

    Attributes:
        oldest_age: seconds since the push of the task that is first in line, None when none waits.
        paused: nothing is reserved from it.
        done_total, failed_total: tasks acked, and failed for good, since its first push; None where
            the broker cannot tell (Capability.TOTALS). One that was requeued and failed once more
            counts twice.
    """

    queue: str
    waiting: int = 0
    delayed: int = 0
    retrying: int = 0
    blocked: int = 0
    running: int = 0
    failed: int = 0
    oldest_age: float | None = None
    paused: bool = False
    done_total: int | None = None
    failed_total: int | None = None


class Mended(StrEnum):
    """What became of one task that an operator named."""

    DONE = "done"
    MISSING = "missing"  # no queue has it
    RUNNING = "running"  # a worker holds it, and nothing was changed
    WAITING = "waiting"  # said by requeue_many: it waits already, and nothing was changed
    UNVERIFIED = "unverified"  # said by Gator: it is signed, with no secret that is known here


class Move(NamedTuple):
    """A task to be moved; `body`, when given, takes the place of its own (a signed body names its
    queue), and of whatever has come in its place since it was looked at."""

    task_id: str
    body: bytes | None = None


class Moved(NamedTuple):
    """What became of a Move, and the id under which the task is held now."""

    mended: Mended
    task_id: str


class Finding(NamedTuple):
    """One thing that was looked at in how a broker is set up.

    Attributes:
        check: what was looked at, in a word or two.
        remedy: what to do about it; "" when it is well.
    """

    check: str
    ok: bool
    detail: str
    remedy: str = ""


class FinishedState(StrEnum):
    """How a task ended, as far as the broker can tell."""

    SUCCESS = "success"
    FAILED = "failed"
    GONE = "gone"  # canceled, dropped, or done with no result kept


class Finished(NamedTuple):
    """A task that will not run again by itself; `result` is JSON, for SUCCESS only."""

    state: FinishedState
    result: bytes | None = None
    failure: Failure | None = None


class FiveVerbs(Protocol):
    """The least a backend can be. Gator and Worker run with it, at most once: a task leaves the
    queue before it runs."""

    def len(self, queue_name: str) -> int:
        """Count the tasks that have yet to run."""

    def drop_all(self, queue_name: str) -> object:
        """Remove every task of the queue."""

    def push(
        self, queue_name: str, task_id: str, data: bytes, delay_until: float | None = None
    ) -> str:
        """Add a task; return the id under which `get` finds it."""

    def pop(self, queue_name: str) -> bytes | str | None:
        """Remove the next task that is due and return its data."""

    def get(self, queue_name: str, task_id: str) -> bytes | str | None:
        """Remove one task and return its data."""


class Backend(abc.ABC):
    """A whole broker client. Subclasses are named `Client` and take one argument, the DSN.

    A client may be used by several threads at once, and in a process forked after it was made (it
    then opens connections of its own). Making one does not connect; the first verb does.

    Attributes:
        capabilities: what it can do beyond the common part.
        body_limit: bytes a body may have: MAX_BODY, or less.
        lease_seconds: how long a lease lasts without `extend`.
        hurry: asked between attempts to reach a broker that is away; True has the verb give up.
    """

    capabilities: ClassVar[frozenset[Capability]]
    broker: ClassVar[str]
    body_limit: int = MAX_BODY
    lease_seconds: float = DEFAULT_LEASE

    def __init__(self) -> None:
        self.hurry: Callable[[], bool] = lambda: False

    @property
    def worker(self) -> str:
        """The name written beside leases and failures: "host:pid" of the process that asks."""
        return f"{HOST}:{os.getpid()}"

    # -- queueing ---------------------------------------------------------------------------

    @abc.abstractmethod
    def push_many(self, queue_name: str, entries: Sequence[Entry]) -> list[Receipt]:
        """Queue the entries in their order, all or none, in one round trip.

        An id that the broker holds in any state, failed included, is not queued again. An entry
        may depend on an earlier one. One that depends on nothing unfinished waits, or is delayed.

        Returns:
            A receipt an entry, in order.
        """

    # -- working ----------------------------------------------------------------------------

    @abc.abstractmethod
    def reserve(self, queues: Sequence[str], limit: int) -> list[Lease]:
        """Take up to `limit` tasks that are ready now under leases, without waiting.

        Queues are in order of preference: a later one is looked at when the earlier ones have
        nothing ready, or are paused. Within a queue: higher priority first, then first in, first
        out. Tasks whose time has come and tasks whose lease was lost are ready.
        """

    @abc.abstractmethod
    def settle(
        self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        """End leases, then reserve up to `limit` from `queues`, in one round trip.

        An outcome whose lease is lost changes nothing and reports False.
        """

    @abc.abstractmethod
    def extend(self, leases: Sequence[Lease]) -> list[bool]:
        """Start each lease's time anew; False where it was lost."""

    @abc.abstractmethod
    def wait(self, queues: Sequence[str], timeout: float, wake_on: int | None = None) -> None:
        """Return when a task may be ready in one of the queues, when the file descriptor
        `wake_on` is readable, or after `timeout` seconds. It takes nothing, and may return early,
        but not again and again: what is in a paused queue is not ready.
        """

    @abc.abstractmethod
    def claim(self, task_id: str, force: bool = False) -> Lease | None:
        """Take one task under a lease, from any state but running.

        Args:
            force: take it from the worker that holds it, too; that worker's lease is then lost.

        Returns:
            The lease, or None when no queue has the task.

        Raises:
            TaskRunning: a worker holds it, and `force` is False.
            UnsupportedByBroker: `force` on a broker that cannot take over a running task.
        """

    # -- looking and mending ------------------------------------------------------------------

    @abc.abstractmethod
    def queues(self, empty: bool = False) -> list[str]:
        """Return the names of all queues that hold a task, sorted.

        Args:
            empty: and of those too that hold none and are paused, or have totals. A broker that
                keeps neither has nothing to add.
        """

    @abc.abstractmethod
    def counts(self, queue_name: str) -> Counts:
        """Count the tasks of one queue by state."""

    @abc.abstractmethod
    def peek(
        self,
        queue_name: str,
        state: State,
        limit: int = 20,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page:
        """Return one page of the tasks in one state, changing nothing.

        Order: waiting as they will run; delayed and retrying by due time; running by end of lease
        or start; failed by time of failure; blocked by time of push.
        """

    @abc.abstractmethod
    def find(self, task_id: str) -> Record | None:
        """Return what is known about one task, whichever queue and state it is in."""

    @abc.abstractmethod
    def cancel(self, task_id: str) -> bytes | None:
        """Remove one task that is not running. Tasks that depend on it stay blocked.

        Returns:
            Its body, or None when no queue has the task.

        Raises:
            TaskRunning: a worker holds it.
        """

    @abc.abstractmethod
    def cancel_many(self, task_ids: Sequence[str]) -> list[Mended]:
        """As `cancel`, for each of the tasks; one that is running does not hold up the others."""

    @abc.abstractmethod
    def requeue_many(self, task_ids: Sequence[str]) -> list[Mended]:
        """Make failed, delayed, retrying and blocked tasks ready now, each at the tail of its
        queue, with attempts and deliveries at 0 and its failures kept. A waiting one is left alone.

        Returns:
            For each task DONE when it is waiting now, WAITING when it was already.
        """

    def requeued(self, task_ids: Sequence[str]) -> list[Moved]:
        """As requeue_many, with the id under which each task is held now: another one where the
        broker chooses the ids."""
        return list(map(Moved, self.requeue_many(task_ids), task_ids))

    def move_many(self, moves: Sequence[Move], queue_name: str) -> list[Moved]:
        """Put tasks into another queue, each at once: it is in the one or in the other.

        A task keeps its state, its time, its counts, its failures and its unique key, and takes the
        place among those of the other queue that its priority and age give it. Where the broker
        chooses the ids it gets a new one, and goes to the tail.

        Returns:
            For each task DONE when it is in the queue now, as it may have been already.

        Raises:
            BodyTooLarge: a new body is; nothing was moved.
        """
        raise self._lacking(Capability.MOVE)

    @abc.abstractmethod
    def drop(self, queue_name: str, states: Collection[State]) -> int:
        """Remove the queue's tasks that are in one of `states` and return how many. Running ones
        cannot be dropped: asking raises ValueError."""

    def pause(self, queue_name: str) -> None:
        """Have nothing reserved from a queue, by any worker, from now until `resume`, over restarts
        of workers and broker too. It need not hold a task yet. All other verbs go on, `push` and
        `claim` included, and tasks become due; what runs is not touched.
        """
        raise self._lacking(Capability.PAUSE)

    def resume(self, queue_name: str) -> None:
        """End a pause, and wake those who wait for the queue."""
        raise self._lacking(Capability.PAUSE)

    def paused(self) -> list[str]:
        """Return the names of the paused queues, sorted, of empty ones too."""
        raise self._lacking(Capability.PAUSE)

    def forget(self, queue_name: str) -> None:  # noqa: B027 - who keeps no totals has nothing to do
        """Set the totals of a queue that holds no task back, so that nothing is left of it but
        perhaps its pause. One that holds a task is left alone."""

    # -- workers ----------------------------------------------------------------------------

    def hold_line(self) -> int | None:
        """Have the broker know at once when this process ends, so that its leases end, too.

        Returns:
            A descriptor that is readable as soon as that has to be done anew, with a beat behind
            it; None where the broker knows anyway, or cannot.
        """
        return None

    def beat(self, worker: WorkerRecord, ttl: float) -> None:
        """Note that a worker lives, and what it says of itself.

        Args:
            ttl: seconds after which it is stale unless it beats again. It is then kept for
                STALE_KEPT seconds more or less, as somebody may ask what it was running.
        """
        raise self._lacking(Capability.WORKERS)

    def leave(self, name: str) -> None:
        """Forget a worker, which has ended."""
        raise self._lacking(Capability.WORKERS)

    def workers(self) -> list[WorkerRecord]:
        """Return the workers that have not left, by name."""
        raise self._lacking(Capability.WORKERS)

    def attended(self, queue_name: str) -> bool | None:
        """Return whether a worker takes from a queue; None where the broker cannot tell."""
        if Capability.WORKERS not in self.capabilities:
            return None
        return any(queue_name in one.queues and not one.stale for one in self.workers())

    # -- results ----------------------------------------------------------------------------

    @abc.abstractmethod
    def result(self, task_id: str) -> bytes | None:
        """Return the JSON result kept by an Ack, or None."""

    @contextmanager
    def watching(self, task_id: str) -> Iterator[Callable[[float], None]]:
        """Yield a function that waits until the task may have finished, or for so many seconds."""
        self.require(Capability.RESULTS)
        yield lambda seconds: time.sleep(min(seconds, 0.05))

    # -- the connection -----------------------------------------------------------------------

    @abc.abstractmethod
    def ping(self) -> str:
        """Return the broker's name and version, having asked it.

        Raises:
            BrokerUnreachable: no answer.
            BrokerRefused: it will not serve us, with the reason.
        """

    def examine(self) -> list[Finding]:
        """Look at how the broker is set up, for what could lose tasks, hold them up or let others
        at them. What it refuses to work with, `ping` raises."""
        return []

    @abc.abstractmethod
    def close(self) -> None:
        """Close every connection. Leases still held are lost to others at once or by time."""

    # -- what follows from the above ------------------------------------------------------------

    def require(self, capability: Capability) -> None:
        """Raise UnsupportedByBroker unless this broker has the capability."""
        if capability not in self.capabilities:
            raise self._lacking(capability)

    def _lacking(self, capability: Capability) -> UnsupportedByBroker:
        return UnsupportedByBroker(f"{self.broker} cannot {capability.value}")

    def check(self, queue_name: str, entries: Sequence[Entry]) -> None:
        """Raise for the first thing in a push that this broker cannot keep; push_many calls it
        before it sends anything."""
        check_name("queue name", queue_name)
        for entry in entries:
            check_name("task id", entry.task_id)
            self._check_size(entry.body)
            if entry.is_plain():
                continue
            if entry.unique is not None:
                check_name("unique key", entry.unique)
                self.require(Capability.UNIQUE)
            if entry.depends_on:
                self.require(Capability.DEPENDENCIES)
                if "" in entry.depends_on:
                    raise InvalidTask("an id in depends_on is empty; give the id of a task")
            if not MIN_PRIORITY <= entry.priority <= MAX_PRIORITY:
                raise InvalidTask(
                    f"priority {entry.priority} is outside {MIN_PRIORITY} to {MAX_PRIORITY}"
                )
            if entry.delay_until is not None and not math.isfinite(entry.delay_until):
                raise InvalidTask(f"delay_until {entry.delay_until} is not a time")

    def check_moves(self, queue_name: str, moves: Sequence[Move]) -> None:
        """Raise for the first thing in a move that this broker cannot keep."""
        check_name("queue name", queue_name)
        for move in moves:
            self._check_size(move.body or b"")

    def _check_size(self, body: bytes) -> None:
        if len(body) > self.body_limit:
            raise BodyTooLarge(
                f"the task is {len(body)} bytes and {self.broker} takes "
                f"{self.body_limit}; pass an id or a path instead of the data"
            )

    def finished(self, task_id: str) -> Finished | None:
        """Return how a task ended, or None while it has yet to."""
        # The result first: a task acked between the two looks is then not taken for gone.
        result = self.result(task_id)
        if result is None:
            record = self.find(task_id)
            if record is not None:
                if record.state is not State.FAILED:
                    return None
                failure = record.failures[-1] if record.failures else None
                return Finished(FinishedState.FAILED, failure=failure)
            result = self.result(task_id)
        if result is None:
            return Finished(FinishedState.GONE)
        return Finished(FinishedState.SUCCESS, result=result)

    def wait_finished(self, task_id: str, timeout: float | None = None) -> Finished | None:
        """Wait until a task has ended; None when `timeout` seconds pass first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.watching(task_id) as wait:
            while True:
                finished = self.finished(task_id)
                left = 2.0 if deadline is None else deadline - time.monotonic()
                if finished is not None or left <= 0:
                    return finished
                wait(min(left, 2.0))

    def requeue(self, task_id: str) -> bool:
        """Make one task ready now: see requeue_many.

        Returns:
            True when it is waiting now; False when no queue has the task.

        Raises:
            TaskRunning: a worker holds it.
        """
        (mended,) = self.requeue_many([task_id])
        return self._not_running(mended, task_id) in (Mended.DONE, Mended.WAITING)

    def move(self, task_id: str, queue_name: str, body: bytes | None = None) -> str | None:
        """Put one task into another queue: see move_many.

        Returns:
            The id under which it is held now; None when no queue has the task.

        Raises:
            TaskRunning: a worker holds it.
        """
        ((mended, held_as),) = self.move_many([Move(task_id, body)], queue_name)
        return held_as if self._not_running(mended, task_id) is Mended.DONE else None

    def _not_running(self, mended: Mended, task_id: str) -> Mended:
        if mended is Mended.RUNNING:
            record = self.find(task_id)
            on = f" on {record.worker}" if record and record.worker else ""
            raise TaskRunning(f"task {task_id} is running{on}; wait until it ends")
        return mended

    def drop_all(self, queue_name: str) -> int:
        """Remove every task of the queue that is not running; return how many."""
        return self.drop(queue_name, [state for state in State if state is not State.RUNNING])

    def len(self, queue_name: str) -> int:
        """Count the tasks that have yet to run: waiting, delayed, retrying and blocked."""
        counts = self.counts(queue_name)
        return counts.waiting + counts.delayed + counts.retrying + counts.blocked

    def push(
        self, queue_name: str, task_id: str, data: bytes | str, delay_until: float | None = None
    ) -> str:
        """Queue one task and return its id."""
        body = data.encode() if isinstance(data, str) else data
        return self.push_many(queue_name, [Entry(task_id, body, delay_until)])[0].task_id

    def pop(self, queue_name: str) -> bytes | None:
        """Remove the next task that is ready and return its body."""
        return self._take(self.reserve([queue_name], 1))

    def get(self, queue_name: str, task_id: str) -> bytes | None:
        """Remove one task that is not running and return its body, whichever queue has it."""
        lease = self.claim(task_id)
        return self._take([lease] if lease else [])

    def _take(self, leases: Sequence[Lease]) -> bytes | None:
        if not leases:
            return None
        # This frees the tasks that depend on this one, which has not run yet: five-verb users run
        # it next and accept at-most-once, so this is the moment it counts as done.
        self.settle([Ack(leases[0])])
        return leases[0].body


def check_name(what: str, name: str) -> None:
    """Raise InvalidName unless `name` can be kept by every broker.

    Args:
        what: "task id", "queue name" or "unique key", for the message.
    """
    if not isinstance(name, str):
        raise InvalidName(f"{what} {name!r} is not a string")
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidName(f"{what} {name[:40]!r} has {len(name)} characters; use 1 to {MAX_NAME}")
    if not name.isprintable():
        raise InvalidName(f"{what} {name!r} has control or unprintable characters")


def dump_failures(failures: Sequence[Failure]) -> str:
    """Return the newest failures as JSON, for a broker to keep beside the body."""
    return json.dumps([list(failure) for failure in failures[-MAX_FAILURES:]])


def load_failures(text: str | bytes | None) -> tuple[Failure, ...]:
    """Read what dump_failures wrote. What another program wrote there is shown, as well as can be:
    it must neither end a worker nor hide the task."""
    if not text:
        return ()
    try:
        rows = json.loads(text)
        return tuple(map(_failure, rows if isinstance(rows, list) else [rows]))
    except (ValueError, RecursionError):
        return (_failure(text),)


def _failure(row: object) -> Failure:
    match row:
        case [str(error), str(traceback), int() | float() as at, str(worker)] if abs(at) < math.inf:
            return Failure(error, traceback, at, worker)
    return Failure(f"unreadable: {row!r:.{MAX_UNREADABLE}}", "", 0.0, "")
