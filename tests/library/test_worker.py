"""Worker: what it runs, what it says, and what makes it stop."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from alligator import Gator, Task, Worker
from alligator.backends.base import Capability, Lease, Outcome, Settled, State
from alligator.backends.locmem_backend import Client
from alligator.exceptions import BrokerError, BrokerRefused, BrokerUnreachable

from .. import tasks
from ..servers import eventually

#: A nap that no test could sit through.
LONG_NAP = 3600.0


@contextmanager
def running(worker: Worker) -> Iterator[list[int]]:
    """Run a worker in a thread; the list gets what run_forever returned."""
    returned: list[int] = []
    thread = threading.Thread(target=lambda: returned.append(worker.run_forever()))
    thread.start()
    try:
        yield returned
    finally:
        worker.interrupt()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("nap_time", [0, -1.0])
def test_an_idle_worker_waits_even_if_it_was_told_to_nap_for_no_time(nap_time: float) -> None:
    class Timed(Client):
        waits: ClassVar[list[float]] = []

        def wait(self, queues: Sequence[str], timeout: float, wake_on: int | None = None) -> None:
            self.waits.append(timeout)
            super().wait(queues, timeout, wake_on)

    gator = Gator("locmem://", backend_class=Timed)
    with gator, running(Worker(gator, nap_time=nap_time)):
        eventually(lambda: len(Timed.waits) > 1, "it waits")
    assert min(Timed.waits) > 0


# -- what it says ---------------------------------------------------------------------------------


def test_it_says_on_stdout_what_it_does(local: Gator, capsys: pytest.CaptureFixture[str]) -> None:
    local.task(tasks.add, 1, 2)
    local.task(tasks.echo, "text")
    worker = Worker(local, max_tasks=2)

    assert worker.run_forever() == 0

    name = f"Alligator Worker (#{os.getpid()})"
    assert worker.ident() == name
    assert capsys.readouterr().out.splitlines() == [
        f"{name} starting, consuming all.",
        "3",
        "[['text'], {}]",
        f"{name} stopping after 2 tasks.",
    ]


def test_each_message_is_a_method(local: Gator, capsys: pytest.CaptureFixture[str]) -> None:
    worker = Worker(local, to_consume=["mail", "all"])
    worker.starting()
    worker.result({"a": 1})
    worker.stopping()
    out = capsys.readouterr().out
    assert re.search(r"starting, consuming mail, all\.\n\{'a': 1\}\n.*stopping after 0", out)


def test_a_failure_is_logged_and_not_printed(
    local: Gator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    task = local.task(tasks.fail)
    Worker(local, max_tasks=1).run_forever()
    assert "no such user" not in capsys.readouterr().out
    assert caplog.messages == [f"task {task.task_id} failed: ValueError: no such user"]


def test_a_result_that_cannot_be_shown_does_not_end_it(
    local: Gator, caplog: pytest.LogCaptureFixture
) -> None:
    local.task(tasks.return_unprintable)
    local.task(tasks.add, 1, 2)
    assert Worker(local, max_tasks=2).run_forever() == 0
    assert caplog.messages[0].endswith("is done, but its result could not be shown")
    assert local.client.counts("all").failed == 0


# -- what it runs ---------------------------------------------------------------------------------


def test_one_step_runs_one_task(gator: Gator, notes: Path) -> None:
    worker = Worker(gator)
    assert not worker.check_and_run_task()
    for line in "ab":
        gator.task(tasks.append, str(notes), line)
    assert worker.check_and_run_task()
    assert (tasks.lines(notes), gator.len(), worker.tasks_complete) == (["a"], 1, 1)
    assert worker.check_and_run_task()
    assert not worker.check_and_run_task()
    assert tasks.lines(notes) == ["a", "b"]


def test_tasks_run_in_their_order_within_a_priority(gator: Gator, notes: Path) -> None:
    for number in range(20):
        priority = number % 2
        gator.push(Task(priority=priority), tasks.append, str(notes), f"{priority}-{number}")
    Worker(gator, max_tasks=20).run_forever()
    assert tasks.lines(notes) == [f"1-{n}" for n in range(1, 20, 2)] + [
        f"0-{n}" for n in range(0, 20, 2)
    ]


def test_it_stops_after_max_tasks_and_holds_none_of_the_rest(gator: Gator, notes: Path) -> None:
    for number in range(5):
        gator.task(tasks.append, str(notes), str(number))
    worker = Worker(gator, max_tasks=3)
    assert worker.run_forever() == 0
    assert worker.tasks_complete == 3
    assert tasks.lines(notes) == ["0", "1", "2"]
    counts = gator.client.counts("all")
    assert (counts.waiting, counts.running) == (2, 0)


@pytest.mark.parametrize("doom", [tasks.fail, tasks.leave, tasks.interrupt, tasks.fail_unprintably])
def test_no_failing_task_ends_it(gator: Gator, notes: Path, doom: Callable[..., None]) -> None:
    gator.task(doom)
    gator.task(tasks.append, str(notes), "after")
    assert Worker(gator, max_tasks=2).run_forever() == 0
    assert tasks.lines(notes) == ["after"]
    assert gator.client.counts("all").failed == 1


def test_retries_are_run_until_they_are_used_up(gator: Gator, notes: Path) -> None:
    gator.options(retries=2).task(tasks.fail_times, str(notes), 9)
    assert Worker(gator, max_tasks=3).run_forever() == 0
    assert len(tasks.lines(notes)) == 3
    assert (gator.len(), gator.client.counts("all").failed) == (0, 1)


def push_to(gator: Gator, queue: str, notes: Path, line: str) -> None:
    gator.queue_name = queue
    gator.task(tasks.append, str(notes), line)


def test_queues_are_consumed_in_order_of_preference(gator: Gator, notes: Path) -> None:
    for queue in ("low", "high", "other", "low", "high"):
        push_to(gator, queue, notes, queue)
    Worker(gator, max_tasks=4, to_consume=["high", "low"]).run_forever()
    assert tasks.lines(notes) == ["high", "high", "low", "low"]
    assert gator.client.queues() == ["other"]


def test_one_queue_may_be_named(gator: Gator, notes: Path) -> None:
    for queue in ("all", "mail"):
        push_to(gator, queue, notes, queue)
    Worker(gator, max_tasks=1, to_consume="mail").run_forever()
    assert tasks.lines(notes) == ["mail"]


def test_by_default_it_consumes_the_queue_of_its_gator(notes: Path) -> None:
    with Gator("locmem://", queue_name="mail") as gator:
        gator.task(tasks.append, str(notes), "mail")
        assert Worker(gator).check_and_run_task()

        push_to(gator, "all", notes, "all")
        gator.queue_name = "mail"
        assert not Worker(gator).check_and_run_task()
        assert Worker(gator, to_consume=["all"]).check_and_run_task()
    assert tasks.lines(notes) == ["mail", "all"]


def test_an_idle_worker_is_woken_by_a_push(gator: Gator, notes: Path) -> None:
    with running(Worker(gator, nap_time=LONG_NAP)):
        for line in "ab":
            gator.task(tasks.append, str(notes), line)
            eventually(lambda n=line: n in tasks.lines(notes), "nobody wakes the worker")  # type: ignore[misc]


def test_an_idle_worker_runs_a_delayed_task_in_time(gator: Gator, notes: Path) -> None:
    seconds = 0.3 if Capability.SUBSECOND in gator.client.capabilities else 1
    gator.options(delay_by=seconds).task(tasks.append, str(notes), "done")
    with running(Worker(gator, nap_time=LONG_NAP)):
        eventually(lambda: tasks.lines(notes), "nobody runs it")


def test_its_lease_is_kept_while_a_task_runs(caplog: pytest.LogCaptureFixture) -> None:
    with Gator("locmem://?lease=0.2") as gator:
        task = gator.task(tasks.rest, 0.7)
        with running(Worker(gator)):
            eventually(lambda: gator.client.find(task.task_id) is None, "it never ends")
    assert caplog.messages == []


def test_the_next_task_s_lease_is_kept_while_a_result_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    extended: set[str] = set()

    class Noting(Client):
        def extend(self, leases: Sequence[Lease]) -> list[bool]:
            extended.update(lease.task_id for lease in leases)
            return super().extend(leases)

    class Slow(Worker):
        def result(self, result: object) -> None:
            if self.tasks_complete == 1:
                eventually(lambda: "second" in extended, "it is kept")

    with Gator("locmem://?lease=0.2", backend_class=Noting) as gator:
        gator.push_many(Task(name).to_call(tasks.nothing) for name in ("first", "second"))
        Slow(gator, max_tasks=2).run_forever()
    assert caplog.messages == []


# -- what makes it stop ---------------------------------------------------------------------------


def test_an_idle_worker_is_interrupted_at_once(gator: Gator, notes: Path) -> None:
    worker = Worker(gator, nap_time=LONG_NAP)
    with running(worker) as returned:
        gator.task(tasks.append, str(notes), "it is in its loop")
        eventually(lambda: tasks.lines(notes), "it does not run")
        worker.interrupt()
        eventually(lambda: returned, "it does not stop")
    assert returned == [1]


def test_an_interrupt_may_come_before_the_start_and_after_the_end(local: Gator) -> None:
    local.task(tasks.nothing)
    worker = Worker(local)
    worker.interrupt()
    assert worker.run_forever() == 1
    worker.interrupt()
    assert local.len() == 1


def test_any_number_of_interrupts_is_one(local: Gator) -> None:
    worker = Worker(local, nap_time=LONG_NAP)
    with running(worker) as returned:
        for _ in range(5000):
            worker.interrupt()
        eventually(lambda: returned, "it does not stop")
    assert returned == [1]


def test_a_signal_lets_the_task_end_and_hands_back_the_rest(gator: Gator, notes: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    gator.task(tasks.terminate_this_process, str(notes))
    waiting = gator.task(tasks.append, str(notes), "not to run")

    assert Worker(gator).run_forever() == 1

    assert tasks.lines(notes) == ["finished"]
    record = gator.client.find(waiting.task_id)
    assert record is not None
    assert (record.state, record.deliveries) == (State.WAITING, 0)
    assert gator.len() == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_a_copy_that_a_task_forks_ends_when_it_is_asked_to(gator: Gator, notes: Path) -> None:
    gator.task(tasks.terminate_a_copy, str(notes))

    assert Worker(gator, max_tasks=1).run_forever() == 0

    assert tasks.lines(notes) == ["exit code -15"]


@pytest.fixture
def control_c() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt, as it does unless somebody changed it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_may_come_as_soon_as_it_says_that_it_starts(local: Gator) -> None:
    class Signalled(Worker):
        def starting(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    local.task(tasks.nothing)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # or a failure would end the tests
    try:
        assert Signalled(local, max_tasks=1).run_forever() == 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert local.len() == 1


def test_a_second_control_c_hands_back_what_runs(
    gator: Gator, notes: Path, control_c: None
) -> None:
    gator.options(retries=3).task(tasks.interrupt_this_process_twice, str(notes))

    assert Worker(gator).run_forever() == 1

    assert tasks.lines(notes) == ["interrupted once"]
    (record,) = gator.client.peek("all", State.WAITING).records
    assert record.attempts == 0
    assert Task.deserialize(record.body).retries == 3


# -- what operators see of it ---------------------------------------------------------------------


def test_it_is_listed_with_what_it_runs_until_it_ends(gator: Gator, notes: Path) -> None:
    if Capability.WORKERS not in gator.client.capabilities:
        pytest.skip("this broker keeps no list of workers")
    task = gator.task(tasks.wait_for_file, str(notes))

    with running(Worker(gator, to_consume=["mail", "all"])):
        try:
            eventually(lambda: [w for w in gator.workers() if w.running], "it is not listed")
            (shown,) = gator.workers()
        finally:
            notes.touch()

    assert (shown.pid, shown.queues) == (os.getpid(), ("mail", "all"))
    assert shown.name.startswith(f"{gator.client.worker}:")
    assert shown.running[0].task_id == task.task_id
    assert shown.running[0].task == "tests.tasks.wait_for_file"
    assert gator.workers() == []


# -- when the broker is away ----------------------------------------------------------------------


class Unsteady(Client):
    """A broker in this process that answers some requests with an error: `plan` has one a
    reservation, None for an answer; `at_settle` is for the next ends of leases, which are carried
    out when the error says that they may be."""

    plan: Sequence[BrokerError | None] = ()
    at_settle: Sequence[BrokerError] = ()

    def reserve(self, queues: Sequence[str], limit: int) -> list[Lease]:
        first, *self.plan = self.plan or [None]
        if first is not None:
            raise first
        return super().reserve(queues, limit)

    def settle(
        self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
    ) -> Settled:
        if self.at_settle:
            first, *self.at_settle = self.at_settle
            if isinstance(first, BrokerUnreachable) and first.maybe_done:
                super().settle(outcomes)
            raise first
        return super().settle(outcomes, queues, limit)


@pytest.fixture
def unsteady() -> Iterator[Gator]:
    with Gator("locmem://", backend_class=Unsteady) as gator:
        yield gator


@pytest.mark.parametrize("error", [BrokerUnreachable("no answer"), BrokerRefused("disk full")])
def test_a_broker_that_goes_away_is_waited_for(
    unsteady: Gator, notes: Path, caplog: pytest.LogCaptureFixture, error: BrokerError
) -> None:
    caplog.set_level(logging.WARNING)
    unsteady.backend.plan = [None, error, error]
    with running(Worker(unsteady, nap_time=0.001)) as returned:
        eventually(lambda: not unsteady.backend.plan, "it does not ask again")
        unsteady.task(tasks.append, str(notes), "done")
        eventually(lambda: tasks.lines(notes), "it does not come back")
        assert returned == []
    assert caplog.messages == [f"waiting for the broker: {error}", "the broker is back"]


def test_a_task_that_ended_while_the_broker_was_away_is_not_run_again(
    unsteady: Gator, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    unsteady.task(tasks.append, str(notes), "a")
    with running(Worker(unsteady)):
        eventually(lambda: tasks.lines(notes) == ["a"], "it does not run")
        eventually(lambda: not unsteady.client.queues(), "it is not settled")
        unsteady.backend.at_settle = [BrokerRefused("disk full")] * 2
        for line in "bc":
            unsteady.task(tasks.append, str(notes), line)
        eventually(lambda: not unsteady.client.queues(), "it does not come back")
    assert tasks.lines(notes) == ["a", "b", "c"]
    assert caplog.messages == ["waiting for the broker: disk full", "the broker is back"]


def test_a_task_whose_settling_had_no_answer_is_not_said_to_have_lost_its_lease(
    unsteady: Gator, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    unsteady.task(tasks.append, str(notes), "a")
    task = unsteady.task(tasks.append, str(notes), "b")
    worker = Worker(unsteady)
    worker.check_and_run_task()
    lost = BrokerUnreachable("no answer", maybe_done=True)
    unsteady.backend.at_settle = [lost, BrokerUnreachable("no connection")]

    for _ in range(2):
        with pytest.raises(BrokerUnreachable):
            worker.check_and_run_task()
    worker.check_and_run_task()

    assert tasks.lines(notes) == ["a", "b"]
    assert caplog.messages == [
        f"task {task.task_id} was settled by a request whose answer did not come, "
        "if it still had its lease"
    ]


def test_a_task_that_loses_its_lease_after_one_in_doubt_is_warned_of(
    unsteady: Gator, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unsteady.task(tasks.append, str(notes), "a")
    worker = Worker(unsteady)
    unsteady.backend.at_settle = [BrokerUnreachable("no answer", maybe_done=True)]
    with pytest.raises(BrokerUnreachable):
        worker.check_and_run_task()
    worker.check_and_run_task()
    stolen = unsteady.task(tasks.append, str(notes), "b")
    unsteady.backend.at_settle = [BrokerUnreachable("no connection")]
    with pytest.raises(BrokerUnreachable):
        worker.check_and_run_task()
    assert unsteady.client.claim(stolen.task_id, force=True)

    worker.check_and_run_task()

    assert caplog.messages == [
        f"task {stolen.task_id} had lost its lease when it ended; what it did may be done again"
    ]


def test_at_its_end_it_settles_what_it_could_not_before(unsteady: Gator, notes: Path) -> None:
    unsteady.task(tasks.append, str(notes), "a")
    worker = Worker(unsteady)
    unsteady.backend.at_settle = [BrokerRefused("disk full")]
    with pytest.raises(BrokerRefused):
        worker.run_forever()
    assert unsteady.client.queues() == []
    assert worker.tasks_complete == 1


def test_what_it_cannot_settle_at_its_end_it_says(
    unsteady: Gator, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unsteady.task(tasks.append, str(notes), "a")
    unsteady.backend.at_settle = [BrokerRefused("disk full")] * 2
    with pytest.raises(BrokerRefused):
        Worker(unsteady).run_forever()
    assert "stays leased until its time is up, and then runs again: disk full" in caplog.text


@pytest.mark.parametrize("error", [BrokerUnreachable("no answer"), BrokerRefused("no password")])
def test_a_broker_that_is_away_at_the_start_is_an_error(
    unsteady: Gator, capsys: pytest.CaptureFixture[str], error: BrokerError
) -> None:
    unsteady.backend.plan = [error]
    with pytest.raises(type(error), match=str(error)):
        Worker(unsteady).run_forever()
    assert "stopping after 0 tasks" in capsys.readouterr().out


def test_an_interrupt_ends_the_wait_for_a_broker(
    unsteady: Gator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    unsteady.backend.plan = [None, *[BrokerUnreachable("no answer")] * 1000]
    worker = Worker(unsteady, nap_time=0.001)
    with running(worker) as returned:
        eventually(lambda: caplog.messages, "it does not say that it waits")
        worker.interrupt()
        eventually(lambda: returned, "it does not stop")
    assert returned == [1]


def test_a_task_that_forks_leaves_one_worker(gator: Gator, notes: Path) -> None:
    gator.task(tasks.fork_and_return, str(notes))
    gator.task(tasks.append, str(notes), "next")
    Worker(gator, max_tasks=2).run_forever()
    assert sorted(tasks.lines(notes)) == ["copy", "next", "original"]
    assert gator.client.counts("all").failed == 0
