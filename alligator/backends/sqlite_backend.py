"""The broker in a file: the contract's verbs over one SQLite database, for a single machine.

A lease lasts as long as the process that took it: each client that reserves holds a lock on a file
of its own, which the system lets go when the process ends, however it ends. Whoever next finds
nothing to do, or looks after a while, gives the dead one's leases back. See sqlite_schema_*.sql
for what is kept, sqlite_moves.py for how a task moves, sqlite_ledger.py for the sums,
sqlite_views.py for how it is looked at, sqlite_foreign.py for rows of other programs,
sqlite_notes.py for pauses and workers, sqlite_place.py for which paths will do, sqlite_file.py for
taking turns, errors and forks, sqlite_patience.py for what other programs keep locked,
sqlite_lock.py for lives and sqlite_wake.py for waking without polling.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from .. import dsn as dsns
from ..exceptions import BrokerError, BrokerRefused
from . import sqlite_notes as notes
from . import sqlite_views as views
from .base import (
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
    check_name,
    waiting_last,
)
from .roster import WorkerRecord
from .sqlite_file import QueueFile, is_out_of_room
from .sqlite_ledger import STATES
from .sqlite_lock import abandon_life, begin_life, end_life, has_file, is_alive, make_folder
from .sqlite_moves import Holder, Moves, held_by
from .sqlite_place import Place
from .sqlite_wake import Waiter, wake

#: Seconds an idle client sleeps before it looks for dead workers, and for a wake-up it missed.
_LOOK = 0.8

#: Seconds between looks of an idle client on a system without named pipes.
_POLL = 0.02

#: Seconds a busy client may go without looking for dead workers.
_BURIAL = 0.2

#: Seconds between looks for one task's end.
_WATCH = 0.005

_DEFAULT_TIMEOUT = 10.0

#: Bytes that a task takes besides its body, at most.
_PAGES = 4 * 4096

#: Tasks mended in one transaction; others wait for it some 20 ms.
_MENDED = 1000

#: How many clients to wake when it is all of them.
_EVERYBODY = sys.maxsize

_T = TypeVar("_T")
_R = TypeVar("_R")

_MOUNTS = "/proc/self/mountinfo"


class Client(Backend):
    """Speaks the contract to one queue file.

    Args:
        conn_string: sqlite:///relative/path.db or sqlite:////absolute/path.db; the option
            `timeout` is how many seconds a verb waits for its turn to write.
        mounts: where the system lists its file systems, as proc(5) describes mountinfo.

    Attributes:
        clock: returns the Unix time; a test may set its own.
    """

    capabilities = frozenset(Capability) - {Capability.TIMED_LEASES}
    broker = "SQLite"

    def __init__(self, conn_string: str, mounts: str = _MOUNTS) -> None:
        super().__init__()
        dsn = dsns.parse(conn_string)
        dsn.expect_options("timeout")
        place = Place(dsn, mounts)
        self._file = QueueFile(place, dsn.seconds("timeout", _DEFAULT_TIMEOUT))
        self.clock: Callable[[], float] = time.time
        self._life: str | None = None
        self._buried = 0.0
        self._pid = os.getpid()

    # -- queueing ---------------------------------------------------------------------------

    def push_many(self, queue_name: str, entries: Sequence[Entry]) -> list[Receipt]:
        self.check(queue_name, entries)
        # In the log and in the file; of the indices each entry may touch pages of its own.
        adds = sum(2 * len(entry.body) + _PAGES for entry in entries)
        with self._changing(adds) as moves:
            return moves.push(queue_name, entries)

    # -- working ----------------------------------------------------------------------------

    def reserve(self, queues: Sequence[str], limit: int) -> list[Lease]:
        # An idle client must not stand in the way of writers: it looks before it asks for its turn.
        with self._file.reading() as connection:
            idle = views.seconds_to_ready(connection, queues, self.clock()) > 0
            if idle and not self._dead(connection):
                return []
        with self._changing(durable=False) as moves:
            return self._lease_some(moves, queues, limit, bury=idle)

    def settle(
        self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        try:
            return self._settle(outcomes, queues, limit)
        except BrokerRefused as error:
            if not is_out_of_room(error):
                raise
        # One by one they need little room, and use that of the one before again.
        accepted: list[bool] = []
        for outcome in outcomes:
            accepted += self._settle_somehow([outcome], (), 0).accepted
        try:
            leases = self._settle_somehow((), queues, min(limit, 1)).leases
        except BrokerRefused as error:
            if not is_out_of_room(error):
                raise
            leases = []  # what is settled is; that there is no room for more is not its fault
        return Settled(accepted, leases)

    def _settle_somehow(
        self, outcomes: Sequence[Outcome], queues: Sequence[str], limit: int
    ) -> Settled:
        try:
            return self._settle(outcomes, queues, limit)
        except BrokerRefused as error:
            if not is_out_of_room(error):
                raise
        return self._settle(outcomes, queues, limit)  # by now the log has been worked off

    def _settle(self, outcomes: Sequence[Outcome], queues: Sequence[str], limit: int) -> Settled:
        # Who loses a lease with the machine's power has lost the process that held it, too.
        with self._changing(durable=bool(outcomes)) as moves:
            accepted = moves.settle(outcomes)
            return Settled(accepted, self._lease_some(moves, queues, limit))

    def _lease_some(
        self, moves: Moves, queues: Sequence[str], limit: int, bury: bool = False
    ) -> list[Lease]:
        if limit <= 0 or not queues:
            return []
        if bury or time.monotonic() - self._buried > _BURIAL:
            self._bury(moves)
        moves.promote(queues)
        return moves.take(queues, limit, self._holder())

    def extend(self, leases: Sequence[Lease]) -> list[bool]:
        """Tell which leases still hold: their time is their process's."""
        with self._file.reading() as connection:
            return [
                held is not None and views.holds(connection, held) for held in map(held_by, leases)
            ]

    def wait(self, queues: Sequence[str], timeout: float, wake_on: int | None = None) -> None:
        deadline = time.monotonic() + timeout
        with self._file.reading():  # which makes the file, and translates what goes wrong
            make_folder(self._file.folder, self._file.path)
        with Waiter(self._file.folder, self._file.path, queues) as waiter:
            while True:
                # Looking after the pipe was made, so that no push falls between the two.
                pause = self._seconds_to_work(queues)
                left = deadline - time.monotonic()
                if pause <= 0 or left <= 0:
                    return
                pause = min(pause, left, _LOOK if waiter.wakes else _POLL)
                if waiter.sleep(pause, wake_on):
                    return

    def _seconds_to_work(self, queues: Sequence[str]) -> float:
        with self._file.reading() as connection:
            if self._dead(connection):
                return 0.0
            return views.seconds_to_ready(connection, queues, self.clock())

    def claim(self, task_id: str, force: bool = False) -> Lease | None:
        with self._changing() as moves:
            self._bury(moves)
            return moves.claim(task_id, force, self._holder())

    # -- looking and mending ------------------------------------------------------------------

    def queues(self, empty: bool = False) -> list[str]:
        with self._file.reading() as connection:
            return views.queues(connection, empty)

    def counts(self, queue_name: str) -> Counts:
        self._catch_up([queue_name])
        with self._file.reading() as connection:
            return views.counts(connection, queue_name, self.clock())

    def peek(
        self,
        queue_name: str,
        state: State,
        limit: int = 20,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page:
        self._catch_up([queue_name])
        return self._look(
            lambda connection: views.peek(
                connection, queue_name, state, limit, cursor, reverse, self.clock()
            )
        )

    def find(self, task_id: str) -> Record | None:
        self._catch_up([])
        return self._look(lambda connection: views.find(connection, task_id, self.clock()))

    def _look(self, look: Callable[[sqlite3.Connection], _T]) -> _T:
        """Look at records, having made readable what another program wrote."""
        while True:
            with self._file.reading() as connection:
                try:
                    return look(connection)
                except views.ForeignRows as error:
                    foreign = error.seqs
            with self._changing() as moves:
                for seq in foreign:
                    moves.mend(seq)

    def cancel(self, task_id: str) -> bytes | None:
        ((mended, body),) = self._mend([task_id], Moves.cancel)
        return body if self._not_running(mended, task_id) is Mended.DONE else None

    def cancel_many(self, task_ids: Sequence[str]) -> list[Mended]:
        return [mended for mended, _ in self._mend(task_ids, Moves.cancel)]

    def requeue_many(self, task_ids: Sequence[str]) -> list[Mended]:
        return self._mend(task_ids, Moves.requeue)

    def move_many(self, moves: Sequence[Move], queue_name: str) -> list[Moved]:
        self.check_moves(queue_name, moves)
        mended = self._mend(
            moves,
            lambda here, move: here.move(move, queue_name),
            adds=sum(2 * len(move.body) + _PAGES for move in moves if move.body is not None),
        )
        return [Moved(each, move.task_id) for each, move in zip(mended, moves, strict=True)]

    def _mend(self, tasks: Sequence[_T], act: Callable[[Moves, _T], _R], adds: int = 0) -> list[_R]:
        """Do one thing to each of the tasks, with a transaction for so many of them."""
        answers: list[_R] = []
        for start in range(0, len(tasks), _MENDED):
            with self._changing(adds) as moves:
                self._bury(moves)
                answers += [act(moves, task) for task in tasks[start : start + _MENDED]]
        return answers

    def drop(self, queue_name: str, states: Collection[State]) -> int:
        if State.RUNNING in states:
            raise ValueError("running tasks cannot be dropped; their workers hold them")
        self._catch_up([queue_name])
        with self._file.reading() as connection:
            last = views.last_seq(connection)
        order = [STATES.index(state) for state in waiting_last(states)]
        return sum(self._drop(queue_name, code, last) for code in order)

    def _drop(self, queue_name: str, code: int, last: int) -> int:
        dropped = 0
        while True:
            with self._changing() as moves:
                chunk = moves.drop(queue_name, code, last)
            if not chunk:
                return dropped
            dropped += chunk

    def _catch_up(self, queues: Sequence[str]) -> None:
        """Have what dead workers held, and tasks whose time has come, counted and listed as
        waiting."""
        while True:
            with self._file.reading() as connection:
                now = self.clock()
                due = any(views.has_due(connection, queue, now) for queue in queues)
                if not due and not self._dead(connection):
                    return
            # Looking has to work on a full disk, too; they are then shown as what the file says.
            try:
                with self._changing() as moves:
                    self._bury(moves)
                    moves.promote(queues)
            except BrokerError:
                return

    def pause(self, queue_name: str) -> None:
        check_name("queue name", queue_name)
        with self._changing() as moves:
            notes.pause(moves.connection, queue_name)

    def resume(self, queue_name: str) -> None:
        with self._changing() as moves:
            notes.resume(moves.connection, queue_name)
            moves.ledger.ready[queue_name] += _EVERYBODY

    def paused(self) -> list[str]:
        with self._file.reading() as connection:
            return notes.paused(connection)

    def forget(self, queue_name: str) -> None:
        with self._file.writing() as connection:
            notes.forget(connection, queue_name)

    # -- workers ----------------------------------------------------------------------------

    def beat(self, worker: WorkerRecord, ttl: float) -> None:
        # What acks need on a full disk is not for this, nor is a wait for the disk, from which an
        # idle machine's would never rest.
        with self._file.writing(_PAGES, durable=False) as connection:
            notes.beat(connection, worker, ttl, self._holder().life, self.clock())

    def leave(self, name: str) -> None:
        with self._file.writing() as connection:
            notes.leave(connection, name)

    def workers(self) -> list[WorkerRecord]:
        with self._file.reading() as connection:
            return notes.workers(connection, self.clock(), self._lives)

    # -- results ----------------------------------------------------------------------------

    def result(self, task_id: str) -> bytes | None:
        with self._file.reading() as connection:
            return views.result(connection, task_id, self.clock())

    @contextmanager
    def watching(self, task_id: str) -> Iterator[Callable[[float], None]]:
        def wait(seconds: float) -> None:
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                with self._file.reading() as connection:
                    if not views.is_unfinished(connection, task_id):
                        return
                time.sleep(min(left, _WATCH))

        yield wait

    # -- the connection -----------------------------------------------------------------------

    def ping(self) -> str:
        with self._file.writing():
            return f"SQLite {sqlite3.sqlite_version}"

    def examine(self) -> list[Finding]:
        from .sqlite_examination import examine  # for operators; no worker needs it

        return examine(self._file.path)

    def close(self) -> None:
        life, self._life = self._life, None
        try:
            if life is not None and self._pid == os.getpid() and os.path.exists(self._file.path):
                # Without its file the life is over, so that others give back what we cannot.
                with suppress(BrokerError), self._changing() as moves:
                    moves.give_back(life)
        finally:
            if life is not None:
                abandon_life(self._file.folder, life)
            self._file.close()

    # -- lives and wake-ups -----------------------------------------------------------------------

    @contextmanager
    def _changing(self, adds: int = 0, durable: bool = True) -> Iterator[Moves]:
        """Make some moves in one transaction, then wake those for whom it made tasks ready.

        Args:
            adds, durable: see QueueFile.writing.
        """
        with self._file.writing(adds, durable) as connection:
            moves = Moves(connection, self.clock(), soon=2 * _LOOK)
            yield moves
            moves.ledger.write(connection)
            ready = [
                (queue, number)
                for queue, number in moves.ledger.ready.items()
                if number > 0 and queue not in moves.paused
            ]
        for queue, number in ready:
            wake(self._file.folder, queue, number)
        for life in moves.ended:
            end_life(self._file.folder, life)

    def _holder(self) -> Holder:
        """Who takes leases for this client; called within a write transaction."""
        if self._pid != os.getpid():
            self._life, self._pid = None, os.getpid()
        if self._life is not None and not has_file(self._file.folder, self._life):
            # A cleaner of temporary files took it: what we hold is lost, what we take must not be.
            abandon_life(self._file.folder, self._life)
            self._life = None
        if self._life is None:
            make_folder(self._file.folder, self._file.path)
            self._life = begin_life(self._file.folder, self._file.path)
            # A client that nobody closes must not hold its leases until the process ends.
            weakref.finalize(self, abandon_life, self._file.folder, self._life)
        return Holder(self._life, self.worker)

    def _dead(self, connection: sqlite3.Connection) -> list[str]:
        return [life for life in views.lives_with_leases(connection) if not self._lives(life)]

    def _lives(self, life: str) -> bool:
        return is_alive(self._file.folder, life)

    def _bury(self, moves: Moves) -> None:
        """Give back the leases of processes that have ended."""
        self._buried = time.monotonic()
        for life in self._dead(moves.connection):
            moves.give_back(life)
