"""The Redis and Valkey client: the contract's verbs, each one script of redis_scripts/."""

from __future__ import annotations

import itertools
import math
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any, NoReturn

from .. import dsn as dsns
from ..exceptions import BrokerRefused, InvalidDSN, InvalidTask, TaskRunning
from .base import (
    DEFAULT_LEASE,
    Backend,
    Capability,
    Counts,
    Entry,
    Finding,
    Finished,
    FinishedState,
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
from .redis_driver import SENTINEL_OPTIONS, TLS_OPTIONS, encrypted
from .redis_line import Line
from .redis_link import Link, read_info
from .redis_wire import (
    MAX_LOST,
    Asked,
    in_chunks,
    microseconds,
    read_flags,
    read_id,
    read_lease,
    read_record,
    shown,
    write_id,
    write_lost,
    write_outcomes,
    write_terms,
)
from .roster import STALE_KEPT, WorkerRecord, dump_worker, load_workers

_is_score = re.compile(r"-?(\d+|inf)").fullmatch

#: Entries in one push. A command may have about a million parts, and a script should stay short.
MAX_PUSH = 100_000

#: Seconds between two looks for workers that have ended without a word, and for how long one has to
#: be gone. One whose line broke says so in milliseconds.
_LOOK, _GONE = 0.4, 0.6

#: Leased tasks whose ids are known as Redis keeps them.
MAX_KNOWN = 10_000


class Client(Backend):
    """A broker on Redis 6 or newer, or Valkey.

    DSN: redis:// or valkey://, rediss:// or valkeys:// with TLS, each also with +sentinel and
    +cluster, or unix://. Options: `prefix` (the namespace, "alligator"), `lease` and `timeout` in
    seconds, `db`, `replicas` (how many must have a change before a call returns, 0), with TLS
    redis-py's ssl_ options, with sentinels `sentinel_username` and `sentinel_password`.
    """

    capabilities = frozenset(Capability)
    broker = "Redis"

    def __init__(self, dsn: str) -> None:
        super().__init__()
        parts = dsns.parse(dsn)
        tls = TLS_OPTIONS if encrypted(parts) else ()
        sentinel = SENTINEL_OPTIONS if parts.scheme.endswith("+sentinel") else ()
        parts.expect_options("prefix", "lease", "timeout", "replicas", "db", *sentinel, *tls)
        self.lease_seconds = parts.seconds("lease", DEFAULT_LEASE)
        self._base = _base(parts)
        self._link = Link(parts, self._base, lambda: self.hurry())
        self._line = Line(self._link, self._base)
        self._looked = -math.inf
        self._lost: dict[str, Asked] = {}  # by token; what may have been leased to nobody
        # The ids of what is leased, which its outcomes will name, as Redis keeps them. To make them
        # anew would be a tenth of what a worker does for a task besides running it.
        self._kept_ids: dict[str, bytes] = {}

    # -- queueing ---------------------------------------------------------------------------

    def push_many(self, queue_name: str, entries: Sequence[Entry]) -> list[Receipt]:
        self.check(queue_name, entries)
        if not entries:
            return []
        if len(entries) > MAX_PUSH:
            raise InvalidTask(f"{len(entries)} tasks in one push; push {MAX_PUSH} at a time")
        arguments: list[Any] = [queue_name]
        for entry in entries:
            arguments += (write_id(entry.task_id), entry.body, write_terms(entry))
        refused = self._link.call("push", *arguments)
        receipts = [Receipt(entry.task_id, True) for entry in entries]
        for index, holder in zip(refused[::2], refused[1::2], strict=True):
            receipts[index - 1] = Receipt(read_id(holder), False)
        return receipts

    # -- working ----------------------------------------------------------------------------

    def reserve(self, queues: Sequence[str], limit: int) -> list[Lease]:
        return self.settle((), queues, limit).leases

    def settle(
        self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        wanted = max(0, limit) if queues else 0
        if not outcomes and not wanted and not self._lost:
            return Settled([], [])
        token = self._token()
        asked = Asked(token, queues if wanted else ())
        gone = self._time_gone() if wanted else ""
        ended = write_outcomes(outcomes, self._kept_ids)
        arguments = [wanted, gone, len(queues), *queues, *ended]
        accepted, numbers, ids, values = self._lease("settle", asked, arguments)
        origins = chain.from_iterable(map(repeat, queues, numbers))
        if len(self._kept_ids) > MAX_KNOWN:  # of whatever was not settled here
            self._kept_ids.clear()
        leases = []
        for queue, kept_id, value in zip(origins, ids, values, strict=True):
            if value is not None:
                lease = read_lease(queue, kept_id, value, token)
                self._kept_ids[lease.task_id] = kept_id
                leases.append(lease)
        return Settled(read_flags(accepted), leases)

    def extend(self, leases: Sequence[Lease]) -> list[bool]:
        if not leases:
            return []
        held = [part for lease in leases for part in (write_id(lease.task_id), lease.token)]
        return read_flags(self._link.call("extend", microseconds(self.lease_seconds), *held))

    def wait(self, queues: Sequence[str], timeout: float, wake_on: int | None = None) -> None:
        if timeout > 0:
            # What somebody takes meanwhile, and loses, is due when that lease ends.
            self._link.sleep(tuple(queues), min(timeout, self.lease_seconds), wake_on)

    def claim(self, task_id: str, force: bool = False) -> Lease | None:
        token, kept_id = self._token(), write_id(task_id)
        asked = Asked(token, task_id=task_id)
        answer, *rest = self._lease("claim", asked, [kept_id, int(force)])
        if answer == b"running":
            _refuse_running(task_id, rest)
        if answer == b"over":
            return self.claim(task_id, force)  # as of now; nobody has had that lease
        if answer != b"leased":
            return None
        queue, value = rest
        return read_lease(shown(queue), kept_id, value, token)

    def _token(self) -> str:
        """Return a new fence: which client it is, of whose end the server may know, and more that
        is no other's.

        Its length matters: Redis keeps a small hash as a list that it searches from the front,
        unless a value has over 64 bytes. As a list, `leases` cost 30 % of a settle of 500.
        """
        return self._link.client + secrets.token_hex(16)

    def _time_gone(self) -> int | str:
        """Return for how many microseconds a worker has to be gone, if it is time to look for such
        and this is a worker that may; else nothing."""
        if (now := time.monotonic()) - self._looked < _LOOK or not self._line.judges:
            return ""
        self._looked = now
        return microseconds(_GONE)

    def _lease(self, name: str, asked: Asked, arguments: list[Any]) -> Any:
        """Run a script that leases tasks, and takes back what calls before it leased to nobody.

        A call that is given up may be carried out all the same, when a server that hung goes on.
        Nobody knows of its leases, so when they ended, each would count a death that was none.
        """
        lost = list(self._lost.values())  # a copy, as threads may share this client
        terms = microseconds(self.lease_seconds), asked.token, self.worker, write_lost(lost)
        try:
            answer = self._link.call(name, *terms, *arguments, sending=asked.sending)
        except BaseException:
            if asked.sent:
                self._lost[asked.token] = asked
                for token in list(self._lost)[:-MAX_LOST]:
                    self._lost.pop(token, None)
            raise
        for each in lost:
            self._lost.pop(each.token, None)
        return answer

    # -- looking and mending ------------------------------------------------------------------

    def queues(self, empty: bool = False) -> list[str]:
        return sorted(map(shown, self._link.call("queues", int(empty))))

    def counts(self, queue_name: str) -> Counts:
        waiting, delayed, retrying, running, blocked, failed, age, paused, done, failures = (
            self._link.call("counts", queue_name)
        )
        return Counts(
            queue_name,
            waiting=waiting,
            delayed=delayed,
            retrying=retrying,
            blocked=blocked,
            running=running,
            failed=failed,
            oldest_age=max(0, age) / 1000 if waiting else None,
            paused=bool(paused),
            done_total=done,
            failed_total=failures,
        )

    def peek(
        self,
        queue_name: str,
        state: State,
        limit: int = 20,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> Page:
        score, _, last_id = (cursor or ":").partition(":")
        if cursor is not None and not _is_score(score):
            raise ValueError(f"{cursor!r} is not the cursor of a page")
        if limit < 1:
            return Page([], cursor)
        rows, more = self._link.call(
            "peek", queue_name, state.value, limit, int(reverse), score, write_id(last_id)
        )
        following = f"{rows[-1][2].decode()}:{read_id(rows[-1][0])}" if more else None
        return Page([read_record(row) for row in rows if row[3] is not None], following)

    def find(self, task_id: str) -> Record | None:
        row, _ = self._link.call("find", write_id(task_id))
        return read_record(row) if row else None

    def cancel(self, task_id: str) -> bytes | None:
        ((answer, *body),) = self._link.call("cancel", 1, write_id(task_id))
        self._not_running(Mended(answer.decode()), task_id)
        return body[0] if body else None

    def cancel_many(self, task_ids: Sequence[str]) -> list[Mended]:
        answers = self._mend("cancel", [0], [(write_id(task_id),) for task_id in task_ids])
        return [Mended(answer.decode()) for (answer,) in answers]

    def requeue_many(self, task_ids: Sequence[str]) -> list[Mended]:
        answers = self._mend("requeue", [], [(write_id(task_id),) for task_id in task_ids])
        return [Mended(answer.decode()) for answer in answers]

    def move_many(self, moves: Sequence[Move], queue_name: str) -> list[Moved]:
        self.check_moves(queue_name, moves)
        asked = [
            (write_id(task_id), int(body is not None), b"" if body is None else body)
            for task_id, body in moves
        ]
        answers = self._mend("move", [queue_name], asked)
        return [
            Moved(Mended(answer.decode()), move.task_id)
            for answer, move in zip(answers, moves, strict=True)
        ]

    def _mend(self, name: str, first: list[Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run a script for tasks, not too many at a time; return what it says of each."""
        return [
            answer
            for chunk in in_chunks(tasks)
            for answer in self._link.call(name, *first, *itertools.chain.from_iterable(chunk))
        ]

    def drop(self, queue_name: str, states: Collection[State]) -> int:
        if State.RUNNING in states:
            raise ValueError("running tasks cannot be dropped; their workers hold them")
        dropped = 0
        for state in waiting_last(states):
            more = True
            while more:
                count, more = self._link.call("drop", queue_name, state.value)
                dropped += count
        return dropped

    def pause(self, queue_name: str) -> None:
        check_name("queue name", queue_name)
        self._link.call("pause", queue_name)

    def resume(self, queue_name: str) -> None:
        self._link.call("resume", queue_name)

    def paused(self) -> list[str]:
        return sorted(map(shown, self._link.call("paused")))

    def forget(self, queue_name: str) -> None:
        self._link.call("forget", queue_name)

    # -- workers ----------------------------------------------------------------------------

    def hold_line(self) -> int | None:
        return self._line.hold()

    def beat(self, worker: WorkerRecord, ttl: float) -> None:
        said = dump_worker(worker, ttl)
        terms = worker.name, said, microseconds(STALE_KEPT), self._line.server
        if not self._link.call("beat", *terms):
            self._line.cut()

    def leave(self, name: str) -> None:
        self._link.call("leave", name)
        if self._lost:
            self.settle(())  # there may be no other call that would take it back

    def workers(self) -> list[WorkerRecord]:
        now, *rows = self._link.call("workers", microseconds(STALE_KEPT))
        known = sorted(zip(rows[::3], rows[1::3], rows[2::3], strict=True))
        beats = ((text, float(at) / 1e6) for _, at, text in known)
        return list(load_workers(beats, float(now) / 1e6))

    # -- results ----------------------------------------------------------------------------

    def result(self, task_id: str) -> bytes | None:
        found: bytes | None = self._link.ask("GET", self._key("result", task_id))
        return found

    def finished(self, task_id: str) -> Finished | None:
        # Both looks in one script: a result that an earlier task of this id left is not taken for
        # the answer while a new one is held.
        row, result = self._link.call("find", write_id(task_id))
        if row:
            record = read_record(row)
            if record.state is not State.FAILED:
                return None
            failure = record.failures[-1] if record.failures else None
            return Finished(FinishedState.FAILED, failure=failure)
        if result is None:
            return Finished(FinishedState.GONE)
        return Finished(FinishedState.SUCCESS, result=result)

    @contextmanager
    def watching(self, task_id: str) -> Iterator[Callable[[float], None]]:
        yield from self._link.listen(self._key("done", task_id))

    def _key(self, kind: str, task_id: str) -> bytes:
        return b"%s%s:%s" % (self._base.encode(), kind.encode(), write_id(task_id))

    # -- the connection -----------------------------------------------------------------------

    def ping(self) -> str:
        try:
            facts = read_info(self._link.ask("INFO", "server"))
        except BrokerRefused:
            # Some services forbid INFO. HELLO has less: Valkey 7 passes for Redis there.
            _, name, _, version, *_ = self._link.ask("HELLO")
            facts = {f"{name.decode()}_version": version.decode()}
        name = "valkey" if "valkey_version" in facts else "redis"
        at = self._link.found()
        return f"{name.capitalize()} {facts[f'{name}_version']}" + (at and f" at {at}")

    def examine(self) -> list[Finding]:
        from .redis_examination import examine  # for operators; no worker needs it

        return examine(self._link)

    def close(self) -> None:
        self._line.drop()
        self._link.close()


def _base(dsn: dsns.Dsn) -> str:
    """Return what every key begins with."""
    prefix = dsn.options.get("prefix", "alligator")
    # Braces would change which part of a key Redis Cluster hashes.
    if not prefix.isprintable() or not prefix or set("{}") & set(prefix):
        raise InvalidDSN(
            f"{dsn.redacted()}: prefix {prefix!r} is not one or more printable characters "
            "without { and }"
        )
    return f"{{{prefix}}}:"


def _refuse_running(task_id: str, worker: list[bytes]) -> NoReturn:
    by = shown(worker[0]) if worker else "a worker"
    raise TaskRunning(f"task {task_id} is running on {by}; wait until it ends or its lease is over")
