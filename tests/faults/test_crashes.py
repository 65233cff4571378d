"""A task that takes its worker along is put aside, and nothing that was held beside it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator import Gator, Task, Worker
from alligator.backends.base import Defer, Fail, Lease, Release, State
from alligator.channel import frame
from alligator.children import Child
from alligator.dealing import Dealer
from alligator.exceptions import TaskFailed
from alligator.settings import WorkerSettings

from ..servers import eventually, with_lease
from . import crowds, deeds
from .conftest import ROOT, StartWorker, noted, pid_when_started

GatorFor = Callable[[str], Gator]


def unsettled(gator: Gator) -> int:
    counts = gator.client.counts("all")
    return counts.waiting + counts.delayed + counts.retrying + counts.running


def failed_error(gator: Gator) -> str:
    (failed,) = gator.client.peek("all", State.FAILED).records
    return failed.failures[-1].error


def push_poison_among_innocents(gator: Gator, evidence: str, poison: Callable[..., object]) -> None:
    """100 short tasks, one that kills, 100 short ones."""
    calls = [Task().to_call(deeds.quick, evidence, f"quick {number}") for number in range(200)]
    args = () if poison is deeds.kill_the_tree else (int(signal.SIGKILL),)
    calls.insert(100, Task().to_call(poison, evidence, *args))
    gator.push_many(calls)


@pytest.mark.parametrize(
    "data",
    [
        b"hello world\n",  # a length of more than a gigabyte
        frame(None),
        frame(([],)),
        frame(("limit",)),
    ],
)
def test_a_task_that_writes_what_is_no_outcome_is_charged_alone(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    data: bytes,
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.push_many(Task().to_call(deeds.quick, evidence, f"quick {n}") for n in range(20))
    gator.task(deeds.write_to_every_pipe, evidence, data.hex())
    gator.push_many(Task().to_call(deeds.quick, evidence, f"quick {n}") for n in range(20, 40))

    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    assert set(noted(evidence, "quick")) == {str(n) for n in range(40)}
    assert len(noted(evidence, "writes")) == 3
    assert failed_error(gator) == (
        "worker died: SIGKILL, since it had written to its pipe what is no outcome"
    )


def test_a_task_that_closes_its_pipe_to_the_worker_is_charged_alone(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.close_every_descriptor, evidence)
    gator.task(deeds.quick, evidence, "quick 1")

    assert start_worker(sqlite_dsn, "--burst", "--max-deaths", "1").wait(60) == 0

    assert noted(evidence, "quick") == ["1"]
    assert (
        failed_error(gator) == "worker died: SIGKILL, since it had closed its pipe to this worker"
    )


def test_a_task_that_closes_stderr_stops_no_thread_for_ever(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.close_stderr, evidence)
    gator.push_many(Task().to_call(deeds.quick, evidence, f"quick {n}") for n in range(5))

    assert start_worker(sqlite_dsn, "--threads", "2", "--burst").wait(60) == 0

    assert set(noted(evidence, "quick")) == {str(n) for n in range(5)}


@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_task_that_kills_the_whole_worker_is_the_only_one_put_aside(
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    evidence: str,
    processes: str,
) -> None:
    gator = gator_for(with_lease(shared_dsn, 2))
    push_poison_among_innocents(gator, evidence, deeds.kill_the_tree)

    deaths = 0
    while unsettled(gator):  # as a service manager would
        code = start_worker(gator.conn_string, "-c", processes, "--burst").wait(60)
        assert code in (0, -signal.SIGKILL)
        deaths += code != 0
        assert deaths < 10, "it goes on for ever"

    assert deaths == len(noted(evidence, "started")) == 3
    assert set(map(int, noted(evidence, "quick"))) == set(range(200))
    assert failed_error(gator) == "worker died: 3 times, the last one without a word of how"
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert (failed.attempts, failed.deaths) == (0, 3)


def test_a_task_that_kills_a_worker_of_ones_own_is_put_aside_too(
    shared_dsn: str, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(with_lease(shared_dsn, 2))
    push_poison_among_innocents(gator, evidence, deeds.kill_the_process)

    while unsettled(gator):
        program = [sys.executable, "-m", f"{__package__}.worker_here", gator.conn_string]
        subprocess.run(program, cwd=ROOT, stdout=subprocess.DEVNULL, check=False, timeout=60)
        assert len(noted(evidence, "started")) < 10, "it goes on for ever"

    assert len(noted(evidence, "started")) == 3
    assert sorted(map(int, noted(evidence, "quick"))) == list(range(200)), "each, and once"
    assert failed_error(gator) == "worker died: 3 times, the last one without a word of how"


def test_crashes_and_exceptions_are_counted_apart(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(shared_dsn)
    gator.push(Task(retries=1), deeds.crash_twice_and_fail_once, evidence)

    assert start_worker(shared_dsn, "--burst").wait(60) == 0

    assert len(noted(evidence, "started")) == 4
    assert noted(evidence, "finished"), "two deaths are not three, and one exception is not two"
    assert gator.client.counts("all").failed == 0


@pytest.mark.parametrize("most", [1, 2, 4])
def test_how_many_deaths_are_too_many_can_be_set(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, most: int
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.leave, evidence)

    assert start_worker(sqlite_dsn, "--max-deaths", str(most), "--burst").wait(60) == 0

    assert len(noted(evidence, "started")) == most
    assert failed_error(gator) == "worker died: exit code 7"


def test_with_one_death_allowed_the_death_of_a_worker_condemns_nobody_yet(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.once_stuck, evidence)
    first = start_worker(sqlite_dsn, "--max-deaths", "1")
    pid_when_started(evidence)
    first.kill()
    first.wait()

    eventually(lambda: gator.client.counts("all").running == 0, "its lease is over")
    assert start_worker(sqlite_dsn, "--max-deaths", "1", "--burst").wait(60) == 0

    assert noted(evidence, "finished")


def test_with_one_death_allowed_the_death_of_a_child_condemns_nothing_that_ran_beside_another(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    gator = gator_for(sqlite_dsn)
    gator.task(deeds.once_stuck, evidence)
    guilty = gator.task(deeds.leave_beside, evidence)

    options = ("--max-deaths", "1", "--threads", "2")
    assert start_worker(sqlite_dsn, *options, "--burst").wait(60) == 0

    assert noted(evidence, "finished")
    (failed,) = gator.client.peek("all", State.FAILED).records
    assert failed.task_id == guilty.task_id
    assert failed.failures[-1].error == "worker died: exit code 7"


def test_what_is_known_of_a_crash_is_shown(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str
) -> None:
    task = gator_for(sqlite_dsn).task(deeds.kill_the_process, evidence, int(signal.SIGSEGV))
    assert start_worker(sqlite_dsn, "--burst").wait(60) == 0

    def show(*options: str) -> str:
        command = [sys.executable, "-m", "alligator", "--dsn", sqlite_dsn, "show", task.task_id]
        shown = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, check=True)
        return shown.stdout.decode()

    shown = json.loads(show("--json"))
    assert (shown["attempts"], shown["deliveries"], shown["deaths"]) == (0, 3, 3)
    (failure,) = shown["failures"]
    assert failure["error"] == "worker died: SIGSEGV"
    assert failure["worker"].rpartition(":")[2] == noted(evidence, "started")[-1]
    assert failure["at"].endswith("Z")
    assert "worker died: SIGSEGV" in show()


def test_a_suspect_and_what_is_behind_it_do_not_wait_for_long_tasks(
    shared_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    gator = gator_for(with_lease(shared_dsn, 10))
    gator.task(deeds.quick, evidence, "suspect ran")
    die_with(gator, 1)
    go = tmp_path / "go"
    gator.options(priority=1).task(crowds.until_told, evidence, str(go))
    worker = start_worker(gator.conn_string)
    long = pid_when_started(evidence)

    eventually(lambda: noted(evidence, "suspect"), "it runs")
    for number in range(3):
        gator.task(deeds.quick, evidence, f"quick {number}")
    eventually(lambda: len(noted(evidence, "quick")) == 3, "what comes then runs")

    assert Path(f"/proc/{long}").exists()
    go.touch()
    eventually(lambda: noted(evidence, "finished"), "so is what was long, where it began")
    worker.terminate()
    assert worker.wait(30) == 0


# -- the dealing, on one real child -------------------------------------------------------------


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.chdir(ROOT)
    # With room for several, so that it is no want of room that keeps others from it.
    made = Child(WorkerSettings("sqlite:///unused.db", threads=8, log_level="error"))
    eventually(lambda: made.collect() is not None and made.ready, "the child is ready")
    yield made
    made.kill()
    made.wait()
    made.close()


@pytest.fixture
def stuck(evidence: str, tmp_path: Path) -> Callable[[int], Lease]:
    """Make a lease of a task that does not end, with so many deaths behind it."""

    def make(deaths: int) -> Lease:
        task = Task().to_call(deeds.until_told, evidence, str(tmp_path / "never"))
        return Lease("all", task.task_id, task.serialize().encode(), "token", deliveries=1 + deaths)  # type: ignore[union-attr]

    return make


@pytest.fixture
def dealer(child: Child) -> Dealer:
    return Dealer([child], max_tasks=0, max_deaths=3)


def test_a_child_gets_nothing_beside_a_suspect(
    child: Child, dealer: Dealer, stuck: Callable[[int], Lease]
) -> None:
    plain, suspect, other = stuck(0), stuck(1), stuck(1)

    hands, back = dealer.deal([suspect, other, plain], {child: 8}, "here:1")

    assert back == [Release(other), Release(plain)]
    assert hands == {child: [suspect]}
    child.give(hands[child])
    eventually(lambda: child.collect() is not None and child.room(), "it has room for more")
    assert dealer.rooms() == {}


def test_a_suspect_waits_until_a_child_has_nothing(
    child: Child, dealer: Dealer, stuck: Callable[[int], Lease]
) -> None:
    plain, suspect = stuck(0), stuck(1)

    hands, back = dealer.deal([plain, suspect], {child: 8}, "here:1")

    assert (hands, back) == ({child: [plain]}, [Release(suspect)])
    child.give(hands[child])
    eventually(lambda: child.collect() is not None and child.room() > 1, "it has room for more")
    assert dealer.rooms() == {}, "what else would come might be a suspect too"
    child.held.clear()
    assert dealer.rooms() == {child: 1}
    assert dealer.deal([], {child: 1}, "here:1") == ({child: []}, [])
    assert dealer.rooms() == {child: child.room()} != {child: 1}


def test_what_was_set_apart_runs_alone(
    child: Child, dealer: Dealer, stuck: Callable[[int], Lease]
) -> None:
    beside, overran, plain = stuck(0), stuck(0), stuck(0)

    dealer.set_apart(overran, at_once=True)
    dealer.set_apart(beside, at_once=False)
    hands, back = dealer.deal([overran, beside, plain], {child: 8}, "here:1")
    assert (hands, back) == ({child: [overran]}, [Release(beside), Release(plain)])

    hands, back = dealer.deal([beside, plain], {child: 8}, "here:1")
    assert (hands, back) == ({child: [beside, plain]}, []), "once may be an accident"
    dealer.set_apart(beside, at_once=False)
    hands, back = dealer.deal([beside, plain], {child: 8}, "here:1")
    assert (hands, back) == ({child: [beside]}, [Release(plain)])


def test_a_worker_gives_one_task_at_a_time_its_last_chance(
    child: Child, dealer: Dealer, stuck: Callable[[int], Lease]
) -> None:
    first, second = stuck(2), stuck(2)

    hands, (wait,) = dealer.deal([first, second], {child: 8}, "here:1")

    assert hands == {child: [first]}
    child.give([first])
    assert isinstance(wait, Defer)
    assert wait.lease == second


def test_nothing_is_reserved_as_a_task_at_its_last_chance_begins(
    child: Child, stuck: Callable[[int], Lease]
) -> None:
    other = Child(WorkerSettings("sqlite:///unused.db", log_level="error"))
    try:
        eventually(lambda: other.collect() is not None and other.ready, "it is ready")
        dealer = Dealer([child, other], max_tasks=0, max_deaths=3)
        hands, _ = dealer.deal([stuck(2)], {child: 1}, "here:1")
        child.give(hands[child])

        assert dealer.rooms() == {}
        eventually(lambda: dealer.rooms() == {other: 1}, "a long one is not waited for")
        assert child.held
    finally:
        other.kill()
        other.wait()
        other.close()


def test_a_task_with_too_many_deaths_behind_it_is_not_dealt(
    child: Child, dealer: Dealer, stuck: Callable[[int], Lease]
) -> None:
    hands, (end,) = dealer.deal([stuck(3)], {child: 8}, "here:1")

    assert isinstance(end, Fail)
    assert end.failure.worker == "here:1"
    assert hands == {child: []}


# -- without a supervisor -----------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, -1, 2.5, "3"])
def test_a_number_of_deaths_that_is_none_is_refused(most: int) -> None:
    with Gator("locmem://") as gator, pytest.raises(ValueError, match=f"max_deaths {most!r}"):
        Worker(gator, max_deaths=most)


def die_with(gator: Gator, times: int) -> None:
    for _ in range(times):
        (lease,) = gator.client.reserve(["all"], 1)
        gator.client.settle([Release(lease, charged=True)])


def test_pop_puts_aside_what_killed_its_workers(dsn: str, gator_for: GatorFor) -> None:
    gator = gator_for(dsn)
    gator.task(os.getpid)
    die_with(gator, 3)

    with pytest.raises(TaskFailed, match="worker died: 3 times"):
        gator.pop()

    assert gator.client.counts("all").failed == 1


def test_a_task_asked_for_by_its_id_runs_whatever_is_behind_it(
    dsn: str, gator_for: GatorFor
) -> None:
    gator = gator_for(dsn)
    task = gator.task(os.getpid)
    die_with(gator, 5)

    done = gator.get(task.task_id)

    assert done is not None
    assert done.result == os.getpid()
