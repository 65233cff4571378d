"""Short ways to say what most tests of the contract do."""

from __future__ import annotations

import itertools
import os
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from alligator.backends.base import (
    Ack,
    Backend,
    Capability,
    Entry,
    Fail,
    Failure,
    Lease,
    Outcome,
    Record,
    Retry,
    State,
)

from ..servers import eventually

#: Seconds after which no test is still running.
LATER = 3600.0

_bodies = itertools.count(1)
_times = itertools.count(1_700_000_000)


class MakeClient(Protocol):
    def __call__(self, **options: object) -> Backend: ...


def entry(body: bytes | None = None, **options: Any) -> Entry:
    """An entry with an id and a body of its own."""
    options.setdefault("task_id", uuid.uuid4().hex)
    return Entry(body=b'{"n": %d}' % next(_bodies) if body is None else body, **options)


def push(client: Backend, queue: str = "all", body: bytes | None = None, **options: Any) -> str:
    """Queue one task; return the id under which the broker holds it."""
    (receipt,) = client.push_many(queue, [entry(body, **options)])
    assert receipt.queued
    return receipt.task_id


def reserve(client: Backend, *queues: str) -> Lease:
    """Take the one task that is next."""
    (lease,) = client.reserve(queues or ("all",), 1)
    return lease


def reserve_eventually(client: Backend, *queues: str) -> Lease:
    """Take the one task that is next as soon as it is ready."""
    leases: list[Lease] = []

    def taken() -> bool:
        leases.extend(client.reserve(queues or ("all",), 1))
        return bool(leases)

    eventually(taken, f"nothing becomes ready in {queues}")
    return leases[0]


def settle(client: Backend, *outcomes: Outcome) -> None:
    """End leases that have to hold still."""
    assert client.settle(outcomes).accepted == [True] * len(outcomes)


def ack(client: Backend, *leases: Lease) -> None:
    settle(client, *map(Ack, leases))


def failure(error: str = "ValueError: no such user", worker: str = "host:1") -> Failure:
    """A failure later than those made before it."""
    return Failure(error, f"Traceback of {error}\n", float(next(_times)), worker)


def retry(lease: Lease, delay: float = 0.0, body: bytes | None = None) -> Retry:
    return Retry(lease, lease.body if body is None else body, delay, failure())


def push_failed(client: Backend, queue: str = "all", **options: Any) -> str:
    """Put one task into the failed set and return its id there."""
    body = entry().body
    client.push_many(queue, [entry(body, priority=1000, **options)])
    settle(client, Fail(reserve(client, queue), failure()))
    return held(client, body, queue).task_id


def push_retrying(client: Backend, queue: str = "all", **options: Any) -> str:
    """Put one task where it waits long for its next try, and return its id there."""
    body = entry().body
    client.push_many(queue, [entry(body, priority=1000, **options)])
    settle(client, retry(reserve(client, queue), delay=LATER))
    return held(client, body, queue).task_id


def push_delayed(client: Backend, queue: str = "all", **options: Any) -> str:
    return push(client, queue, delay_until=time.time() + LATER, **options)


def push_blocked(client: Backend, queue: str = "all", **options: Any) -> str:
    """Put one task behind another one, which is in the queue `first`."""
    return push(client, queue, depends_on=(push(client, "first"),), **options)


def not_running(client: Backend) -> list[State]:
    """The states, running aside, that this broker tells apart."""
    states = [State.WAITING, State.DELAYED, State.FAILED]
    if Capability.RETRYING in client.capabilities:
        states.append(State.RETRYING)
    if Capability.DEPENDENCIES in client.capabilities:
        states.append(State.BLOCKED)
    return states


def push_in(client: Backend, state: State, queue: str = "all", **options: Any) -> str:
    """Put one task into a state other than running; return its id there."""
    verbs = {
        State.WAITING: push,
        State.DELAYED: push_delayed,
        State.RETRYING: push_retrying,
        State.FAILED: push_failed,
        State.BLOCKED: push_blocked,
    }
    return verbs[state](client, queue, **options)


def listed(client: Backend, queue: str = "all", state: State = State.WAITING) -> list[Record]:
    """All tasks of one state, in its order."""
    return client.peek(queue, state, limit=1000).records


def bodies(taken: Sequence[Record | Lease]) -> list[bytes]:
    return [each.body for each in taken]


def held(client: Backend, body: bytes, queue: str = "all") -> Record:
    """The one task with this body, under whichever id the broker holds it now."""
    records = [record for state in State for record in listed(client, queue, state)]
    (record,) = [record for record in records if record.body == body]
    return record


def steady(record: Record | None) -> Record | None:
    """The record without its times, which a broker may know to a second only."""
    return record and record._replace(pushed_at=None, due=None, lease_until=None)


def drain(client: Backend, *queues: str) -> list[bytes]:
    """Run everything that is ready and return the bodies in their order."""
    done = []
    while leases := client.reserve(queues or ("all",), 1):
        ack(client, *leases)
        done += bodies(leases)
    return done


def let_the_time_differ() -> None:
    """Return in a later millisecond, which is as finely as a broker may tell times apart."""
    began = time.time()
    eventually(lambda: time.time() > began + 0.002, "the clock stands still")


def shortly(client: Backend) -> float:
    """A delay that is soon over, in seconds."""
    return 0.05 if Capability.SUBSECOND in client.capabilities else 1.0


def lease_of(make_client: MakeClient, seconds: int) -> Backend:
    """A client whose leases last so long, where time ends them at all.

    A broker may take the time from the client that pushes, so push through this one as well.
    """
    timed = Capability.TIMED_LEASES in make_client().capabilities
    return make_client(lease=seconds) if timed else make_client()


def lose_lease(make_client: MakeClient) -> tuple[Backend, Lease, Backend, Lease]:
    """Push a task, and have the client that reserves it lose the lease to another one.

    Returns:
        The first client with its lost lease, the second with the one that holds.
    """
    first, second = lease_of(make_client, seconds=1), make_client()
    push(first)
    lost = reserve(first)
    if Capability.TIMED_LEASES not in first.capabilities:
        taken = second.claim(lost.task_id, force=True)
        assert taken is not None
        return first, lost, second, taken
    leases: list[Lease] = []

    def passed_on() -> bool:
        # beanstalkd 1.12 may overlook that a lease's time has come until its holder speaks again.
        first.reserve(["elsewhere"], 1)
        leases.extend(second.reserve(["all"], 1))
        return bool(leases)

    eventually(passed_on, "the lease does not end")
    return first, lost, second, leases[0]


def in_child(work: Callable[[], None]) -> int:
    """Fork, run `work` in the child and return its exit status, which is 0 when all went well."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    ended: list[int] = []

    def has_ended() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ended.append(os.waitstatus_to_exitcode(status))
        return bool(ended)

    try:
        eventually(has_ended, "the forked child hangs")
    finally:
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return ended[0]
