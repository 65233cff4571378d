"""Task, Worker and backend classes of one's own."""

from __future__ import annotations

import json
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from alligator import CANCELED, DELAYED, FAILED, RETRYING, SUCCESS, Gator, Task, Worker
from alligator.backends.base import Ack, Capability, FiveVerbs, State
from alligator.exceptions import InvalidName, UndecodableTask, UnsupportedByBroker

from .. import tasks

Work = Callable[[Gator], Worker]

# -- tasks ----------------------------------------------------------------------------------------


class Compressed(Task):
    """A task whose body is no text."""

    def serialize(self) -> bytes:
        text = super().serialize()
        return zlib.compress(text.encode() if isinstance(text, str) else text)

    @classmethod
    def deserialize(cls, data: str | bytes) -> Self:
        assert isinstance(data, bytes)
        return super().deserialize(zlib.decompress(data))


class Labelled(Task):
    """A task with an option of its own."""

    def __init__(self, *args: Any, label: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label = label

    def serialize(self) -> str:
        return json.dumps([self.label, super().serialize()])

    @classmethod
    def deserialize(cls, data: str | bytes) -> Self:
        label, rest = json.loads(data)
        task = super().deserialize(rest)
        task.label = label
        return task


@pytest.fixture
def compressed(dsn: str) -> Iterator[Gator]:
    with Gator(dsn, task_class=Compressed) as gator:
        yield gator


def test_a_body_of_bytes_travels_whole(compressed: Gator, work: Work) -> None:
    task = compressed.task(tasks.echo, "x" * 1000, k="ž")
    record = compressed.client.find(task.task_id)
    assert record is not None
    assert zlib.decompress(record.body).startswith(b'{"task_id"')
    finished = compressed.get(task.task_id)
    assert finished is not None
    assert type(finished) is Compressed
    assert finished.result == [["x" * 1000], {"k": "ž"}]


def test_it_is_retried_canceled_and_run_by_a_worker(
    compressed: Gator, work: Work, notes: Path
) -> None:
    compressed.options(retries=1).task(tasks.fail_times, str(notes), 1)
    again = compressed.pop()
    assert again is not None
    assert again.status == RETRYING
    assert work(compressed).tasks_complete == 1
    assert tasks.lines(notes) == ["tried", "tried"]
    canceled = compressed.cancel(compressed.task(tasks.nothing).task_id)
    assert canceled is not None
    assert canceled.status == CANCELED


def test_a_body_of_another_class_fails_that_task_only(compressed: Gator, work: Work) -> None:
    plain = Task().to_call(tasks.nothing).serialize()
    assert isinstance(plain, str)
    compressed.client.push("all", "raw", plain.encode())
    compressed.task(tasks.nothing)
    assert work(compressed).tasks_complete == 2
    (record,) = compressed.client.peek("all", State.FAILED).records
    assert "Compressed.deserialize raised error" in record.failures[-1].error


def test_a_task_class_may_have_options_of_its_own() -> None:
    with Gator("locmem://", task_class=Labelled) as gator:
        gator.options(label="urgent", retries=1).task(tasks.add, 1, 2)
        finished = gator.pop()
    assert isinstance(finished, Labelled)
    assert (finished.label, finished.retries, finished.result) == ("urgent", 1, 3)


class Doubled(Task):
    """A task whose run is its own affair."""

    def run(self) -> Any:
        assert self.func is not None
        return 2 * self.func(*self.func_args)


class Announced(Task):
    """A task that returns nothing from `to_call`, and notes each status."""

    said: ClassVar[list[str]] = []

    def to_call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        super().to_call(func, *args, **kwargs)

    def to_failed(self) -> None:
        super().to_failed()
        self.said.append("failed")

    def to_delayed(self) -> None:
        super().to_delayed()
        self.said.append("delayed")


def test_what_a_run_of_ones_own_returns_is_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    with Gator("locmem://", task_class=Doubled) as gator:
        task = gator.options(result_ttl=60).task(tasks.add, 1, 2)
        Worker(gator, max_tasks=1).run_forever()
        assert capsys.readouterr().out.splitlines()[1] == "6"
        assert gator.wait(task) == 6
        here = gator.options(is_async=False).task(tasks.add, 3, 4)
        assert (here.status, here.result) == (SUCCESS, 14)


@pytest.mark.parametrize(
    ("call", "said", "status"),
    [(tasks.fail, "failed", FAILED), (tasks.snooze_in_hook, "delayed", DELAYED)],
)
def test_each_status_is_said_once(call: Callable[..., Any], said: str, status: int) -> None:
    with Gator("locmem://", task_class=Announced) as gator:
        gator.task(call, 1)
        Announced.said.clear()
        (lease,) = gator.client.reserve(["all"], 1)
        done = gator.run_lease(lease)
    assert done.task is not None
    assert (Announced.said, done.task.status) == ([said], status)


# -- backends: five verbs, and nothing else -------------------------------------------------------


class FiveVerbQueue:
    """The least a backend can be, and not a subclass of anything."""

    def __init__(self, conn_string: str) -> None:
        self.conn_string = conn_string
        self.queues: dict[str, deque[tuple[str, bytes, float]]] = {}
        self.pops = 0

    def len(self, queue_name: str) -> int:
        return len(self.queues.get(queue_name, ()))

    def drop_all(self, queue_name: str) -> None:
        self.queues.pop(queue_name, None)

    def push(
        self, queue_name: str, task_id: str, data: bytes, delay_until: float | None = None
    ) -> str:
        self.queues.setdefault(queue_name, deque()).append((task_id, data, delay_until or 0.0))
        return task_id

    def pop(self, queue_name: str) -> bytes | None:
        self.pops += 1
        due = [item for item in self.queues.get(queue_name, ()) if item[2] <= time.time()]
        return self.get(queue_name, due[0][0]) if due else None

    def get(self, queue_name: str, task_id: str) -> bytes | None:
        for item in self.queues.get(queue_name, ()):
            if item[0] == task_id:
                self.queues[queue_name].remove(item)
                return item[1]
        return None


@pytest.fixture
def verbs() -> Iterator[Gator]:
    with Gator("mine://somewhere", backend_class=FiveVerbQueue) as gator:
        yield gator


def test_the_class_is_made_with_the_dsn(verbs: Gator) -> None:
    assert isinstance(verbs.backend, FiveVerbQueue)
    assert verbs.backend.conn_string == "mine://somewhere"


def test_five_verbs_are_a_protocol_that_the_class_keeps(verbs: Gator) -> None:
    backend: FiveVerbs = FiveVerbQueue("mine://")
    assert backend.len("all") == 0


def test_gator_works_with_five_verbs(verbs: Gator, notes: Path) -> None:
    first, second = verbs.task(tasks.add, 1, 0), verbs.push(Task("mine"), tasks.add, 2, 0)
    assert verbs.len() == 2
    assert second.task_id == "mine"
    got = verbs.get("mine")
    assert got is not None
    assert (got.result, got.status) == (2, SUCCESS)
    canceled = verbs.cancel(first.task_id)
    assert canceled is not None
    assert canceled.task_id == first.task_id
    assert verbs.pop() is None
    assert verbs.get("mine") is None

    verbs.options(retries=1).task(tasks.fail_times, str(notes), 1)
    again = verbs.pop()
    assert again is not None
    assert (again.status, verbs.len()) == (RETRYING, 1)
    finished = verbs.get(again.task_id)
    assert finished is not None
    assert finished.result == "done at try 2"


def test_worker_works_with_five_verbs(
    verbs: Gator, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verbs.task(tasks.add, 1, 2)
    verbs.task(tasks.fail)
    verbs.task(tasks.leave)
    verbs.options(retries=1).task(tasks.fail_times, str(notes), 1)
    verbs.client.push("all", "raw", b"not json")
    assert Worker(verbs, max_tasks=6).run_forever() == 0
    assert verbs.len() == 0
    assert capsys.readouterr().out.splitlines()[1:-1] == ["3", "done at try 2"]


def test_a_backend_of_2015_that_knows_no_delay_does_until_a_task_has_one() -> None:
    class Undelayed(FiveVerbQueue):
        def push(self, queue_name: str, task_id: str, data: bytes) -> str:  # type: ignore[override]
            return super().push(queue_name, task_id, data)

    with Gator("any://", backend_class=Undelayed) as gator:
        gator.task(tasks.add, 1, 2)
        finished = gator.pop()
        assert finished is not None
        assert finished.result == 3
        with pytest.raises(TypeError):
            gator.options(delay_by=60).task(tasks.add, 1, 2)


def test_a_delay_reaches_five_verbs(verbs: Gator) -> None:
    verbs.options(delay_by=3600).task(tasks.nothing)
    assert verbs.len() == 1
    assert verbs.pop() is None


def test_a_worker_on_five_verbs_naps_while_nothing_is_due(verbs: Gator) -> None:
    verbs.options(delay_by=3600).task(tasks.nothing)
    started = time.monotonic()
    verbs.client.wait(["all"], 0.2)
    assert time.monotonic() - started >= 0.2


def test_a_task_that_a_worker_on_five_verbs_did_not_run_stays(
    verbs: Gator, notes: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    verbs.task(tasks.terminate_this_process, str(notes))
    waiting = verbs.task(tasks.add, 1, 2)
    assert Worker(verbs).run_forever() == 1
    assert tasks.lines(notes) == ["finished"]
    assert verbs.len() == 1
    finished = verbs.get(waiting.task_id)
    assert finished is not None
    assert finished.result == 3


def test_nothing_is_popped_from_five_verbs_until_it_is_run(verbs: Gator) -> None:
    for _ in range(2):
        verbs.task(tasks.nothing)
    (lease,) = verbs.client.reserve(["all"], 1)
    assert verbs.client.settle([Ack(lease)], ["all"], 1).leases == []
    assert verbs.len() == 1


def test_control_c_puts_a_five_verb_task_back_under_its_id(verbs: Gator) -> None:
    task = verbs.task(tasks.press_control_c)
    with pytest.raises(KeyboardInterrupt):
        verbs.pop()
    assert verbs.client.cancel(task.task_id) is not None


@pytest.mark.parametrize(
    "options",
    [{"depends_on": "other"}, {"unique": "key"}, {"result_ttl": 5}, {"priority": 1}],
    ids=str,
)
def test_what_five_verbs_cannot_do_is_refused(verbs: Gator, options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedByBroker):
        verbs.options(**options).task(tasks.nothing)
    assert verbs.len() == 0


def test_five_verbs_cannot_be_looked_into(verbs: Gator) -> None:
    assert verbs.client.capabilities == frozenset()
    for look in (
        lambda: verbs.client.queues(),
        lambda: verbs.client.find("id"),
        lambda: verbs.client.requeue("id"),
        lambda: verbs.client.peek("all", State.WAITING),
        lambda: verbs.client.drop("all", [State.FAILED]),
        lambda: verbs.client.result("id"),
        lambda: verbs.client.require(Capability.SHARED),
    ):
        with pytest.raises(UnsupportedByBroker, match="cannot"):
            look()


def test_bad_input_is_refused_before_five_verbs_see_it(verbs: Gator) -> None:
    with pytest.raises(InvalidName):
        verbs.push(Task("a\nb"), tasks.nothing)
    assert verbs.len() == 0


def test_bytes_that_are_no_task_are_said_to_be_none(verbs: Gator) -> None:
    verbs.client.push("all", "raw", b"not json")
    with pytest.raises(UndecodableTask):
        verbs.pop()


def test_five_verbs_may_be_emptied(verbs: Gator) -> None:
    verbs.task(tasks.nothing)
    assert verbs.client.drop_all("all") == 1
    assert verbs.len() == 0


# -- workers --------------------------------------------------------------------------------------


class Collector(Worker):
    """A worker that keeps what tasks return."""

    def starting(self) -> None:
        self.found: list[Any] = []

    def stopping(self) -> None:
        self.found.append("stopped")

    def result(self, value: Any) -> None:
        self.found.append(value)


def test_a_worker_class_may_do_as_it_likes_with_results(
    local: Gator, capsys: pytest.CaptureFixture[str]
) -> None:
    local.task(tasks.add, 1, 2)
    local.task(tasks.fail)
    local.task(tasks.add, 3, 4)
    worker = Collector(local, max_tasks=3)
    worker.run_forever()
    assert worker.found == [3, 7, "stopped"]
    assert capsys.readouterr().out == ""
