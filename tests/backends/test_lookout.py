"""Looking out for an answer."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

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


def test_an_answer_that_does_not_come_is_not_waited_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, _ = ends
    lookout = Lookout()

    lookout.wait(near)

    assert select.select([near], [], [], 0)[0] == []
    assert lookout.rest == REST


def test_after_a_rest_it_is_tried_again(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    lookout = Lookout()
    lookout.wait(near)
    far.send(b"answer")

    for left in reversed(range(REST)):
        lookout.wait(near)
        assert lookout.rest == left
    lookout.wait(near)

    assert lookout.rest == 0


def test_an_end_that_is_closed_ends_it(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    far.close()
    lookout = Lookout()

    lookout.wait(near)

    assert lookout.rest == 0
