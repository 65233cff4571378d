"""What somebody who can write to the broker can have a worker do: everything; or nothing, with an
allow list or a secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from alligator import Gator, Task
from alligator.backends.base import MAX_BODY, Capability, Entry, Record, State

from ..servers import Server, eventually
from . import deeds
from .conftest import StartWorker

GatorFor = Callable[[str], Gator]

HONEST = "tests.faults.deeds.*"

#: What a module that tells of its import is called; it is nowhere but on the worker's module path.
TELLTALE = "forged_side_effect"


def forged(task_id: str, path: str, *args: Any, **hooks: str) -> Entry:
    """A task as somebody else's program would write it."""
    module, _, name = path.rpartition(".")
    options = {}
    for hook, target in hooks.items():
        place, _, function = target.rpartition(".")
        options[hook] = {"module": place, "callable": function}
    payload = {
        "task_id": task_id,
        "retries": 0,
        "async": True,
        "module": module,
        "callable": name,
        "args": args,
        "kwargs": {},
        "options": options,
    }
    return Entry(task_id, json.dumps(payload).encode())


@pytest.fixture
def proofs(tmp_path: Path) -> Path:
    """The folder in which each forged task would leave a file of its name."""
    folder = tmp_path / "proofs"
    folder.mkdir()
    return folder


@pytest.fixture
def module_path(tmp_path: Path, proofs: Path) -> str:
    """A folder with modules that leave a file as they are imported."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name in ("call", "on_start", "on_success", "on_error"):
        code = f"open({str(proofs / f'import by {name}')!r}, 'w').close()\ndef job(*_): pass\n"
        (folder / f"{TELLTALE}_{name}.py").write_text(code)
    return str(folder)


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text("a secret that the forger lacks\n")
    return str(path)


def forgeries(proofs: Path, evidence: str) -> Iterator[Entry]:
    """Calls, each of which leaves the file in `proofs` that its id names."""

    def one(name: str, path: str, *args: Any, **hooks: str) -> Entry:
        return forged(name, path, *args, **hooks)

    def made(name: str) -> str:
        return str(proofs / name)

    yield one("mknod", "os.mknod", made("mknod"))
    yield one("system", "os.system", f"touch '{made('system')}'")
    yield one("run", "subprocess.run", ["touch", made("run")])
    yield one("open", "builtins.open", made("open"), "w")
    yield one("eval", "builtins.eval", f"open({made('eval')!r}, 'w').close()")
    # Through what an allowed module imports, by either half of the path.
    yield one("through", f"{deeds.__name__}.os.mknod", made("through"))
    yield one("import by call", f"{TELLTALE}_call.job")
    for hook in ("on_start", "on_success"):
        target = f"{TELLTALE}_{hook}.job"
        yield one(f"import by {hook}", f"{deeds.__name__}.who", evidence, **{hook: target})
    target = f"{TELLTALE}_on_error.job"
    yield one("import by on_error", f"{deeds.__name__}.fail", evidence, on_error=target)


def failed(gator: Gator) -> list[Record]:
    return gator.client.peek("all", State.FAILED, 100).records


@pytest.mark.parametrize("guards", [[], ["allow"], ["secret"], ["allow", "secret"]], ids="+".join)
def test_forged_tasks_leave_no_file_with_an_allow_list_or_a_secret(
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    proofs: Path,
    module_path: str,
    secret_file: str,
    evidence: str,
    guards: list[str],
) -> None:
    options = ["--allow", HONEST] if "allow" in guards else []
    options += ["--secret-file", secret_file] if "secret" in guards else []
    writer = gator_for(shared_dsn)
    entries = list(forgeries(proofs, evidence))
    writer.client.push_many("all", entries)
    secret = Path(secret_file).read_text().strip() if "secret" in guards else None
    with Gator(shared_dsn, secret=secret) as honest:
        honest.task(deeds.quick, evidence, "honest")

    worker = start_worker(shared_dsn, "--burst", *options, path=module_path)

    assert worker.wait(60) == 0
    assert "honest" in deeds.lines(evidence)
    left = sorted(path.name for path in proofs.iterdir())
    if not guards:  # so that the test is able to fail
        assert left == sorted(entry.task_id for entry in entries)
        return
    assert left == []
    records = failed(writer)
    assert sorted(record.body for record in records) == sorted(entry.body for entry in entries)
    reason = "BadSignature: bad signature: " if "secret" in guards else "NotAllowed: not allowed: "
    for record in records:
        assert record.failures[-1].error.startswith(reason)
    assert deeds.lines(evidence) == ["honest"]


def test_a_signed_task_that_was_changed_or_moved_does_not_run(
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    secret_file: str,
    evidence: str,
) -> None:
    writer = gator_for(shared_dsn).client
    with Gator(shared_dsn, secret=Path(secret_file).read_text().strip()) as honest:
        task = Task("signed").to_call(deeds.quick, evidence, "honest")
        body = honest.entry(task).body
        honest.push_many([task])
    with Gator(shared_dsn, secret="a secret that somebody guessed") as guessed:
        other = guessed.entry(Task("guessed").to_call(deeds.quick, evidence, "guessed")).body
    altered = body.replace(b"honest", b"forged")
    stripped = body.partition(b"\n")[2]
    for number, data in enumerate((altered, stripped, other, body + b" ", body[:-1])):
        writer.push_many("all", [Entry(f"forged-{number}", data)])
    writer.push_many("mail", [Entry("signed-there", body)])
    expected = 6
    if Capability.CUSTOM_IDS in writer.capabilities:
        writer.push_many("all", [Entry("another-id", body)])
        expected += 1

    options = ("-q", "all", "-q", "mail", "--secret-file", secret_file)
    assert start_worker(shared_dsn, "--burst", *options).wait(60) == 0

    assert deeds.lines(evidence) == ["honest"]
    refused = writer.counts("all").failed + writer.counts("mail").failed
    assert refused == expected


def test_a_signed_task_whose_record_was_put_on_another_queue_does_not_run(
    redis: Server,
    redis_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    secret_file: str,
    evidence: str,
) -> None:
    """The queue in a record's header is written by whoever writes to Redis."""
    secret = Path(secret_file).read_text().strip()
    with Gator(redis_dsn, "mail", secret=secret) as honest:
        honest.push_many([Task("victim").to_call(deeds.quick, evidence, "victim")])
    base = "{" + redis_dsn.partition("prefix=")[2] + "}:"
    with redis_py.Redis(port=redis.port) as raw:
        assert raw.zrem(f"{base}waiting:mail", "victim") == 1
        raw.zadd(f"{base}waiting:all", {"victim": 0})

    assert start_worker(redis_dsn, "--burst", "--secret-file", secret_file).wait(60) == 0

    assert deeds.lines(evidence) == []
    (record,) = failed(gator_for(redis_dsn))
    assert (record.task_id, record.queue) == ("victim", "all")
    assert record.failures[-1].error.startswith("BadSignature: bad signature: ")


def test_tasks_that_push_others_and_are_tried_again_stay_signed(
    shared_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    secret_file: str,
    evidence: str,
) -> None:
    """Neither knows of a secret: the environment does, and a retry signs what it queues."""
    as_asked = ["ValueError: as asked"] * 3
    with Gator(shared_dsn, secret=Path(secret_file).read_text().strip()) as honest:
        honest.task(deeds.push_another, evidence, "pushed by a task")
        honest.options(retries=2).task(deeds.fail, evidence)
        honest.options(retries=2).task(deeds.fail_later, evidence)

    options = ("--secret-file", secret_file, "--allow", HONEST, "--threads", "2")
    assert start_worker(shared_dsn, "--burst", *options).wait(60) == 0

    lines = deeds.lines(evidence)
    assert sorted(lines) == ["pushed by a task", *["tried"] * 3, *["tried on a loop"] * 3]
    records = failed(gator_for(shared_dsn))
    errors = [[failure.error for failure in record.failures] for record in records]
    assert errors == [as_asked, as_asked]


def test_a_secret_is_neither_logged_nor_kept_nor_among_the_arguments(
    sqlite_dsn: str,
    start_worker: StartWorker,
    gator_for: GatorFor,
    secret_file: str,
    tmp_path: Path,
    evidence: str,
) -> None:
    secret = Path(secret_file).read_text().strip()
    with Gator(sqlite_dsn, secret=secret) as honest:
        honest.task(deeds.tell_the_secret, evidence)

    worker = start_worker(sqlite_dsn, "--secret-file", secret_file)
    gator = gator_for(sqlite_dsn)
    eventually(lambda: gator.client.counts("all").failed == 1, "it has failed")

    (record,) = failed(gator)
    assert record.failures[-1].error == "RuntimeError: the secret is ***"
    assert secret not in record.failures[-1].traceback
    assert secret not in (tmp_path / "worker.log").read_text()
    (pid,) = (int(line.split()[1]) for line in deeds.lines(evidence))
    for process in (worker.pid, pid):
        for file in ("cmdline", "environ"):
            assert secret.encode() not in Path(f"/proc/{process}/{file}").read_bytes()


@pytest.mark.parametrize("broker", ["sqlite_dsn", "redis_dsn"])
def test_a_body_that_is_too_large_is_not_read(
    request: pytest.FixtureRequest, start_worker: StartWorker, gator_for: GatorFor, broker: str
) -> None:
    dsn = request.getfixturevalue(broker)
    client = gator_for(dsn).client
    size = 2 * MAX_BODY
    client.body_limit = size  # other programs know no limit
    client.push_many("all", [Entry("large", b"[" * size)])

    assert start_worker(dsn, "--burst").wait(60) == 0

    record = client.find("large")
    assert record is not None
    assert (record.state, len(record.body), record.deliveries) == (State.FAILED, size, 1)
    assert record.failures[-1].error == (
        f"UndecodableTask: the body has {size} bytes; {MAX_BODY} is the most"
    )


def test_everything_beside_an_sqlite_queue_is_its_owners_alone(
    sqlite_dsn: str, start_worker: StartWorker, gator_for: GatorFor, evidence: str, tmp_path: Path
) -> None:
    folder = tmp_path / "queue"
    folder.mkdir(mode=0o755)
    dsn = f"sqlite:///{folder / 'queue.db'}"
    start_worker(dsn)
    gator = gator_for(dsn)
    gator.task(deeds.quick, evidence, "ran")
    eventually(lambda: "ran" in deeds.lines(evidence), "it has run")

    modes = {path: path.lstat().st_mode & 0o777 for path in folder.rglob("*") if not path.is_dir()}
    assert len(modes) > 2, modes
    assert set(modes.values()) == {0o600}
    assert {p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_dir()} <= {0o700}
