"""What is particular to beanstalkd; what all brokers do is tested in tests/contract."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import greenstalk
import pytest

from alligator.backends import beanstalk_mending
from alligator.backends.base import (
    Ack,
    Capability,
    Counts,
    Entry,
    Fail,
    Failure,
    Lease,
    Mended,
    Outcome,
    Release,
    Retry,
    State,
)
from alligator.backends.beanstalk_backend import Client
from alligator.backends.beanstalk_job import HEADER_ROOM, Header, pack, unpack
from alligator.backends.beanstalk_leases import RESERVE_NOW
from alligator.backends.beanstalk_listing import NEAR
from alligator.backends.beanstalk_replacing import _moved
from alligator.backends.beanstalk_wire import REFUSALS, Connection, Reply, refuse
from alligator.exceptions import (
    AlligatorException,
    BodyTooLarge,
    BrokerRefused,
    BrokerUnreachable,
    InvalidDSN,
    InvalidName,
    TaskRunning,
    UnsupportedByBroker,
)
from tests.servers import Server, beanstalkd_server, eventually

WHY = Failure("ValueError: no", "Traceback\n  here", 1700000000.5, "host:1")

STATS = b"OK 24\r\n---\nmax-job-size: 65535\n\r\n"

MakeClient = Callable[..., Client]


@pytest.fixture
def make_client(beanstalk_dsn: str) -> Iterator[MakeClient]:
    """A function that opens one more client; keywords become options of the DSN."""
    opened: list[Client] = []

    def make(dsn: str = beanstalk_dsn, **options: object) -> Client:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        opened.append(Client(f"{dsn}?{query}" if query else dsn))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client()


@pytest.fixture
def foreign(beanstalkd: Server) -> Iterator[greenstalk.Client[bytes]]:
    """Another program on the same server, in the tube `all`."""
    with greenstalk.Client(("127.0.0.1", beanstalkd.port), None, use="all", watch="all") as other:
        yield other


def push(client: Client, body: bytes = b"body", queue: str = "all", **options: object) -> str:
    entry = Entry("ignored", body, **options)  # type: ignore[arg-type]
    return client.push_many(queue, [entry])[0].task_id


def reserve(client: Client, queue: str = "all") -> Lease:
    (lease,) = client.reserve([queue], 1)
    return lease


def end_leases_by_time(holder: Client, watcher: Client) -> None:
    """Wait until the server has ended the leases of `holder`.

    beanstalkd 1.12 often misses the end of a lease of a connection that is silent: it compares two
    readings of its clock with >=, forgets the connection when they are equal, and looks again only
    when the connection next says something. So the holder goes on with other work.
    """

    def ended() -> bool:
        holder.reserve(["elsewhere"], 1)
        return watcher.counts("all").running == 0

    eventually(ended, "the leases do not end")


class Scripted(NamedTuple):
    dsn: str
    received: list[bytes]


@contextmanager
def scripted(*answers: bytes) -> Iterator[Scripted]:
    """A server that gives one of `answers` to each line it gets, then falls silent."""
    lines_received: list[bytes] = []

    def serve() -> None:
        try:
            while True:
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as lines:
                    for answer in answers:
                        lines_received.append(lines.readline())
                        connection.sendall(answer)
                    lines.read()
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield Scripted(f"beanstalk://127.0.0.1:{listener.getsockname()[1]}", lines_received)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def figures(state: bytes) -> bytes:
    """The answer to stats-job for job 7."""
    text = b"id: 7\ntube: all\nstate: %b\npri: 9\nage: 0\nttr: 9\ntime-left: 0\n" % state
    text = b"---\n%breserves: 1\nreleases: 0\nburies: 1\n" % text
    return b"OK %d\r\n%b\r\n" % (len(text), text)


# -- the DSN ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("beanstalk://localhost?prefix=x", "unknown option 'prefix'.*lease, timeout"),
        ("beanstalk://localhost?lease=soon", "lease='soon'"),
        ("beanstalk://localhost?lease=5000000000", "lease='5000000000' is not .* up to 2147483"),
        ("beanstalk://localhost?timeout=0", "timeout='0'"),
        ("beanstalk://user:secret@localhost", r"user:\*\*\*@localhost: beanstalkd has no users"),
        ("beanstalk://localhost/emails", "takes no path"),
    ],
)
def test_a_dsn_that_says_something_else_is_refused(dsn: str, message: str) -> None:
    with pytest.raises(InvalidDSN, match=message):
        Client(dsn)


def test_a_lease_is_rounded_up_to_whole_seconds(make_client: MakeClient) -> None:
    assert make_client(lease=0.2).lease_seconds == 1.0
    assert make_client(lease=2.01).lease_seconds == 3.0
    assert make_client().lease_seconds == 10.0


def test_without_its_driver_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['greenstalk'] = None\n"
        "from alligator.backends.beanstalk_backend import Client\n"
        "from alligator.exceptions import MissingDriver\n"
        "try: Client('beanstalk://localhost')\n"
        "except MissingDriver as error: print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert 'pip install "alligator[beanstalk]"' in done.stdout


def test_a_driver_that_is_broken_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "greenstalk.py").write_text("import no_such_part\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from alligator.backends.beanstalk_backend import Client\n"
        "from alligator.exceptions import MissingDriver\n"
        "try: Client('beanstalk://localhost')\n"
        "except MissingDriver as error: print(error)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]

    done = subprocess.run(argv, capture_output=True, text=True, check=True)

    assert "'greenstalk' cannot be imported: No module named 'no_such_part'; inst" in done.stdout


def test_ping_names_the_server_and_its_version(client: Client) -> None:
    assert client.ping().startswith("beanstalkd 1.")


# -- names, ids and bodies ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["two words", "-dash", "größe", "a\r\ndelete 1", "x" * 201, ""])
def test_a_name_that_no_tube_can_have_is_refused_by_every_verb(client: Client, name: str) -> None:
    for verb in (
        lambda: push(client, queue=name),
        lambda: client.reserve([name], 1),
        lambda: client.wait([name], 0.1),
        lambda: client.counts(name),
        lambda: client.peek(name, State.WAITING),
        lambda: client.drop(name, [State.WAITING]),
    ):
        with pytest.raises(InvalidName, match="queue name"):
            verb()
    assert client.queues() == []


def test_every_character_of_a_tube_name_is_allowed(client: Client) -> None:
    name = "Az09-+/;.$_()" + "x" * 187
    push(client, queue=name)

    assert client.queues() == [name]
    assert client.counts(name).waiting == 1
    assert reserve(client, name).queue == name


def test_a_fresh_job_is_the_body_alone(client: Client, foreign: greenstalk.Client[bytes]) -> None:
    task_id = push(client, b"\x00\r\n\xff")

    assert foreign.peek(int(task_id)).body == b"\x00\r\n\xff"


@pytest.mark.parametrize("body", [b"gator1 ", b'gator1 {"failed":true}\nrest', b"", b"gator1 x\n"])
def test_no_body_is_taken_for_a_header(client: Client, body: bytes) -> None:
    push(client, body)
    first = reserve(client)
    client.settle([Retry(first, body, 0, WHY)])
    second = reserve(client)
    client.settle([Fail(second, WHY)])
    (record,) = client.peek("all", State.FAILED).records

    assert (first.body, first.attempts) == (body, 0)
    assert (second.body, second.attempts) == (body, 1)
    assert (record.body, record.attempts, record.failures) == (body, 2, (WHY, WHY))


@pytest.mark.parametrize(
    "data",
    [
        b"gator1 no json\nx",
        b"gator1 [1]\nx",
        b'gator1 {"attempts":"many"}\nx',
        b'gator1 {"attempts":1e999}\nx',
        b'gator1 {"failures":[[1]]}\nx',
        b'gator1 {"pushed_at":[]}\nx',
        b"gator1 " + b"[" * 100_000,
    ],
)
def test_what_only_looks_like_a_header_is_a_body(data: bytes) -> None:
    assert unpack(data) == (Header(), data)


def test_a_header_cuts_failures_until_it_fits() -> None:
    long = Failure("E" * 5000, "☂" * 9000, 1.0, "w" * 50)
    header = Header(attempts=12, deliveries=13, pushed_at=1.5, failures=(long,) * 12, failed=True)
    for limit, kept_failures in ((10**6, 10), (60_000, 10), (6000, 1), (HEADER_ROOM, 1), (100, 0)):
        data = pack(header, b"x", limit)
        assert data is not None
        assert len(data) <= limit
        kept, body = unpack(data)
        assert (kept.attempts, kept.deliveries, kept.failed, body) == (12, 13, True, b"x")
        assert len(kept.failures) == kept_failures
    assert pack(header, b"x", 20) is None


@pytest.mark.parametrize("character", ["a", "☂", "🐊", '"'])
def test_the_largest_body_leaves_room_for_the_reason(character: str) -> None:
    body = b"x" * 5000
    failure = Failure(character * 1000, character * 9000, 1700000000.123456, character * 300)
    header = Header(10**6, 10**6, 1700000000.123456, (failure,) * 10, failed=True)

    data = pack(header, body, len(body) + HEADER_ROOM)

    assert data is not None
    assert unpack(data)[0].failures[0].error.startswith(character * 40)


def test_the_body_limit_is_the_servers(make_client: MakeClient) -> None:
    with beanstalkd_server("-z", "3000") as small:
        client = make_client(small.dsn)
        limit = 3000 - HEADER_ROOM
        with pytest.raises(BodyTooLarge, match=f"{limit + 1} bytes and beanstalkd takes {limit}"):
            client.push_many("all", [Entry("1", b"small"), Entry("2", b"x" * (limit + 1))])
        assert client.queues() == []

        push(client, b"x" * limit)
        client.settle([Fail(reserve(client), Failure("E" * 9000, "T" * 9000, 1.0, "w"))])

        (record,) = client.peek("all", State.FAILED).records
        assert record.body == b"x" * limit
        assert record.failures[0].error.startswith("EEE")
        client.close()


def test_a_body_over_a_usual_limit_passes_where_the_server_takes_it(
    make_client: MakeClient,
) -> None:
    with beanstalkd_server("-z", "1000000") as large:
        client = make_client(large.dsn)
        push(client, b"x" * 900_000)
        assert len(reserve(client).body) == 900_000
        client.close()


@pytest.mark.parametrize("end", ["retry", "fail"])
def test_a_foreign_task_with_no_room_for_a_header_is_kept_as_failed(
    client: Client, foreign: greenstalk.Client[bytes], end: str
) -> None:
    foreign.put(b"x" * 65535)
    lease = reserve(client)

    outcome = Fail(lease, WHY) if end == "fail" else Retry(lease, lease.body, 0, WHY)
    assert client.settle([outcome]).accepted == [True]

    assert client.settle([Ack(lease)]).accepted == [False]
    (record,) = client.peek("all", State.FAILED).records
    assert (record.task_id, record.body) == (lease.task_id, lease.body)
    assert client.requeue(record.task_id)
    assert len(reserve(client).body) == 65535


def test_a_foreign_task_keeps_the_priority_it_has(
    client: Client, foreign: greenstalk.Client[bytes]
) -> None:
    foreign.put(b"last", priority=2**32 - 1)
    foreign.put(b"first", priority=7)
    first = reserve(client)
    assert (first.body, first.priority) == (b"first", 1000)

    client.settle([Retry(first, first.body, 0, WHY)])
    push(client, b"middle", priority=1000)

    assert [lease.body for lease in client.reserve(["all"], 3)] == [b"first", b"middle", b"last"]


def test_ids_that_the_server_cannot_have_name_nothing(client: Client) -> None:
    push(client)
    for task_id in ("", "x", "0", "01", "1 ", "1\n", "-1", "1 2", "1\r\ndelete 1", "٣", "9" * 30):
        assert client.find(task_id) is None
        assert client.claim(task_id) is None
        assert client.cancel(task_id) is None
        assert client.requeue(task_id) is False


def test_what_it_cannot_do_raises(client: Client) -> None:
    task_id = push(client)
    with pytest.raises(UnsupportedByBroker, match="cannot take over a task"):
        client.claim(task_id, force=True)
    with pytest.raises(UnsupportedByBroker, match="cannot store results"):
        client.result(task_id)
    with pytest.raises(UnsupportedByBroker, match="cannot hold one task for a unique key"):
        push(client, unique="key")
    assert Capability.CUSTOM_IDS not in client.capabilities


# -- leases -------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["", "client.ping()"], ids=["", "the waiting socket is older"])
def test_the_task_of_a_killed_worker_is_back_at_once_and_counted_once(
    make_client: MakeClient, foreign: greenstalk.Client[bytes], before: str
) -> None:
    client = make_client(lease=3600)
    task_id = push(client)
    code = (
        "import sys\n"
        "from alligator.backends.beanstalk_backend import Client\n"
        "client = Client(sys.argv[1])\n"
        f"{before}\n"
        "print(client.reserve(['all'], 1)[0].task_id, flush=True)\n"
        "while True: client.wait(['all'], 60)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, client._dsn.text], stdout=subprocess.PIPE
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == task_id.encode()
        assert client.reserve(["all"], 1) == []
        eventually(lambda: foreign.stats_tube("all")["current-waiting"] == 1, "it does not wait")

        worker.kill()
        eventually(lambda: client.counts("all").waiting, "it is not back")

    lease = reserve(client)
    assert (lease.task_id, lease.deliveries) == (task_id, 2)


def test_a_stale_ack_does_not_delete_a_task_that_is_ready_again(make_client: MakeClient) -> None:
    client, other = make_client(lease=1), make_client()
    push(client)
    lease = reserve(client)
    end_leases_by_time(client, other)

    assert client.settle([Ack(lease)]).accepted == [False]

    assert other.counts("all").waiting == 1
    again = reserve(other)
    assert (again.task_id, again.deliveries) == (lease.task_id, 2)


def test_a_lease_that_ended_by_time_settles_and_extends_nothing(make_client: MakeClient) -> None:
    client, other = make_client(lease=1), make_client()
    client.push_many("all", [Entry(str(n), b"%d" % n) for n in range(4)])
    leases = client.reserve(["all"], 4)
    end_leases_by_time(client, other)

    outcomes: list[Outcome] = [
        Retry(leases[0], b"other", 0, WHY),
        Fail(leases[1], WHY),
        Release(leases[2], charged=True),
    ]
    assert client.settle(outcomes).accepted == [False] * 3
    assert client.extend(leases) == [False] * 4

    counts = other.counts("all")
    assert (counts.waiting, counts.delayed, counts.failed) == (4, 0, 0)
    records = other.peek("all", State.WAITING).records
    assert [(record.attempts, record.deliveries) for record in records] == [(0, 1)] * 4


def test_a_lease_lost_to_this_same_client_leaves_the_new_one(make_client: MakeClient) -> None:
    client = make_client(lease=1)
    push(client)
    lost = reserve(client)
    end_leases_by_time(client, make_client())
    held = reserve(client)

    assert client.settle([Ack(lost)]).accepted == [False]
    assert client.extend([lost, held]) == [False, True]
    assert client.settle([Ack(held)]).accepted == [True]


def test_a_reserve_asks_empty_queues_for_next_to_nothing(
    client: Client, foreign: greenstalk.Client[bytes]
) -> None:
    queues = [f"q{number}" for number in range(200)]
    for queue in ("q190", "q60", "q190"):
        push(client, queue=queue)
    before = foreign.stats()

    leases = client.reserve(queues, 500)

    assert [lease.queue for lease in leases] == ["q60", "q190", "q190"]
    after = foreign.stats()
    asked = {
        name: int(after[name]) - int(before[name]) for name in before if name.startswith("cmd-")
    }
    assert asked["cmd-reserve-with-timeout"] <= 500 + 3, "as many as wanted, of the first only"
    assert sum(asked.values()) < 500 + 2 * len(queues)


def test_later_queues_give_no_more_than_is_still_wanted(client: Client) -> None:
    for queue in ("q1", "q2", "q3"):
        client.push_many(queue, [Entry("x", b"%d" % number) for number in range(3)])

    first = client.reserve(["q1", "q2", "q3"], 5)
    rest = client.reserve(["q1", "q2", "q3"], 2)

    assert [(lease.queue, lease.body) for lease in first + rest] == [
        *(("q1", b"%d" % number) for number in range(3)),
        *(("q2", b"%d" % number) for number in range(3)),
        ("q3", b"0"),
    ]
    assert client.counts("q3").waiting == 2


def test_many_queues_with_long_names_do_not_block(client: Client) -> None:
    queues = [f"q{number}-".ljust(200, "x") for number in range(1200)]
    push(client, queue=queues[-1])

    (lease,) = client.reserve(queues, 10)

    assert lease.queue == queues[-1]


@pytest.mark.parametrize(("size", "count"), [(900_000, 40), (100_000, 300)])
def test_a_reserve_ends_when_it_has_enough_bytes(
    make_client: MakeClient, size: int, count: int
) -> None:
    with beanstalkd_server("-z", "1000000") as server:
        client = make_client(server.dsn)
        body = b"x" * size
        for queue in ("q1", "q2"):
            client.push_many(queue, [Entry("x", body)] * (count // 2))
        taken = []

        while leases := client.reserve(["q1", "q2"], 500):
            taken.append(sum(len(lease.body) for lease in leases))
            assert all(client.settle([Ack(lease) for lease in leases]).accepted)

        assert sum(taken) == size * count
        assert max(taken) < 16_000_000


def test_a_worker_that_has_only_just_come_retries_a_large_task(make_client: MakeClient) -> None:
    with beanstalkd_server("-z", "1000000") as server:
        push(make_client(server.dsn), b"x" * 100_000)
        client = make_client(server.dsn)
        lease = reserve(client)

        assert client.settle([Retry(lease, lease.body, 0, WHY)]).accepted == [True]

        again = reserve(client)
        assert (len(again.body), again.attempts) == (100_000, 1)


def test_a_task_released_and_reserved_in_one_call_is_held(client: Client) -> None:
    push(client)
    released = reserve(client)

    settled = client.settle([Release(released)], ["all"], 1)

    assert settled.accepted == [True]
    assert client.settle([Ack(released), Ack(settled.leases[0])]).accepted == [False, True]


def test_a_worker_extends_by_the_shortest_lease_it_met(make_client: MakeClient) -> None:
    short, worker = make_client(lease=4), make_client(lease=60)
    push(short)
    claimed = push(make_client(lease=3))
    assert worker.lease_seconds == 60.0

    worker.reserve(["all"], 1)
    assert worker.lease_seconds == 4.0
    worker.claim(claimed)
    assert worker.lease_seconds == 3.0

    # What it pushes itself still gets its own.
    push(worker)
    fresh = make_client(lease=300)
    fresh.reserve(["all"], 1)
    assert fresh.lease_seconds == 60.0


def test_a_failed_task_whose_burial_was_cut_short_is_buried_not_run(
    client: Client, foreign: greenstalk.Client[bytes]
) -> None:
    marked = pack(Header(attempts=1, deliveries=1, failures=(WHY,), failed=True), b"body", 65535)
    assert marked is not None
    foreign.put(marked)
    record = client.find("1")
    assert record is not None
    assert record.state is State.FAILED

    assert client.reserve(["all"], 5) == []

    counts = client.counts("all")
    assert (counts.waiting, counts.failed) == (0, 1)
    (record,) = client.peek("all", State.FAILED).records
    assert (record.attempts, record.failures) == (1, (WHY,))


def test_a_delayed_drop_finishes_a_burial_that_was_cut_short(
    client: Client, foreign: greenstalk.Client[bytes]
) -> None:
    marked = pack(Header(failed=True), b"failed", 65535)
    assert marked is not None
    foreign.put(marked, delay=3)
    push(client, b"delayed", delay_until=time.time() + 3600)

    assert client.drop("all", [State.DELAYED]) == 1

    assert [record.body for record in client.peek("all", State.FAILED).records] == [b"failed"]


def test_a_drop_misses_none_that_falls_due_meanwhile(
    client: Client, foreign: greenstalk.Client[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = push(client, delay_until=time.time() + 3600)
    counts = beanstalk_mending.counts

    def counting(connection: Connection, queue: str) -> Counts:
        held = counts(connection, queue)
        foreign.kick_job(int(task_id))
        return held

    with monkeypatch.context() as patch:
        patch.setattr(beanstalk_mending, "counts", counting)
        assert client.drop_all("all") == 1

    assert client.len("all") == 0


def test_a_claimed_failed_task_that_is_handed_back_runs(client: Client) -> None:
    push(client)
    client.settle([Fail(reserve(client), WHY)])
    (failed,) = client.peek("all", State.FAILED).records
    lease = client.claim(failed.task_id)
    assert lease is not None
    assert (lease.attempts, lease.deliveries) == (1, 2)

    client.settle([Release(lease)])

    again = reserve(client)
    assert (again.task_id, again.attempts, again.deliveries) == (failed.task_id, 1, 2)


# -- many at once -------------------------------------------------------------------------------


def test_two_thousand_large_bodies_neither_block_nor_change(client: Client) -> None:
    bodies = [b"%04d" % number * 7500 for number in range(2000)]

    receipts = client.push_many("all", [Entry("x", body) for body in bodies])

    assert len({receipt.task_id for receipt in receipts}) == 2000
    leases: list[Lease] = []
    while taken := client.reserve(["all"], 2000):
        leases += taken
    assert [lease.body for lease in leases] == bodies
    assert client.settle([Release(lease) for lease in leases]).accepted == [True] * 2000
    assert client.drop("all", [State.WAITING]) == 2000


def test_a_push_that_is_refused_halfway_leaves_nothing() -> None:
    answers = [STATS, b"NOT_FOUND\r\n", b"USING all\r\n"]
    answers += [b"INSERTED 7\r\n", b"", b"OUT_OF_MEMORY\r\n", b"", b"DELETED\r\n"]
    with scripted(*answers) as server:
        client = Client(server.dsn)
        with pytest.raises(BrokerRefused, match=r"push to 'all'.*OUT_OF_MEMORY") as caught:
            client.push_many("all", [Entry("1", b"a"), Entry("2", b"b")])
        client.close()
    assert isinstance(caught.value.__cause__, greenstalk.OutOfMemoryError)
    assert server.received[-1] == b"delete 7\r\n"


def test_a_requeue_that_comes_too_late_takes_its_copy_back() -> None:
    answers = [STATS, b"NOT_FOUND\r\n", figures(b"buried"), b"FOUND 7 1\r\nx\r\n"]
    answers += [b"USING all\r\n", b"INSERTED 9\r\n", b"", b""]
    answers += [b"NOT_FOUND\r\n", b"DELETED\r\n", b"NOT_FOUND\r\n", b"NOT_FOUND\r\n"]
    with scripted(*answers) as server:
        client = Client(server.dsn)
        assert client.requeue("7") is False
        client.close()
    assert [line for line in server.received if line.startswith(b"delete")] == [
        b"delete 7\r\n",
        b"delete 9\r\n",
    ]


@pytest.mark.parametrize(
    ("put", "answers_after", "accepted", "last"),
    [
        (b"BURIED 9\r\n", [b"DELETED\r\n", b"RELEASED\r\n"], True, b"release 7 9 5\r\n"),
        (b"INSERTED 9\r\n", [b"NOT_FOUND\r\n", b"DELETED\r\n"], False, b"delete 9\r\n"),
    ],
    ids=["refused", "lease lost on the way"],
)
def test_a_retry_that_comes_to_nothing_takes_its_copy_back(
    put: bytes, answers_after: list[bytes], accepted: bool, last: bytes
) -> None:
    answers = [STATS, b"NOT_FOUND\r\n", b"WATCHING 2\r\n", b"WATCHING 1\r\n"]
    answers += [b"RESERVED 7 1\r\nx\r\n", figures(b"reserved"), b"USING all\r\n"]
    answers += [put, b"", b""]  # the command, the header and the body
    with scripted(*answers, *answers_after) as server:
        client = Client(server.dsn)
        lease = reserve(client)
        assert client.settle([Retry(lease, b"x", 0, WHY)]).accepted == [accepted]
        client.close()
    assert b"delete 9\r\n" in server.received
    assert server.received[-1] == last


def test_more_answers_than_socket_buffers_hold_do_not_block(
    client: Client, beanstalkd: Server
) -> None:
    task_id = push(client)
    connection = Connection("127.0.0.1", beanstalkd.port, 10.0, "beanstalk://here")
    replies = connection.ask([b"stats-job " + task_id.zfill(200).encode()] * 60_000)
    connection.close()

    assert len(replies) == 60_000
    assert {reply.status for reply in replies} == {b"OK"}


# -- listing ------------------------------------------------------------------------------------


def test_a_listing_is_in_order_over_many_pages(client: Client) -> None:
    for start in range(0, 1500, 300):
        client.push_many("other", [Entry("x", b"-")] * 300)
        numbers = range(start, start + 300)
        client.push_many("all", [Entry("x", b"%d" % n, priority=n % 3) for n in numbers])
    client.reserve(["other"], 1200)
    expected = sorted(range(1500), key=lambda n: (-(n % 3), n))
    for reverse in (False, True):
        seen: list[int] = []
        cursor = None
        while True:
            page = client.peek("all", State.WAITING, 400, cursor, reverse)
            seen += [int(record.body) for record in page.records]
            if page.cursor is None:
                break
            cursor = page.cursor
        assert seen == (expected[::-1] if reverse else expected)
    assert len(client.peek("other", State.RUNNING, 2000).records) == 1200


def test_a_listing_leaves_out_no_task_of_a_long_queue(client: Client) -> None:
    many = 100_050
    for low in range(0, many, 1000):
        entries = [Entry(str(number), b"x") for number in range(low, min(low + 1000, many))]
        last = client.push_many("all", entries)[-1].task_id

    (newest,) = client.peek("all", State.WAITING, 1, reverse=True).records
    rest = client.peek("all", State.WAITING, 100, f"0.{many - 50}")

    assert newest.task_id == last
    assert len(rest.records) == 50
    assert rest.cursor is None


def test_a_page_leaves_out_what_moved_on_and_goes_on(client: Client) -> None:
    client.push_many("all", [Entry("x", b"%d" % n) for n in range(10)])
    page = client.peek("all", State.WAITING, 3)
    client.reserve(["all"], 5)

    rest = client.peek("all", State.WAITING, 5, page.cursor)

    assert [record.body for record in rest.records] == [b"5", b"6", b"7", b"8", b"9"]
    assert rest.cursor is None


def test_a_cursor_serves_another_client(make_client: MakeClient) -> None:
    first, second = make_client(), make_client()
    first.push_many("all", [Entry("x", b"%d" % n) for n in range(4)])
    page = first.peek("all", State.WAITING, 2)

    rest = second.peek("all", State.WAITING, 2, page.cursor)

    assert [record.body for record in rest.records] == [b"2", b"3"]
    with pytest.raises(ValueError, match="no cursor that peek returned"):
        first.peek("all", State.WAITING, 2, "2;3")


def all_pages(
    client: Client, state: State, limit: int, between: Callable[[], object] = lambda: None
) -> list[bytes]:
    """The bodies of all tasks of one state, read page by page, with something done in between."""
    page = client.peek("all", state, limit)
    shown = [record.body for record in page.records]
    while page.cursor is not None:
        between()
        page = client.peek("all", state, limit, page.cursor)
        shown += [record.body for record in page.records]
    return shown


def jobs_looked_at(foreign: greenstalk.Client[bytes]) -> int:
    return int(foreign.stats()["cmd-stats-job"])


@pytest.mark.parametrize("state", [State.WAITING, State.RUNNING])
def test_a_page_of_a_long_queue_looks_at_few_jobs(
    make_client: MakeClient, foreign: greenstalk.Client[bytes], state: State
) -> None:
    client, worker = make_client(), make_client()
    for _ in range(12):
        client.push_many("all", [Entry("x", b"-")] * 500)
        client.push_many("other", [Entry("x", b"-")] * 500)
    leases = worker.reserve(["all"], 20)
    before = jobs_looked_at(foreign)

    page = client.peek("all", state, 20)

    assert len(page.records) == 20
    assert jobs_looked_at(foreign) - before < 600
    running = {record.task_id for record in page.records} == {each.task_id for each in leases}
    assert running == (state is State.RUNNING)


def test_a_running_task_that_came_last_is_found_behind_those_that_wait(
    make_client: MakeClient, foreign: greenstalk.Client[bytes]
) -> None:
    client, worker = make_client(), make_client()
    for _ in range(10):
        client.push_many("all", [Entry("x", b"-")] * 500)
    urgent = push(client, b"urgent", priority=5)
    first, second = worker.reserve(["all"], 2)
    before = jobs_looked_at(foreign)

    page = client.peek("all", State.RUNNING)

    assert {record.task_id for record in page.records} == {first.task_id, second.task_id}
    assert urgent in (first.task_id, second.task_id)
    assert jobs_looked_at(foreign) - before < 1100


def test_the_last_page_looks_at_no_older_jobs_though_others_were_pushed(
    make_client: MakeClient, foreign: greenstalk.Client[bytes]
) -> None:
    client = make_client()
    for _ in range(6):
        client.push_many("other", [Entry("x", b"-")] * 500)
    normal = [b"%d" % number for number in range(100)]
    client.push_many("all", [Entry("x", body) for body in normal])
    client.push_many("all", [Entry("x", b"low", priority=-1)])
    before = jobs_looked_at(foreign)

    shown = all_pages(client, State.WAITING, 50, lambda: push(client, b"late"))

    assert shown == [*normal, b"low"]
    # Those that may follow the first one, then all from the first to the newest, and each again
    # as it is shown.
    assert jobs_looked_at(foreign) - before < NEAR + 600


@pytest.mark.parametrize("seed", range(4))
def test_pages_are_in_order_among_jobs_of_all_kinds(make_client: MakeClient, seed: int) -> None:
    client, worker = make_client(), make_client()
    chance = random.Random(seed)
    queued: list[tuple[int, int]] = []
    for number in range(600):
        priority = chance.choice((0, 0, 0, 0, seed - 2))
        queue = chance.choice(("all", "all", "other"))
        delay = chance.choice((None, None, time.time() + 900))
        task_id = push(client, b"%d" % number, queue, priority=priority, delay_until=delay)
        if chance.random() < 0.1:
            client.cancel(task_id)
        elif queue == "all" and delay is None:
            queued.append((-priority, number))
    taken = len(worker.reserve(["all"], chance.choice((0, 7, 50))))
    expected = [b"%d" % number for _, number in sorted(queued)[taken:]]

    for limit in (1, 2, 20, 33, len(expected) - 1, len(expected)):
        assert all_pages(client, State.WAITING, limit) == expected


@pytest.mark.parametrize("many", [300, NEAR + 50])
def test_a_listing_leaves_out_nothing_while_others_become_ready(
    client: Client, foreign: greenstalk.Client[bytes], many: int
) -> None:
    low, late = [b"low %d" % n for n in range(5)], [b"late %d" % n for n in range(5)]
    client.push_many("all", [Entry("x", body, priority=-1) for body in low])
    normal = [b"%d" % n for n in range(many)]
    for start in range(0, len(normal), 1000):
        client.push_many("all", [Entry("x", body) for body in normal[start : start + 1000]])
    delayed = [Entry("x", body, delay_until=time.time() + 900) for body in late]
    delayed_ids = [int(receipt.task_id) for receipt in client.push_many("all", delayed)]

    def make_one_ready() -> None:
        if delayed_ids:
            foreign.kick_job(delayed_ids.pop())

    shown = all_pages(client, State.WAITING, many // 6, make_one_ready)

    assert not delayed_ids
    assert [body for body in shown if body not in late] == normal + low
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("many", [300, NEAR + 50])
def test_a_task_that_is_tried_again_meanwhile_is_not_shown_twice(
    make_client: MakeClient, many: int
) -> None:
    client, worker = make_client(), make_client()
    bodies = [b"%d" % number for number in range(many)]
    client.push_many("all", [Entry("x", b"low", priority=-1)])
    for start in range(0, many, 1000):
        client.push_many("all", [Entry("x", body) for body in bodies[start : start + 1000]])

    def try_one_in_vain() -> None:
        (lease,) = worker.reserve(["all"], 1)
        worker.settle([Retry(lease, lease.body, 0.0, WHY)])

    shown = all_pages(client, State.WAITING, many // 6, try_one_in_vain)

    assert shown == [*bodies, b"low"]


def test_a_page_beyond_the_end_is_empty(make_client: MakeClient) -> None:
    client, worker = make_client(), make_client()
    for number in range(30):
        push(client, b"%d" % number)
    first = client.peek("all", State.WAITING, 20, reverse=True)
    assert [record.body for record in first.records] == [b"%d" % n for n in range(29, 9, -1)]
    worker.settle([Ack(lease) for lease in worker.reserve(["all"], 15)])

    later = make_client().peek("all", State.WAITING, 20, first.cursor, reverse=True)

    assert (later.records, later.cursor) == ([], None)


def test_a_listing_goes_on_while_its_tasks_are_taken_off(client: Client) -> None:
    for number in range(400):
        push(client, b"%d" % number, priority=-(number % 2))
    seen: list[bytes] = []
    cursor = None
    while True:
        page = client.peek("all", State.WAITING, 30, cursor)
        seen += [record.body for record in page.records]
        assert set(client.cancel_many([each.task_id for each in page.records])) == {Mended.DONE}
        cursor = page.cursor
        if cursor is None:
            break

    assert seen == [b"%d" % number for number in [*range(0, 400, 2), *range(1, 400, 2)]]


def test_jobs_older_than_the_first_in_line_are_listed(client: Client) -> None:
    for number in range(1200):
        push(client, b"old", priority=-1) if number == 3 else push(client, queue="other")
    push(client, b"new", priority=1)

    records = client.peek("all", State.WAITING).records

    assert [record.body for record in records] == [b"new", b"old"]


# -- waiting ------------------------------------------------------------------------------------


def test_waiting_takes_nothing_and_is_not_counted(client: Client) -> None:
    client.push_many("all", [Entry("x", b"0", priority=3), Entry("x", b"1", priority=3)])

    for _ in range(3):
        client.wait(["elsewhere", "all"], 60)

    counts = client.counts("all")
    assert (counts.waiting, counts.running) == (2, 0)
    leases = client.reserve(["all"], 2)
    assert [(lease.body, lease.deliveries, lease.priority) for lease in leases] == [
        (b"0", 1, 3),
        (b"1", 1, 3),
    ]


def test_a_wait_that_was_cut_off_holds_nothing(
    client: Client, foreign: greenstalk.Client[bytes]
) -> None:
    read, write = os.pipe()
    os.write(write, b"x")
    for timeout, wake_on in ((60.0, read), (0.01, None)):
        client.wait(["all"], timeout, wake_on)
        # It did not sit out the server's own time: its connection is gone.
        eventually(lambda: foreign.stats()["current-connections"] == 1, "it is still waiting")
    client.wait(["all"], 0)

    push(client)

    lease = reserve(client)
    assert lease.deliveries == 1
    for end in (read, write):
        os.close(end)


@pytest.mark.parametrize("hurried", [False, True])
def test_a_wait_that_is_cut_off_as_a_task_comes_counts_no_delivery(
    make_client: MakeClient, foreign: greenstalk.Client[bytes], hurried: bool
) -> None:
    waiter, pusher = make_client(), make_client()
    waiter.hurry = lambda: hurried
    for _ in range(50):
        read, write = os.pipe()
        waiting = threading.Thread(target=waiter.wait, args=(["all"], 60, read))
        waiting.start()
        eventually(lambda: foreign.stats_tube("all")["current-waiting"] == 1, "nobody waits")
        poking = threading.Thread(target=os.write, args=(write, b"x"))
        poking.start()
        push(pusher)
        for thread in (waiting, poking):
            thread.join(20)
        for end in (read, write):
            os.close(end)

        lease = reserve(pusher)

        assert lease.deliveries == 1
        pusher.settle([Ack(lease)])
    assert foreign.stats()["current-jobs-ready"] == 0, "what ended a wait is left"
    # A connection that was not cut off is kept, and watches its tube; and the server takes its time
    # to see that one is closed.
    waiter.close()
    eventually(lambda: foreign.tubes() == ["default", "all"], "so is its tube")


def test_waiting_clients_make_no_task_look_taken(
    make_client: MakeClient, foreign: greenstalk.Client[bytes]
) -> None:
    client = make_client()
    waiters = [make_client() for _ in range(3)]
    for mend in (client.cancel, client.claim) * 20:
        threads = [threading.Thread(target=waiter.wait, args=(["all"], 60)) for waiter in waiters]
        for thread in threads:
            thread.start()
        eventually(lambda: foreign.stats_tube("all")["current-waiting"] == 3, "nobody waits")

        taken = mend(push(client))

        assert taken is not None
        if isinstance(taken, Lease):
            client.settle([Ack(taken)])
        for waiter in waiters:
            push(waiter)  # wakes those that the first one did not
        for thread in threads:
            thread.join(10)
        client.drop("all", [State.WAITING])


# -- a server that is gone, full, old or another one ----------------------------------------------


def test_a_restarted_server_is_found_again_and_its_leases_are_lost(
    make_client: MakeClient, tmp_path: Path
) -> None:
    with beanstalkd_server("-b", str(tmp_path), "-f0") as server:
        client = make_client(server.dsn)
        task_id = push(client)
        lease = reserve(client)
        server.kill()
        for verb in (client.ping, lambda: push(client), lambda: client.settle([Ack(lease)])):
            with pytest.raises(BrokerUnreachable, match=f"127.0.0.1:{server.port}") as caught:
                verb()
            assert isinstance(caught.value.__cause__, OSError)
        server.start()

        assert client.settle([Ack(lease)]).accepted == [False]
        assert reserve(client).task_id == task_id
        client.close()


def test_a_client_that_was_idle_over_a_restart_notices_nothing(make_client: MakeClient) -> None:
    with beanstalkd_server() as server:
        client = make_client(server.dsn)
        client.ping()
        client.reserve(["all"], 1)
        server.kill()
        server.start()

        push(client)

        client.wait(["all"], 60)
        assert reserve(client).body == b"body"
        client.close()


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    with scripted() as server:
        client = Client(f"{server.dsn}?timeout=0.1")
        with pytest.raises(BrokerUnreachable, match=r"cannot connect .* no answer in 0\.1 s"):
            push(client)
        client.close()


def test_a_wait_gives_up_a_silent_server() -> None:
    with scripted(STATS, b"NOT_FOUND\r\n", b"WATCHING 2\r\n", b"WATCHING 1\r\n") as server:
        client = Client(f"{server.dsn}?timeout=0.1")
        with pytest.raises(BrokerUnreachable, match=r"no answer in 0\.1 s"):
            client.wait(["all"], 1)
        client.close()


def test_a_spare_connection_that_was_interrupted_keeps_nothing(make_client: MakeClient) -> None:
    client = make_client(lease=3600)
    push(client)

    def interrupted() -> None:
        with client._spare() as connection:
            connection.ask([RESERVE_NOW], watch=["all"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    eventually(lambda: client.counts("all").waiting, "a connection at rest holds the task")


def test_a_connection_that_ends_within_an_answer_is_lost() -> None:
    with scripted(b"OK 1000\r\n---", b"") as server:
        client = Client(f"{server.dsn}?timeout=0.1")
        with pytest.raises(BrokerUnreachable, match=r"cannot connect .* no answer in 0\.1 s"):
            client.ping()
        client.close()


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", BrokerRefused, "answered HTTP/1.1: is beanstalkd list"),
        (b"-ERR unknown command\r\n", BrokerRefused, "answered -ERR: is beanstalkd listening"),
        (b"\r\n", BrokerUnreachable, "empty line"),
        (b"x" * 5000, BrokerUnreachable, "no answer of beanstalkd"),
        (b"OK\r\n", BrokerUnreachable, "no answer of beanstalkd"),
        (b"OK many\r\n", BrokerUnreachable, "no answer of beanstalkd"),
    ],
)
def test_another_kind_of_server_is_told_apart(
    answer: bytes, error: type[AlligatorException], message: str
) -> None:
    with scripted(answer, answer) as server:
        client = Client(f"{server.dsn}?timeout=1")
        with pytest.raises(error, match=message):
            client.ping()
        client.close()


def test_a_server_before_1_12_is_refused_by_version() -> None:
    with scripted(STATS, b"UNKNOWN_COMMAND\r\n") as server:
        client = Client(server.dsn)
        with pytest.raises(UnsupportedByBroker, match=r"beanstalkd 1\.12 or later"):
            push(client)
        client.close()


def test_a_server_in_drain_mode_refuses_what_puts_and_serves_the_rest(
    client: Client, beanstalkd: Server
) -> None:
    for number in range(4):
        push(client, b"%d" % number)
    leases = client.reserve(["all"], 3)
    delayed = push(client, delay_until=time.time() + 3600)
    beanstalkd.process.send_signal(signal.SIGUSR1)

    def draining() -> bool:
        try:
            client.cancel(push(client, queue="other"))
        except BrokerRefused as error:
            return "drain mode" in str(error) and isinstance(
                error.__cause__, greenstalk.DrainingError
            )
        return False

    eventually(draining, "the server does not drain")
    assert client.settle([Retry(leases[1], b"1", 0, WHY), Fail(leases[2], WHY)]).accepted == [
        True,
        True,
    ]
    with pytest.raises(BrokerRefused, match="requeue tasks"):
        client.requeue(delayed)
    with pytest.raises(BrokerRefused, match="list tasks"):
        client.peek("all", State.RUNNING)

    counts = client.counts("all")
    assert (counts.waiting, counts.delayed, counts.running, counts.failed) == (1, 2, 1, 1)
    assert client.settle([Ack(leases[0])]).accepted == [True]
    back = client.find(leases[1].task_id)
    assert back is not None
    assert (back.state, back.attempts, back.body) == (State.DELAYED, 0, b"1")
    assert client.cancel(delayed) == b"body"


def test_every_refusal_of_the_driver_is_translated() -> None:
    assert REFUSALS.keys() == greenstalk.ERROR_RESPONSES.keys()
    assert set(greenstalk.ERROR_RESPONSES.values()) == set(
        greenstalk.BeanstalkdError.__subclasses__()
    )
    for status, driver_error in greenstalk.ERROR_RESPONSES.items():
        kind, meaning = REFUSALS[status]
        with pytest.raises(kind) as caught:
            refuse(Reply(status, []), "do this", "beanstalk://here")
        assert type(caught.value.__cause__) is driver_error
        assert str(caught.value) == (
            f"cannot do this: beanstalk://here answered {status.decode()}: {meaning}"
        )
    with pytest.raises(BrokerRefused, match="answered WHAT") as caught:
        refuse(Reply(b"WHAT", [b"1"]), "do this", "beanstalk://here")
    assert isinstance(caught.value.__cause__, greenstalk.UnknownResponseError)


def test_a_host_that_has_no_address_is_unreachable() -> None:
    client = Client("beanstalk://no-such-host.invalid:1")
    with pytest.raises(BrokerUnreachable, match=r"no-such-host\.invalid.*is beanstalkd running"):
        client.ping()


# -- processes ----------------------------------------------------------------------------------


def in_child(work: Callable[[], bool]) -> bool:
    """Whether `work` returns True in a forked child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(20)  # a child that blocks ends as one that failed
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_connections_and_leases_of_its_own(client: Client) -> None:
    client.push_many("all", [Entry("x", b"0"), Entry("x", b"1")])
    lease = reserve(client)

    def child() -> bool:
        lost = client.settle([Ack(lease)]).accepted == [False]
        mine = reserve(client)
        return lost and mine.body == b"1" and client.settle([Ack(mine)]).accepted == [True]

    assert in_child(child)
    assert client.settle([Ack(lease)]).accepted == [True]
    assert client.queues() == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_lock_of_a_parents_thread(client: Client) -> None:
    push(client)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with client._lock:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        assert in_child(lambda: reserve(client).body == b"body")
    finally:
        done.set()
        thread.join()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_lives_on_keeps_no_lease_of_its_parent(make_client: MakeClient) -> None:
    parent, other = make_client(lease=3600), make_client()
    push(parent)
    reserve(parent)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        parent.close()
        eventually(lambda: other.counts("all").waiting == 1, "the lease outlives its connection")
    finally:
        os.close(write)
        os.waitpid(pid, 0)


def test_a_forked_child_takes_nothing_that_its_dead_parent_waited_for(
    make_client: MakeClient, foreign: greenstalk.Client[bytes]
) -> None:
    client = make_client(lease=3600)
    code = (
        "import os, sys, threading, time\n"
        "from alligator.backends.beanstalk_backend import Client\n"
        "client = Client(sys.argv[1])\n"
        "def wait():\n"
        "    while True: client.wait(['all'], 2)\n"
        "threading.Thread(target=wait, daemon=True).start()\n"
        "sys.stdin.readline()\n"
        "if os.fork() == 0:\n"
        "    print('forked', flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, client._dsn.text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        eventually(lambda: foreign.stats_tube("all")["current-waiting"] == 1, "it does not wait")
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == b"forked\n"
        eventually(lambda: foreign.stats_tube("all")["current-waiting"] == 1, "it does not wait")
        parent.kill()
        parent.wait()

        push(client)

        eventually(lambda: client.counts("all").waiting, "the child has it")


def test_a_running_task_is_said_to_run(make_client: MakeClient) -> None:
    client = make_client()
    task_id = push(client)
    reserve(client)
    for verb in (client.cancel, client.claim, client.requeue):
        with pytest.raises(TaskRunning, match=f"task {task_id} is running"):
            verb(task_id)


def test_a_mover_that_dies_in_between_loses_nothing(
    client: Client, foreign: greenstalk.Client[bytes]
) -> None:
    task_id = push(client, b"body")
    found = client.find(task_id)
    assert found is not None
    with client._spare() as connection:
        replacer = client._replacer(connection)
        new = _moved(found, "other", None)
        assert new is not None
        ((_, placed),) = replacer._put([new])

    # Killed after the put: both are there, of which one alone can be taken for a minute.
    assert client.counts("all").waiting == 1
    assert client.reserve(["other"], 5) == []
    # Killed after the old one was deleted, too: the new one will be ready by itself.
    foreign.delete(int(task_id))
    (kept,) = client.peek("other", State.DELAYED).records
    assert kept.task_id == placed.values[0].decode()
    assert kept.due is not None
    assert kept.due - time.time() <= 60


def test_tasks_taken_while_they_are_moved_stay_where_they_are(
    client: Client, make_client: MakeClient
) -> None:
    task_id = push(client, b"body")
    found = client.find(task_id)
    assert found is not None
    new = _moved(found, "other", None)
    assert new is not None
    (lease,) = make_client().reserve(["all"], 1)

    with client._spare() as connection:
        assert client._replacer(connection)._replace("move tasks", [new]) == {}

    assert client.queues() == ["all"]
    assert client.counts("all").running == 1
    assert lease.body == b"body"
