"""What only Redis does: resending, fencing off its own copies, limits, refusals, key layout."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from redis import exceptions as redis_errors

from alligator import Gator
from alligator.backends import redis_backend, redis_link
from alligator.backends.base import (
    Ack,
    Entry,
    Fail,
    Failure,
    Finished,
    FinishedState,
    Lease,
    Mended,
    Move,
    Outcome,
    Release,
    Retry,
    State,
)
from alligator.backends.redis_backend import Client
from alligator.backends.redis_driver import REMEDIES, translate
from alligator.backends.redis_wire import MAX_LOST, write_id
from alligator.backends.roster import STALE_KEPT, WorkerRecord, dump_worker
from alligator.exceptions import (
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    InvalidDSN,
    InvalidTask,
    TaskRunning,
)

from ..faults.proxy import Proxy, proxied
from ..servers import Server, eventually, redis_server

FAILURE = Failure("ValueError: no", "Traceback\n", 1_700_000_000.5, "host:1")
LATER = 3600.0


def server_at(port: int) -> Any:
    """A server without Alligator; the driver's own types are too loose to help."""
    return redis_py.Redis(port=port)


def prefix_of(dsn: str) -> str:
    return "{" + dsn.partition("prefix=")[2].partition("&")[0] + "}:"


def entries(count: int) -> list[Entry]:
    return [Entry(str(uuid.uuid4()), b"body") for _ in range(count)]


@contextmanager
def in_thread(work: Callable[[], object]) -> Iterator[None]:
    """Run `work` beside the block; it has to end after it."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)  # or a server that it starts would outlive a test that fails
    assert not thread.is_alive()


@pytest.fixture
def proxy(redis: Server) -> Iterator[Proxy]:
    with proxied(redis.port) as proxy:
        yield proxy


@pytest.fixture
def lossy(proxy: Proxy, redis: Server, redis_dsn: str, make: Callable[..., Client]) -> Client:
    """A client behind the proxy that has already met its server and sent its scripts."""
    client = make(redis_dsn.replace(f":{redis.port}/", f":{proxy.port}/"))
    client.counts("all")
    client.settle([], ["all"], 1)
    client.push_many("warm", entries(1))
    client.cancel("unknown")
    client.claim("unknown")
    return client


def test_what_was_leased_long_ago_is_settled_too(
    make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_backend, "MAX_KNOWN", 3)
    client = make()
    client.push_many("all", entries(12))
    leases = [lease for _ in range(3) for lease in client.reserve(["all"], 4)]
    assert 0 < len(client._kept_ids) < 12

    settled = client.settle([Ack(lease) for lease in leases])

    assert settled.accepted == [True] * 12
    assert client.counts("all").running == 0
    assert len(client._kept_ids) == 0


# -- an answer that is lost ----------------------------------------------------------------------


def test_a_push_whose_answer_is_lost_queues_once(lossy: Client, proxy: Proxy) -> None:
    lossy.push_many("all", [Entry("held", b"first")])
    proxy.lose_after = 0

    receipts = lossy.push_many("all", [Entry("new", b"body"), Entry("held", b"second")])

    assert proxy.lost == 1
    assert receipts == [("new", True), ("held", False)]
    assert lossy.counts("all").waiting == 2


def test_a_push_that_the_server_may_have_forgotten_is_not_sent_again(
    lossy: Client, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "REMEMBERED", 0.0)  # any repetition is too late
    proxy.lose_after = 0

    with pytest.raises(BrokerUnreachable, match=r"forgotten it; whether .* unknown; a push") as no:
        lossy.push_many("all", [Entry("one", b"body")])

    assert no.value.maybe_done
    (lease,) = lossy.reserve(["all"], 1)
    assert lossy.settle([Ack(lease)]).accepted == [True]
    proxy.lose_after = 0
    assert lossy.counts("all").waiting == 0  # a look may be repeated at any time


def test_a_push_resent_after_its_task_has_run_does_not_run_again(
    lossy: Client, proxy: Proxy, make: Callable[..., Client]
) -> None:
    # The id is unknown by the time the push is sent again, so only its number tells.
    worker = make()
    taken: list[bytes] = []

    def work() -> None:
        leases = worker.reserve(["all"], 1)
        taken.extend(lease.body for lease in worker.settle([Ack(each) for each in leases]).leases)
        taken.extend(lease.body for lease in leases)

    sent = lossy._link
    lossy.push_many("all", [Entry("once", b"body")])
    work()
    assert taken == [b"body"]
    with sent._lock:
        repeated = sent._run(sent._calls, "push", sent._number, ("all", "once", b"body", ""))

    assert repeated == []
    assert lossy.counts("all").waiting == 0


def test_a_settle_whose_answer_is_lost_reports_what_it_did(lossy: Client, proxy: Proxy) -> None:
    lossy.push_many("all", entries(4))
    leases = lossy.reserve(["all"], 2)
    proxy.lose_after = 0

    settled = lossy.settle([Ack(lease) for lease in leases], ["all"], 2)

    assert proxy.lost == 1
    assert settled.accepted == [True, True]
    assert len(settled.leases) == 2
    assert lossy.settle([Ack(lease) for lease in settled.leases]).accepted == [True, True]
    assert lossy.find(settled.leases[0].task_id) is None


def test_a_cancel_whose_answer_is_lost_returns_the_body(lossy: Client, proxy: Proxy) -> None:
    lossy.push_many("all", [Entry("one", b"\x00body\xff")])
    proxy.lose_after = 0

    assert lossy.cancel("one") == b"\x00body\xff"
    assert proxy.lost == 1


def test_mending_many_whose_answer_is_lost_is_done_once(lossy: Client, proxy: Proxy) -> None:
    lossy.push_many("all", [Entry(name, name.encode()) for name in ("one", "two", "three")])
    for verb in (lossy.requeue_many, lossy.cancel_many):
        verb(["unknown"])
    lossy.move_many([Move("unknown")], "other")
    proxy.lose_after = 0
    assert lossy.move_many([Move("one", b"new"), Move("none")], "other") == [
        (Mended.DONE, "one"),
        (Mended.MISSING, "none"),
    ]
    proxy.lose_after = 0
    assert lossy.cancel_many(["two", "none"]) == [Mended.DONE, Mended.MISSING]
    assert proxy.lost == 2

    assert [lossy.counts(queue).waiting for queue in ("all", "other")] == [1, 1]


def test_a_beat_that_arrives_late_does_not_bring_a_worker_back(lossy: Client) -> None:
    worker = WorkerRecord("host:1", "host", 1, ("all",), 1, 0.0)
    lossy.beat(worker, 20.0)
    link = lossy._link
    said = (worker.name, dump_worker(worker, 20.0), 10**12)
    beat = link._number
    lossy.leave(worker.name)
    with link._lock:
        link._run(link._calls, "beat", beat, said)

    assert lossy.workers() == []


def test_what_operators_order_has_to_reach_the_replicas_asked_for(
    make: Callable[..., Client], redis_dsn: str
) -> None:
    orders: list[Callable[[Client], object]] = [
        lambda client: client.pause("all"),
        lambda client: client.resume("all"),
        lambda client: client.move_many([Move("one")], "other"),
        lambda client: client.requeue_many(["one"]),
        lambda client: client.cancel_many(["one"]),
    ]

    def refused(order: Callable[[Client], object]) -> None:
        with pytest.raises(BrokerUnreachable, match="0 of 1 replicas have it"):
            order(make(f"{redis_dsn}&replicas=1&timeout=2"))

    with ThreadPoolExecutor(len(orders)) as pool:  # each takes its whole time-out
        list(pool.map(refused, orders))


def test_workers_silent_for_a_day_are_forgotten(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    client = make()
    worker = WorkerRecord("host:1", "host", 1, ("all",), 1, 0.0)
    for name in ("young:1", "old:1"):
        client.beat(worker._replace(name=name), 20.0)
    day_ago = (time.time() - STALE_KEPT - 60) * 1e6
    raw.zadd(f"{prefix_of(redis_dsn)}beats", {"old:1": day_ago})

    assert [each.name for each in client.workers()] == ["young:1"]
    client.beat(worker, 20.0)

    assert set(raw.hkeys(f"{prefix_of(redis_dsn)}workers")) == {b"young:1", b"host:1"}


def test_a_claim_whose_answer_is_lost_returns_the_lease(lossy: Client, proxy: Proxy) -> None:
    lossy.push_many("all", [Entry("one", b"body")])
    proxy.lose_after = 0

    lease = lossy.claim("one")

    assert proxy.lost == 1
    assert lease is not None
    assert lossy.settle([Ack(lease)]).accepted == [True]


@pytest.fixture
def ends_meanwhile(
    lossy: Client, proxy: Proxy, raw: Any, redis_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], object]], None]:
    """A function that has the next answer lost, and before the call is sent again ends its leases
    of the queue `all` and does what it is given."""

    def arrange(meanwhile: Callable[[], object]) -> None:
        follow = lossy._link._follow

        def following(*args: Any) -> None:
            running = f"{prefix_of(redis_dsn)}running:all"
            raw.zadd(running, dict.fromkeys(raw.zrange(running, 0, -1), 1))
            meanwhile()
            follow(*args)

        monkeypatch.setattr(lossy._link, "_follow", following)
        proxy.lose_after = 0

    return arrange


def test_a_settle_whose_answer_is_lost_does_not_return_leases_that_ended(
    lossy: Client, make: Callable[..., Client], ends_meanwhile: Callable[..., None]
) -> None:
    other = make()
    other.push_many("all", [Entry(name, b"body") for name in ("acked", "failed", "held", "next")])

    def meanwhile() -> None:
        acked, failed, _ = other.reserve(["all"], 3)
        other.settle([Ack(acked), Fail(failed, FAILURE)])

    ends_meanwhile(meanwhile)

    assert lossy.reserve(["all"], 3) == []
    assert other.counts("all")[1:7] == (1, 0, 0, 0, 1, 1)


def test_a_claim_whose_answer_is_lost_is_made_anew_once_its_lease_has_ended(
    lossy: Client, make: Callable[..., Client], ends_meanwhile: Callable[..., None]
) -> None:
    other = make()
    other.push_many("all", [Entry("one", b"body")])
    ends_meanwhile(lambda: other.counts("all"))

    lease = lossy.claim("one")

    assert lease is not None
    assert lossy.settle([Ack(lease)]).accepted == [True]


@pytest.mark.parametrize("acked", [True, False])
def test_a_claim_whose_answer_is_lost_tells_who_has_had_the_task_since(
    lossy: Client, make: Callable[..., Client], ends_meanwhile: Callable[..., None], acked: bool
) -> None:
    other = make()
    other.push_many("all", [Entry("one", b"body")])
    taken: list[Lease] = []

    def meanwhile() -> None:
        taken.extend(other.reserve(["all"], 1))
        if acked:
            other.settle([Ack(taken[0])])

    ends_meanwhile(meanwhile)

    if acked:
        assert lossy.claim("one") is None
    else:
        with pytest.raises(TaskRunning, match=f"running on {other.worker}"):
            lossy.claim("one")
        assert other.settle([Ack(taken[0])]).accepted == [True]


def test_a_retry_whose_answer_is_lost_counts_once(lossy: Client, proxy: Proxy) -> None:
    lossy.push_many("all", entries(1))
    (lease,) = lossy.reserve(["all"], 1)
    proxy.lose_after = 0

    assert lossy.settle([Retry(lease, b"again", 0, FAILURE)]).accepted == [True]

    (again,) = lossy.reserve(["all"], 1)
    assert (again.attempts, again.deliveries, again.body) == (1, 2, b"again")


def test_an_exception_in_the_middle_of_a_call_does_not_put_answers_out_of_step(
    tmp_path: Path,
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    with redis_server(tmp_path) as server:
        client = Client(server.dsn)
        client.push_many("all", [Entry("one", b"body")])
        before = signal.signal(signal.SIGALRM, interrupt)
        server.process.send_signal(signal.SIGSTOP)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Interrupted):
                client.counts("all")
        finally:
            signal.signal(signal.SIGALRM, before)
            server.process.send_signal(signal.SIGCONT)

        found = client.find("one")
        client.close()
    assert found is not None
    assert found.body == b"body"


# -- a call that was given up and is carried out all the same -------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to be stopped."""
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def hasty(own: Server) -> Iterator[Client]:
    """A client that gives up soon, of a server that it has met and sent its scripts to."""
    client = Client(f"{own.dsn}?timeout=0.5")
    client.settle([], ["all"], 1)
    client.claim("unknown")
    yield client
    client.close()


@pytest.fixture
def other(own: Server) -> Iterator[Client]:
    client = Client(own.dsn)
    yield client
    client.close()


def give_up(server: Server, call: Callable[[], object]) -> None:
    """Call while the server is stopped; it goes on when that has ended with an error."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(BrokerUnreachable, match=r"whether .* carried out is unknown"):
            call()
    finally:
        server.process.send_signal(signal.SIGCONT)


def running_becomes(client: Client, number: int) -> None:
    eventually(lambda: client.counts("all").running == number, f"{number} running")


def test_what_a_call_without_an_answer_reserved_is_reserved_again_uncharged(
    own: Server, hasty: Client, other: Client
) -> None:
    names = ["one", "two", "three", "four"]
    other.push_many("all", [Entry(name, b"body") for name in names])
    (held,) = hasty.reserve(["all"], 1)
    give_up(own, lambda: hasty.settle([Ack(held)], ["none", "all"], 2))
    running_becomes(other, 2)

    # Connected again, and stalled again: then two calls have to be taken back.
    assert other.counts("all").waiting == hasty.counts("all").waiting == 1
    give_up(own, lambda: hasty.reserve(["all"], 3))
    eventually(lambda: other.counts("all").waiting == 0, "the second is carried out")
    leases = hasty.reserve(["all"], 9)

    assert [lease.task_id for lease in leases] == names[1:]
    assert [lease.deliveries for lease in leases] == [1, 1, 1]
    assert hasty.settle([Ack(lease) for lease in leases]).accepted == [True] * 3
    assert sum(other.counts("all")[1:7]) == 0


def test_what_a_call_without_an_answer_reserved_is_taken_back_by_a_call_for_another_queue(
    own: Server, hasty: Client, other: Client
) -> None:
    other.push_many("all", [Entry("mine", b"body"), Entry("theirs", b"body")])
    give_up(own, lambda: hasty.reserve(["all"], 1))
    running_becomes(other, 1)
    (theirs,) = other.reserve(["all"], 1)

    assert hasty.reserve(["more"], 1) == []

    assert [record.task_id for record in other.peek("all", State.RUNNING).records] == ["theirs"]
    assert other.settle([Ack(theirs)]).accepted == [True]
    (lease,) = other.reserve(["all"], 1)
    assert (lease.task_id, lease.deliveries) == ("mine", 1)


def test_a_worker_that_leaves_takes_back_what_it_never_heard_of(
    own: Server, hasty: Client, other: Client
) -> None:
    other.push_many("all", [Entry("one", b"body")])
    give_up(own, lambda: hasty.reserve(["all"], 1))
    running_becomes(other, 1)

    hasty.leave("host:1")

    (lease,) = other.reserve(["all"], 1)
    assert lease.deliveries == 1


@pytest.mark.parametrize("task_id", ["one", "~0xfe", "01a22d30-87b3-7ff4-b21a-262550d5ce42"])
def test_a_claim_without_an_answer_is_taken_back_by_the_next(
    own: Server, hasty: Client, other: Client, task_id: str
) -> None:
    with server_at(own.port) as raw:  # no push takes an id that is no text
        other.push_many("all", [Entry("x", b"body")])
        kept = write_id(task_id)
        raw.hset("{alligator}:tasks", kept, raw.hget("{alligator}:tasks", "x"))
        raw.zadd("{alligator}:waiting:all", {kept: 1})
    give_up(own, lambda: hasty.claim(task_id))
    running_becomes(other, 1)

    lease = hasty.claim(task_id)

    assert lease is not None
    assert lease.deliveries == 1
    assert hasty.settle([Ack(lease)]).accepted == [True]


@pytest.mark.parametrize("verb", ["settle", "claim"])
def test_a_late_copy_of_a_call_that_was_given_up_leases_nothing(
    own: Server, hasty: Client, other: Client, verb: str
) -> None:
    calls: dict[str, Callable[[], object]] = {
        "settle": lambda: hasty.reserve(["all"], 1),
        "claim": lambda: hasty.claim("one"),
    }
    give_up(own, calls[verb])
    link = hasty._link
    late = link._number
    eventually(lambda: hasty.counts("all").waiting == 0, "the server answers")
    calls[verb]()  # finds nothing, so that all it does is to be the later one
    other.push_many("all", [Entry("one", b"body")])

    # As the first call was sent, or would be: these are its arguments.
    terms = (10_000_000, "a" * 64, "host:1", b"")
    rest = {"settle": (1, 1, "all"), "claim": (b"one", 0)}[verb]
    with suppress(BrokerRefused), link._lock:
        link._run(link._calls, verb, late, (*terms, *rest))

    assert other.counts("all").waiting == 1


def test_what_a_call_leased_before_it_was_refused_is_taken_back(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    client = make()
    client.push_many("all", [Entry("one", b"body")])
    raw.set(f"{prefix_of(redis_dsn)}waiting:bad", "another program's")
    for _ in range(MAX_LOST + 1):
        with pytest.raises(BrokerRefused, match="another program writes to the same keys"):
            client.reserve(["all", "bad"], 2)
    assert client.counts("all").running == 1
    assert len(client._lost) == MAX_LOST

    (lease,) = client.reserve(["all"], 2)

    assert lease.deliveries == 1
    assert not client._lost


def test_at_maxmemory_what_was_leased_to_nobody_is_taken_back(
    own: Server, hasty: Client, other: Client
) -> None:
    other.push_many("all", [Entry("one", b"body")])
    give_up(own, lambda: hasty.reserve(["all"], 1))
    running_becomes(other, 1)
    with server_at(own.port) as raw:
        raw.config_set("maxmemory", 1)

        (lease,) = hasty.reserve(["all"], 1)
        give_up(own, lambda: hasty.reserve(["all"], 1))
        assert hasty.reserve(["all"], 1) == []
        assert lease.deliveries == 1


def test_a_drop_misses_none_that_falls_due_meanwhile(
    make: Callable[..., Client], raw: Any, redis_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make()
    client.push_many("all", [Entry("one", b"body", time.time() + LATER)])
    call = client._link.call

    def calling(name: str, *arguments: Any) -> Any:
        answer = call(name, *arguments)
        raw.zadd(f"{prefix_of(redis_dsn)}delayed:all", {"one": 1}, xx=True)  # due
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(client._link, "call", calling)
        assert client.drop_all("all") == 1

    assert client.len("all") == 0


# -- a server that goes and comes ----------------------------------------------------------------


def test_a_client_goes_on_by_itself_when_the_server_restarts(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        client = Client(server.dsn)
        client.push_many("all", [Entry("before", b"1")])
        server.kill()

        with in_thread(server.start):
            client.push_many("all", [Entry("after", b"2")])

        assert [lease.body for lease in client.reserve(["all"], 9)] == [b"1", b"2"]
        client.wait(["all"], 0.01)
        client.close()


def test_a_sleeping_client_survives_the_end_of_its_server(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        client = Client(f"{server.dsn}?timeout=0.3")
        client.counts("all")
        errors: list[Exception] = []

        def sleep_on() -> None:
            try:
                while True:
                    client.wait(["all"], LATER)
            except BrokerUnreachable as error:
                errors.append(error)

        with in_thread(sleep_on):
            server.kill()
        client.close()
    assert "no answer from Redis" in str(errors[0])


def test_a_server_that_hangs_is_given_up_and_the_push_is_not_doubled(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        client = Client(f"{server.dsn}?timeout=0.2")
        client.push_many("warm", entries(1))
        server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(BrokerUnreachable) as caught:
                client.push_many("all", [Entry("one", b"1")])
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert isinstance(caught.value.__cause__, redis_errors.TimeoutError)

        # Both copies may still be in the server's hands.
        eventually(lambda: client.counts("all").waiting == 1, "the push was not carried out")
        assert client.push_many("all", [Entry("two", b"2")]) == [("two", True)]
        assert len(client.reserve(["all"], 9)) == 2
        client.close()


def test_threads_that_share_a_client_have_their_errors_at_one_time(own: Server) -> None:
    timeout = 2.0
    client = Client(f"{own.dsn}?timeout={timeout}")
    client.push_many("warm", entries(1))
    errors: dict[str, BrokerUnreachable] = {}
    seconds: list[float] = []

    def push(name: str) -> None:
        began = time.monotonic()
        with pytest.raises(BrokerUnreachable) as caught:
            client.push_many("all", [Entry(name, b"body")])
        seconds.append(time.monotonic() - began)
        errors[name] = caught.value

    own.process.send_signal(signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=push, args=(f"t{n}",)) for n in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        looks = time.monotonic()
        with pytest.raises(BrokerUnreachable):
            client.result("t0")
        seconds.append(time.monotonic() - looks)
    finally:
        own.process.send_signal(signal.SIGCONT)

    assert len(seconds) == 7
    assert max(seconds) < 1.9 * timeout  # one that waited, and then had an attempt of its own: 1.5
    doubtful = {name for name, error in errors.items() if "is unknown" in str(error)}
    assert len(doubtful) == 1
    assert sum("not sent: " in str(error) for error in errors.values()) >= 4
    eventually(lambda: client.counts("all").waiting == 1, "what was sent is carried out")
    assert {record.task_id for record in client.peek("all", State.WAITING).records} == doubtful
    client.close()


def test_a_server_that_was_never_there_shows_at_once_and_hides_the_password() -> None:
    with socket.socket() as taken:  # bound and not listening, so nobody else answers here
        taken.bind(("127.0.0.1", 0))
        client = Client(f"redis://:secret@127.0.0.1:{taken.getsockname()[1]}/0?timeout=600")
        with pytest.raises(BrokerUnreachable, match="no answer from Redis") as caught:
            client.ping()
    assert "secret" not in str(caught.value)
    assert ":***@" in str(caught.value)
    assert isinstance(caught.value.__cause__, redis_errors.ConnectionError)


def test_a_replica_is_asked_until_it_is_the_master(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--replicaof", "127.0.0.1", "1") as server:
        client = Client(server.dsn)
        impatient = Client(f"{server.dsn}?timeout=0.1")
        with pytest.raises(BrokerUnreachable, match=r"cannot serve now \((READONLY|MASTERDOWN)\)"):
            impatient.push_many("all", entries(1))
        promote = server_at(server.port)

        with in_thread(lambda: promote.execute_command("REPLICAOF", "NO", "ONE")):
            client.push_many("all", entries(1))

        assert client.counts("all").waiting == 1
        for each in (client, impatient, promote):
            each.close()


def test_a_server_that_forgot_the_scripts_is_sent_them_again(
    make: Callable[..., Client], raw: Any
) -> None:
    client = make()
    client.push_many("all", entries(1))

    raw.script_flush()

    assert client.push_many("all", entries(1))[0].queued
    assert len(client.reserve(["all"], 9)) == 2


def user(rights: str) -> list[str]:
    """Options that give the server a user `me` with the password `pw`."""
    return ["--user", "me", "on", ">pw", *rights.split()]


# -- refusals ------------------------------------------------------------------------------------


def test_a_server_that_may_evict_tasks_is_refused(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as one:
        client = Client(one.dsn)
        with pytest.raises(BrokerRefused, match="maxmemory-policy allkeys-lru"):
            client.push_many("all", entries(1))
        with pytest.raises(BrokerRefused, match="set maxmemory-policy noeviction"):
            client.ping()
        client.close()


def test_a_server_without_a_memory_limit_cannot_evict(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as server:
        client = Client(server.dsn)
        assert client.push_many("all", entries(1))[0].queued
        client.close()


def test_a_server_that_hides_its_settings_is_trusted(tmp_path: Path) -> None:
    with redis_server(tmp_path, *user("~* &* +@all -info -config")) as server:
        client = Client(server.dsn.replace("//", "//me:pw@"))
        assert client.push_many("all", entries(1))[0].queued
        assert client.ping().startswith(("Redis ", "Valkey "))
        client.close()


@pytest.mark.parametrize("user", [":wrong-secret@", "nobody:wrong-secret@", ""])
def test_a_wrong_password_is_refused_and_not_shown(tmp_path: Path, user: str) -> None:
    with redis_server(tmp_path, "--requirepass", "right-secret") as server:
        client = Client(server.dsn.replace("//", f"//{user}"))
        with pytest.raises(BrokerRefused, match=r"(user name and|wants a) password") as caught:
            client.push_many("all", entries(1))
        assert "secret" not in str(caught.value)
        right = Client(server.dsn.replace("//", "//:right-secret@"))
        assert right.counts("all").waiting == 0
        client.close()
        right.close()


def test_its_password_is_not_kept_with_a_failure(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--requirepass", "right-secret") as server:
        with Gator(server.dsn.replace("//", "//:right-secret@")) as gator:
            gator.task(int, "right-secret")
            with pytest.raises(ValueError, match="right-secret"):
                gator.pop()
            (failed,) = gator.client.peek("all", State.FAILED).records
        (failure,) = failed.failures
        assert failure.error == "ValueError: invalid literal for int() with base 10: '***'"
        assert "secret" not in failure.traceback


@pytest.mark.parametrize("rights", ["~other:* +@all", "~* &* +evalsha +eval"])
def test_a_user_without_the_rights_is_refused(tmp_path: Path, rights: str) -> None:
    # The second one may send a script, and what the script does is refused.
    with redis_server(tmp_path, *user(rights)) as server:
        client = Client(server.dsn.replace("//", "//me:pw@"))
        with pytest.raises(BrokerRefused, match=r"NOPERM.*give this user ~\{prefix\}:\*"):
            client.push_many("all", entries(1))
        client.close()


@pytest.mark.parametrize("database", [0, 1])
def test_the_rights_that_the_refusal_names_are_enough(tmp_path: Path, database: int) -> None:
    rights = re.search(r"~\S+ .*?\+info", REMEDIES["NOPERM"])
    more = re.search(r"a database other than 0 (\+\w+)", REMEDIES["NOPERM"])
    assert rights is not None
    assert more is not None
    named = rights[0].replace("prefix", "mine") + (f" {more[1]}" if database else "")
    with redis_server(tmp_path, *user(named)) as server:
        at = server.dsn.replace("//", "//me:pw@").removesuffix("/0")
        client = Client(f"{at}/{database}?prefix=mine")
        (receipt,) = client.push_many("all", entries(1))
        client.wait(["all"], 0.1)
        (lease,) = client.reserve(["all"], 1)
        assert client.settle([Ack(lease, b"1", 60)]).accepted == [True]
        assert client.wait_finished(receipt.task_id, 5) == Finished(FinishedState.SUCCESS, b"1")
        client.close()
        with redis_py.Redis(port=server.port, username="me", password="pw") as me:  # noqa: SIM117
            with pytest.raises(redis_errors.NoPermissionError):
                me.get("somebody-else's")


def test_a_database_that_is_not_there_is_refused(redis: Server) -> None:
    client = Client(f"{redis.dsn.removesuffix('/0')}/99")
    with pytest.raises(BrokerRefused, match="use a database the server has"):
        client.ping()
    client.close()


def test_at_maxmemory_pushes_are_refused_and_everything_else_goes_on(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server_at(server.port) as raw:
        client = Client(server.dsn)
        for number in range(6):
            client.push_many("all", [Entry(f"t{number}", b"x" * 1000)])
        (held,) = client.reserve(["all"], 1)
        raw.config_set("maxmemory", 1)

        with pytest.raises(BrokerRefused, match="the server is at maxmemory"):
            client.push_many("all", [Entry("more", b"x")])
        assert client.find("more") is None

        assert client.extend([held]) == [True]
        settled = client.settle([Ack(held)], ["all"], 3)
        assert settled.accepted == [True]
        retried, failed, released = settled.leases
        outcomes: list[Outcome] = [
            Retry(retried, b"again", 60, FAILURE),
            Fail(failed, FAILURE),
            Release(released),
        ]
        assert client.settle(outcomes).accepted == [True] * 3
        assert client.requeue(failed.task_id)
        assert client.claim(retried.task_id) is not None
        assert client.cancel("t5") is not None
        client.pause("all")
        assert client.move("t4", "other") == "t4"
        client.resume("all")
        client.beat(WorkerRecord("host:1", "host", 1, ("all",), 1, 0.0), 20.0)
        client.leave("host:1")
        assert client.drop_all("all") + client.drop_all("other") == 3

        raw.config_set("maxmemory", 0)
        assert client.push_many("all", [Entry("more", b"x")])[0].queued
        client.close()


def test_a_full_disk_is_refused_with_the_remedy() -> None:
    error = redis_errors.ResponseError("MISCONF Redis is configured to save RDB snapshots, but")
    assert "look at its log and the room on its disk" in str(translate(error, "redis://h"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("waiting:all", "x", "Redis refuses (WRONGTYPE): "),
        ("seq", "x", "Redis could not go on: value is not an integer or out of range"),
    ],
)
def test_a_key_that_another_program_wrote_is_told_of(
    make: Callable[..., Client], raw: Any, redis_dsn: str, name: str, value: str, said: str
) -> None:
    raw.set(prefix_of(redis_dsn) + name, value)

    with pytest.raises(BrokerRefused) as caught:
        make().push_many("all", [Entry("id", b"x")])

    assert said in str(caught.value)
    assert "another program writes to the same keys; name a namespace" in str(caught.value)


def _driver_errors() -> list[type[Exception]]:
    return [
        kind
        for kind in vars(redis_errors).values()
        if isinstance(kind, type) and issubclass(kind, redis_errors.RedisError)
    ]


@pytest.mark.parametrize("kind", [*_driver_errors(), OSError, ConnectionResetError])
def test_every_error_of_the_driver_becomes_one_of_ours(kind: type[Exception]) -> None:
    moved = issubclass(kind, redis_errors.AskError)
    error = kind("866 127.0.0.1:7001") if moved else kind("something")

    ours = translate(error, "redis://:***@host")

    assert isinstance(ours, BrokerError)
    assert type(ours) in (BrokerRefused, BrokerUnreachable)
    assert str(ours).startswith("redis://:***@host: ")
    not_now = ("BusyLoading", "ReadOnly", "ClusterDown", "MasterDown", "TryAgain", "Moved")
    if kind.__name__.startswith(not_now):
        assert "cannot serve now" in str(ours)
    elif issubclass(kind, (OSError, redis_errors.TimeoutError)):
        assert isinstance(ours, BrokerUnreachable)
    elif issubclass(kind, redis_errors.ResponseError) and not moved:
        assert isinstance(ours, BrokerRefused)


# -- the DSN -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("redis://h/0?colour=red", "unknown option 'colour'; redis knows: prefix, lease, timeout"),
        ("redis://h/0?ssl_ca_certs=x", "unknown option 'ssl_ca_certs'"),
        ("redis://h/first", "the database is not a number"),
        ("unix:///redis.sock?db=-1", "the database is not a number"),
        ("unix://", "names no socket; write unix:///path/to/redis.sock"),
        ("redis://h?prefix=a{b}", "prefix 'a{b}' is not one or more printable"),
        ("redis://h?prefix=", "prefix '' is not"),
        ("redis://h?lease=0", "lease='0' is not a positive number of seconds"),
        ("redis://h?timeout=soon", "timeout='soon' is not a positive number of seconds"),
        ("redis://:secret@h/first", r"redis://:\*\*\*@h/first: the database is"),
        ("redis:///:secret@h/0", r"^redis:///:\*\*\*@h/0: the database is not a number$"),
    ],
)
def test_a_dsn_that_cannot_be_meant(dsn: str, message: str) -> None:
    with pytest.raises(InvalidDSN, match=message):
        Client(dsn)


def test_making_a_client_does_not_connect() -> None:
    Client("rediss://127.0.0.1:1/3?ssl_check_hostname=no&lease=2").close()


def test_a_unix_socket_and_a_database(tmp_path: Path) -> None:
    def listens(path: str) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(path) == 0

    # A socket's path has room for about a hundred characters, which tmp_path may exceed.
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        with redis_server(tmp_path, "--unixsocket", path) as server:
            eventually(lambda: listens(path), "no socket")
            client = Client(f"unix://{path}?db=3")
            client.push_many("all", entries(1))
            assert client.counts("all").waiting == 1
            with redis_py.Redis(port=server.port, db=3) as raw:
                assert raw.dbsize() > 0
            client.close()


def test_two_prefixes_see_nothing_of_each_other(redis: Server, redis_dsn: str) -> None:
    one, other = Client(redis_dsn), Client(f"{redis_dsn}-other")
    one.push_many("all", [Entry("one", b"1")])
    assert other.find("one") is None
    assert other.queues() == []
    one.close()
    other.close()


def test_the_driver_is_imported_when_a_client_is_made() -> None:
    check = (
        "import sys; from alligator.backends.redis_backend import Client\n"
        "assert not any(name.split('.')[0] == 'redis' for name in sys.modules)\n"
        "sys.modules['redis'] = None\n"
        "from alligator.exceptions import MissingDriver\n"
        "try: Client('redis://localhost')\n"
        "except MissingDriver as error: print(error, type(error.__cause__).__name__)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert 'pip install "alligator[redis]"' in shown.stdout
    assert "Error" in shown.stdout


# -- waiting -------------------------------------------------------------------------------------


def test_a_push_by_another_client_ends_a_wait(make: Callable[..., Client]) -> None:
    sleeper, pusher = make(), make()
    sleeper.wait(["all"], 0.01)
    woken: list[int] = []

    def sleep() -> None:
        while not woken:
            sleeper.wait(["other", "all"], LATER)
            woken.extend([1] * sleeper.counts("all").waiting)

    with in_thread(sleep):
        pusher.push_many("all", entries(1))
    assert woken == [1]


def test_a_worker_that_leaves_tasks_behind_wakes_the_next(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    client, wake = make(), prefix_of(redis_dsn) + "wake:all"
    client.push_many("all", entries(3))
    for left in (2, 1, 0):
        raw.delete(wake)
        (lease,) = client.reserve(["all"], 1)
        assert raw.exists(wake) == (left > 0)

    # It may have been woken for a queue that it then does not look at.
    client.push_many("all", entries(1))
    raw.delete(wake)
    client.push_many("first", entries(1))
    client.settle([Ack(lease)], ["first", "all"], 1)
    assert raw.exists(wake)


def test_each_of_many_tasks_wakes_one_sleeper(make: Callable[..., Client]) -> None:
    # One push of three tasks gives one hint; each worker that takes one passes the hint on.
    pusher, taken, lock = make(), [], threading.Lock()

    def work(client: Client) -> None:
        while not (leases := client.reserve(["all"], 1)):
            client.wait(["all"], LATER)
        with lock:
            taken.extend(leases)

    workers = [make() for _ in range(3)]
    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in workers]
    for thread in threads:
        thread.start()
    pusher.push_many("all", entries(3))
    for thread in threads:
        thread.join(30)
    assert len({lease.task_id for lease in taken}) == 3


def test_a_file_that_is_readable_ends_a_wait_and_the_next_call_is_in_step(
    make: Callable[..., Client],
) -> None:
    client = make()
    reader, writer = os.pipe()
    try:
        with in_thread(lambda: client.wait(["all"], LATER, reader)):
            os.write(writer, b"x")
        client.wait(["all"], LATER, reader)  # it still is
        client.push_many("all", entries(1))
        client.wait(["all"], LATER)
        assert len(client.reserve(["all"], 9)) == 1
    finally:
        os.close(reader)
        os.close(writer)


def test_a_file_ends_a_wait_even_while_the_server_hangs(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with redis_server(tmp_path) as server, server_at(server.port) as raw:
        client = Client(f"{server.dsn}?timeout=600")
        with in_thread(lambda: client.wait(["all"], LATER, reader)):
            eventually(
                lambda: any(each["cmd"] == "bzpopmin" for each in raw.client_list()),
                "the client does not go to sleep",
            )
            server.process.send_signal(signal.SIGSTOP)
            os.write(writer, b"x")
        server.process.send_signal(signal.SIGCONT)
        client.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("kind", ["delayed", "retrying", "lease"])
def test_a_wait_ends_when_something_is_due(
    make: Callable[..., Client], raw: Any, redis_dsn: str, kind: str
) -> None:
    client = make(f"{redis_dsn}&lease=0.3" if kind == "lease" else redis_dsn)
    due = time.time() + 0.3 if kind == "delayed" else None
    client.push_many("all", [Entry("one", b"body", due)])
    leases = client.reserve(["all"], 1)
    if kind == "retrying":
        client.settle([Retry(leases[0], b"body", 0.3, FAILURE)])
    waits = 0

    with raw.monitor() as watched:
        while not client.reserve(["all"], 1):
            client.wait(["all"], LATER)
            waits += 1

        assert 1 <= waits <= 3  # it slept until then, and did not poll
        sleep = next(
            seen["command"]
            for seen in watched.listen()
            if seen["command"].startswith("BZPOPMIN " + prefix_of(redis_dsn))
        )
    # It asked the server for no longer a sleep than that.
    assert float(sleep.split()[-1]) <= 0.301


def test_an_earlier_due_time_than_the_first_ends_a_wait(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    client = make()
    wake = prefix_of(redis_dsn) + "wake:all"
    client.push_many("all", [Entry("later", b"", time.time() + LATER)])
    raw.delete(wake)

    client.push_many("all", [Entry("last", b"", time.time() + 2 * LATER)])
    assert not raw.exists(wake)
    client.push_many("all", [Entry("first", b"", time.time() + LATER / 2)])
    assert raw.exists(wake)


def test_the_hint_does_not_grow_and_an_old_one_is_thrown_away(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    client = make()
    wakes = [prefix_of(redis_dsn) + f"wake:{queue}" for queue in ("first", "second")]
    for _ in range(5):
        client.push_many("first", entries(1))
        client.push_many("second", entries(1))
    assert [raw.zcard(wake) for wake in wakes] == [1, 1]

    client.reserve(["first", "second"], 99)
    client.wait(["first", "second"], 0.001)

    # Two are gone, and falling asleep takes at most one.
    assert raw.exists(*wakes) == 0


def test_the_end_of_a_task_wakes_whoever_watches_it(make: Callable[..., Client]) -> None:
    client, watcher = make(), make()
    client.push_many("all", [Entry("one", b"body")])
    (lease,) = client.reserve(["all"], 1)
    seen: list[object] = []

    def watch() -> None:
        with watcher.watching("one") as wait:
            seen.append("subscribed")
            while (finished := watcher.finished("one")) is None:
                wait(LATER)
            seen.append(finished)

    with in_thread(watch):
        eventually(lambda: seen, "the watcher does not start")
        client.settle([Ack(lease, b"42", 60.0)])
    assert seen[1] == Finished(FinishedState.SUCCESS, b"42")


def test_an_old_result_is_not_taken_for_that_of_a_task_held_now(
    make: Callable[..., Client],
) -> None:
    client = make()
    client.push_many("all", [Entry("nightly", b"body")])
    client.settle([Ack(client.reserve(["all"], 1)[0], b"1", 60.0)])
    assert client.finished("nightly") is not None

    client.push_many("all", [Entry("nightly", b"body")])

    assert client.finished("nightly") is None


# -- processes -----------------------------------------------------------------------------------


def test_a_forked_child_leaves_its_parents_connections_and_numbers_alone(
    make: Callable[..., Client],
) -> None:
    client = make()
    client.push_many("all", entries(1))
    client.wait(["all"], 0.01)
    client._link._lock.acquire()  # as if another thread were in the middle of a call
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            queued = [client.push_many("all", entries(1))[0].queued for _ in range(5)]
            client.wait(["all"], 0.01)
            status = 0 if all(queued) else 2
        finally:
            os._exit(status)
    client._link._lock.release()
    ended: list[int] = []

    def over() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        ended.extend([os.waitstatus_to_exitcode(status)] * bool(found))
        return bool(found)

    try:
        # The parent's numbers run on meanwhile: were they shared, one side's pushes would vanish.
        pushed = [client.push_many("all", entries(1))[0].queued for _ in range(5)]
        eventually(over, "the child hangs")
    finally:
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert ended == [0]
    assert all(pushed)
    assert client.counts("all").waiting == 11


def test_a_closed_client_opens_again(make: Callable[..., Client]) -> None:
    client = make()
    client.push_many("all", entries(1))
    client.wait(["all"], 1)
    client.close()
    assert len(client.reserve(["all"], 1)) == 1


# -- keys ----------------------------------------------------------------------------------------


def use_everything(client: Client) -> None:
    """Leave something of every kind behind."""
    client.push_many("all", [Entry(f"t{n}", b"body", priority=n % 3) for n in range(8)])
    client.push_many("all", [Entry("u", b"body", unique="key"), Entry("d", b"", LATER + 2e9)])
    client.push_many("all", [Entry("b", b"body", depends_on=("t0", "t1"))])
    leases = client.reserve(["all"], 4)
    client.settle(
        [
            Ack(leases[0], b"1", 60.0),
            Retry(leases[1], b"again", 60.0, FAILURE),
            Fail(leases[2], FAILURE),
        ]
    )
    client.push_many("all", [Entry("mended", b"body", unique="both")])
    lease = client.claim("mended")
    assert lease is not None
    client.settle([Fail(lease, FAILURE)])
    client.push_many("all", [Entry("later", b"body", unique="both")])
    client.requeue("mended")


def test_no_key_is_outside_the_namespace(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    before = set(raw.keys("*"))
    use_everything(make())
    base = prefix_of(redis_dsn).encode()
    written = set(raw.keys("*")) - before
    assert written
    assert all(key.startswith(base) for key in written)


def test_nothing_is_left_of_tasks_that_are_gone(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    client = make()
    use_everything(client)
    (lease,) = [
        lease
        for record in client.peek("all", State.RUNNING).records
        if (lease := client.claim(record.task_id, force=True))
    ]
    client.settle([Ack(lease)])
    client.drop_all("all")
    assert client.queues() == []

    base = prefix_of(redis_dsn)
    left = {key.decode().removeprefix(base).partition(":")[0] for key in raw.keys(f"{base}*")}

    # Three end by themselves, and two are a number for each queue; `waiting-on` of a dropped
    # dependency would be a leak.
    ending = {"client", "result", "results"}
    assert left <= {"seq", "wake", "done-total", "failed-total"} | ending
    assert all(raw.ttl(key) > 0 for word in ending for key in raw.keys(f"{base}{word}*"))


def test_a_waiting_task_costs_at_most_450_bytes(
    make: Callable[..., Client], raw: Any, redis_dsn: str
) -> None:
    client = make()
    for _ in range(10):
        client.push_many("all", [Entry(str(uuid.uuid4()), b"x" * 190) for _ in range(1000)])

    keys = raw.keys(prefix_of(redis_dsn) + "*")
    used = sum(int(raw.memory_usage(key, samples=0) or 0) for key in keys)

    assert used / 10_000 <= 450


@pytest.mark.parametrize(
    "task_id",
    [
        "0b6f2a6e-7b4b-4c39-9d3c-2f6a2e3f1a55",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "0B6F2A6E-7B4B-4C39-9D3C-2F6A2E3F1A55",
        "0b6f2a6e7b4b4c399d3c2f6a2e3f1a55",
        "~",
        "~~",
        "~C28qbntLTDmdPC9qLj8aVQ",
        "a:b {c} \u00e9\u4e2d",
    ],
)
def test_an_id_comes_back_as_it_was_given(make: Callable[..., Client], task_id: str) -> None:
    client = make()
    client.push_many("all", [Entry(task_id, b"body", unique="key")])
    client.push_many("all", [Entry("after", b"", depends_on=(task_id,))])

    again, other = client.push_many("all", [Entry(task_id, b""), Entry("other", b"", unique="key")])

    assert again == other == (task_id, False)
    (blocked,) = client.peek("all", State.BLOCKED).records
    assert blocked.depends_on == (task_id,)
    (lease,) = client.reserve(["all"], 9)
    assert lease.task_id == task_id
    found = client.find(task_id)
    assert found is not None
    assert found.task_id == task_id
    client.settle([Ack(lease, b"1", 60.0)])
    assert client.result(task_id) == b"1"
    assert [each.task_id for each in client.reserve(["all"], 9)] == ["after"]


# -- pages and limits ----------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_neither_repeat_nor_skip_when_their_last_task_goes(
    make: Callable[..., Client], reverse: bool
) -> None:
    # Failed in one call, so all at the same time: only the ids order them.
    client = make()
    client.push_many("all", [Entry(f"t{n:02}", b"") for n in range(9)])
    client.settle([Fail(lease, FAILURE) for lease in client.reserve(["all"], 9)])
    seen, cursor = [], None

    while True:
        page = client.peek("all", State.FAILED, 2, cursor, reverse)
        seen += [record.task_id for record in page.records]
        if page.cursor is None:
            break
        cursor = page.cursor
        client.cancel(seen[-1])
        client.cancel(seen[0])

    wanted = [f"t{n:02}" for n in range(9)]
    assert seen == (wanted[::-1] if reverse else wanted)


def test_a_cursor_from_elsewhere_is_refused(make: Callable[..., Client]) -> None:
    with pytest.raises(ValueError, match="'nonsense' is not the cursor of a page"):
        make().peek("all", State.FAILED, cursor="nonsense")


def test_thousands_of_tasks_go_through_one_call_each_way(make: Callable[..., Client]) -> None:
    # More than Lua's stack holds at once.
    client = make()
    batch = [Entry(f"t{n}", b"body") for n in range(9001)]
    assert all(receipt.queued for receipt in client.push_many("all", batch))
    assert not any(receipt.queued for receipt in client.push_many("all", batch))

    leases = client.reserve(["all"], 9001)

    assert [lease.task_id for lease in leases] == [entry.task_id for entry in batch]
    assert all(client.extend(leases))
    outcomes = [Retry(lease, b"again", LATER, FAILURE) for lease in leases]
    assert all(client.settle(outcomes).accepted)
    assert client.drop("all", [State.RETRYING]) == 9001
    assert client.queues() == []


def test_large_tasks_are_reserved_a_few_at_a_time(make: Callable[..., Client], raw: Any) -> None:
    client, megabyte = make(), b"x" * 1_000_000
    sizes = [1, 2, 2, 2, 2, 2, 2, 2, 12, 2, 2, *[0] * 30, 2, 2, 2, 2, 2]
    for number, size in enumerate(sizes):
        client.push_many("all", [Entry(f"t{number}", size * megabyte)])
    client.push_many("less", [Entry("small", b"")])

    taken: list[list[int]] = []
    order: list[str] = []
    while leases := client.reserve(["all", "less"], 100):
        taken.append([len(lease.body) // 1_000_000 for lease in leases])
        order += [lease.task_id for lease in leases]
        assert client.counts("all").running == sum(map(len, taken)) - order.count("small")
        assert [lease.deliveries for lease in leases] == [1] * len(leases)

    # 8 MB, or one task; what is left is neither lost nor overtaken.
    small = [0] * 30
    assert taken == [[1, 2, 2, 2], [2, 2, 2], [2], [12], [2, 2, *small, 2], [2, 2, 2], [2, 0]]
    assert order == [*(f"t{number}" for number in range(len(sizes))), "small"]


def test_a_reservation_that_leaves_large_tasks_wakes_the_next(make: Callable[..., Client]) -> None:
    client = make()
    for _ in range(3):
        client.push_many("all", [Entry(str(uuid.uuid4()), b"x" * 5_000_000)])
    assert len(client.reserve(["all"], 3)) == 1

    began = time.monotonic()
    client.wait(["all"], 600)

    assert time.monotonic() - began < 2.0
    assert len(client.reserve(["all"], 3)) == 1


def test_more_than_a_call_can_hold_is_refused(make: Callable[..., Client]) -> None:
    with pytest.raises(InvalidTask, match="push 100000 at a time"):
        make().push_many("all", [Entry("same", b"")] * 100_001)


def test_a_time_that_is_none_is_refused(make: Callable[..., Client]) -> None:
    with pytest.raises(InvalidTask, match="delay_until nan is not a time"):
        make().push_many("all", [Entry("one", b"", float("nan"))])
