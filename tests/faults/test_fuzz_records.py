"""Records that no Alligator wrote: what a broker keeps beside a body can be anything, too.

ALLIGATOR_FUZZ=20000 sets how many a broker gets a tenth of, ALLIGATOR_FUZZ_SEED which.
"""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import redis as redis_py

from alligator import Gator, Task
from alligator.backends.base import Backend, Entry, Mended, Move, Record, State
from alligator.execution import encode

from .. import tasks
from ..servers import Server, eventually
from .conftest import StartWorker
from .processes import children_of
from .test_fuzz import NUMBER, SEED

GatorFor = Callable[[str], Gator]

QUEUE = "all"

#: Ids as bytes: none, no text, another's spelling, control characters, too long, nearly a UUID.
IDS = (
    *(b"", b"\xff\xfe", b"\xff" + bytes(16), b"\xff" * 17, b"\xff" + bytes(15), b"~", b"~0xff"),
    *(b"a\nb\x1b[31m", b"\0", "é☂".encode(), b"x" * 300, b"\xed\xa0\x80", b"~abc", b"~~0xff"),
    *(b"\xff" + b"A" * 17, b"00000000-0000-0000-0000-000000000000", b"a b", b"~0x", b"~0xf"),
)

#: What may stand in any other place.
ODD = (
    *(b"", b"x", b"\xff", b"{", b"[[1]]", b"[1]", b"{}", b"null", b"a\nb", b"a\nb\nc", b"\n\n\n"),
    *(b'[["e", "t", NaN, "w"]]', b'[["e", "t", 1e999, "w"]]', b"[" * 5000, b"9" * 5000),
    *(b"-1", b"inf", b"nan", b"1e308", b"\0" * 40, b"\xff\xfe\n\xff\n\xff"),
    b'[["\\ud800", 0, 0, 0]]',
)


#: What a worker is to have said of itself.
WORKERS = (
    *(b"{}", b'{"queues": []}', b'{"name": 1, "host": 2, "pid": "x", "queues": [1], "ttl": 9}'),
    b'{"name": "a\\nb", "host": "h", "pid": 1, "queues": ["all"], "processes": 1,'
    b' "started_at": 1, "ttl": 9}',
    b'{"name": "n", "host": "h", "pid": 1, "queues": ["all"], "processes": [],'
    b' "started_at": NaN, "running": [[1, 2, 3, 4], []], "ttl": 9}',
)


def call() -> bytes:
    return encode(Task().to_call(tasks.nothing))


def header(chance: random.Random) -> bytes:
    numbers = (chance.randbytes(6), chance.randbytes(6), chance.randbytes(8))
    named = chance.choice((b"all", b"all", b"mail", b"", b"\xff", b"a\nb", b"x" * 500))
    return b"".join(numbers) + named + b"\0"


def value(chance: random.Random) -> bytes:
    """A task as Redis keeps it, or something else in its place."""
    honest = struct.pack("<IHIHhHBHB", 1, 0, 1, 0, 0, 0, 0, 0, 0) + b"all\0" + call()
    return chance.choice(
        (
            honest,
            honest[: chance.randrange(len(honest))],
            honest[chance.randrange(len(honest)) :],
            header(chance) + call(),
            header(chance) + chance.choice(ODD),
            chance.choice(ODD),
            chance.randbytes(chance.randrange(60)),
        )
    )


def foul_redis(raw: Any, base: bytes, chance: random.Random, number: int) -> None:
    """Write records as any program can that knows the keys."""
    for count in range(number):
        kept = chance.choice(IDS) + (b"" if count < len(IDS) else b"%d" % count)
        if chance.random() < 0.95:
            raw.hset(base + b"tasks", kept, value(chance))
        state = chance.choice(("waiting", "waiting", "delayed", "retrying", "running", "failed"))
        score: Any = chance.choice((0, -5, 1, "-inf", chance.random() * 1e15))
        if state != "running" and chance.random() < 0.2:
            score = chance.choice(("inf", 1e308, 1e17))
        raw.zadd(base + state.encode() + b":all", {kept: score})
        for name in (b"failures", b"unique-of", b"leases", b"held-until"):
            if chance.random() < 0.3:
                raw.hset(base + name, kept, chance.choice(ODD))
        if chance.random() < 0.2:
            raw.zadd(base + b"blocked:all", {kept: 1})
            raw.sadd(base + b"depends:" + kept, chance.choice(IDS))
            raw.sadd(base + b"waiting-on:" + chance.choice(IDS), kept)
    for odd in (*IDS, *ODD, *WORKERS):
        raw.hset(base + b"workers", odd, chance.choice((odd, *WORKERS)))
        raw.zadd(base + b"beats", {odd: chance.choice(("inf", 1e18, 1.5e15, -1))})
        for name in (b"done-total", b"failed-total"):
            raw.hset(base + name, odd, odd)
            raw.hset(base + name, b"all", odd)
    raw.sadd(base + b"queues", *IDS)
    raw.sadd(base + b"paused", *IDS)


def everything(client: Backend) -> Iterator[Record]:
    """All records of all states, read in small pages from both ends, which have to agree."""
    for state in State:
        for backwards in (False, True):
            found: list[Record] = []
            cursor: str | None = None
            while True:
                page = client.peek(QUEUE, state, 7, cursor, backwards)
                found += page.records
                cursor = page.cursor
                if cursor is None:
                    break
            if not backwards:
                yield from found


def at_rest(client: Backend) -> bool:
    counts = client.counts(QUEUE)
    return counts.waiting + counts.running == 0


def look_and_mend(client: Backend) -> None:
    """Each verb of somebody who looks at the queue and clears it up."""
    # Nothing keeps another program from putting one task into two states.
    records = list({record.task_id: record for record in everything(client)}.values())
    assert any(record.state is State.FAILED for record in records)
    for record in records:
        assert record.task_id.isprintable()
        assert record.queue.isprintable() or record.queue == ""
        assert client.find(record.task_id) is not None
        client.finished(record.task_id)
    for record in records[::3]:
        assert client.cancel(record.task_id) is not None
    for record in records[1::3]:
        assert client.requeue(record.task_id)
    moved = client.move_many([Move(record.task_id) for record in records[2::3]], "mail")
    assert {move.mended for move in moved} == {Mended.DONE}
    client.drop_all("mail")
    client.queues(empty=True)
    client.paused()
    client.workers()
    client.drop_all(QUEUE)
    assert list(everything(client)) == []


def test_no_record_in_redis_ends_a_worker(
    redis: Server, redis_dsn: str, start_worker: StartWorker, gator_for: GatorFor
) -> None:
    client = gator_for(redis_dsn).client
    worker = start_worker(redis_dsn, "--log-level", "error")
    eventually(lambda: len(children_of(worker.pid)) == 1, "the worker's process")
    before = children_of(worker.pid)
    prefix = redis_dsn.partition("prefix=")[2].encode()

    with redis_py.Redis(port=redis.port) as raw:
        foul_redis(raw, b"{%s}:" % prefix, random.Random(SEED), NUMBER // 10)
        client.push_many(QUEUE, [Entry("last", b"no task")])
        raw.set(b"{%s}:seq" % prefix, "no number")

    eventually(lambda: at_rest(client), "every task has ended", timeout=60)
    last = client.find("last")
    assert last is not None
    assert last.state is State.FAILED
    assert worker.poll() is None
    assert children_of(worker.pid) == before
    worker.terminate()
    assert worker.wait(20) == 0
    look_and_mend(client)


#: What SQLite is asked to put into a column.
VALUES = (
    *("5", "-1", "1.5", "-2.5", "'abc'", "''", "x'ff'", "x''", "x'fffe'", "'{x'", "'[[1]]'", "'z'"),
    *("CAST(x'fffe' AS TEXT)", "9223372036854775807", "-9223372036854775808", "9e999", "-9e999"),
    *("'../../../tmp/x'", "'a' || char(10) || 'b'", "'0123456789abcdef'", "zeroblob(9)", "3", "1"),
    *('\'[["e", "t", 1e999, "w"]]\'', "CAST(x'5bff5d' AS TEXT)", "4", "2", "NULL"),
)

COLUMNS = (
    *("id", "queue", "state", "rank", "priority", "due", "attempts", "deliveries", "pushed_at"),
    *("lease", "holder", "worker", "failures", "unique_key", "body"),
)


def foul_sqlite(file: sqlite3.Connection, chance: random.Random) -> None:
    """Change rows as any program can that may write the file."""
    for (seq,) in file.execute("SELECT seq FROM tasks WHERE id <> 'last'").fetchall():
        for column in chance.sample(COLUMNS, chance.choice((1, 1, 2, 4))):
            # Some columns refuse NULL, and an id may be taken.
            change = f"UPDATE OR IGNORE tasks SET {column} = {chance.choice(VALUES)}"
            file.execute(f"{change} WHERE seq = {seq}")
        if chance.random() < 0.2:
            place = chance.choice((-1, 10**18, 2**63 - 1))
            file.execute(f"UPDATE OR IGNORE tasks SET seq = {place} WHERE seq = {seq}")
    for value in VALUES:
        file.execute(f"INSERT OR IGNORE INTO totals VALUES ({value}, 9, {value})")
        file.execute(f"INSERT OR IGNORE INTO totals VALUES ('all', {value}, {value})")
        file.execute(f"INSERT OR IGNORE INTO dependencies VALUES ({value}, 'no-1')")
        file.execute(f"INSERT OR IGNORE INTO dependencies VALUES ('no-2', {value})")
        file.execute(f"INSERT OR IGNORE INTO paused VALUES ({value})")
        file.execute(f"INSERT OR IGNORE INTO ended VALUES ({value}, {value}, {value})")
        file.execute(f"UPDATE OR IGNORE ended SET done = {value}, failed = {value}")
        file.execute(f"INSERT OR IGNORE INTO workers VALUES ({value}, {value}, {value})")
        file.execute(f"INSERT OR IGNORE INTO results VALUES ('r', {value}, {value})")
    for said in WORKERS:
        file.execute("INSERT INTO workers VALUES (?, 9e18, ?)", (repr(said), said.decode()))
    file.commit()


def test_no_record_in_sqlite_ends_a_worker(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor
) -> None:
    client = gator_for(sqlite_dsn).client
    chance = random.Random(SEED)
    for count in range(NUMBER // 10):
        data = call() if chance.random() < 0.8 else b"no task"
        depends = ("no-1",) if count > 1 and chance.random() < 0.2 else ()
        delay = chance.choice((None, None, 1.0, 1e10))
        client.push_many(QUEUE, [Entry(f"no-{count}", data, delay, depends_on=depends)])
    client.push_many(QUEUE, [Entry("last", b"no task")])
    with closing(sqlite3.connect(sqlite_dsn.removeprefix("sqlite:///"))) as file:
        foul_sqlite(file, chance)

    worker = start_worker(sqlite_dsn, "--log-level", "error")
    eventually(lambda: len(children_of(worker.pid)) == 1, "the worker's process")
    before = children_of(worker.pid)

    def last_has_failed() -> bool:
        record = client.find("last")
        return record is not None and record.state is State.FAILED

    eventually(last_has_failed, "what stands behind them has ended", timeout=60)
    assert worker.poll() is None
    assert children_of(worker.pid) == before
    worker.terminate()
    assert worker.wait(20) == 0
    look_and_mend(client)
    client.result("r")
