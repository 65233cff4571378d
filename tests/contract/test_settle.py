"""Settling: each way to end a lease, and what a lost lease may not do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from alligator.backends.base import (
    MAX_FAILURES,
    Ack,
    Backend,
    Capability,
    Defer,
    Fail,
    Lease,
    Outcome,
    Release,
    State,
)

from ..servers import eventually
from .verbs import (
    LATER,
    MakeClient,
    ack,
    bodies,
    drain,
    entry,
    failure,
    held,
    listed,
    lose_lease,
    push,
    reserve,
    reserve_eventually,
    retry,
    settle,
    shortly,
)


def test_an_acked_task_is_gone(client: Backend) -> None:
    task_id = push(client)

    settle(client, Ack(reserve(client)))

    assert client.find(task_id) is None
    assert client.queues() == []


def test_settling_twice_counts_once(client: Backend) -> None:
    push(client)
    lease = reserve(client)

    assert client.settle([Ack(lease), Ack(lease)]).accepted == [True, False]
    assert client.settle([Ack(lease)]).accepted == [False]


def test_settling_nothing_changes_nothing(client: Backend) -> None:
    push(client)

    assert client.settle([]) == ([], [])
    assert client.len("all") == 1


def test_settle_and_reserve_happen_in_one_call(client: Backend) -> None:
    for number in range(4):
        push(client, "high" if number > 1 else "low", body=b"%d" % number)
    low = reserve(client, "low")

    settled = client.settle([Ack(low)], queues=["high", "low"], limit=2)

    assert settled.accepted == [True]
    assert bodies(settled.leases) == [b"2", b"3"]
    ack(client, *settled.leases)
    assert drain(client, "low", "high") == [b"1"]


def test_a_task_retried_at_once_may_be_reserved_by_the_same_call(client: Backend) -> None:
    push(client)

    settled = client.settle([retry(reserve(client))], ["all"], 1)

    assert settled.accepted == [True]
    (lease,) = settled.leases
    assert (lease.attempts, lease.deliveries) == (1, 2)


def test_each_outcome_of_a_batch_counts_for_itself(client: Backend) -> None:
    client.push_many("all", [entry(b"%d" % number) for number in range(6)])
    leases = client.reserve(["all"], 6)
    ack(client, leases[1])

    settled = client.settle(
        [
            Ack(leases[0]),
            Ack(leases[1]),
            Fail(leases[2], failure()),
            Release(leases[3]),
            retry(leases[4], delay=LATER),
            Defer(leases[5], LATER),
        ]
    )

    assert settled.accepted == [True, False, True, True, True, True]
    assert held(client, b"5").state is State.DELAYED
    assert held(client, b"2").state is State.FAILED
    assert held(client, b"3").state is State.WAITING
    assert bodies(client.reserve(["all"], 5)) == [b"3"]


def test_a_retried_task_comes_back_at_the_tail_with_its_new_body(client: Backend) -> None:
    push(client, body=b"first")
    push(client, body=b"second")
    why = failure()

    settle(client, retry(reserve(client), body=b"again")._replace(failure=why))

    assert bodies(listed(client)) == [b"second", b"again"]
    record = held(client, b"again")
    assert (record.attempts, record.failures) == (1, (why,))
    ack(client, reserve(client))
    lease = reserve(client)
    assert (lease.body, lease.attempts, lease.deliveries) == (b"again", 1, 2)


def test_a_retried_task_keeps_its_priority(client: Backend) -> None:
    push(client, body=b"urgent", priority=9)
    push(client, body=b"usual")

    settle(client, retry(reserve(client)))

    assert drain(client) == [b"urgent", b"usual"]


def test_a_retry_with_a_delay_is_held_back_until_due(client: Backend) -> None:
    push(client, body=b"body")

    settle(client, retry(reserve(client), delay=LATER))

    told_apart = Capability.RETRYING in client.capabilities
    record = held(client, b"body")
    assert record.state is (State.RETRYING if told_apart else State.DELAYED)
    assert record.due is not None
    assert record.attempts == 1
    assert client.reserve(["all"], 1) == []


def test_a_retry_becomes_ready_when_due(client: Backend) -> None:
    push(client, body=b"body")
    settle(client, retry(reserve(client), delay=shortly(client)))

    lease = reserve_eventually(client)

    assert (lease.body, lease.attempts, lease.deliveries) == (b"body", 1, 2)
    ack(client, lease)
    assert client.queues() == []


def test_the_id_stays_where_the_pusher_chose_it(client: Backend) -> None:
    if Capability.CUSTOM_IDS not in client.capabilities:
        return
    task_id = push(client)
    settle(client, retry(reserve(client)))
    settle(client, Fail(reserve(client), failure()))

    record = client.find(task_id)

    assert record is not None
    assert (record.state, record.attempts) == (State.FAILED, 2)


def test_a_failed_task_is_kept_with_its_reason(client: Backend) -> None:
    push(client, body=b"body")
    why = failure("KeyError: 'naïve\n☂'", worker="elsewhere:7")

    settle(client, Fail(reserve(client), why))

    record = held(client, b"body")
    assert record.state is State.FAILED
    assert (record.attempts, record.deliveries) == (1, 1)
    assert record.failures == (why,)
    assert client.reserve(["all"], 1) == []


def test_deaths_are_no_attempts(client: Backend) -> None:
    push(client, body=b"body")
    settle(client, retry(reserve(client), body=b"body"))
    settle(client, Release(reserve(client), charged=True))
    assert held(client, b"body").deaths == 1
    lease = reserve(client)
    assert held(client, b"body").deaths == 1, "what runs has not died"

    settle(client, Fail(lease, failure(), attempted=False))

    record = held(client, b"body")
    assert record.state is State.FAILED
    assert (record.attempts, record.deliveries, record.deaths) == (1, 3, 2)


def test_what_fails_without_having_begun_is_no_delivery(client: Backend) -> None:
    push(client, body=b"body")
    for _ in range(3):
        settle(client, Release(reserve(client), charged=True))

    settle(client, Fail(reserve(client), failure(), attempted=False, charged=False))

    record = held(client, b"body")
    assert record.state is State.FAILED
    assert (record.attempts, record.deliveries, record.deaths) == (0, 3, 3)


def test_the_newest_failures_are_kept(client: Backend) -> None:
    push(client, body=b"body")
    reasons = [failure(f"ValueError: {number}") for number in range(MAX_FAILURES + 3)]

    for why in reasons[:-1]:
        settle(client, retry(reserve(client))._replace(failure=why))
    settle(client, Fail(reserve(client), reasons[-1]))

    record = held(client, b"body")
    assert record.attempts == len(reasons)
    assert record.failures == tuple(reasons[-MAX_FAILURES:])


def test_a_released_task_stands_where_it_stood_and_is_not_charged(client: Backend) -> None:
    client.push_many("all", [entry(b"%d" % number) for number in range(3)])
    leases = client.reserve(["all"], 2)

    settle(client, *map(Release, reversed(leases)))

    assert bodies(listed(client)) == [b"0", b"1", b"2"]
    again = client.reserve(["all"], 3)
    assert bodies(again) == [b"0", b"1", b"2"]
    assert [(lease.attempts, lease.deliveries) for lease in again] == [(0, 1)] * 3


def test_a_charged_release_counts_the_delivery(client: Backend) -> None:
    push(client, body=b"0")
    push(client, body=b"1")

    settle(client, Release(reserve(client), charged=True))

    lease = reserve(client)
    assert (lease.body, lease.attempts, lease.deliveries) == (b"0", 0, 2)
    settle(client, Release(lease))
    assert reserve(client).deliveries == 2


def test_a_released_task_can_be_settled_by_its_next_holder_only(client: Backend) -> None:
    push(client)
    lease = reserve(client)
    settle(client, Release(lease))

    assert client.settle([Ack(lease)]).accepted == [False]
    again = reserve(client)
    assert client.settle([Ack(lease)]).accepted == [False]
    ack(client, again)


def test_a_deferred_task_is_delayed_and_nothing_is_counted(client: Backend) -> None:
    task_id = push(client, body=b"body", priority=7)
    before = time.time()

    settle(client, Defer(reserve(client), LATER))

    record = client.find(task_id)
    assert record is not None
    assert (record.state, record.body, record.priority) == (State.DELAYED, b"body", 7)
    assert (record.attempts, record.deliveries, record.failures) == (0, 0, ())
    assert record.due is not None
    assert before + LATER - 2 < record.due < time.time() + LATER + 2  # some keep whole seconds
    assert client.reserve(["all"], 1) == []
    counts = client.counts("all")
    assert (counts.delayed, counts.waiting, counts.running, counts.retrying) == (1, 0, 0, 0)


def test_a_deferred_task_keeps_what_was_counted_before(client: Backend) -> None:
    push(client)
    why = failure()
    settle(client, retry(reserve(client), body=b"body")._replace(failure=why))
    settle(client, Release(reserve(client), charged=True))

    settle(client, Defer(reserve(client), LATER))

    record = held(client, b"body")
    assert (record.attempts, record.deliveries, record.failures) == (1, 2, (why,))


def test_a_deferred_task_is_ready_once_the_time_is_over_in_its_old_place(client: Backend) -> None:
    push(client, body=b"first")
    push(client, body=b"second")

    settle(client, Defer(reserve(client), shortly(client)))

    eventually(lambda: len(listed(client)) == 2, "the deferred task stays delayed")
    lease = reserve(client)
    assert (lease.body, lease.attempts, lease.deliveries) == (b"first", 0, 1)
    ack(client, lease)
    assert drain(client) == [b"second"]


@pytest.mark.parametrize("hand_back", [Release, lambda lease: Defer(lease, 0.0)])
def test_a_failed_task_that_is_handed_back_has_its_old_place(
    client: Backend, hand_back: Callable[[Lease], Outcome]
) -> None:
    for body in (b"failed", b"second", b"third"):
        push(client, body=body)
    settle(client, Fail(reserve(client), failure()))
    lease = client.claim(held(client, b"failed").task_id)
    assert lease is not None

    settle(client, hand_back(lease))

    # Where the broker chooses the ids, the place goes with the id.
    at = 0 if Capability.CUSTOM_IDS in client.capabilities else 2
    assert [lease.body for lease in client.reserve(["all"], 3)].index(b"failed") == at


def test_a_task_deferred_for_no_time_is_ready(client: Backend) -> None:
    push(client, body=b"0")
    push(client, body=b"1")

    settled = client.settle([Defer(reserve(client), 0.0)], ["all"], 2)

    assert settled.accepted == [True]
    assert bodies(settled.leases) == [b"0", b"1"]
    assert [lease.deliveries for lease in settled.leases] == [1, 1]


def test_a_deferred_task_can_be_settled_by_its_next_holder_only(client: Backend) -> None:
    task_id = push(client)
    lease = reserve(client)
    settle(client, Defer(lease, LATER))

    assert client.settle([Ack(lease), Defer(lease, 0.0)]).accepted == [False, False]
    again = client.claim(task_id)
    assert again is not None
    assert client.settle([Defer(lease, 0.0)]).accepted == [False]
    ack(client, again)


def test_a_deferred_task_holds_its_unique_key_and_its_dependents(client: Backend) -> None:
    if not {Capability.UNIQUE, Capability.DEPENDENCIES} <= client.capabilities:
        return
    first = push(client, unique="key")
    push(client, "behind", depends_on=(first,))

    settle(client, Defer(reserve(client), LATER))

    assert client.push_many("all", [entry(unique="key")]) == [(first, False)]
    assert client.counts("behind").blocked == 1
    lease = client.claim(first)
    assert lease is not None
    ack(client, lease)
    assert client.counts("behind").waiting == 1


def test_a_lost_lease_settles_nothing(make_client: MakeClient) -> None:
    first, lost, second, holding = lose_lease(make_client)
    outcomes: list[Outcome] = [
        Ack(lost, b"1", 60.0 if Capability.RESULTS in first.capabilities else 0.0),
        retry(lost, body=b"other"),
        Fail(lost, failure()),
        Release(lost),
        Release(lost, charged=True),
        Defer(lost, LATER),
    ]

    settled = first.settle(outcomes)

    assert settled.accepted == [False] * len(outcomes)
    record = held(second, holding.body)
    assert (record.state, record.attempts, record.failures) == (State.RUNNING, 0, ())
    ack(second, holding)
    assert first.queues() == []


def test_a_token_that_was_never_given_settles_nothing(client: Backend) -> None:
    push(client)
    lease = reserve(client)

    far = "9" * 20  # no broker counts so far
    for token in ("made-up", "", f"1.-{far}", f"1.{far}", f"{far}.1", f"-{far}.1"):
        assert client.settle([Ack(lease._replace(token=token))]).accepted == [False]
    assert client.settle([Ack(lease._replace(task_id="no-such-id"))]).accepted == [False]
    ack(client, lease)
