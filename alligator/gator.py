"""Gator and Options: what a program holds to push calls and to run them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, ParamSpec, Self

from . import body, crashes, execution
from .backends.base import (
    Capability,
    Entry,
    FinishedState,
    FiveVerbs,
    Lease,
    Mended,
    Moved,
    Outcome,
    Record,
)
from .backends.five_verbs import complete
from .backends.registry import client_class
from .backends.roster import WorkerRecord
from .constants import ALL, DELAYED, RETRYING
from .exceptions import InvalidTask, Snooze, TaskFailed, UnsupportedByBroker
from .interrupts import noting_interrupts, undone
from .leases import LeaseKeeper
from .moving import move_many
from .redaction import learn
from .signing import Secrets
from .tasks import Task
from .trust import Trust

P = ParamSpec("P")

#: The status of a task that raised something and will run again.
_AGAIN = (RETRYING, DELAYED)


class Gator:
    """One queue of one broker.

    It may be shared by threads, and used in forked processes. Nothing connects before the first
    push or pop.

    Attributes:
        queue_name: where `push` puts tasks and `pop` takes them.
        backend: the object that `build_backend` made.
        client: the same as a whole `Backend`; another object only for a class of just five verbs.
    """

    def __init__(
        self,
        conn_string: str,
        queue_name: str = ALL,
        task_class: type[Task] = Task,
        backend_class: Callable[[str], FiveVerbs] | None = None,
        *,
        allow: str | Iterable[str] | None = None,
        secret: Secrets | None = None,
    ) -> None:
        """Choose a broker.

        Args:
            conn_string: a DSN, such as sqlite:///queue.db, redis://localhost:6379/0,
                beanstalk://localhost:11300 or locmem://.
            task_class: makes the tasks; its `deserialize` reads them.
            backend_class: called with the DSN in place of the class its scheme stands for. A class
                with just len, drop_all, push, pop and get will do.
            allow: patterns of the dotted paths that may run here, such as 'app.tasks.*'; left out,
                GATOR_ALLOW has them, and without that everything importable may run.
            secret: signs what is pushed and has what is not signed with it refused; of several the
                first signs. Left out, the file that GATOR_SECRET_FILE names has them, if it is set.

        Raises:
            InvalidSetting: a secret or pattern that is of no use. What comes from the environment
                is looked at when it is first needed.
            InvalidDSN: no backend answers to it.
            MissingDriver: the broker's client library is not installed, or cannot be imported.
        """
        self.conn_string = conn_string
        self.queue_name = queue_name
        self.task_class = task_class
        self.backend_class = backend_class
        self.backend = self.build_backend(conn_string)
        self.client = complete(self.backend, queue_name)
        self._keeper = LeaseKeeper(self.client)
        self._allow, self._secret = allow, secret
        if not (allow is None and secret is None):
            self.trust  # noqa: B018 - what is wrong with them should show here

    def __len__(self) -> int:
        return self.len()

    def __bool__(self) -> bool:
        return True  # an empty queue's Gator is still one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; `with Gator(dsn) as gator:` does it at the end. What a process
        still holds when it exits is closed then."""
        self._keeper.close()
        self.client.close()

    def build_backend(self, conn_string: str) -> Any:
        """Return a client for the DSN: of `backend_class` when that was given, else of the class
        that its scheme stands for."""
        make = self.backend_class or client_class(conn_string)
        return make(conn_string)

    @cached_property
    def trust(self) -> Trust:
        """The secrets and the allow list in force.

        Raises:
            InvalidSetting: they are of no use.
        """
        binds_ids = Capability.CUSTOM_IDS in self.client.capabilities
        return Trust.of(self._secret, self._allow, binds_ids)

    def len(self) -> int:
        """Count the queue's tasks that have yet to run, delayed and blocked ones included."""
        return self.client.len(self.queue_name)

    # -- pushing ----------------------------------------------------------------------------

    def task(self, func: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Task:
        """Push the call `func(*args, **kwargs)`.

        Returns:
            The queued task.

        Raises:
            InvalidTask: it would not run as it was meant; nothing is queued.
            BrokerError: it could not be queued.
        """
        return self.push(self.task_class(), func, *args, **kwargs)

    def options(self, **kwargs: Any) -> Options:
        """Return an Options, which pushes calls with these options of Task."""
        return Options(self, **kwargs)

    def push(
        self, task: Task, func: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Task:
        """Push a call as `task`; with is_async=False run it here and now instead.

        An id that the broker holds already is not queued a second time. Nor is a task whose
        `unique` key is taken: the task returned then has the id of the one that took it.

        Returns:
            The same task, with the id that the broker holds it under.

        Raises:
            InvalidTask: it would not run as it was meant; nothing is queued.
            BrokerError: it could not be queued.
            Exception: with is_async=False, what the call raised at its last try.
        """
        task.to_call(func, *args, **kwargs)  # which a subclass may have return nothing
        return self.push_many([task])[0]

    def push_many(self, tasks: Iterable[Task]) -> list[Task]:
        """Push tasks that `Task.to_call` made ready, in one round trip.

        All are checked before any is queued; those with is_async=False run here, after the push.

        Returns:
            The same tasks, in order.

        Raises:
            InvalidTask, BrokerError, Exception: as `push`.
        """
        tasks = list(tasks)
        queued = [task for task in tasks if task.is_async]
        self._queue(queued)
        now = time.time()
        for task in queued:
            task.to_delayed() if (task.delay_until or 0.0) > now else task.to_waiting()
        for task in tasks:
            if not task.is_async:
                self.execute(task)
        return tasks

    def _queue(self, tasks: list[Task]) -> None:
        _check_order(tasks)
        entries = [self.entry(task) for task in tasks]
        if entries:
            receipts = self.client.push_many(self.queue_name, entries)
            for task, receipt in zip(tasks, receipts, strict=True):
                task.task_id, task.queued = receipt

    def entry(self, task: Task, queue_name: str | None = None) -> Entry:
        """Return what a push of the task hands to the broker.

        Args:
            queue_name: where it is to go, if that is not the Gator's own queue.

        Raises:
            InvalidTask: it would not run as it was meant.
            UnsupportedByBroker: it wants its result kept, and the broker keeps none.
        """
        if task.result_ttl:
            self.client.require(Capability.RESULTS)
        return Entry(
            task.task_id,
            self.seal(task.task_id, execution.encode(task), queue_name),
            task.delay_until,
            task.priority,
            task.depends_on,
            task.unique,
        )

    def seal(self, task_id: str, body: bytes, queue_name: str | None = None) -> bytes:
        """Return what the broker is to keep of a body: signed, if there is a secret."""
        return self.trust.seal(queue_name or self.queue_name, task_id, body)

    # -- running ----------------------------------------------------------------------------

    def pop(self) -> Task | None:
        """Run the next task of the queue here.

        Returns:
            The finished task, with `result` and `status` (RETRYING when it failed and went back
            on the queue, DELAYED when it raised Snooze), or None when nothing was ready.

        Raises:
            Exception: what the task raised, when it failed for good.
            UndecodableTask: what came off the queue was no task; it is in the failed set now.
            NotAllowed: the allow list does not have it; likewise.
            TaskFailed: its worker died too often (see Worker); it is in the failed set now.
        """
        leases = self.client.reserve([self.queue_name], 1)
        return self._finish(leases[0], max_deaths=crashes.MAX_DEATHS) if leases else None

    def get(self, task_id: str, force: bool = False, raises: bool = True) -> Task | None:
        """Run one task here, taking it from any state, failed and delayed included.

        Args:
            force: take it even from a worker that is running it.
            raises: False returns a task that failed for good too, with its `error`: then nothing
                that a task raises can be mistaken for something that befell this call.

        One whose run somebody interrupts (SIGINT) is delayed again, or in the failed set, if it was
        before.

        Returns:
            As `pop`; None when the broker does not have it.

        Raises:
            TaskRunning: a worker is running it, and `force` is False.
            UndecodableTask: it was no task; it is in the failed set now.
            NotAllowed: the allow list does not have it; likewise.
            Exception: what the task raised, when it failed for good.
        """
        before = self._seen(task_id)
        lease = self.client.claim(task_id, force)
        return self._finish(lease, raises, before=before) if lease else None

    def _seen(self, task_id: str) -> Record | None:
        try:
            return self.client.find(task_id)
        except UnsupportedByBroker:  # five verbs
            return None

    def execute(self, task: Task) -> Task:
        """Run a task you made, with its hooks and retries.

        A failed try with retries left is repeated at once with is_async=False; else the task goes
        on the queue and is returned with status RETRYING, or DELAYED when it raised Snooze.

        Raises:
            Snooze: the task did, and there is no queue it could wait on, with is_async=False.
            Exception: what the task raised, when it failed for good.
        """
        while True:
            error = execution.run_here(task)
            if error is None:
                return task
            if task.status not in _AGAIN or isinstance(error, KeyboardInterrupt):
                raise error
            if task.is_async:
                wait = execution.wait_after(task, error, failed=1)
                if wait:
                    task.delay_until = time.time() + wait
                self._queue([task])
                return task
            if isinstance(error, Snooze):
                raise error

    def run_lease(
        self, lease: Lease, trust: Trust | None = None, max_deaths: int | None = None
    ) -> execution.Done:
        """Run a reserved task once, keeping its lease alive; settling is the caller's.

        Args:
            trust: another than the Gator's own.
            max_deaths: a task whose workers died so often is not run: it fails. None runs it.
        """
        learn(self.conn_string)  # its password is not to be kept with a failure
        worker = self.client.worker
        if max_deaths is not None:
            end = crashes.given_up(lease, max_deaths, worker)
            if end is not None:
                return execution.Done(None, TaskFailed(end.failure.error), end)
        with self.keeping(lease):
            prepared = execution.prepare(self.task_class, lease, worker, trust=trust or self.trust)
            return execution.run(prepared)

    def keeping(self, lease: Lease) -> AbstractContextManager[None]:
        """Keep a reserved task's lease alive for the body of the `with`."""
        return self._keeper.holding(lease)

    def settle(
        self,
        outcome: Outcome,
        queues: Iterable[str] = (),
        limit: int = 0,
        *,
        in_doubt: bool = False,
    ) -> list[Lease]:
        """End a lease and, in the same round trip, reserve up to `limit` tasks from `queues`.

        Args:
            in_doubt: an earlier request, whose answer did not come, may have ended it already.
        """
        settled = self.client.settle([outcome], tuple(queues), limit)
        if not settled.accepted[0]:
            from .logs import worker_log  # and with it logging, which a push has no use for

            task_id = outcome.lease.task_id
            if in_doubt:
                worker_log.info(
                    "task %s was settled by a request whose answer did not come, if it still had "
                    "its lease",
                    task_id,
                )
            else:
                worker_log.warning(
                    "task %s had lost its lease when it ended; what it did may be done again",
                    task_id,
                )
        return settled.leases

    def _finish(
        self,
        lease: Lease,
        raises: bool = True,
        max_deaths: int | None = None,
        before: Record | None = None,
    ) -> Task:
        with noting_interrupts() as interrupts:
            done = self.run_lease(lease, max_deaths=max_deaths)
        if isinstance(done.error, KeyboardInterrupt) and interrupts:
            # Somebody at the keyboard stopped us: that is not the task's failure.
            self.settle(undone(done.outcome.lease, before))
            raise done.error
        self.settle(done.outcome)
        task, error = done.task, done.error
        if error is not None and (task is None or (raises and task.status not in _AGAIN)):
            raise error
        assert task is not None  # a body that is no task has an error
        return task

    # -- looking after ----------------------------------------------------------------------

    def cancel(self, task_id: str) -> Task | None:
        """Take a task off its queue without running it.

        Returns:
            The task, status CANCELED, or None when the broker does not have it.

        Raises:
            TaskRunning: a worker is running it.
            UndecodableTask: it is off the queue, and was no task.
        """
        data = self.client.cancel(task_id)
        if data is None:
            return None
        task = execution.decode(self.task_class, Lease(self.queue_name, task_id, data, ""))
        task.to_canceled()
        return task

    def cancel_many(self, task_ids: Iterable[str]) -> list[Mended]:
        """Take tasks off their queues; say of each whether that is done, it is missing or it runs,
        and was left alone."""
        return self.client.cancel_many(list(task_ids))

    def requeue(self, task_id: str) -> bool:
        """Make a failed, delayed, retrying or blocked task ready now, with no attempt counted.

        It keeps its failures, and the retries that it has left.

        Returns:
            False when the broker does not have it.

        Raises:
            TaskRunning: a worker is running it.
        """
        return self.client.requeue(task_id)

    def requeue_many(self, task_ids: Iterable[str]) -> list[Mended]:
        """As `requeue`, for each of the tasks; the answers are those of `cancel_many`, and
        that it waits already, and was left alone."""
        return self.client.requeue_many(list(task_ids))

    def move(self, task_id: str, queue_name: str) -> str | None:
        """Put a task into another queue, as it is; one that is signed is signed anew, for that
        queue.

        Returns:
            The id under which the broker holds it now, or None when it does not have it.

        Raises:
            TaskRunning: a worker is running it.
            InvalidSetting: it is signed, and there is no secret here.
            BadSignature: it is signed with another secret, or was altered.
        """
        self.client.require(Capability.MOVE)
        record = self.client.find(task_id)
        body = None if record is None else self.trust.resealed(record, queue_name)
        return self.client.move(task_id, queue_name, body)

    def move_many(self, tasks: Iterable[str | Record], queue_name: str) -> list[Moved]:
        """As `move`, for each of the tasks; one that is running, or UNVERIFIED where `move` raises
        BadSignature, does not hold up the others.

        Args:
            tasks: ids; or records, as `client.peek` returns, which spares a look at each.

        Raises:
            InvalidSetting: one is signed, and there is no secret here; none was moved.
        """
        return move_many(self.client, self.trust, tasks, queue_name)

    def pause(self, queue_name: str | None = None) -> None:
        """Have no worker take a task from a queue, this one's own if none is named, until `resume`.

        Raises:
            UnsupportedByBroker: this broker cannot pause.
        """
        self.client.pause(self.queue_name if queue_name is None else queue_name)

    def resume(self, queue_name: str | None = None) -> None:
        """End the pause of a queue."""
        self.client.resume(self.queue_name if queue_name is None else queue_name)

    def paused(self) -> list[str]:
        """Return the names of the broker's paused queues."""
        return self.client.paused()

    def workers(self) -> list[WorkerRecord]:
        """Return the workers of the broker, each with what it runs.

        Raises:
            UnsupportedByBroker: this broker keeps no list of them.
        """
        return self.client.workers()

    def wait(self, task: Task | str, timeout: float | None = None) -> Any:
        """Wait for a task that was pushed with result_ttl, and return its result.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TaskFailed: it failed for good, or the broker no longer has it, or its result as the
                broker keeps it is no JSON.
            TimeoutError: it has not ended in time.
            UnsupportedByBroker: this broker stores no results.
        """
        task_id = task.task_id if isinstance(task, Task) else task
        finished = self.client.wait_finished(task_id, timeout)
        if finished is None:
            raise TimeoutError(f"task {task_id} has not ended within {timeout} s")
        if finished.state is FinishedState.SUCCESS:
            return body.load_result(task_id, finished.result or b"null")
        if finished.state is FinishedState.GONE:
            raise TaskFailed(
                f"the broker has no task {task_id} and no result of it: it was canceled or "
                "dropped, or was pushed without result_ttl, or the result's time ran out"
            )
        raise TaskFailed(finished.failure.error if finished.failure else f"task {task_id} failed")


def _check_order(tasks: list[Task]) -> None:
    """Raise InvalidTask when a task depends on a later one of the same push: the broker, which does
    not hold that one yet, would take it for done."""
    if not any(task.depends_on for task in tasks):
        return
    position = {task.task_id: number for number, task in enumerate(tasks)}
    for number, task in enumerate(tasks):
        for other in task.depends_on:
            if position.get(other, -1) >= number:
                raise InvalidTask(
                    f"task {task.task_id!r} depends on {other!r}, which comes later in the same "
                    "push (or is the task itself); put it first"
                )


class Options:
    """Pushes calls with the same options; a context manager that may be used any number of times.

    Raises:
        As Task, when the options do not fit together.
    """

    def __init__(self, gator: Gator, **kwargs: Any) -> None:
        if isinstance(kwargs.get("depends_on"), Iterator):
            kwargs["depends_on"] = tuple(kwargs["depends_on"])  # it is gone through for each task
        self.gator = gator
        self.task_kwargs = kwargs
        gator.task_class(**kwargs)  # a wrong option shows here, not at the first task

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def task(self, func: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Task:
        """Push the call `func(*args, **kwargs)` with these options; see Gator.push."""
        return self.gator.push(self.gator.task_class(**self.task_kwargs), func, *args, **kwargs)
