"""Every broker against a plain model: nothing is lost or doubled, in whatever order of verbs.

ALLIGATOR_EXAMPLES in the environment sets how many runs are tried; 500 make a thorough hunt, which
also takes its minutes to shrink what it finds.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from alligator.backends.base import (
    Ack,
    Backend,
    Capability,
    Defer,
    Entry,
    Fail,
    Lease,
    Mended,
    Move,
    Outcome,
    Record,
    Release,
    Retry,
    State,
)
from alligator.exceptions import TaskRunning

from .ledger import Ledger
from .model import Task
from .verbs import LATER, MakeClient, failure, lease_of

HOW = (
    *("fail", "fail-death", "fail-unbegun", "ack", "retry", "retry-later"),
    *("release", "release-charged", "defer"),
)
MENDS = ("requeue", "claim", "steal", "cancel", "requeue", "drop")
MENDED = {True: Mended.RUNNING, False: Mended.DONE}

T = TypeVar("T")

_numbers = itertools.count(1)


class BrokerMachine(RuleBasedStateMachine):
    """Verbs in any order, on two clients of one broker.

    The rules are few and each draws what it does, so that pushing, reserving and settling come up
    often enough to fill every state.
    """

    def __init__(self, workers: list[Backend]) -> None:
        super().__init__()
        self.workers = workers
        self.can = workers[0].capabilities
        self.ledger = Ledger(workers[0])
        self.model = self.ledger.model
        self.start = time.time() + LATER
        # Names of its own: what a failed example leaves behind does not disturb the next one.
        number = next(_numbers)
        self.queues = [f"a-{number}", f"b-{number}"]
        self.key = f"k-{number}"  # one only, so that it is asked for while it is taken

    # -- what is drawn ------------------------------------------------------------------------

    def any_client(self, data: st.DataObject) -> Backend:
        return any_of(data, self.workers)

    def any_task(self, data: st.DataObject) -> Task:
        return any_of(data, self.by_age())

    def by_age(self) -> list[Task]:
        return sorted(self.model.tasks.values(), key=lambda task: task.sequence)

    def new_entry(self, data: st.DataObject) -> Entry:
        number = next(_numbers)
        extra = any_of(data, ("", "", "delay", "unique", "unique", "depends", "depends, delay"))
        known = sorted(self.model.tasks)
        return Entry(
            f"task-{number}",
            b"body-%d" % number,
            # Whole hours apart, so that due times are in the same order to the second.
            self.start + any_of(data, range(3)) * LATER if "delay" in extra else None,
            priority=any_of(data, (0, 0, 1, -1000)),
            depends_on=(
                (any_of(data, known), any_of(data, known))
                if "depends" in extra and known and Capability.DEPENDENCIES in self.can
                else ()
            ),
            unique=self.key if extra == "unique" and Capability.UNIQUE in self.can else None,
        )

    # -- queueing -----------------------------------------------------------------------------

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        for _ in self.queues:
            self.push(data, 4)

    @rule(data=st.data(), size=st.integers(1, 4))
    def push(self, data: st.DataObject, size: int) -> None:
        queue = any_of(data, self.queues)
        entries = [self.new_entry(data) for _ in range(size)]

        receipts = self.any_client(data).push_many(queue, entries)

        assert len(receipts) == size
        for entry, receipt in zip(entries, receipts, strict=True):
            holders = self.model.holders(entry)
            assert receipt.queued is (not holders)
            if receipt.queued:
                self.model.push(queue, entry, receipt.task_id)
            else:
                assert receipt.task_id in holders

    # -- working ------------------------------------------------------------------------------

    @rule(data=st.data(), limit=st.sampled_from((1, 2, 3, 5, 0)))
    def reserve(self, data: st.DataObject, limit: int) -> None:
        client = self.any_client(data)
        queues = data.draw(st.permutations(self.queues))

        leases = client.reserve(queues, limit)

        self.ledger.reserved(client, leases, queues, limit)

    @precondition(lambda self: self.ledger.held)
    @rule(
        data=st.data(),
        hows=st.lists(st.sampled_from(HOW), min_size=1, max_size=3),
        limit=st.integers(0, 2),
    )
    def settle(self, data: st.DataObject, hows: list[str], limit: int) -> None:
        client, _ = any_of(data, self.ledger.held)
        mine = [lease for owner, lease in self.ledger.held if owner is client]
        stale = [lease for owner, lease in self.ledger.ended if owner is client]
        leases = [any_of(data, mine + stale[-1:]) for _ in hows]
        outcomes = [self.outcome(lease, how) for lease, how in zip(leases, hows, strict=True)]
        queues = data.draw(st.permutations(self.queues))

        settled = client.settle(outcomes, queues, limit)

        assert settled.accepted == [self.ledger.settled(client, outcome) for outcome in outcomes]
        self.ledger.reserved(client, settled.leases, queues, limit)
        for lease in leases:
            if task := self.model.tasks.get(lease.task_id):
                self.ledger.follow(client, task)

    def outcome(self, lease: Lease, how: str) -> Outcome:
        match how:
            case "ack":
                keeps = Capability.RESULTS in self.can
                return Ack(lease, lease.body, LATER) if keeps else Ack(lease)
            case "retry":
                return Retry(lease, lease.body + b"'", 0.0, failure())
            case "retry-later":
                return Retry(lease, lease.body + b"'", LATER, failure())
            case "fail":
                return Fail(lease, failure())
            case "fail-death":
                return Fail(lease, failure(), attempted=False)
            case "fail-unbegun":
                return Fail(lease, failure(), attempted=False, charged=False)
            case "defer":
                return Defer(lease, LATER)
            case _:
                return Release(lease, charged=how == "release-charged")

    # -- mending ------------------------------------------------------------------------------

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data(), mend=st.sampled_from(MENDS))
    def mend(self, data: st.DataObject, mend: str) -> None:
        client, task = self.any_client(data), self.any_task(data)
        steal = mend == "steal" and Capability.STEAL in self.can
        if mend == "drop":
            self.drop(client, task.queue, task.state)
            return
        if task.state is State.RUNNING and not steal:
            with pytest.raises(TaskRunning):
                getattr(client, mend.replace("steal", "claim"))(task.task_id)
            return
        match mend:
            case "cancel":
                assert client.cancel(task.task_id) == task.body
                self.model.remove(task)
            case "requeue":
                assert client.requeue(task.task_id) is True
                self.model.requeue(task)
                self.ledger.follow(client, task)
            case _:
                lease = client.claim(task.task_id, force=steal)
                assert lease is not None
                self.ledger.leased(client, lease, task)

    def drop(self, client: Backend, queue: str, state: State) -> None:
        if state is State.RUNNING:
            with pytest.raises(ValueError, match="running"):
                client.drop(queue, [state])
            return
        tasks = self.model.in_state(queue, state)
        assert client.drop(queue, [state]) == len(tasks)
        for task in tasks:
            self.model.remove(task)

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data(), verb=st.sampled_from(("move", "move", "requeue", "cancel")))
    def mend_many(self, data: st.DataObject, verb: str) -> None:
        client = self.any_client(data)
        some = data.draw(st.lists(st.sampled_from(self.by_age()), max_size=4, unique=True))
        wanted = [MENDED[task.state is State.RUNNING] for task in some]
        ids = [task.task_id for task in some]
        mended = [task for task in some if task.state is not State.RUNNING]
        if verb == "cancel":
            assert client.cancel_many([*ids, "unknown"]) == [*wanted, Mended.MISSING]
            for task in mended:
                self.model.remove(task)
        elif verb == "requeue":
            waits = [task.state is State.WAITING for task in some]
            wanted = [
                Mended.WAITING if held else one for held, one in zip(waits, wanted, strict=True)
            ]
            assert client.requeue_many(["4294967295", *ids]) == [Mended.MISSING, *wanted]
            for task in mended:
                self.model.requeue(task)
                self.ledger.follow(client, task)
        else:
            self.move(data, client, some, wanted)

    def move(
        self, data: st.DataObject, client: Backend, some: list[Task], wanted: list[Mended]
    ) -> None:
        queue = any_of(data, self.queues)
        ends = [any_of(data, (None, b"!")) for _ in some]
        new_bodies = [end and task.body + end for task, end in zip(some, ends, strict=True)]
        moves = [Move(task.task_id, body) for task, body in zip(some, new_bodies, strict=True)]
        moved = client.move_many([*moves, Move("unknown")], queue)
        assert [one.mended for one in moved] == [*wanted, Mended.MISSING]
        for task, body, one in zip(some, new_bodies, moved, strict=False):
            if one.mended is Mended.DONE:
                self.model.move(task, queue, body)
            if one.task_id != task.task_id:
                assert Capability.CUSTOM_IDS not in self.can
                self.model.renamed(task, one.task_id)

    @precondition(lambda self: Capability.PAUSE in self.can)
    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        client, queue = self.any_client(data), any_of(data, self.queues)
        if queue in self.model.paused:
            client.resume(queue)
            self.model.paused.remove(queue)
        else:
            client.pause(queue)
            self.model.paused.add(queue)
        mine = [name for name in client.paused() if name in self.queues]
        assert mine == sorted(self.model.paused)

    def name_what_is_not_there(self, data: st.DataObject, client: Backend) -> None:
        unknown = any_of(data, ("unknown", "4294967295"))
        assert client.find(unknown) is None
        assert client.claim(unknown) is None
        assert client.cancel(unknown) is None
        assert client.requeue(unknown) is False
        for owner, lease in self.ledger.held + self.ledger.ended[-3:]:
            assert owner.extend([lease]) == [self.ledger.holds(lease) is not None]
        if Capability.CUSTOM_IDS in self.can and self.model.tasks:
            task_id = self.any_task(data).task_id
            receipts = client.push_many(any_of(data, self.queues), [Entry(task_id, b"other")])
            assert receipts == [(task_id, False)]

    # -- looking ------------------------------------------------------------------------------

    @invariant()
    def counts_agree(self) -> None:
        client = self.workers[0]
        held = {task.queue for task in self.model.tasks.values()}
        assert [name for name in client.queues() if name in self.queues] == sorted(held)
        for queue in self.queues:
            counts = client.counts(queue)
            for state in State:
                assert getattr(counts, state) == len(self.model.in_state(queue, state)), state
            assert (counts.oldest_age is None) == (counts.waiting == 0)
            assert counts.paused is (queue in self.model.paused)
            if Capability.TOTALS in self.can:
                ended = (self.model.done[queue], self.model.failed[queue])
                assert (counts.done_total, counts.failed_total) == ended

    @rule(data=st.data(), limit=st.integers(1, 4), reverse=st.booleans())
    def look(self, data: st.DataObject, limit: int, reverse: bool) -> None:
        client, queue = self.any_client(data), any_of(data, self.queues)
        for state in State:
            tasks = self.model.in_state(queue, state)
            records = pages(client, queue, state, limit, reverse, at_most=len(tasks) // limit + 1)
            shown = [record.task_id for record in records]
            wanted = [task.task_id for task in (reversed(tasks) if reverse else tasks)]
            if state not in (State.WAITING, State.BLOCKED):
                # Equal times (due, end of lease, failure) may come in any order.
                shown, wanted = sorted(shown), sorted(wanted)
            assert shown == wanted
            for record in records:
                self.ledger.shown(record)
                found = client.find(record.task_id)
                assert found is not None
                self.ledger.shown(found)
        self.name_what_is_not_there(data, client)

    def teardown(self) -> None:
        """Run what is left, each task once, and see the queues empty."""
        if sys.exc_info()[0] is not None:
            return  # a step has failed: let that be the error which is shown
        for client, lease in self.ledger.held:
            assert client.settle([Ack(lease)]).accepted == [True]
            self.model.ack(self.model.tasks[lease.task_id])
        client = self.workers[0]
        for queue in list(self.model.paused):
            client.resume(queue)
            self.model.paused.remove(queue)
        while leases := client.reserve(self.queues, 50):
            self.ledger.reserved(client, leases, self.queues, 50)
            acks = [Ack(lease) for lease in leases]
            assert client.settle(acks).accepted == [self.ledger.settled(client, a) for a in acks]
        assert not self.model.next_ready(self.queues, 1)
        assert sum(map(client.drop_all, self.queues)) == len(self.model.tasks)
        assert not set(client.queues()) & set(self.queues)


def any_of(data: st.DataObject, choices: Sequence[T]) -> T:
    return data.draw(st.sampled_from(choices))


def pages(
    client: Backend, queue: str, state: State, limit: int, reverse: bool, at_most: int
) -> list[Record]:
    """All tasks of one state, read in no more than `at_most` pages."""
    records: list[Record] = []
    cursor = None
    for _ in range(at_most):
        page = client.peek(queue, state, limit, cursor, reverse)
        records += page.records
        cursor = page.cursor
        if cursor is None:
            break
    assert cursor is None
    return records


def test_a_broker_does_what_the_model_does(make_client: MakeClient) -> None:
    workers = [lease_of(make_client, seconds=600) for _ in range(2)]
    hunt = os.environ.get("ALLIGATOR_EXAMPLES")

    class OnThisBroker(BrokerMachine):
        def __init__(self) -> None:
            super().__init__(workers)

    run(
        OnThisBroker,
        settings=settings(
            max_examples=int(hunt or 20),
            stateful_step_count=40,
            phases=(Phase.generate, Phase.shrink) if hunt else (Phase.generate,),
            deadline=None,
            database=None,  # a test leaves no file behind
            suppress_health_check=list(HealthCheck),
        ),
    )
