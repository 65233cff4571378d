"""What only the SQLite broker has: its file, and what it says when the file will not do."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from alligator.backends import sqlite_views as views
from alligator.backends.base import (
    MAX_NAME,
    Ack,
    Backend,
    Entry,
    Fail,
    Failure,
    Move,
    Retry,
    State,
)
from alligator.backends.roster import STALE_KEPT, WorkerRecord
from alligator.backends.sqlite_backend import Client
from alligator.backends.sqlite_file import QueueFile
from alligator.backends.sqlite_patience import PatientConnection
from alligator.backends.sqlite_place import Place, file_system
from alligator.dsn import parse
from alligator.exceptions import BrokerRefused, BrokerUnreachable, InvalidDSN, InvalidName

from ..contract.verbs import ack, not_running, push, push_in, reserve, retry, settle

DELAY = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def client(sqlite_dsn: str) -> Iterator[Client]:
    client = Client(sqlite_dsn)
    yield client
    client.close()


def sums(path: Path) -> tuple[list[object], list[object]]:
    """The sums that the file keeps, and the same counted."""
    with sqlite3.connect(path) as connection:
        kept = connection.execute("SELECT queue, state, number FROM totals ORDER BY 1, 2")
        counted = connection.execute(
            "SELECT queue, state, count(*) FROM tasks GROUP BY queue, state ORDER BY 1, 2"
        )
        both = kept.fetchall(), counted.fetchall()
    connection.close()
    return both


# -- what names a file ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("sqlite://queue.db", "three slashes"),
        ("sqlite://host/queue.db", "a file has no host"),
        ("sqlite:///", "for a queue in memory use locmem://"),
        ("sqlite:///:memory:", "for a queue in memory use locmem://"),
        ("sqlite:///a%00b", "no NUL"),
        ("sqlite:///a#b", "write # as %23"),
        ("sqlite:///queue.db?cache=1", "unknown option 'cache'; sqlite knows: timeout"),
        ("sqlite:///queue.db?timeout=0", "timeout='0' is not a positive number"),
    ],
)
def test_a_dsn_that_names_no_file_is_refused(dsn: str, reason: str) -> None:
    with pytest.raises(InvalidDSN, match=reason):
        Client(dsn)


def test_a_relative_path_stays_where_it_led_when_the_client_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = Client("sqlite:///queue%23%3F.db")
    monkeypatch.chdir("/")

    push(client)

    assert (tmp_path / "queue#?.db").exists()
    client.close()


def test_making_a_client_makes_no_file(path: Path, sqlite_dsn: str) -> None:
    Client(sqlite_dsn).close()

    assert not path.exists()


def test_it_tells_its_version(client: Client) -> None:
    assert client.ping() == f"SQLite {sqlite3.sqlite_version}"


# -- the files it makes -----------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_its_files_are_for_their_owner_whatever_the_umask(
    client: Client, tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        push(client)
        lease = reserve(client)
    finally:
        os.umask(before)

    files = {each: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*")}
    assert {mode for file, mode in files.items() if not file.is_dir()} == {0o600}
    assert {mode for file, mode in files.items() if file.is_dir()} == {0o700}
    assert len(files) == 6  # the file, its log, its index, the lock, the folder and a life
    ack(client, lease)


def test_what_stands_beside_a_file_may_be_used_by_whoever_may_use_the_file(
    client: Client, path: Path, tmp_path: Path
) -> None:
    client.ping()
    client.close()
    (tmp_path / "queue.db-lock").unlink()
    path.chmod(0o660)

    push(client)
    reserve(client)

    files = {each: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*")}
    assert {mode for file, mode in files.items() if not file.is_dir()} == {0o660}
    assert {mode for file, mode in files.items() if file.is_dir()} == {0o770}


def test_a_closed_client_leaves_only_the_queue_and_empty_helpers(
    client: Client, tmp_path: Path
) -> None:
    push(client)
    reserve(client)

    client.close()

    left = sorted(each.name for each in tmp_path.rglob("*"))
    assert left == ["queue.db", "queue.db-lock", "queue.db-workers"]


def test_two_names_of_one_file_share_their_lock(client: Client, tmp_path: Path) -> None:
    push(client)
    (tmp_path / "other.db").symlink_to("queue.db")
    other = Client(f"sqlite:///{tmp_path}/other.db")

    assert reserve(other)

    assert not (tmp_path / "other.db-lock").exists()
    other.close()


def test_the_log_is_written_back_while_clients_stay_connected(client: Client, path: Path) -> None:
    for _ in range(30):
        push(client, body=os.urandom(1024 * 1024))
        ack(client, reserve(client))

    assert path.with_name("queue.db-wal").stat().st_size < 40 * 1024 * 1024


def test_only_what_asks_for_less_is_not_on_the_disk_when_it_returns(sqlite_dsn: str) -> None:
    file = QueueFile(Place(parse(sqlite_dsn), "/proc/self/mountinfo"), timeout=5)

    def synchronous(durable: bool) -> str:
        with file.writing(durable=durable) as connection:
            (level,) = connection.execute("PRAGMA synchronous").fetchone()
        return {1: "NORMAL", 2: "FULL"}[level]

    assert [synchronous(durable) for durable in (True, False, True)] == ["FULL", "NORMAL", "FULL"]
    file.close()


def test_a_lease_need_not_outlive_the_machine_but_an_outcome_must(client: Client) -> None:
    def is_durable() -> bool:
        with client._file.reading() as connection:
            (level,) = connection.execute("PRAGMA synchronous").fetchone()
        return bool(level == 2)

    push(client)
    push(client)
    seen = [is_durable()]
    first = reserve(client)
    seen.append(is_durable())
    (second,) = client.settle([Ack(first)], ["all"], 1).leases
    seen.append(is_durable())
    assert client.settle([], ["all"], 1).leases == []
    seen.append(is_durable())
    ack(client, second)
    seen.append(is_durable())

    assert seen == [True, False, True, False, True]


def test_a_file_that_is_replaced_is_opened_anew(client: Client, path: Path) -> None:
    push(client, "old")
    path.unlink()

    push(client, "new")

    assert client.queues() == ["new"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT queue FROM tasks").fetchall() == [("new",)]
    connection.close()


# -- files that will not do -------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    client = Client(f"sqlite:///{tmp_path}/missing/queue.db")

    with pytest.raises(BrokerRefused, match=r"missing' does not exist; make it first$"):
        client.ping()
    with pytest.raises(BrokerRefused, match="an absolute path takes four slashes"):
        Client("sqlite:///no/such/folder/queue.db").ping()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BrokerRefused, match="is not a file; name one"):
        Client(f"sqlite:///{tmp_path}").ping()


@pytest.mark.parametrize(
    ("application", "version", "reason"),
    [
        (0, 0, "belongs to another program"),
        (7, 1, "belongs to another program"),
        (0, 3, "belongs to another program"),
        (int.from_bytes(b"Alig", "big"), 3, "the file has schema 3 and this Alligator knows 2"),
    ],
)
def test_a_database_that_is_not_ours_is_left_as_it_is(
    path: Path, sqlite_dsn: str, application: int, version: int, reason: str
) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE tasks (id)")
        connection.execute(f"PRAGMA application_id = {application}")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    client = Client(sqlite_dsn)

    for verb in (client.ping, client.queues, lambda: client.push("all", "id", b"")):
        with pytest.raises(BrokerRefused, match=reason):
            verb()

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", [-1, 10**18, 2**63 - 1])
def test_a_task_with_a_strange_place_in_line_keeps_none_from_its_end(
    client: Client, path: Path, place: int
) -> None:
    client.push("all", "strange", b"")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE tasks SET seq = ?", (place,))
    client.push_many("all", [Entry(name, b"") for name in ("fails", "is tried again", "ends")])
    failure = Failure("no", "", 1.0, "host:1")
    leases = {lease.task_id: lease for lease in client.reserve(["all"], 4)}
    settled = client.settle(
        [
            Ack(leases["strange"]),
            Fail(leases["fails"], failure),
            Retry(leases["is tried again"], b"", 0.0, failure),
            Ack(leases["ends"]),
        ]
    )
    assert settled.accepted == [True] * 4
    assert client.counts("all")[1:7] == (1, 0, 0, 0, 0, 1)


@pytest.fixture
def version_1(path: Path) -> Path:
    """A queue file as the first version left it, with a waiting and a failed task in it."""
    schema = files("alligator.backends").joinpath("sqlite_schema_1.sql").read_text()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(schema)
        for task_id, state, rank in (("waits", 0, 0.0), ("failed", 5, 1.0)):
            connection.execute(
                "INSERT INTO tasks (id, queue, state, rank, priority, pushed_at, body)"
                " VALUES (?, 'all', ?, ?, 0, 1.0, ?)",
                (task_id, state, rank, task_id.encode()),
            )
        connection.execute("INSERT INTO totals VALUES ('all', 0, 1), ('all', 5, 1)")
    connection.close()
    return path


def test_an_older_file_is_brought_up_to_date_with_its_tasks(
    version_1: Path, client: Client
) -> None:
    assert client.counts("all")[1:7] == (1, 0, 0, 0, 0, 1)

    client.pause("all")
    assert client.reserve(["all"], 1) == []
    client.resume("all")
    lease = reserve(client)
    assert (lease.task_id, lease.body) == ("waits", b"waits")
    ack(client, lease)
    assert client.requeue("failed") is True
    assert client.counts("all").done_total == 1
    assert client.workers() == []
    kept, counted = sums(version_1)
    assert kept == counted


def test_an_older_file_is_brought_up_to_date_once_by_all_who_open_it(
    version_1: Path, sqlite_dsn: str
) -> None:
    clients = [Client(sqlite_dsn) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda client: client.counts("all").waiting, clients))
    for client in clients:
        client.close()

    assert counts == [1] * 8
    with sqlite3.connect(version_1) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_an_older_file_that_cannot_be_written_says_so(version_1: Path, sqlite_dsn: str) -> None:
    # Held by another program while it would be brought up to date.
    other = sqlite3.connect(version_1, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    client = Client(f"{sqlite_dsn}?timeout=0.1")

    with pytest.raises(BrokerUnreachable, match="another program keeps it locked"):
        client.counts("all")

    other.execute("ROLLBACK")
    other.close()
    assert client.counts("all").waiting == 1
    client.close()


def test_the_sums_add_up_after_moves(path: Path, client: Client) -> None:
    for state in not_running(client):
        push_in(client, state, queue=f"q-{state}")
    ids = [
        record.task_id
        for queue in client.queues()
        for state in State
        for record in client.peek(queue, state).records
    ]
    client.move_many([Move(task_id) for task_id in ids], "all")

    kept, counted = sums(path)
    assert kept == counted
    assert client.queues() == ["all"]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_page_deep_in_a_queue_costs_what_the_first_one_does(
    path: Path, client: Client, reverse: bool
) -> None:
    client.push_many("all", [Entry(f"{number:04}", b"1") for number in range(5000)])
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    def cost(cursor: str | None) -> tuple[int, str | None]:
        """Return what a page took of SQLite, in hundreds of its instructions, and the cursor."""
        before = steps
        page = views.peek(connection, "all", State.WAITING, 100, cursor, reverse, time.time())
        return steps - before, page.cursor

    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(count, 100)
        _, cursor = cost(None)
        second, cursor = cost(cursor)
        for _ in range(40):
            last, cursor = cost(cursor)
    assert last < 2 * second


def test_workers_silent_for_a_day_are_forgotten(path: Path, client: Client) -> None:
    worker = WorkerRecord("old:1", "old", 1, ("all",), 1, 0.0)
    client.beat(worker, 20.0)
    client.clock = lambda: time.time() + STALE_KEPT + 1

    assert client.workers() == []
    client.beat(worker._replace(name="new:1"), 20.0)

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM workers").fetchall() == [("new:1",)]
    connection.close()


def test_a_text_is_no_database(path: Path, sqlite_dsn: str) -> None:
    path.write_text("Dear diary, " * 100)

    with pytest.raises(BrokerRefused, match="is not an SQLite file") as raised:
        Client(sqlite_dsn).ping()

    assert isinstance(raised.value.__cause__, sqlite3.DatabaseError)
    assert path.read_text() == "Dear diary, " * 100


def test_an_empty_file_becomes_a_queue(path: Path, sqlite_dsn: str) -> None:
    path.touch()
    client = Client(sqlite_dsn)

    push(client)

    assert client.len("all") == 1
    client.close()


def test_a_damaged_file_is_called_so(client: Client, path: Path) -> None:
    client.push_many("all", [Entry(f"{number}", b"x" * 500) for number in range(200)])
    client.close()
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))

    with pytest.raises(BrokerRefused, match=r"it is damaged; .*\.recover"):
        client.peek("all", State.WAITING)


@pytest.mark.parametrize("byte", [b"x", b"\xff"])  # SQLite's message about it has it, too
def test_a_damaged_schema_is_called_so(client: Client, path: Path, byte: bytes) -> None:
    push(client)
    client.close()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"CREATE TABLE results (", b"CREATE TABLE results " + byte, 1))
    assert path.read_bytes() != whole

    with pytest.raises(BrokerRefused, match=r"it is damaged; .*\.recover"):
        client.ping()


@pytest.mark.parametrize("forbidden", ["file", "folder"])
def test_what_may_not_be_used_is_called_so(forbidden: str) -> None:
    # Not in tmp_path: its folders are closed to the user that root becomes below.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "queue.db")
        client = Client(f"sqlite:///{path}")
        push(client)
        client.close()
        path.chmod(0o444)
        Path(folder, "queue.db-lock").chmod(0o666)
        Path(folder).chmod(0o777 if forbidden == "file" else 0o700)

        said = subprocess.run(
            [sys.executable, "-c", _PUSH_AS_NOBODY, f"sqlite:///{path}"],
            capture_output=True,
            text=True,
        )

        expected = "it is read-only" if forbidden == "file" else "look at the permissions"
        assert expected in said.stdout, said


_PUSH_AS_NOBODY = """
import os, sys
from alligator.backends.sqlite_backend import Client
from alligator.exceptions import BrokerRefused

if os.geteuid() == 0:  # whom no permission stops
    os.setegid(65534)
    os.seteuid(65534)
elif os.stat(os.path.dirname(sys.argv[1].partition(":///")[2])).st_mode & 0o077 == 0:
    os.chmod(os.path.dirname(sys.argv[1].partition(":///")[2]), 0)
try:
    Client(sys.argv[1]).push("all", "id", b"")
except BrokerRefused as error:
    print(error)
"""


def test_a_network_file_system_is_recognised(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "60 27 0:99 / /mnt/with\\040space rw shared:1 master:2 - nfs4 host:/export rw,vers=4.2\n"
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
    )

    assert file_system(os.makedev(0, 99), str(mounts)) == "nfs4"
    assert file_system(os.makedev(254, 0), str(mounts)) == "ext4"
    assert file_system(os.makedev(254, 1), str(mounts)) is None
    assert file_system(0, str(tmp_path / "missing")) is None


def test_a_path_on_a_network_file_system_is_refused(tmp_path: Path, sqlite_dsn: str) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"60 27 {os.major(device)}:{os.minor(device)} / / rw - cifs //host/share rw")
    client = Client(sqlite_dsn, mounts=str(mounts))

    with pytest.raises(BrokerRefused, match=r"network file system \(cifs\).*use a local disk"):
        client.ping()


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit for files")
def test_a_full_disk_refuses_keeps_what_it_has_and_recovers(path: Path, sqlite_dsn: str) -> None:
    code = """
import resource, sys
from alligator.backends.base import Ack
from alligator.backends.sqlite_backend import Client
from alligator.exceptions import BrokerRefused
limit = resource.RLIMIT_FSIZE
resource.setrlimit(limit, (1_000_000, resource.RLIM_INFINITY))
client = Client(sys.argv[1])
pushed = 0
try:
    while True:
        client.push("all", str(pushed), b"x" * 1000)
        pushed += 1
except BrokerRefused as error:
    assert "full or failing disk" in str(error), error
assert client.len("all") == pushed > 10
resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
client.push("all", str(pushed), b"")
taken = []
while leases := client.reserve(["all"], 100):
    assert all(client.settle([Ack(lease) for lease in leases]).accepted)
    taken += [int(lease.task_id) for lease in leases]
assert taken == list(range(pushed + 1)), taken
client.close()
"""
    subprocess.run([sys.executable, "-c", code, sqlite_dsn], check=True)

    assert sums(path) == ([], [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_no_space_left_refuses_and_recovers(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this root may not mount")
    client = Client(f"sqlite:///{tmp_path}/queue.db")
    try:
        with pytest.raises(BrokerRefused, match="the disk is full; free some room"):
            push(client, body=b"x" * 2 * 1024 * 1024)
        push(client)
        held = client.len("all")
        subprocess.run(["mount", "-o", "remount,size=20m", str(tmp_path)], check=True)
        push(client)
        assert client.len("all") == held + 1
    finally:
        client.close()
        subprocess.run(["umount", str(tmp_path)], check=True)


# -- taking turns -----------------------------------------------------------------------------


def test_a_writer_that_never_ends_is_a_time_out_that_changes_nothing(
    client: Client, sqlite_dsn: str
) -> None:
    push(client)
    impatient = Client(f"{sqlite_dsn}?timeout=0.05")

    with (
        client._file.writing(),
        pytest.raises(BrokerUnreachable, match=r"waited 0.05 s .* changed nothing"),
    ):
        impatient.push("all", "id", b"")

    assert client.len("all") == 1
    push(impatient)
    impatient.close()


def test_a_call_from_a_signal_handler_in_the_middle_of_another_is_refused(
    client: Client, sqlite_dsn: str
) -> None:
    push(client)
    other = Client(f"{sqlite_dsn}?timeout=0.05")

    with client._file.writing():
        with pytest.raises(BrokerRefused, match="a signal handler came here in the middle"):
            push(client)
        with pytest.raises(BrokerUnreachable, match="changed nothing"):  # the lock is held yet
            push(other)

    push(client)
    assert client.len("all") == 2
    other.close()


def test_another_program_that_keeps_the_file_locked_is_blamed(path: Path, sqlite_dsn: str) -> None:
    client = Client(f"{sqlite_dsn}?timeout=0.05")
    client.ping()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(BrokerUnreachable, match="another program keeps it locked"):
        push(client)

    other.close()
    push(client)
    client.close()


def test_the_sums_stay_true(client: Client, path: Path) -> None:
    clock = 1000.0
    client.clock = lambda: clock
    for number in range(8):
        push(client, task_id=f"now{number}", unique=f"key{number}")
        push(client, task_id=f"later{number}", delay_until=1500.0 + number)
        push(client, task_id=f"blocked{number}", depends_on=(f"now{number}",))
    ack(client, reserve(client))
    settle(client, retry(reserve(client), delay=DELAY))
    client.cancel("now4")
    client.claim("blocked5")
    client.requeue("blocked6")
    client.drop("all", [State.DELAYED])
    clock = 5000.0
    client.counts("all")

    kept, counted = sums(path)

    assert kept == counted != []


def test_a_drop_misses_none_that_falls_due_meanwhile(
    client: Client, sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Client(sqlite_dsn)
    later.clock = lambda: time.time() + 2 * DELAY
    push(client, delay_until=time.time() + DELAY)
    drop = client._drop

    def dropping(queue: str, code: int, last: int) -> int:
        dropped = drop(queue, code, last)
        later.counts("all")  # finds what is due by its clock
        return dropped

    monkeypatch.setattr(client, "_drop", dropping)

    assert client.drop_all("all") == 1
    assert client.len("all") == 0
    later.close()


def test_text_that_is_no_text_is_named(client: Client) -> None:
    for verb in (client.find, client.cancel, client.claim, client.requeue, client.result):
        with pytest.raises(InvalidName, match="are no text"):
            verb("\ud800")


def test_a_cursor_that_is_none_of_ours_is_named(client: Client) -> None:
    for cursor in ("", "page2", "[1]", '["a", 2]'):
        with pytest.raises(ValueError, match="is no cursor"):
            client.peek("all", State.WAITING, cursor=cursor)


def test_the_longest_names_are_kept(client: Client) -> None:
    name = "ü" * MAX_NAME

    push(client, name, task_id=name, unique=name)

    assert client.find(name) is not None
    assert reserve(client, name).task_id == name


def test_hidden_parts_of_a_dsn_stay_hidden(tmp_path: Path) -> None:
    with pytest.raises(InvalidDSN) as raised:
        Client("sqlite://me:secret@host/queue.db")

    assert "secret" not in str(raised.value)
    assert parse("sqlite:///queue.db").redacted() == "sqlite:///queue.db"


def test_results_are_swept_once_they_are_old(client: Client, path: Path) -> None:
    clock = 1000.0
    client.clock = lambda: clock
    for task_id in ("first", "second"):
        push(client, task_id=task_id)
        settle(client, Ack(reserve(client), b"1", 60.0))
        clock += 100.0

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT task_id FROM results").fetchall() == [("second",)]
    connection.close()


def test_it_keeps_the_whole_contract(client: Client) -> None:
    assert isinstance(client, Backend)
    assert client.lease_seconds > 0


def test_threads_that_fork_at_once_hang_neither_each_other_nor_their_clients(
    tmp_path: Path,
) -> None:
    clients = [Client(f"sqlite:///{tmp_path / name}.db") for name in ("one", "two")]
    for client in clients:
        client.push("all", "id", b"")
    stop = threading.Event()
    wrong: list[BaseException | int] = []

    def forks() -> None:
        try:
            for _ in range(100):
                pid = os.fork()
                if not pid:
                    os._exit(0)
                if status := os.waitpid(pid, 0)[1]:
                    wrong.append(status)
        except BaseException as error:
            wrong.append(error)

    def looks(client: Client) -> None:
        while not stop.is_set():
            client.counts("all")

    forking = [threading.Thread(target=forks, daemon=True) for _ in range(2)]
    looking = [threading.Thread(target=looks, args=(each,), daemon=True) for each in clients]
    for thread in forking + looking:
        thread.start()
    for thread in forking:
        thread.join(60)
    stop.set()
    for thread in looking:
        thread.join(20)
    assert not any(thread.is_alive() for thread in forking + looking)
    assert wrong == []
    for client in clients:
        client.close()


def test_a_fork_during_a_thread_s_first_call_leaves_a_copy_that_can_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(f"sqlite:///{tmp_path}/new.db")
    opens, go = threading.Event(), threading.Event()
    opened = QueueFile._open

    def slowly(file: QueueFile) -> PatientConnection:
        opens.set()
        go.wait(20)
        return opened(file)

    monkeypatch.setattr(QueueFile, "_open", slowly)
    first = threading.Thread(target=client.len, args=("all",))
    first.start()
    opens.wait(20)
    soon = threading.Timer(0.3, go.set)  # while the fork waits for that call to end
    soon.start()
    pid = os.fork()
    if not pid:
        os._exit(0 if client._file._mutex.acquire(timeout=10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    first.join(20)
    soon.join()
    client.close()


def test_a_copy_of_a_process_that_closes_its_descriptors_as_daemons_do_goes_on(
    client: Client,
) -> None:
    client.push_many("all", [Entry(name, b"") for name in ("mine", "the copy's")])
    (mine,) = client.reserve(["all"], 1)
    pid = os.fork()
    if not pid:
        os.closerange(3, 1024)
        ended = client.reserve(["all"], 1)
        os._exit(0 if all(client.settle([Ack(*ended)]).accepted) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert client.settle([Ack(mine)]).accepted == [True]


def test_no_file_is_put_elsewhere_however_much_a_transaction_changes(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's folder for such may not be writable, or full."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(elsewhere))
    untouched = elsewhere.stat().st_mtime_ns
    client.push_many("all", [Entry(f"{number}", b"x" * 500) for number in range(2000)])
    leases = client.reserve(["all"], 2000)
    assert all(client.settle([Ack(lease) for lease in leases]).accepted)
    assert elsewhere.stat().st_mtime_ns == untouched
