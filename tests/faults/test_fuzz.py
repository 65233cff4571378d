"""Bodies of any bytes: the worker outlives them, and each ends where somebody can look at it.

ALLIGATOR_FUZZ=20000 sets how many bodies a broker gets, ALLIGATOR_FUZZ_SEED which.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alligator import Gator
from alligator.allow import AllowList
from alligator.backends.base import Backend, Capability, Entry, Record, State
from alligator.signing import Keys
from alligator.trust import Trust
from alligator.utils import DottedPath

from ..servers import eventually
from .conftest import StartWorker
from .fuzz import HARMLESS, QUEUE, bodies, read
from .processes import children_of

GatorFor = Callable[[str], Gator]

NUMBER = int(os.environ.get("ALLIGATOR_FUZZ", "2000"))
SEED = int(os.environ.get("ALLIGATOR_FUZZ_SEED", "1"))

BATCH = 500


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "guarded"])
def test_no_body_ends_a_worker_and_none_is_lost(
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    tmp_path: Path,
    guarded: bool,
) -> None:
    client = gator_for(shared_dsn).client
    trust, options = _guard(client, tmp_path) if guarded else (Trust(), [])
    worker = start_worker(shared_dsn, "--log-level", "error", *options)
    eventually(lambda: len(children_of(worker.pid)) == 1, "the worker's process")
    before = children_of(worker.pid)

    # Of a task that is retried and then fails, beanstalkd leaves neither id nor body.
    retries = 2 if Capability.CUSTOM_IDS in client.capabilities else 0
    pushed = list(bodies(NUMBER, SEED, trust, retries))
    for start in range(0, len(pushed), BATCH):
        client.push_many(QUEUE, pushed[start : start + BATCH])

    eventually(lambda: _at_rest(client), "every task has ended", timeout=60 + NUMBER / 100)
    assert worker.poll() is None
    assert children_of(worker.pid) == before
    failed = list(_failed(client))
    ran = _ended(pushed, failed, trust)
    counted = f"{len(pushed)} bodies, {len(failed)} in the failed set, {len(ran)} ran"
    print(f"{client.broker}{', guarded' if guarded else ''}: {counted}, worker {worker.pid}")
    assert len(failed) > NUMBER / 4
    assert len(ran) > NUMBER / 50
    assert len(failed) + len(ran) == len(pushed)
    for entry in ran:
        task = read(trust, entry.task_id, entry.body)
        assert task is not None, entry
        assert isinstance(task.func, DottedPath)
        assert str(task.func) in HARMLESS
    for record in failed:
        assert record.failures[-1].error


def _guard(client: Backend, folder: Path) -> tuple[Trust, list[str]]:
    file = folder / "secret"
    file.touch(0o600)
    file.write_text("a secret for the fuzzed\n")
    binds = Capability.CUSTOM_IDS in client.capabilities
    trust = Trust(Keys("a secret for the fuzzed"), AllowList(HARMLESS), binds)
    return trust, ["--secret-file", str(file), "--allow", ",".join(HARMLESS)]


def _at_rest(client: Backend) -> bool:
    counts = client.counts(QUEUE)
    return counts.waiting + counts.delayed + counts.retrying + counts.running == 0


def _failed(client: Backend) -> Iterator[Record]:
    cursor: str | None = None
    while True:
        page = client.peek(QUEUE, State.FAILED, BATCH, cursor)
        yield from page.records
        cursor = page.cursor
        if cursor is None:
            return


def _ended(pushed: list[Entry], failed: list[Record], trust: Trust) -> list[Entry]:
    """Return the entries that are not in the failed set. Those that are have to be there byte for
    byte, except that a task that was retried has used up its retries."""
    # By bodies first: beanstalkd gives a task that fails another id.
    kept = Counter(record.body for record in failed)
    gone: dict[str, Entry] = {}
    for entry in pushed:
        if kept[entry.body]:
            kept[entry.body] -= 1
        else:
            gone[entry.task_id] = entry
    for record in failed:
        if kept[record.body]:
            kept[record.body] -= 1
            entry = gone.pop(record.task_id)
            before = read(trust, entry.task_id, entry.body)
            after = read(trust, entry.task_id, record.body)
            assert before is not None
            assert after is not None
            assert (before.retries, after.retries) in ((1, 0), (2, 0))
    return list(gone.values())


HEADERS = (
    *(b"", b"{}", b"[]", b"null", b"{", b"\xff", b"1" * 5000, b"[" * 60_000, b'{"failed": true}'),
    *(b'{"attempts": 1e999}', b'{"attempts": -5}', b'{"attempts": "x"}', b'{"deliveries": 1e308}'),
    *(b'{"pushed_at": NaN}', b'{"pushed_at": 1e308}', b'{"pushed_at": -1e308}', b'{"failures": 1}'),
    *(b'{"failures": [["e", "t", NaN, "w"]]}', b'{"failures": [["e", "t", 1e308, null]]}'),
    *(b'{"failures": [[]]}', b'{"attempts": ' + b"9" * 4000 + b"}", b'{"deliveries": 1000}'),
)


@pytest.mark.parametrize("end", [b"", b"\n", b"\n{}", b"\nnot a task"])
def test_no_header_of_a_job_ends_a_worker(
    beanstalk_dsn: str, start_worker: StartWorker, gator_for: GatorFor, end: bytes
) -> None:
    """What beanstalkd keeps beside a body is in the same bytes, so whoever writes has both."""
    client = gator_for(beanstalk_dsn).client
    worker = start_worker(beanstalk_dsn, "--log-level", "error")
    eventually(lambda: len(children_of(worker.pid)) == 1, "the worker's process")
    before = children_of(worker.pid)

    address = urlsplit(beanstalk_dsn)
    with socket.create_connection((address.hostname, address.port)) as raw:
        raw.sendall(b"use %s\r\n" % QUEUE.encode())
        for header in HEADERS:
            job = b"gator1 " + header + end
            raw.sendall(b"put 0 0 10 %d\r\n%s\r\n" % (len(job), job))
        answers = b""
        while answers.count(b"\n") <= len(HEADERS):
            answers += raw.recv(4096)
    assert answers.count(b"INSERTED") == len(HEADERS)

    eventually(lambda: client.counts(QUEUE).failed == len(HEADERS), "all are in the failed set")
    assert worker.poll() is None
    assert children_of(worker.pid) == before
