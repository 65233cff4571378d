"""One queue file in many processes: leases that end with theirs, turns, wake-ups and forks."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from alligator.backends.base import Ack, Entry, Lease, State
from alligator.backends.roster import WorkerRecord
from alligator.backends.sqlite_backend import Client
from alligator.exceptions import TaskRunning

from ..contract.verbs import LATER, ack, push, reserve
from ..servers import eventually

#: How long the test of ten pushing and ten taking processes runs.
STRESS_SECONDS = float(os.environ.get("ALLIGATOR_STRESS_SECONDS", "20"))

MakeClient = Callable[[], Client]


@pytest.fixture
def make_client(sqlite_dsn: str) -> Iterator[MakeClient]:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(sqlite_dsn))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def workers(tmp_path: Path) -> Path:
    return tmp_path / "queue.db-workers"


@contextmanager
def process(dsn: str, code: str) -> Iterator[subprocess.Popen[str]]:
    """Another Python with a `client`, killed at the end of the block; it has said its line."""
    preamble = f"""
import os, sys
from alligator.backends.base import Ack, Entry, Settled
from alligator.backends.sqlite_backend import Client
client = Client({dsn!r})
"""
    other = subprocess.Popen(
        [sys.executable, "-uc", preamble + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other.stdin, other.stdout:
        try:
            other.stdout.readline()
            yield other
        finally:
            other.kill()
            other.wait()


def child_of_this(deed: Callable[[], object], fork: Callable[[], int] = os.fork) -> int:
    """Do something in a forked child; return its exit code, 0 when it did not raise."""
    pid = fork()
    if pid == 0:
        code = 1
        try:
            deed()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


RESERVE = "print(client.reserve(['all'], 10)); sys.stdin.read()"


# -- leases end with their process --------------------------------------------------------------


def test_the_leases_of_a_killed_process_are_ready_again(
    make_client: MakeClient, sqlite_dsn: str, workers: Path
) -> None:
    client = make_client()
    for number in range(3):
        push(client, task_id=str(number))

    with process(sqlite_dsn, RESERVE) as other:
        assert client.reserve(["all"], 10) == []
        with pytest.raises(TaskRunning, match=f"running on .*:{other.pid}"):
            client.cancel("0")
        other.kill()
        other.wait()
        leases = client.reserve(["all"], 10)

    assert [(lease.task_id, lease.deliveries) for lease in leases] == [("0", 2), ("1", 2), ("2", 2)]
    assert len(list(workers.iterdir())) == 1  # ours


@pytest.mark.parametrize(
    "state_of",
    [
        lambda client: client.find("0").state,
        lambda client: State.WAITING if client.counts("all").waiting else State.RUNNING,
        lambda client: State.WAITING if client.peek("all", State.WAITING)[0] else State.RUNNING,
    ],
    ids=["find", "counts", "peek"],
)
def test_whoever_looks_sees_that_a_process_was_killed(
    make_client: MakeClient, sqlite_dsn: str, state_of: Callable[[Client], State]
) -> None:
    client = make_client()
    push(client, task_id="0")

    with process(sqlite_dsn, RESERVE) as other:
        assert state_of(client) == State.RUNNING
        other.kill()
        other.wait()

    assert state_of(client) == State.WAITING


def test_a_worker_is_stale_as_soon_as_its_process_was_killed(
    make_client: MakeClient, sqlite_dsn: str
) -> None:
    client = make_client()
    beat = """
from alligator.backends.roster import WorkerRecord
client.beat(WorkerRecord(client.worker, "h", os.getpid(), ("all",), 1, 0.0), 3600)
print("beaten"); sys.stdin.read()"""

    with process(sqlite_dsn, beat) as other:
        assert [worker.stale for worker in client.workers()] == [False]
        assert client.attended("all")
        other.kill()
        other.wait()

        assert [worker.stale for worker in client.workers()] == [True]
        assert not client.attended("all")


def test_a_worker_that_an_older_version_listed_is_not_stale(
    make_client: MakeClient, sqlite_dsn: str
) -> None:
    client = make_client()
    client.beat(WorkerRecord("h:1", "h", 1, ("all",), 1, 0.0), LATER)
    with closing(sqlite3.connect(sqlite_dsn.removeprefix("sqlite:///"))) as file, file:
        file.execute("UPDATE workers SET said = replace(said, '\"life\"', '\"unknown\"')")

    assert [worker.stale for worker in client.workers()] == [False]


def test_an_idle_client_notices_a_killed_process(make_client: MakeClient, sqlite_dsn: str) -> None:
    client = make_client()
    push(client)
    woken = threading.Event()

    def idle() -> None:
        client.wait(["all"], LATER)
        woken.set()

    with process(sqlite_dsn, RESERVE) as other:
        thread = threading.Thread(target=idle, daemon=True)
        thread.start()
        other.kill()
        eventually(woken.is_set, "nobody noticed the killed process")

    thread.join()
    assert reserve(client).deliveries == 2


@pytest.mark.parametrize("verb", ["claim", "cancel", "requeue"])
def test_a_dead_worker_is_in_nobodys_way(
    make_client: MakeClient, sqlite_dsn: str, verb: str
) -> None:
    client = make_client()
    push(client, task_id="id")

    with process(sqlite_dsn, RESERVE) as other:
        other.kill()
        other.wait()
        assert getattr(client, verb)("id")


def test_a_stopped_process_keeps_its_leases(make_client: MakeClient, sqlite_dsn: str) -> None:
    client = make_client()
    push(client)

    with process(sqlite_dsn, RESERVE) as other:
        other.send_signal(signal.SIGSTOP)
        client.wait(["all"], 0.6)  # long enough for a look at who is alive
        assert client.reserve(["all"], 1) == []
        assert client.counts("all").running == 1


def test_clients_of_one_process_live_and_end_apart(make_client: MakeClient) -> None:
    first, second, third = make_client(), make_client(), make_client()
    for _ in range(2):
        push(first)
    lost, kept = reserve(first), reserve(second)

    assert third.reserve(["all"], 9) == []
    first.close()

    assert [lease.task_id for lease in third.reserve(["all"], 9)] == [lost.task_id]
    assert second.extend([kept, lost]) == [True, False]
    ack(second, kept)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # from Python 3.13
def test_a_client_that_nobody_closed_loses_its_leases(sqlite_dsn: str, workers: Path) -> None:
    forgotten = Client(sqlite_dsn)
    push(forgotten)
    reserve(forgotten)

    del forgotten
    gc.collect()

    client = Client(sqlite_dsn)
    assert reserve(client).deliveries == 2
    client.close()
    assert list(workers.iterdir()) == []


def test_a_life_whose_file_somebody_removed_is_begun_anew(
    make_client: MakeClient, sqlite_dsn: str, workers: Path
) -> None:
    client = make_client()
    for _ in range(2):
        push(client)
    ack(client, reserve(client))
    shutil.rmtree(workers)

    lease = reserve(client)

    with process(sqlite_dsn, "print(); print(client.reserve(['all'], 1))") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "[]\n"
    ack(client, lease)


def test_lives_that_were_killed_idle_are_swept(
    make_client: MakeClient, sqlite_dsn: str, workers: Path
) -> None:
    client = make_client()
    push(client)
    code = "client.settle([Ack(*client.reserve(['all'], 1))]); print(); sys.stdin.read()"
    with process(sqlite_dsn, code):
        pass
    assert len(list(workers.iterdir())) == 1

    push(client)
    reserve(client)

    assert len(list(workers.iterdir())) == 1


# -- wake-ups ---------------------------------------------------------------------------------


@contextmanager
def idle_clients(
    make_client: MakeClient, workers: Path, *queues: str
) -> Iterator[list[threading.Event]]:
    """A waiting client for each of the queues, and the events that tell when it wakes."""
    events = [threading.Event() for _ in queues]

    def idle(queue: str, woken: threading.Event) -> None:
        make_client().wait([queue], LATER)
        woken.set()

    threads = [
        threading.Thread(target=idle, args=pair, daemon=True)
        for pair in zip(queues, events, strict=True)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: len(list(workers.glob("*.wake"))) == len(queues), "nobody waits")
    yield events
    for thread in threads:
        thread.join(10)


def test_a_push_wakes_one_client_that_wants_it(make_client: MakeClient, workers: Path) -> None:
    pusher = make_client()
    pusher.ping()
    with idle_clients(make_client, workers, "a", "a", "b") as (first, second, other):
        pusher.push("a", "1", b"")
        # By the pipes, not the threads: idle ones look at the file by themselves now and then.
        assert len(list(workers.glob("*.wake"))) == 2
        pusher.push("a", "2", b"")
        assert len(list(workers.glob("*.wake"))) == 1
        pusher.push("a", "3", b"")
        eventually(lambda: first.is_set() and second.is_set(), "a wake-up was lost")
        assert not other.is_set()
        pusher.push("b", "4", b"")

    assert other.is_set()


def test_the_pipe_of_a_killed_client_costs_no_wake_up(
    make_client: MakeClient, sqlite_dsn: str, workers: Path
) -> None:
    pusher = make_client()
    with process(sqlite_dsn, "print(); client.wait(['all'], 3600)"):
        eventually(lambda: workers.exists() and any(workers.glob("*.wake")), "nobody waits")
    assert any(workers.glob("*.wake"))

    push(pusher)

    assert not any(workers.glob("*.wake"))


def test_a_client_of_many_queues_is_woken_for_each(make_client: MakeClient, workers: Path) -> None:
    client, pusher = make_client(), make_client()
    queues = [f"queue{number}" for number in range(60)]
    thread = threading.Thread(target=client.wait, args=(queues, LATER), daemon=True)
    thread.start()
    eventually(lambda: any(workers.glob("*.wake")), "nobody waits")

    push(pusher, "queue59")

    thread.join(10)
    assert not thread.is_alive()


def test_an_idle_client_seldom_looks(make_client: MakeClient) -> None:
    client = make_client()
    looks: list[None] = []

    def clock() -> float:
        looks.append(None)
        return time.time()

    client.clock = clock
    client.wait(["all"], 1.2)

    assert len(looks) <= 4


# -- many processes ---------------------------------------------------------------------------

PUSHER = """
import itertools, time
print()
end = time.monotonic() + float(sys.stdin.readline())
for number in itertools.count():
    if time.monotonic() > end:
        break
    task_id = f"{os.getpid()}-{number}"
    client.push("all", task_id, b"body")
    print(task_id)
client.close()
"""

TAKER = """
print()
line = sys.stdin.readline()
settled = Settled([], [])
while True:
    settled = client.settle([Ack(lease) for lease in settled.leases], ["all"], 5)
    assert all(settled.accepted)
    for lease in settled.leases:
        assert lease.deliveries == 1
        print(lease.task_id)
        if lease.task_id == "end":
            client.settle([Ack(lease)])
            client.close()
            sys.exit()
    if not settled.leases:
        client.wait(["all"], 5)
"""


def test_ten_push_and_ten_take_and_each_task_runs_once(
    make_client: MakeClient, sqlite_dsn: str, tmp_path: Path
) -> None:
    # Files, since nobody empties twenty pipes at once.
    def start(code: str, name: str) -> subprocess.Popen[bytes]:
        preamble = (
            "import os, sys\nfrom alligator.backends.base import Ack, Settled\n"
            "from alligator.backends.sqlite_backend import Client\n"
            # Twenty take turns: on a loaded machine with a slow disk one may wait for long.
            f"client = Client({sqlite_dsn + '?timeout=60'!r})\n"
        )
        with open(tmp_path / name, "w") as said:
            return subprocess.Popen(
                [sys.executable, "-c", preamble + code], stdin=subprocess.PIPE, stdout=said
            )

    pushers = [start(PUSHER, f"push{number}") for number in range(10)]
    takers = [start(TAKER, f"take{number}") for number in range(10)]
    for each in pushers + takers:
        assert each.stdin is not None
        each.stdin.write(f"{STRESS_SECONDS}\n".encode())
        each.stdin.close()
    codes = [each.wait(STRESS_SECONDS + 60) for each in pushers]
    client = make_client()
    for _ in takers:
        eventually(
            lambda: client.push_many("all", [Entry("end", b"", priority=-1)])[0].queued,
            "the takers do not come to the end",
            STRESS_SECONDS + 60,
        )
    codes += [each.wait(STRESS_SECONDS + 60) for each in takers]

    def said(kind: str) -> list[list[str]]:
        return [file.read_text().split() for file in tmp_path.glob(f"{kind}?")]

    pushed = [task_id for each in said("push") for task_id in each]
    taken = [task_id for each in said("take") for task_id in each if task_id != "end"]
    assert codes == [0] * 20
    assert sorted(taken) == sorted(pushed)
    assert all(said("push")), "one was starved"
    assert client.queues() == []


def test_a_push_that_was_acknowledged_outlives_its_process(
    make_client: MakeClient, sqlite_dsn: str
) -> None:
    told: list[str] = []
    for _ in range(5):
        with process(sqlite_dsn, PUSHER) as pusher:
            assert pusher.stdin is not None
            assert pusher.stdout is not None
            pusher.stdin.write("60\n")
            pusher.stdin.flush()
            told += [pusher.stdout.readline().strip() for _ in range(random.randint(1, 40))]
            pusher.kill()
            # Its last line may be torn; a whole one is a push that came back.
            told += [line.strip() for line in pusher.stdout if line.endswith("\n")]

    held = make_client().peek("all", State.WAITING, 100_000).records

    assert set(told) <= {record.task_id for record in held}


def test_damage_is_found_nowhere_after_kills_in_the_middle_of_writing(
    make_client: MakeClient, sqlite_dsn: str, tmp_path: Path
) -> None:
    code = """
print()
for number in range(1_000_000):
    ids = [f"{os.getpid()}-{number}-{each}" for each in range(50)]
    client.push_many("all", [Entry(task_id, b"x" * 300) for task_id in ids])
    client.settle([Ack(lease) for lease in client.reserve(["all"], 40)])
"""
    for _ in range(4):
        with process(sqlite_dsn, code) as first, process(sqlite_dsn, code) as second:
            assert first.pid != second.pid
            make_client().wait(["none"], random.uniform(0.02, 0.15))

    client = make_client()
    leases: list[Lease] = []
    while more := client.reserve(["all"], 1000):
        ack(client, *more)
        leases += more
    assert client.queues() == []
    with sqlite3.connect(tmp_path / "queue.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


# -- forks ------------------------------------------------------------------------------------


def test_a_fork_takes_no_connection_along(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client()
    push(client)
    ours = os.path.realpath(tmp_path / "queue.db")

    def open_files() -> None:
        opened = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
        assert not [each for each in opened if each.startswith(ours)]

    assert child_of_this(open_files) == 0
    assert client.len("all") == 1


@pytest.mark.parametrize("hooks", [True, False], ids=["by Python", "past Python"])
def test_both_sides_of_a_fork_use_the_client(make_client: MakeClient, hooks: bool) -> None:
    client = make_client()
    for number in range(2):
        push(client, task_id=str(number))
    lease = reserve(client)

    def work() -> None:
        mine = reserve(client)
        assert client.find(mine.task_id).worker.endswith(f":{os.getpid()}")  # type: ignore[union-attr]
        push(client, task_id="child")
        ack(client, mine)
        client.close()

    assert child_of_this(work, os.fork if hooks else ctypes.PyDLL(None).fork) == 0

    push(client, task_id="parent")
    assert client.extend([lease]) == [True]
    ack(client, lease)
    assert [each.task_id for each in client.reserve(["all"], 9)] == ["child", "parent"]


def test_a_fork_past_python_loses_no_push_when_the_parent_closes(make_client: MakeClient) -> None:
    client = make_client()
    push(client, task_id="parent")
    (parent_waits, child_tells), (child_waits, parent_tells) = os.pipe(), os.pipe()
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        try:
            client.push("all", "while the parent is connected", b"")
            os.write(child_tells, b"!")
            os.read(child_waits, 1)
            client.push("all", "after the parent has closed", b"")
        finally:
            os._exit(0)
    os.read(parent_waits, 1)

    client.close()
    os.write(parent_tells, b"!")

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert client.len("all") == 3
    for end in (parent_waits, child_tells, child_waits, parent_tells):
        os.close(end)


def test_the_end_of_a_child_ends_only_its_own_leases(make_client: MakeClient) -> None:
    client, other = make_client(), make_client()
    for number in range(2):
        push(client, task_id=str(number))
    reserve(client)

    assert child_of_this(lambda: reserve(client)) == 0

    assert [lease.task_id for lease in other.reserve(["all"], 9)] == ["1"]


def test_the_end_of_a_parent_ends_its_leases_though_a_child_lives_on(
    make_client: MakeClient, sqlite_dsn: str
) -> None:
    client = make_client()
    push(client)
    code = """
client.reserve(["all"], 1)
if os.fork() == 0:
    print(os.getpid())
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""

    with process(sqlite_dsn, code) as other:
        assert client.reserve(["all"], 1) == []
        other.kill()
        other.wait()
        assert reserve(client).deliveries == 2


def test_a_settle_of_the_child_counts_for_a_lease_of_the_parent(make_client: MakeClient) -> None:
    client = make_client()
    push(client)
    lease = reserve(client)

    assert child_of_this(lambda: ack(client, lease)) == 0

    assert client.settle([Ack(lease)]).accepted == [False]
