"""How many tasks have ended, and how, since a queue's first push."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from alligator.backends.base import Ack, Backend, Capability, Defer, Fail, Outcome, Release

from .verbs import LATER, MakeClient, entry, failure, lose_lease, push, reserve, retry, settle


@pytest.fixture(autouse=True)
def _brokers_that_count(client: Backend) -> None:
    if Capability.TOTALS not in client.capabilities:
        pytest.skip(f"{client.broker} declares that it cannot count what has ended")


def totals(client: Backend, queue: str = "all") -> tuple[int | None, int | None]:
    counts = client.counts(queue)
    return counts.done_total, counts.failed_total


def test_what_ends_for_good_is_counted_and_nothing_else(client: Backend) -> None:
    outcomes = (Ack, lambda lease: Fail(lease, failure()), retry, Release, lambda t: Defer(t, 9.0))
    for outcome in outcomes:
        push(client)
        settle(client, outcome(reserve(client)))
        client.drop_all("all")
    client.cancel(push(client))

    assert totals(client) == (1, 1)


def test_an_ack_with_a_result_counts_too(client: Backend) -> None:
    push(client)
    settle(client, Ack(reserve(client), b"1", LATER))

    assert totals(client) == (1, 0)


def test_a_settle_that_comes_too_late_does_not_count(make_client: MakeClient) -> None:
    first, lost, second, lease = lose_lease(make_client)

    assert first.settle([Ack(lost)]).accepted == [False]
    assert second.settle([Ack(lease), Ack(lease)]).accepted == [True, False]

    assert totals(first) == (1, 0)


def test_totals_are_kept_when_the_queue_is_empty_and_apart_from_other_queues(
    make_client: MakeClient,
) -> None:
    client = make_client()
    for queue, number in (("a", 2), ("b", 3)):
        client.push_many(queue, [entry() for _ in range(number)])
    settle(client, *map(Ack, client.reserve(["a", "b"], 5)))

    assert client.queues() == []
    assert client.queues(empty=True) == ["a", "b"]
    assert [totals(make_client(), queue) for queue in ("a", "b", "c")] == [(2, 0), (3, 0), (0, 0)]


def test_an_empty_queue_is_forgotten_and_counts_anew(client: Backend) -> None:
    for end in (Ack, lambda lease: Fail(lease, failure())):
        push(client)
        settle(client, end(reserve(client)))

    client.forget("all")  # it holds the failed one

    assert totals(client) == (1, 1)
    client.drop_all("all")
    client.forget("all")
    client.forget("never was")
    assert client.queues(empty=True) == []
    assert totals(client) == (0, 0)


def test_a_queue_of_which_all_failed_is_known_too(client: Backend) -> None:
    push(client)
    settle(client, Fail(reserve(client), failure()))
    client.drop_all("all")

    assert client.queues(empty=True) == ["all"]


def test_totals_add_up_after_a_thousand_mixed_outcomes(make_client: MakeClient) -> None:
    dice = random.Random(7)
    workers = [make_client(), make_client()]
    for queue in ("a", "b"):
        workers[0].push_many(queue, [entry() for _ in range(500)])
    done: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    settled = 0
    for worker in _in_turn(workers):
        leases = worker.reserve(dice.sample(["a", "b"], 2), dice.randint(1, 40))
        if not leases:
            break
        outcomes: list[Outcome] = []
        for lease in leases:
            kind = dice.choice([Ack, Ack, Fail, retry, Release])
            outcomes.append(Fail(lease, failure()) if kind is Fail else kind(lease))
            done[lease.queue] += kind is Ack
            failed[lease.queue] += kind is Fail
        settled += len(outcomes)
        settle(worker, *outcomes)

    assert settled >= 1000
    for queue in ("a", "b"):
        assert totals(workers[0], queue) == (done[queue], failed[queue])
        assert workers[0].counts(queue).failed == failed[queue]
    assert sum(done.values()) + sum(failed.values()) == 1000


def _in_turn(workers: list[Backend]) -> list[Backend]:
    return workers * 1000
