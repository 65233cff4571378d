"""A request reaches the broker and its answer is lost: queued once where the broker can tell, else
the error says that nobody knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator import Gator, Task
from alligator.backends.base import State
from alligator.exceptions import BrokerUnreachable

from ..servers import Server, eventually
from . import deeds
from .conftest import ROOT, StartWorker, noted
from .proxy import Proxy, proxied

GatorFor = Callable[[str], Gator]

PUSHES = 5000


@pytest.fixture
def proxy(redis: Server) -> Iterator[Proxy]:
    with proxied(redis.port) as proxy:
        yield proxy


@pytest.fixture
def lossy_dsn(redis_dsn: str, redis: Server, proxy: Proxy) -> str:
    """The way to the test's namespace that leads through the proxy."""
    return redis_dsn.replace(f":{redis.port}/", f":{proxy.port}/")


def names(gator: Gator, state: State = State.WAITING) -> list[str]:
    """The second argument of each task that is queued."""
    page = gator.client.peek("all", state, 2 * PUSHES)
    return [json.loads(record.body)["args"][1] for record in page.records]


def push(gator: Gator, name: str, evidence: str = "nowhere") -> None:
    gator.task(deeds.quick, evidence, name)


def test_5000_pushes_with_every_tenth_answer_lost_queue_5000_tasks(
    lossy_dsn: str, redis_dsn: str, proxy: Proxy, gator_for: GatorFor
) -> None:
    gator = gator_for(lossy_dsn)
    proxy.lose_every = 10

    for number in range(PUSHES):
        push(gator, str(number))

    assert proxy.lost >= PUSHES / 10
    assert names(gator_for(redis_dsn)) == [str(number) for number in range(PUSHES)]


def test_answers_that_never_come_on_connections_that_stay_open_double_nothing(
    lossy_dsn: str, redis_dsn: str, proxy: Proxy, gator_for: GatorFor
) -> None:
    gator = gator_for(f"{lossy_dsn}&timeout=1")
    proxy.lose_every, proxy.silent = 10, True

    for number in range(60):
        push(gator, str(number))

    assert proxy.lost >= 6
    assert names(gator_for(redis_dsn)) == [str(number) for number in range(60)]


@pytest.mark.parametrize("answers", range(6))
def test_the_first_push_of_a_client_is_queued_once_whichever_answer_is_lost(
    lossy_dsn: str, redis_dsn: str, proxy: Proxy, gator_for: GatorFor, answers: int
) -> None:
    proxy.lose_after = answers
    gator = gator_for(lossy_dsn)

    push(gator, "one")
    push(gator, "two")
    push(gator, "three")

    assert proxy.lost == 1
    assert names(gator_for(redis_dsn)) == ["one", "two", "three"]


def test_gator_push_queues_once_though_answers_are_lost(
    lossy_dsn: str, redis_dsn: str, proxy: Proxy, gator_for: GatorFor, tmp_path: Path
) -> None:
    # A command has about five answers to lose, handshake included; each run loses one or two.
    proxy.lose_every = 4
    command = [sys.executable, "-m", "alligator", "push", "shop.sell", "--dsn", lossy_dsn]

    ran = [
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        for _ in range(12)
    ]

    assert [each.returncode for each in ran] == [0] * 12, ran
    assert proxy.lost >= 12
    records = gator_for(redis_dsn).client.peek("all", State.WAITING, 100).records
    assert [record.task_id for record in records] == [each.stdout.strip() for each in ran]


LINE = '{"task":"shop.sell","args":["x","%d"]}\n'


def load_that_loses_answers(dsn: str, folder: Path, proxy: Proxy) -> str:
    """Push a line whose answer comes and one whose answer does not; return what is said of it."""
    command = [sys.executable, "-m", "alligator", "push", "--from", "/dev/stdin", "--print-ids"]
    with subprocess.Popen(
        [*command, "--dsn", dsn],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as load:
        assert load.stdin
        assert load.stdout
        load.stdin.write(LINE % 1)
        load.stdin.flush()
        assert load.stdout.readline()
        proxy.lose_every = 1
        _, stderr = load.communicate(LINE % 2, timeout=60)
    assert load.returncode == 69
    return stderr


def test_gator_push_from_warns_of_doubles_when_an_answer_was_lost(
    lossy_dsn: str, redis_dsn: str, proxy: Proxy, gator_for: GatorFor, tmp_path: Path
) -> None:
    said = load_that_loses_answers(f"{lossy_dsn}&timeout=1", tmp_path, proxy)

    assert names(gator_for(redis_dsn)) == ["1", "2"]
    assert (
        "The tasks of lines 1 to 1 are queued. Some of the next lines may be queued too: pushed "
        "again, those without an id of their own make doubles; with --checkpoint there are none. "
        "Go on, with the same options: tail -n +2 /dev/stdin | gator push --from -\n"
    ) in said


def test_gator_push_from_warns_that_beanstalkd_may_have_lines_twice(
    beanstalkd: Server, gator_for: GatorFor, tmp_path: Path
) -> None:
    with proxied(beanstalkd.port) as proxy:
        dsn = f"beanstalk://127.0.0.1:{proxy.port}"
        said = load_that_loses_answers(dsn, tmp_path, proxy)

    assert names(gator_for(beanstalkd.dsn)) == ["1", "2"]
    assert "may be queued too: pushed again, they are there twice. Go on, with" in said


def test_gator_push_from_does_not_say_that_none_is_queued_when_the_first_answer_was_lost(
    beanstalkd: Server, gator_for: GatorFor, tmp_path: Path
) -> None:
    (tmp_path / "rows").write_text(LINE % 1)
    with proxied(beanstalkd.port) as proxy:
        proxy.lose_after = 1  # that to the push: the one before is to a new connection
        load = subprocess.run(
            [sys.executable, "-m", "alligator", "push", "--from", str(tmp_path / "rows")],
            cwd=ROOT,
            env={**os.environ, "GATOR_DSN": f"beanstalk://127.0.0.1:{proxy.port}"},
            capture_output=True,
            text=True,
        )

    assert names(gator_for(beanstalkd.dsn)) == ["1"]
    assert load.returncode == 69
    assert load.stderr.endswith("\nSome may be queued: pushed again, they are there twice.\n")


def test_a_worker_whose_answers_are_lost_runs_each_task_once(
    lossy_dsn: str,
    redis_dsn: str,
    proxy: Proxy,
    gator_for: GatorFor,
    start_worker: StartWorker,
    evidence: str,
    tmp_path: Path,
) -> None:
    gator = gator_for(redis_dsn)
    # Short ones have much to settle and to reserve, long ones leases to extend.
    tasks = [Task().to_call(deeds.quick, evidence, f"ran {number}") for number in range(400)]
    tasks += [Task().to_call(deeds.slow, evidence, f"ran {400 + n}", 1.5) for n in range(4)]
    gator.push_many(tasks)
    proxy.lose_every = 4

    worker = start_worker(f"{lossy_dsn}&lease=1", "-c", "2", "--burst")

    assert worker.wait(60) == 0
    assert proxy.lost > 10
    assert sorted(map(int, noted(evidence, "ran"))) == list(range(404))
    counts = gator.client.counts("all")
    assert sum(counts[1:7]) == 0
    # It may say that it waits for the broker: the answer to a second try may be lost, too.
    assert "lost its lease" not in (tmp_path / "worker.log").read_text()


def test_beanstalkd_tells_which_pushes_nobody_knows_of(
    beanstalkd: Server, gator_for: GatorFor
) -> None:
    acknowledged, unknown, refused = set(), set(), set()
    told: set[tuple[bool, bool]] = set()
    with proxied(beanstalkd.port) as proxy:
        gator = gator_for(f"beanstalk://127.0.0.1:{proxy.port}")
        proxy.lose_every = 7
        for number in range(300):
            if number % 20 == 19:  # the next answer is one to a new connection
                gator.client.close()
                proxy.lose_after = 0
            try:
                push(gator, str(number))
            except BrokerUnreachable as error:
                said = "whether the last request was carried out is unknown" in str(error)
                told.add((error.maybe_done, said))
                (unknown if error.maybe_done else refused).add(str(number))
            else:
                acknowledged.add(str(number))
        gator.client.close()

        queued = names(gator_for(beanstalkd.dsn))

    assert told == {(True, True), (False, False)}
    assert len(unknown) > 10
    assert len(refused) >= 15
    assert len(queued) == len(set(queued))
    assert acknowledged <= set(queued)
    assert not refused & set(queued), "an error that does not say so is about an unsent push"
    # This proxy loses answers only, so all that is unknown here is queued; the pusher can't tell.
    assert set(queued) == acknowledged | unknown


def test_a_worker_of_beanstalkd_whose_answers_are_lost_runs_each_task(
    beanstalkd: Server,
    gator_for: GatorFor,
    start_worker: StartWorker,
    evidence: str,
) -> None:
    gator = gator_for(beanstalkd.dsn)
    # Of a length that few are reserved at once: a settle with hundreds has as many answers.
    calls = [Task().to_call(deeds.slow, evidence, f"ran {number}", 0.02) for number in range(100)]
    gator.push_many(calls)
    with proxied(beanstalkd.port) as proxy:
        # A lost answer costs the connection, and with it the leases of what is under way: the
        # server hands those out once more.
        proxy.lose_every = 25
        start_worker(f"beanstalk://127.0.0.1:{proxy.port}")

        eventually(lambda: len(set(noted(evidence, "ran"))) == 100, "each runs", 60)
        assert proxy.lost > 1
        proxy.lose_every = 0
        eventually(lambda: sum(gator.client.counts("all")[1:7]) == 0, "all is settled", 60)
