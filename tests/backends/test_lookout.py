"""Looking out for an answer."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from alligator.backends import beanstalk_backend, redis_backend
from alligator.backends import lookout as lookout_module
from alligator.backends.base import Entry
from alligator.backends.lookout import REST, Lookout


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection's two ends."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def test_an_answer_that_is_there_ends_it(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    lookout = Lookout()
    far.send(b"answer")

    for _ in range(3):
        lookout.wait(near)

    assert lookout.rest == 0
    assert near.recv(10) == b"answer"


def test_whoever_is_to_answer_gets_the_processor(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = ends
    monkeypatch.setattr(lookout_module, "_let_others", lambda: far.send(b"answer"))
    lookout = Lookout()

    lookout.wait(near)

    assert lookout.rest == 0
    assert near.recv(10) == b"answer"


def test_an_answer_that_does_not_come_is_not_waited_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, _ = ends
    lookout = Lookout()

    lookout.wait(near)

    assert select.select([near], [], [], 0)[0] == []
    assert lookout.rest == 1


def rests(lookout: Lookout, near: socket.socket) -> int:
    """How many exchanges are slept through after one more look."""
    while lookout.rest:
        lookout.wait(near)
    lookout.wait(near)
    return lookout.rest


def test_the_longer_answers_are_late_the_longer_it_rests(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, _ = ends
    lookout = Lookout()

    assert [rests(lookout, near) for _ in range(9)] == [1, 2, 4, 8, 16, 32, REST, REST, REST]


def test_one_answer_in_time_makes_the_next_rest_short(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    lookout = Lookout()
    for _ in range(5):
        rests(lookout, near)
    far.send(b"answer")
    assert rests(lookout, near) == 0
    near.recv(10)

    assert [rests(lookout, near) for _ in range(3)] == [1, 2, 4]


def test_an_end_that_is_closed_ends_it(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    far.close()
    lookout = Lookout()

    lookout.wait(near)

    assert lookout.rest == 0


def test_where_nobody_can_look_an_answer_is_slept_for(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, _ = ends
    lookout = Lookout()
    monkeypatch.delattr(select, "poll")  # as eventlet does

    lookout.wait(near)

    assert lookout.rest == 0


def test_clients_of_redis_look_out(redis_dsn: str) -> None:
    client = redis_backend.Client(redis_dsn)
    client.push_many("all", [Entry("first", b"{}")])
    client._link._lookout.rest = 5

    client.push_many("all", [Entry("second", b"{}")])

    assert client._link._lookout.rest == 4
    client.close()


def test_clients_of_beanstalkd_look_out(beanstalk_dsn: str) -> None:
    client = beanstalk_backend.Client(beanstalk_dsn)
    client.push_many("all", [Entry("x", b"{}")])
    (connection,) = client._spares
    connection._lookout.rest = 5

    client.push_many("all", [Entry("x", b"{}")])

    assert connection._lookout.rest == 4
    client.close()
