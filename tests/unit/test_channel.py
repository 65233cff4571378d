"""What the supervisor and a child say to each other over pipes."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alligator.backends.base import Ack, Defer, Fail, Failure, Lease, Outcome, Retry
from alligator.channel import (
    FrameReader,
    Permits,
    frame,
    open_pipes,
    pack_outcome,
    unpack_outcome,
    widen,
)
from alligator.children import MOST_AHEAD


def make_permits() -> Permits:
    permits = Permits(*open_pipes(1))
    os.set_blocking(permits.reading, False)
    return permits


LEASE = Lease("all", "id", b"body", "token")
FAILURE = Failure("ValueError: no", "Traceback", 1.5, "host:1")


@pytest.fixture
def permits() -> Iterator[Permits]:
    made = make_permits()
    yield made
    os.close(made.reading)
    os.close(made.writing)


@given(
    st.lists(st.binary() | st.text() | st.tuples(st.integers(), st.none())),
    st.lists(st.integers(1, 50), min_size=1),
)
def test_frames_come_out_whole_however_the_stream_is_cut(
    values: list[object], sizes: list[int]
) -> None:
    stream = b"".join(map(frame, values))
    reader, found = FrameReader(), []
    while stream:
        for size in sizes:
            found += reader.feed(stream[:size])
            stream = stream[size:]
    assert found == values


@pytest.mark.parametrize(
    "outcome",
    [
        Ack(LEASE),
        Ack(LEASE, b"[1]", 60.0),
        Retry(LEASE, b"new body", 2.5, FAILURE),
        Fail(LEASE, FAILURE),
        Defer(LEASE, 2.5),
    ],
)
def test_an_outcome_crosses_unchanged(outcome: Outcome) -> None:
    (values,) = FrameReader().feed(pack_outcome((9, 3), 7, 0.25, outcome))
    assert values[:4] == (7, 9, 3, 0.25)
    assert unpack_outcome(values, LEASE) == outcome


def test_permits_are_taken_once_and_in_order(permits: Permits) -> None:
    permits.give(range(1, 4))
    assert [permits.take() for _ in range(4)] == [1, 2, 3, None]


def test_what_is_taken_back_cannot_be_taken(permits: Permits) -> None:
    permits.give(range(1, 6))
    assert permits.take() == 1

    assert permits.take_all() == [2, 3, 4, 5]
    assert permits.take() is None


def test_a_permit_that_comes_early_is_kept_for_its_lease(permits: Permits) -> None:
    permits.give(range(1, 4))
    assert permits.allows(1)
    assert permits.take_all() == [2, 3]
    permits.give(range(4, 5))

    assert [permits.allows(number) for number in (2, 3)] == [False, False]
    assert permits.allows(4)


def test_the_pipe_holds_the_most_permits_without_blocking(permits: Permits) -> None:
    os.set_blocking(permits.writing, False)
    permits.give(range(1, MOST_AHEAD + 1))
    assert permits.take_all() == list(range(1, MOST_AHEAD + 1))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a size for a pipe")
def test_a_pipe_is_as_wide_as_the_system_allows() -> None:
    reading, writing = os.pipe()
    try:
        widen(writing, 1 << 17)
        assert fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ) == 1 << 17
    finally:
        os.close(reading)
        os.close(writing)


def test_what_cannot_be_widened_stays_as_it_is(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        widen(file.fileno(), 1 << 17)  # as a system says no


def test_no_permit_comes_once_the_other_end_is_closed() -> None:
    permits = make_permits()
    permits.give(range(1, 2))
    os.close(permits.writing)
    assert [permits.take(), permits.take()] == [1, None]
    os.close(permits.reading)
