"""What is specific to locmem: whose store is whose, its clock, its heaps."""

from __future__ import annotations

import threading
import uuid

import pytest

from alligator.backends.base import Ack, Entry, Failure, Lease, Release, Retry, State
from alligator.backends.locmem_backend import Client
from alligator.exceptions import InvalidDSN
from alligator.version import __version__


class Clock:
    """A time that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Client:
    client = Client("locmem://?lease=30")
    client.clock = clock
    return client


def push(client: Client, *task_ids: str, delay_until: float | None = None) -> None:
    client.push_many("all", [Entry(task_id, b"", delay_until) for task_id in task_ids])


def ids(leases: list[Lease]) -> list[str]:
    return [lease.task_id for lease in leases]


def test_a_bare_dsn_has_a_store_of_its_own() -> None:
    push(Client("locmem://"), "task")

    assert Client("locmem://").queues() == []


def test_clients_of_one_name_share_a_store_whatever_their_options() -> None:
    name = uuid.uuid4().hex
    one, other = Client(f"locmem://{name}"), Client(f"locmem://{name}?lease=5")
    push(one, "task")

    assert ids(other.reserve(["all"], 1)) == ["task"]
    assert Client(f"locmem://{name}-2").queues() == []


def test_a_named_store_outlives_its_clients() -> None:
    name = uuid.uuid4().hex
    client = Client(f"locmem://{name}")
    push(client, "task")
    client.close()
    del client

    assert Client(f"locmem://{name}").queues() == ["all"]


def test_clients_made_in_many_threads_share_one_store() -> None:
    name = uuid.uuid4().hex
    ready = threading.Barrier(8)

    def work() -> None:
        ready.wait()
        push(Client(f"locmem://{name}"), uuid.uuid4().hex)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Client(f"locmem://{name}").len("all") == 8


def test_options_are_checked() -> None:
    assert Client("locmem://?lease=2.5").lease_seconds == 2.5
    with pytest.raises(InvalidDSN, match="not a positive number of seconds"):
        Client("locmem://?lease=soon")
    with pytest.raises(InvalidDSN, match="unknown option 'leese'; locmem knows: lease"):
        Client("locmem://?leese=5")


def test_ping_names_the_broker_and_the_version(client: Client) -> None:
    assert client.ping() == f"locmem {__version__}"


def test_a_lease_ends_exactly_at_its_time(client: Client, clock: Clock) -> None:
    push(client, "task")
    (lease,) = client.reserve(["all"], 1)

    clock.now += 29.9
    assert client.reserve(["all"], 1) == []
    assert client.extend([lease]) == [True]
    clock.now += 29.9
    assert client.reserve(["all"], 1) == []
    clock.now += 0.1

    record = client.find("task")
    assert record is not None
    assert (record.state, record.worker, record.lease_until) == (State.WAITING, None, None)
    assert client.settle([Ack(lease)]).accepted == [False]
    assert client.extend([lease]) == [False]
    (again,) = client.reserve(["all"], 1)
    assert again.deliveries == 2


def test_leases_of_different_length_end_in_their_own_time(clock: Clock) -> None:
    name = uuid.uuid4().hex
    long, short = Client(f"locmem://{name}?lease=100"), Client(f"locmem://{name}?lease=10")
    long.clock = short.clock = clock
    push(long, "long", "short")
    assert ids(long.reserve(["all"], 1)) == ["long"]
    assert ids(short.reserve(["all"], 1)) == ["short"]

    clock.now += 50
    assert ids(short.reserve(["all"], 9)) == ["short"]
    clock.now += 50
    assert ids(short.reserve(["all"], 9)) == ["long", "short"]


def test_a_due_task_waits_in_its_place_with_no_due_time(client: Client, clock: Clock) -> None:
    push(client, "delayed", delay_until=clock.now + 5)
    push(client, "waiting")
    clock.now += 5

    record = client.find("delayed")

    assert record is not None
    assert (record.state, record.due) == (State.WAITING, None)
    assert client.counts("all").waiting == 2
    assert ids(client.reserve(["all"], 2)) == ["delayed", "waiting"]


def test_a_retry_is_due_by_the_clock(client: Client, clock: Clock) -> None:
    push(client, "task")
    why = Failure("ValueError", "", clock.now, "host:1")
    client.settle([Retry(lease, b"", 60.0, why) for lease in client.reserve(["all"], 1)])

    assert client.counts("all").retrying == 1
    clock.now += 60
    assert client.counts("all").waiting == 1


def test_results_are_forgotten_by_the_clock(client: Client, clock: Clock) -> None:
    push(client, "one", "two")
    one, two = client.reserve(["all"], 2)
    client.settle([Ack(one, b"1", 10.0), Ack(two, b"2", 20.0)])

    clock.now += 10
    assert (client.result("one"), client.result("two")) == (None, b"2")
    clock.now += 10
    assert client.result("two") is None


def test_the_oldest_age_is_told_by_the_clock(client: Client, clock: Clock) -> None:
    push(client, "task")
    clock.now += 7

    assert client.counts("all").oldest_age == 7


def test_what_left_the_line_is_not_kept_in_memory(client: Client, clock: Clock) -> None:
    for number in range(2000):
        push(client, f"{number}")
        push(client, f"late-{number}", delay_until=clock.now + 1 + number)
        if number % 100:
            client.cancel(f"{number}")
            client.cancel(f"late-{number}")
    # Not part of the contract, and the only way to see that heaps are rebuilt.
    queue = client._store.queues["all"]

    assert len(queue.ready) < 200
    assert len(queue.timed) < 200
    assert ids(client.reserve(["all"], 100)) == [str(number) for number in range(0, 2000, 100)]
    clock.now += 2000
    late = [f"late-{number}" for number in range(0, 2000, 100)]
    assert sorted(set(ids(client.reserve(["all"], 100))) & set(late)) == sorted(late)


def test_handing_back_does_not_fill_the_heaps(client: Client) -> None:
    push(client, "first", "second")
    for _ in range(1000):
        client.settle([Release(lease) for lease in client.reserve(["all"], 2)])

    assert len(client._store.queues["all"].ready) < 200
    assert ids(client.reserve(["all"], 9)) == ["first", "second"]
