"""How Redis knows that a worker has ended: by the line that it held."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from alligator.backends import redis_backend, redis_line
from alligator.backends.base import Ack, Entry
from alligator.backends.redis_backend import Client
from alligator.backends.roster import WorkerRecord

from ..contract.verbs import in_child
from ..servers import Server, eventually, redis_server, with_lease

MakeClient = Callable[..., Client]

#: Far longer than any test: what ends sooner did not end because time was up.
LONG_LEASE = 600


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look with each call, believe the second look, and never pause."""
    monkeypatch.setattr(redis_backend, "_LOOK", 0.0)
    monkeypatch.setattr(redis_backend, "_GONE", 0.0)
    for pause in ("_BETWEEN", "_FORBIDDEN", "_UNSURE"):
        monkeypatch.setattr(redis_line, pause, 0.0)


@pytest.fixture
def make(make: MakeClient, redis_dsn: str) -> MakeClient:
    """A function that opens one more client, whose leases do not end by themselves."""
    return lambda dsn=redis_dsn: make(with_lease(dsn, LONG_LEASE))


def beat(client: Client) -> None:
    worker = WorkerRecord(client.worker, "host", 1, ("all",), 1, time.time())
    client.beat(worker, LONG_LEASE)


def holding(client: Client) -> int:
    """Have a client take a task, as a worker that holds a line; return the line's descriptor."""
    client.push_many("all", [Entry("x", b"body")])
    line = client.hold_line()
    assert line is not None
    beat(client)
    assert client.reserve(["all"], 1)
    return line


def looks(client: Client, times: int = 10) -> list[Any]:
    """What a worker is given that looks so many times."""
    client.hold_line()
    return [lease for _ in range(times) for lease in client.reserve(["all"], 9)]


def test_what_a_client_held_is_ready_once_it_has_ended(make: MakeClient) -> None:
    first, second = make(), make()
    holding(first)

    first._line.drop()  # as the kernel does

    found: list[Any] = []
    eventually(lambda: found.extend(looks(second)) or found, "its task is ready")
    assert [(lease.task_id, lease.deliveries) for lease in found] == [("x", 2)]
    assert second.settle([Ack(found[0])]).accepted == [True]


def test_what_a_client_holds_that_lives_is_not_ready(make: MakeClient) -> None:
    first, second = make(), make()
    holding(first)

    assert looks(second) == []
    assert looks(first) == []


def test_a_forked_child_holds_a_line_of_its_own(make: MakeClient) -> None:
    first, second = make(), make()
    line = holding(first)

    def work() -> None:
        first.push_many("all", [Entry("y", b"body")])
        assert first.hold_line() is not None
        beat(first)
        assert first.reserve(["all"], 1)
        assert looks(second) == []

    assert in_child(work) == 0

    found: list[Any] = []
    eventually(lambda: found.extend(looks(second)) or found, "the child's task is ready")
    assert [lease.task_id for lease in found] == ["y"]
    assert first.hold_line() == line


def test_one_look_is_not_believed(make: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_backend, "_GONE", float(LONG_LEASE))
    first, second = make(), make()
    holding(first)

    first._line.drop()

    assert looks(second) == []


def test_a_line_that_breaks_is_readable_and_another_is_held(make: MakeClient, raw: Any) -> None:
    first, second = make(), make()
    line = holding(first)
    assert first.hold_line() == line

    second.hold_line()
    raw.client_kill_filter(_type="pubsub")

    assert select.select([line], [], [], 20)[0]
    assert second.reserve(["all"], 1) == []
    another = first.hold_line()
    assert another is not None
    assert select.select([another], [], [], 0)[0] == []
    beat(first)
    assert looks(second) == []


def test_who_holds_a_line_that_breaks_says_so_before_it_holds_another(
    make: MakeClient, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(), make()
    holding(first)
    raw.client_kill_filter(_type="pubsub")
    monkeypatch.setattr(first._link, "open", lambda _seconds: pytest.fail("too soon"))
    first._line._again_at = time.monotonic() + LONG_LEASE

    eventually(lambda: first.hold_line() is None, "its end is seen")

    assert looks(second) == []


def test_who_was_cut_off_does_not_judge_others_at_first(
    make: MakeClient, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(), make()
    holding(first)
    second.hold_line()
    monkeypatch.setattr(redis_line, "_UNSURE", float(LONG_LEASE))
    raw.client_kill_filter(_type="pubsub")
    first._line.drop()

    eventually(lambda: not second._line.judges or second.hold_line() is None, "its end is seen")

    assert looks(second) == []
    assert second._line.server


def test_a_line_to_another_server_than_the_keys_are_on_is_cut(make: MakeClient) -> None:
    client = make()
    line = client.hold_line()
    assert line is not None
    client._line.server = "0" * 40

    beat(client)

    assert select.select([line], [], [], 20)[0]
    assert client.hold_line() is not None
    beat(client)
    assert client._line.server != "0" * 40


def test_who_holds_no_line_is_not_missed(make: MakeClient) -> None:
    first, second, third = make(), make(), make()
    second.hold_line()
    beat(second)
    second._line.drop()
    first.push_many("all", [Entry("x", b"body")])
    assert first.reserve(["all"], 1)

    assert looks(third) == []


def test_of_many_clients_one_that_ended_is_found_too(make: MakeClient, raw: Any) -> None:
    first, second = make(), make()
    holding(first)
    (lines,) = [key for key in raw.keys("*:lines") if raw.hexists(key, first._link.client)]
    raw.hset(lines, mapping={f"{number:032x}": first._line.server for number in range(2500)})
    first._line.drop()

    eventually(lambda: looks(second), "its task is ready")
    eventually(lambda: looks(second) or not raw.exists(lines), "all of them are found")


def test_who_leaves_is_not_missed(make: MakeClient, raw: Any) -> None:
    first, second = make(), make()
    holding(first)
    names = [key for key in raw.keys("*:lines") if raw.hexists(key, first._link.client)]

    first.leave(first.worker)
    first._line.drop()

    assert looks(second) == []
    assert [raw.exists(name) for name in names] == [0]


def test_a_server_that_was_started_anew_misses_nobody_that_it_has_not_heard_of(
    make: MakeClient, tmp_path: Path
) -> None:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        first, second = make(server.dsn), make(server.dsn)
        holding(first)

        server.kill()
        server.start()

        assert looks(second) == []
        with redis_py.Redis(port=server.port) as raw:
            assert raw.exists("{alligator}:lines") == 0  # or what died with the server would stay
        assert first.hold_line() is not None
        beat(first)
        first._line.drop()
        eventually(lambda: looks(second), "its task is ready")


@pytest.mark.parametrize("right", ["info", "pubsub", "subscribe"])
def test_a_server_that_forbids_some_of_it_is_worked_with_all_the_same(
    make: MakeClient, redis: Server, raw: Any, right: str
) -> None:
    raw.execute_command("ACL", "SETUSER", "shy", "on", ">pw", "~*", "&*", "+@all", f"-{right}")
    try:
        first, second = (
            make(f"redis://shy:pw@127.0.0.1:{redis.port}/0?prefix=shy-{right}") for _ in range(2)
        )
        first.push_many("all", [Entry("x", b"body")])
        assert first.hold_line() is None
        beat(first)
        assert first.reserve(["all"], 1)
        first._line.drop()

        assert looks(second) == []
    finally:
        raw.acl_deluser("shy")


def test_what_another_program_wrote_into_the_lists_harms_nothing(
    make: MakeClient, raw: Any
) -> None:
    first, second = make(), make()
    holding(first)
    (lines,) = [key for key in raw.keys("*:lines") if raw.hexists(key, first._link.client)]
    raw.hset(lines, mapping={"junk": "", "\n": "x" * 40, "known": first._line.server})
    raw.hset(lines.replace(b"lines", b"cut"), mapping={"known": "junk", "": "-"})
    first._line.drop()

    eventually(lambda: looks(second), "its task is ready")
