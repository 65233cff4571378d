"""The beanstalkd client: a queue is a tube, a lease a reservation, the failed set the buried jobs.

`beanstalk://host:port?lease=SECONDS&timeout=SECONDS`. What differs from other brokers:

- The server chooses the ids, and a task gets a new one whenever it is queued again: by a Retry, a
  Fail, a requeue or a move. Each of these puts the new job before it deletes the old one, so to be
  killed in between leaves two of them rather than none.
- A tube can be paused, but the server forgets that when it restarts or the tube is empty, so a
  pause is not offered. It knows of no workers, and counts a canceled job as it does a done one.
- The lease (whole seconds, the job's TTR) is given at the push, so it is the pusher's. A worker
  that finds a shorter one than its own extends by that from then on.
- A lost connection ends its leases at once. Time ends them too, but beanstalkd 1.12 misses more
  than half of those moments while the holder is silent, since it compares two readings of its
  clock with >= where > is meant; it then looks again when the holder speaks or is gone.
- A push of many is undone when the server refuses one of them, but a pusher that is killed halfway
  leaves the first ones queued.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TypeVar

from ..exceptions import TaskRunning
from . import beanstalk_job as jobs
from . import beanstalk_mending as mending
from .base import (
    MAX_BODY,
    Backend,
    Capability,
    Counts,
    Entry,
    Finding,
    Lease,
    Mended,
    Move,
    Moved,
    Outcome,
    Page,
    Receipt,
    Record,
    Settled,
    State,
)
from .beanstalk_job import Header
from .beanstalk_leases import Leases, put_command
from .beanstalk_listing import Listing, first_job, list_jobs
from .beanstalk_names import DEFAULT_PORT, bell, check_tube, job_id, read_cursor, read_dsn
from .beanstalk_replacing import Replacer
from .beanstalk_wire import Connection, driver, refuse

_DEFAULT_MAX_JOB = 65535

# A wait ends after this long, so that a server that vanished is noticed.
_WAIT_SECONDS = 2

# How often, and how far apart, to look at a task before believing that a worker runs it: a waiting
# client holds it for two round trips when it becomes ready (see Client.wait).
_LOOKS, _LOOK_AGAIN = 25, 0.01

#: Tasks mended at once: their bodies are held in memory.
_MENDED = 500

T = TypeVar("T")


class Client(Backend):
    """Queues on a beanstalkd server, 1.12 or later.

    Leases belong to one working connection under a lock. All else, waiting above all, goes through
    spare connections that hold nothing, so it can neither block an extension nor cost a lease.
    """

    capabilities = frozenset({Capability.SHARED, Capability.TIMED_LEASES, Capability.MOVE})
    broker = "beanstalkd"
    body_limit = _DEFAULT_MAX_JOB - jobs.HEADER_ROOM

    def __init__(self, dsn: str) -> None:
        super().__init__()
        driver()
        self._dsn, self._ttr = read_dsn(dsn)
        self._shown = self._dsn.redacted()
        self._timeout = self._dsn.seconds("timeout", 5.0)
        self.lease_seconds = float(self._ttr)
        self._max_job = _DEFAULT_MAX_JOB
        self._serials = itertools.count(1)
        self._lock = threading.RLock()
        self._held: Leases | None = None
        self._spares: list[Connection] = []
        self._listing: Listing | None = None
        _clients.add(self)

    # -- queueing ---------------------------------------------------------------------------

    def push_many(self, queue_name: str, entries: Sequence[Entry]) -> list[Receipt]:
        check_tube(queue_name)
        if not entries:
            return []
        with self._spare() as connection:
            self.check(queue_name, entries)  # after connecting: the limit is the server's
            now = time.time()
            replies = connection.ask((self._fresh(entry, now) for entry in entries), queue_name)
            refused = next((reply for reply in replies if reply.status != b"INSERTED"), None)
            if refused is not None:
                queued = [reply.values[0] for reply in replies if reply.values]
                connection.ask(b"delete " + each for each in queued)
                refuse(refused, f"push to {queue_name!r}", self._shown)
        return [Receipt(reply.values[0].decode("ascii"), True) for reply in replies]

    def _fresh(self, entry: Entry, now: float) -> bytes:
        data = jobs.pack(Header(), entry.body, self._max_job)
        assert data is not None  # check() has seen that the body leaves room for a header
        delay = 0 if entry.delay_until is None else jobs.to_delay(entry.delay_until - now)
        return put_command(data, jobs.to_pri(entry.priority), delay, self._ttr)

    # -- working ----------------------------------------------------------------------------

    def reserve(self, queues: Sequence[str], limit: int) -> list[Lease]:
        return self.settle((), queues, limit).leases

    def settle(
        self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        for queue in queues:
            check_tube(queue)
        with self._leases() as leases:
            return leases.settle(outcomes, queues, limit)

    def extend(self, leases: Sequence[Lease]) -> list[bool]:
        with self._leases() as held:
            return held.extend(leases)

    def claim(self, task_id: str, force: bool = False) -> Lease | None:
        if force:
            self.require(Capability.STEAL)

        number = job_id(task_id)
        if number is None:
            return None
        for _ in range(_LOOKS - 1):
            with suppress(TaskRunning):
                return self._claim(number)
            time.sleep(_LOOK_AGAIN)
        return self._claim(number)

    def _claim(self, number: int) -> Lease | None:
        with self._leases() as leases:
            return leases.claim(number)

    def wait(self, queues: Sequence[str], timeout: float, wake_on: int | None = None) -> None:
        """Return when a task may be ready: see Backend.wait.

        The server tells of ready tasks only by reserving one. This connection hands it back at
        once, to where it stood. Nothing but a job ends such a wait early, so to end it one is put
        into a tube of the connection's own, and taken out again.
        """
        for queue in queues:
            check_tube(queue)
        if timeout <= 0 or not queues:
            return
        seconds = max(1, int(min(timeout, _WAIT_SECONDS)))
        with self._spare() as connection:
            connection.end_first()
            own = bell(connection.name)
            connection.ask(watch=[*queues, own])
            cut_off = timeout if timeout < seconds else None  # the server counts whole seconds
            rung: list[bytes] = []

            def ring() -> bool:
                rung.extend(self._ring(own))
                return bool(rung)

            reply = connection.wait_for_job(seconds, cut_off, wake_on, ring)
            if reply is None:
                return
            connection.ask(b"delete " + each for each in rung)
            if reply.status == b"RESERVED" and reply.values[0] not in rung:
                (figures,) = connection.ask([b"stats-job " + reply.values[0]])
                if figures.status == b"OK":
                    pri = jobs.read_stats(figures.data).pri
                    connection.ask([b"release %b %d 0" % (reply.values[0], pri)])
            if rung:
                connection.close()  # its tube goes with it

    def _ring(self, tube: str) -> list[bytes]:
        """Put a job that comes before all others, and return its id; none where the server takes
        no new jobs."""
        with closing(self._connect()) as connection:
            (reply,) = connection.ask([put_command(b"", 0, 0, self._ttr)], use=tube)
        return reply.values if reply.status == b"INSERTED" else []

    # -- looking and mending ------------------------------------------------------------------

    def queues(self, empty: bool = False) -> list[str]:
        with self._spare() as connection:
            return mending.queues(connection)

    def counts(self, queue_name: str) -> Counts:
        check_tube(queue_name)
        with self._spare() as connection:
            return mending.counts(connection, queue_name)

    def peek(
        self,
        queue_name: str,
        state: State,
        limit: int = 20,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page:
        """Return one page: see Backend.peek; beanstalk_listing tells what it costs.

        A cursor counts on in the listing that its first page made. Given to another client, or
        after this one listed something else, it counts in a new listing.
        """
        check_tube(queue_name)
        serial, offset = read_cursor(cursor)
        with self._spare() as connection:
            if limit == 1 and cursor is None and not reverse:
                first, more = first_job(connection, queue_name, state)
                if first is not None:
                    one = mending.records_in(connection, [first], queue_name, state)
                    return Page(one, "0.1" if more else None)
            listing = self._listing
            if listing is None or (serial, queue_name, state) != (
                listing.serial,
                listing.queue,
                listing.state,
            ):
                serial = next(self._serials)
                listing = list_jobs(connection, self._shown, serial, queue_name, state)
                self._listing = listing
            found: list[Record] = []
            while True:
                missing = limit - len(found)
                # One more than the page has tells whether there are more.
                most = None if reverse else offset + missing + 1
                listing.reach(connection, self._shown, most)
                page = listing.page(offset, missing, reverse)
                offset += len(page)
                found += mending.records_in(connection, page, queue_name, state)
                if not page or len(found) == limit:
                    break
        return Page(found, f"{listing.serial}.{offset}" if offset < len(listing.ids) else None)

    def find(self, task_id: str) -> Record | None:
        number = job_id(task_id)
        if number is None:
            return None
        with self._spare() as connection:
            return mending.records(connection, [number])[0]

    def cancel(self, task_id: str) -> bytes | None:
        ((mended, body),) = self._mend([task_id], mending.cancel, b"")
        return body if self._not_running(mended, task_id) is Mended.DONE else None

    def cancel_many(self, task_ids: Sequence[str]) -> list[Mended]:
        return [mended for mended, _ in self._mend(task_ids, mending.cancel, b"")]

    def requeue_many(self, task_ids: Sequence[str]) -> list[Mended]:
        """Make tasks ready now, under new ids: see Backend.requeue_many."""
        return [mended for mended, _ in self.requeued(task_ids)]

    def requeued(self, task_ids: Sequence[str]) -> list[Moved]:
        """Make tasks ready now; return their new ids: see Backend.requeued."""

        def requeue(connection: Connection, numbers: Sequence[int]) -> Sequence[Moved]:
            return self._replacer(connection).requeue(numbers)

        return _under_new_ids(self._mend(task_ids, requeue, ""), task_ids)

    def move_many(self, moves: Sequence[Move], queue_name: str) -> list[Moved]:
        check_tube(queue_name)
        with self._spare():
            self.check_moves(queue_name, moves)  # after connecting: the limit is the server's
        bodies = {job_id(move.task_id): move.body for move in moves}

        def move(connection: Connection, numbers: Sequence[int]) -> Sequence[Moved]:
            return self._replacer(connection).move(
                [(number, bodies[number]) for number in numbers], queue_name
            )

        task_ids = [move.task_id for move in moves]
        return _under_new_ids(self._mend(task_ids, move, ""), task_ids)

    def _replacer(self, connection: Connection) -> Replacer:
        return Replacer(connection, self._shown, self._ttr, self._max_job)

    def _mend(
        self,
        task_ids: Sequence[str],
        act: Callable[[Connection, Sequence[int]], Sequence[tuple[Mended, T]]],
        missing: T,
    ) -> list[tuple[Mended, T]]:
        """Do something to tasks, and believe that a worker runs one only when it is so for a
        while.

        Args:
            act: returns what became of each, and something more.
            missing: stands for that where there is no such task.
        """
        answers = [(Mended.MISSING, missing)] * len(task_ids)
        numbers = [job_id(task_id) for task_id in task_ids]
        known = [(at, number) for at, number in enumerate(numbers) if number is not None]
        for start in range(0, len(known), _MENDED):
            left = known[start : start + _MENDED]
            for look in range(_LOOKS):
                time.sleep(_LOOK_AGAIN if look else 0)
                with self._spare() as connection:
                    found = act(connection, [number for _, number in left])
                for (at, _), answer in zip(left, found, strict=True):
                    answers[at] = answer
                left = [(at, number) for at, number in left if answers[at][0] is Mended.RUNNING]
                if not left:
                    break
        return answers

    def drop(self, queue_name: str, states: Collection[State]) -> int:
        check_tube(queue_name)
        if State.RUNNING in states:
            raise ValueError("running tasks cannot be dropped")
        with self._spare() as connection:
            return mending.drop(connection, queue_name, states)

    # -- results ----------------------------------------------------------------------------

    def result(self, task_id: str) -> bytes | None:
        self.require(Capability.RESULTS)
        return None

    # -- the connection -----------------------------------------------------------------------

    def ping(self) -> str:
        with self._spare() as connection:
            (reply,) = connection.ask([b"stats"])
        return f"beanstalkd {jobs.read_yaml(reply.data)['version']}"

    def attended(self, queue_name: str) -> bool | None:
        """Return whether a connection watches a queue. That of a worker which has had no pause yet
        watches only the queue that it last took from."""
        check_tube(queue_name)
        with self._spare() as connection:
            return mending.attended(connection, queue_name)

    def examine(self) -> list[Finding]:
        with self._spare() as connection:
            (reply,) = connection.ask([b"stats"])
        return mending.examine(jobs.read_yaml(reply.data))

    def close(self) -> None:
        with self._lock:
            connections = self._spares
            if self._held is not None:
                connections.append(self._held.connection)
            # A spare connection that is in use now finds its list gone, and is closed after use.
            self._spares, self._held = [], None
        for connection in connections:
            connection.close()

    @contextmanager
    def _leases(self) -> Iterator[Leases]:
        """Lock and yield what the working connection holds; nothing, when it had to be new."""
        with self._lock:
            if self._held is None or not self._held.connection.alive():
                if self._held is not None:
                    self._held.connection.close()
                connection = self._connect()  # first, as it asks for the size of the largest job
                self._held = Leases(
                    connection, self._connect, self._shown, self._ttr, self._max_job
                )
            yield self._held
            self.lease_seconds = min(self.lease_seconds, self._held.shortest)

    @contextmanager
    def _spare(self) -> Iterator[Connection]:
        """Yield a connection that holds nothing, to this thread alone."""
        with self._lock:
            spares = self._spares
            connection = spares.pop() if spares else None
        if connection is not None and not connection.alive():
            connection.close()
            connection = None
        connection = connection or self._connect()
        try:
            yield connection
        except TaskRunning:
            raise  # an answer like any other
        except BaseException:
            connection.close()  # it may hold what a wait or a drop has reserved
            raise
        finally:
            with self._lock:
                kept = self._spares is spares and not connection.closed
                if kept:
                    spares.append(connection)
            if not kept:
                connection.close()

    def _connect(self) -> Connection:
        host, port = self._dsn.host or "localhost", self._dsn.port or DEFAULT_PORT
        connection = Connection(host, port, self._timeout, self._shown)
        # Job 0 never exists: this asks whether the server knows the command.
        stats, known = connection.ask([b"stats", b"reserve-job 0"])
        refused = stats if stats.status != b"OK" else known
        if refused.status != b"NOT_FOUND":
            connection.close()
            refuse(refused, "work with this server", self._shown)
        self._max_job = int(jobs.read_yaml(stats.data)["max-job-size"])
        self.body_limit = min(max(0, self._max_job - jobs.HEADER_ROOM), MAX_BODY)
        return connection

    def _start_afresh(self) -> None:
        """In a forked child: the connections are closed here, and the lock may be held by a thread
        that only the parent has."""
        self._lock = threading.RLock()
        self._held, self._spares = None, []
        self._listing = None  # it has a lock, too


def _under_new_ids(answers: Sequence[tuple[Mended, str]], task_ids: Sequence[str]) -> list[Moved]:
    """Return what became of tasks, each with its new id; with the old one where that is ""."""
    return [
        Moved(mended, new_id or task_id)
        for (mended, new_id), task_id in zip(answers, task_ids, strict=True)
    ]


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._start_afresh()


os.register_at_fork(after_in_child=_after_fork)
