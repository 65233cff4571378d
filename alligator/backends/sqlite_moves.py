"""What happens to tasks in a queue file: every move of base.py's drawing, inside a transaction."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import compress, groupby
from typing import Any, NamedTuple, cast

from ..exceptions import TaskRunning
from . import sqlite_notes as notes
from .base import (
    Ack,
    Defer,
    Entry,
    Fail,
    Failure,
    Lease,
    Mended,
    Move,
    Outcome,
    Receipt,
    Release,
    Retry,
    dump_failures,
    load_failures,
)
from .sqlite_foreign import FOREIGN, LIFE, MEND, is_leasable, is_name, new_id, shown
from .sqlite_ledger import BLOCKED, DELAYED, FAILED, RETRYING, RUNNING, TIMED, WAITING, Ledger

#: Tasks moved or removed by one statement at most: others wait some 0.1 s for such a transaction.
CHUNK = 10_000

#: The largest integer of SQLite, beyond which no task has a place in line.
_MOST = 2**63 - 1

_TAIL = f"(SELECT coalesce(max(seq), 0) + 1 FROM tasks WHERE seq < {_MOST})"
_FREE = "lease = NULL, holder = NULL, worker = NULL"
HELD = "seq = ? AND lease = ? AND id = ?"

Held = tuple[int, int, str]

#: Outcomes after which the file still has the task.
_Kept = Retry | Fail | Release | Defer


class Holder(NamedTuple):
    """Who takes leases: the life they end with, and the name to show."""

    life: str
    worker: str


class _Row(NamedTuple):
    seq: int
    queue: str
    state: int
    priority: int
    worker: str | None
    rank: float
    due: float | None


class Moves:
    """The changes of one write transaction at one time.

    Attributes:
        connection: where the transaction runs.
        ledger: what moved, in numbers; whoever commits writes it before.
        ended: the lives that are over and hold nothing any more, once it is committed.

    Args:
        now: the Unix time.
        soon: see Ledger.
    """

    def __init__(self, connection: sqlite3.Connection, now: float, soon: float) -> None:
        self.connection = connection
        self.ledger = Ledger(now + soon)
        self.ended: list[str] = []
        self._now = now

    # -- pushing ----------------------------------------------------------------------------

    def push(self, queue: str, entries: Sequence[Entry]) -> list[Receipt]:
        """Insert those entries whose id and unique key nobody holds."""
        held = self._held_ids(entries)
        keys = self._held_keys(entries)
        receipts, rows, dependencies = [], [], []
        held_as: dict[str, str] = {}
        for entry in entries:
            task_id, unique = entry.task_id, entry.unique
            if task_id in held:
                receipts.append(Receipt(task_id, False))
                continue
            if unique is not None and unique in keys:
                receipts.append(Receipt(keys[unique], False))
                held_as[task_id] = keys[unique]
                held.add(keys[unique])
                continue
            blockers = []
            if entry.depends_on:
                awaited = dict.fromkeys(held_as.get(each, each) for each in entry.depends_on)
                blockers = [each for each in awaited if each in held]
                dependencies += [(task_id, each) for each in blockers]
            state, rank, due = self._place(entry.priority, entry.delay_until, bool(blockers))
            rows.append(
                (task_id, queue, state, rank, entry.priority, due, self._now, unique, entry.body)
            )
            self.ledger.arrived(queue, state, rank)
            held.add(task_id)
            if unique is not None:
                keys[unique] = task_id
            receipts.append(Receipt(task_id, True))
        self.connection.executemany(
            "INSERT INTO tasks (id, queue, state, rank, priority, due, pushed_at, unique_key, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self.connection.executemany("INSERT INTO dependencies VALUES (?, ?)", dependencies)
        self._forget_results([row[0] for row in rows])
        return receipts

    def _forget_results(self, task_ids: list[str]) -> None:
        """Nobody must take an earlier task of the same id for the one that now is queued."""
        (some,) = self.connection.execute("SELECT EXISTS (SELECT 1 FROM results)").fetchone()
        if some:
            self.connection.execute(
                "DELETE FROM results WHERE task_id IN (SELECT value FROM json_each(?))",
                (json.dumps(task_ids),),
            )

    def _held_ids(self, entries: Sequence[Entry]) -> set[str]:
        ids = [each for entry in entries for each in (entry.task_id, *entry.depends_on)]
        found = self.connection.execute(
            "SELECT id FROM tasks WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
        )
        return {task_id for (task_id,) in found}

    def _held_keys(self, entries: Sequence[Entry]) -> dict[str, str]:
        keys = [entry.unique for entry in entries if entry.unique is not None]
        if not keys:
            return {}
        found = self.connection.execute(
            "SELECT unique_key, id FROM tasks WHERE state <> ? AND unique_key IS NOT NULL"
            " AND unique_key IN (SELECT value FROM json_each(?)) ORDER BY seq DESC",
            (FAILED, json.dumps(keys)),
        )
        return {key: shown(task_id) for key, task_id in found}

    def _place(
        self, priority: int, due: float | None, blocked: bool = False, timed: int = DELAYED
    ) -> tuple[int, float, float | None]:
        """The state, rank and due time of a task that is to run from `due` on."""
        if blocked:
            return BLOCKED, 0.0, due
        if due is not None and due > self._now:
            return timed, due, due
        return WAITING, -priority, None

    # -- handing out --------------------------------------------------------------------------

    @cached_property
    def paused(self) -> frozenset[str]:
        """The queues from which nothing is handed out."""
        return frozenset(notes.paused(self.connection))

    def promote(self, queues: Iterable[str]) -> int:
        """Move tasks whose time has come to where their priority and push put them."""
        promoted = 0
        for queue in queues:
            for state in TIMED:
                moved = self.connection.execute(
                    "UPDATE tasks SET state = ?, rank = -priority, due = NULL WHERE seq IN"
                    " (SELECT seq FROM tasks WHERE state = ? AND queue = ? AND rank <= ?"
                    " ORDER BY rank, seq LIMIT ?)",
                    (WAITING, state, queue, self._now, CHUNK),
                ).rowcount
                self.ledger.moved(queue, state, WAITING, moved)
                promoted += moved
        return promoted

    def take(self, queues: Iterable[str], limit: int, holder: Holder) -> list[Lease]:
        """Lease up to `limit` waiting tasks, from the earlier queues first."""
        leases: list[Lease] = []
        for queue in queues:
            if len(leases) >= limit:
                break
            if queue in self.paused:
                continue
            number = _new_number()
            rows = self.connection.execute(
                "UPDATE tasks SET state = ?, rank = ?, due = NULL, lease = ?, holder = ?,"
                " worker = ?, deliveries = deliveries + 1 WHERE seq IN (SELECT seq FROM tasks"
                " WHERE state = ? AND queue = ? ORDER BY rank, seq LIMIT ?)"
                " RETURNING -priority, seq, id, body, attempts, deliveries, priority",
                (RUNNING, self._now, number, *holder, WAITING, queue, limit - len(leases)),
            ).fetchall()
            self.ledger.moved(queue, WAITING, RUNNING, len(rows))
            for at, row in enumerate(rows):
                if not is_leasable(*row[2:]):
                    rows[at] = self._leased_anew(row[1])
            leases += [
                Lease(queue, task_id, body, f"{seq}.{number}", priority, attempts, deliveries)
                for _, seq, task_id, body, attempts, deliveries, priority in sorted(rows)
            ]
        return leases

    def _leased_anew(self, seq: int) -> tuple[Any, ...]:
        """What `take` wants to know of a row that it could not read."""
        self.mend(seq)
        row: tuple[Any, ...] = self.connection.execute(
            "SELECT -priority, seq, id, body, attempts, deliveries, priority FROM tasks"
            " WHERE seq = ?",
            (seq,),
        ).fetchone()
        return row

    def claim(self, task_id: str, force: bool, holder: Holder) -> Lease | None:
        """Lease one task from any state, the running one only by force."""
        row = self._find(task_id)
        if row is None:
            return None
        if not force:
            _refuse_running(task_id, row)
        number = _new_number()
        body, attempts, deliveries = self.connection.execute(
            "UPDATE tasks SET state = ?, rank = ?, due = NULL, lease = ?, holder = ?, worker = ?,"
            " deliveries = deliveries + 1 WHERE seq = ? RETURNING body, attempts, deliveries",
            (RUNNING, self._now, number, *holder, row.seq),
        ).fetchone()
        self._forget_dependencies(task_id)
        self.ledger.moved(row.queue, row.state, RUNNING)
        token = f"{row.seq}.{number}"
        return Lease(row.queue, task_id, body, token, row.priority, attempts, deliveries)

    # -- settling -----------------------------------------------------------------------------

    def settle(self, outcomes: Iterable[Outcome]) -> list[bool]:
        """End leases; return for each whether it held still."""
        accepted: list[bool] = []
        for kind, alike in groupby(outcomes, type):
            if kind is Ack:
                accepted += self._ack(cast(list[Ack], list(alike)))
            else:
                accepted += [self._keep(cast(_Kept, outcome)) for outcome in alike]
        return accepted

    def _keep(self, outcome: _Kept) -> bool:
        held = held_by(outcome.lease)
        if held is None:
            return False
        match outcome:
            case Retry():
                return self._retry(held, outcome)
            case Fail():
                return self._fail(held, outcome)
            case Release():
                return self._release(held, outcome)
            case Defer():
                return self._defer(held, outcome)

    def _ack(self, acks: Sequence[Ack]) -> list[bool]:
        accepted = self._remove([held_by(ack.lease) for ack in acks])
        done = acks if all(accepted) else list(compress(acks, accepted))
        for queue, number in Counter(ack.lease.queue for ack in done).items():
            self.ledger.done(queue, number)
        results = [
            (ack.lease.task_id, ack.result, self._now + ack.result_ttl)
            for ack in done
            if ack.result_ttl > 0
        ]
        if results:
            self.connection.execute("DELETE FROM results WHERE expires <= ?", (self._now,))
            self.connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", results)
        if self._has_dependencies:
            for ack in done:
                self._free_dependents(ack.lease.task_id)
        return accepted

    def _remove(self, tasks: Sequence[Held | None]) -> list[bool]:
        """Remove tasks whose leases hold; return for each whether its did."""
        remove = f"DELETE FROM tasks WHERE {HELD}"
        removed = [True] * len(tasks)
        self.connection.execute("SAVEPOINT removing")
        # In one call they are removed more quickly, but that only says how many there were.
        if self.connection.executemany(remove, filter(None, tasks)).rowcount < len(tasks):
            self.connection.execute("ROLLBACK TO removing")
            removed = [
                task is not None and self.connection.execute(remove, task).rowcount > 0
                for task in tasks
            ]
        self.connection.execute("RELEASE removing")
        return removed

    def _retry(self, held: Held, outcome: Retry) -> bool:
        failures = self._failures_with(held, outcome.failure)
        if failures is None:
            return False
        queue, priority = outcome.lease.queue, outcome.lease.priority
        state, rank, due = self._place(priority, self._now + outcome.delay, timed=RETRYING)
        self.connection.execute(
            f"UPDATE tasks SET seq = {_TAIL}, state = ?, rank = ?, due = ?, body = ?,"
            f" attempts = attempts + 1, failures = ?, {_FREE} WHERE {HELD}",
            (state, rank, due, outcome.body, failures, *held),
        )
        self.ledger.moved(queue, RUNNING, None)
        self.ledger.arrived(queue, state, rank)
        return True

    def _fail(self, held: Held, outcome: Fail) -> bool:
        failures = self._failures_with(held, outcome.failure)
        if failures is None:
            return False
        self.connection.execute(
            "UPDATE tasks SET state = ?, rank = ?, attempts = attempts + ?,"
            f" deliveries = deliveries - ?, failures = ?, {_FREE} WHERE {HELD}",
            (FAILED, self._now, outcome.attempted, not outcome.charged, failures, *held),
        )
        self.ledger.failed(outcome.lease.queue)
        return True

    def _release(self, held: Held, outcome: Release) -> bool:
        released = self.connection.execute(
            f"UPDATE tasks SET state = ?, rank = -priority, deliveries = deliveries - ?, {_FREE}"
            f" WHERE {HELD}",
            (WAITING, not outcome.charged, *held),
        ).rowcount
        self.ledger.moved(outcome.lease.queue, RUNNING, WAITING, released)
        return released > 0

    def _defer(self, held: Held, outcome: Defer) -> bool:
        queue, priority = outcome.lease.queue, outcome.lease.priority
        state, rank, due = self._place(priority, self._now + outcome.delay)
        deferred = self.connection.execute(
            f"UPDATE tasks SET state = ?, rank = ?, due = ?, deliveries = deliveries - 1, {_FREE}"
            f" WHERE {HELD}",
            (state, rank, due, *held),
        ).rowcount
        if deferred:
            self.ledger.moved(queue, RUNNING, None)
            self.ledger.arrived(queue, state, rank)
        return deferred > 0

    def _failures_with(self, held: Held, failure: Failure) -> str | None:
        """The failures of a leased task and this one, to be written; None if the lease is lost."""
        row = self.connection.execute(f"SELECT failures FROM tasks WHERE {HELD}", held).fetchone()
        return None if row is None else dump_failures([*load_failures(row[0]), failure])

    def give_back(self, life: str) -> None:
        """Make ready again what was leased under a life that is over."""
        rows = self.connection.execute(
            f"UPDATE tasks SET state = ?, rank = -priority, {_FREE}"
            f" WHERE state = ? AND {LIFE} = ? RETURNING queue",
            (WAITING, RUNNING, life),
        ).fetchall()
        for (queue,) in rows:
            self.ledger.moved(shown(queue), RUNNING, WAITING)
        self.ended.append(life)

    # -- mending ------------------------------------------------------------------------------

    def requeue(self, task_id: str) -> Mended:
        """Send a task to the tail of its queue as if it had never run."""
        row = self._find(task_id)
        if row is None or row.state == RUNNING:
            return _untouched(row)
        if row.state == WAITING:
            return Mended.WAITING
        self.connection.execute(
            f"UPDATE tasks SET seq = {_TAIL}, state = ?, rank = -priority, due = NULL,"
            " attempts = 0, deliveries = 0 WHERE seq = ?",
            (WAITING, row.seq),
        )
        self._forget_dependencies(task_id)
        self.ledger.moved(row.queue, row.state, WAITING)
        return Mended.DONE

    def cancel(self, task_id: str) -> tuple[Mended, bytes]:
        """Remove one task that is not running; return its body too."""
        row = self._find(task_id)
        if row is None or row.state == RUNNING:
            return _untouched(row), b""
        (body,) = self.connection.execute(
            "DELETE FROM tasks WHERE seq = ? RETURNING body", (row.seq,)
        ).fetchone()
        self._forget_dependencies(task_id)
        self.ledger.moved(row.queue, row.state, None)
        return Mended.DONE, body

    def move(self, move: Move, queue: str) -> Mended:
        """Put a task that is not running into another queue; its seq and rank place it there."""
        row = self._find(move.task_id)
        if row is None or row.state == RUNNING:
            return _untouched(row)
        self.connection.execute(
            "UPDATE tasks SET queue = ?, body = coalesce(?, body) WHERE seq = ?",
            (queue, move.body, row.seq),
        )
        if row.queue != queue:
            self.ledger.moved(row.queue, row.state, None)
            self.ledger.arrived(queue, row.state, row.rank)
        return Mended.DONE

    def drop(self, queue: str, state: int, last: int) -> int:
        """Remove a chunk of the queue's tasks in one state, none pushed after `last`."""
        some = (
            "SELECT {} FROM tasks WHERE state = ? AND queue = ? AND seq <= ? ORDER BY rank LIMIT ?"
        )
        chosen = (state, queue, last, CHUNK)
        if state == BLOCKED:
            self.connection.execute(
                f"DELETE FROM dependencies WHERE task_id IN ({some.format('id')})", chosen
            )
        dropped = self.connection.execute(
            f"DELETE FROM tasks WHERE seq IN ({some.format('seq')})", chosen
        ).rowcount
        self.ledger.moved(queue, state, None, dropped)
        return dropped

    # -- dependencies and single rows ------------------------------------------------------------

    @cached_property
    def _has_dependencies(self) -> bool:
        # Most queues have none: one look then spares every ack two.
        (some,) = self.connection.execute("SELECT EXISTS (SELECT 1 FROM dependencies)").fetchone()
        return bool(some)

    def _free_dependents(self, task_id: str) -> None:
        freed = self.connection.execute(
            "DELETE FROM dependencies WHERE depends_on = ? RETURNING task_id", (task_id,)
        ).fetchall()
        for dependent in {task_id for (task_id,) in freed if is_name(task_id)}:
            row = self._find(dependent)
            if row is None or row.state != BLOCKED or self._is_held_back(dependent):
                continue
            state, rank, due = self._place(row.priority, row.due)
            self.connection.execute(
                "UPDATE tasks SET state = ?, rank = ?, due = ? WHERE seq = ?",
                (state, rank, due, row.seq),
            )
            self.ledger.moved(row.queue, BLOCKED, None)
            self.ledger.arrived(row.queue, state, rank)

    def _is_held_back(self, task_id: str) -> bool:
        (some,) = self.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM dependencies WHERE task_id = ?)", (task_id,)
        ).fetchone()
        return bool(some)

    def _forget_dependencies(self, task_id: str) -> None:
        self.connection.execute("DELETE FROM dependencies WHERE task_id = ?", (task_id,))

    def _find(self, task_id: str) -> _Row | None:
        select = (
            "SELECT seq, queue, state, priority, worker, due, rank, "
            f"{FOREIGN} FROM tasks WHERE id = ?"
        )
        found = self.connection.execute(select, (task_id,)).fetchone()
        if found is None:
            return None
        if found[-1] or not is_name(found[1]):
            self.mend(found[0])
            found = self.connection.execute(select, (task_id,)).fetchone()
        seq, queue, code, priority, worker, due, rank, _ = found
        if code in TIMED and rank <= self._now:
            self.connection.execute(
                "UPDATE tasks SET state = ?, rank = -priority, due = NULL WHERE seq = ?",
                (WAITING, seq),
            )
            self.ledger.moved(queue, code, WAITING)
            code, rank = WAITING, -priority
        return _Row(seq, queue, code, priority, worker and shown(worker), rank, due)

    def mend(self, seq: int) -> None:
        """Make a row readable; what has no id gets one."""
        task_id, queue, before = self.connection.execute(
            "SELECT id, queue, state FROM tasks WHERE seq = ?", (seq,)
        ).fetchone()
        another = None if is_name(task_id) else new_id()
        elsewhere = None if is_name(queue) else shown(queue) or "foreign"
        self.connection.execute(MEND, (another, elsewhere, seq))
        (after,) = self.connection.execute(
            "SELECT state FROM tasks WHERE seq = ?", (seq,)
        ).fetchone()
        if after != before:
            self.ledger.arrived(shown(queue), after, 0.0)


def _new_number() -> int:
    return int.from_bytes(os.urandom(7), "big")


def held_by(lease: Lease) -> Held | None:
    """Return what a row has to match for the lease to hold; None for a token that is not ours."""
    # A row's place in line, which another program may have chosen, and a fence.
    place, _, fence = lease.token.partition(".")
    try:
        seq, number = int(place), int(fence)
    except ValueError:
        return None
    # SQLite takes no integers beyond, and no fence is negative.
    if abs(seq) > _MOST or not 0 <= number <= _MOST:
        return None
    return seq, number, lease.task_id


def _untouched(row: _Row | None) -> Mended:
    return Mended.MISSING if row is None else Mended.RUNNING


def _refuse_running(task_id: str, row: _Row) -> None:
    if row.state == RUNNING:
        raise TaskRunning(f"task {task_id!r} is running on {row.worker}; wait until it ends")
