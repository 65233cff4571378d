"""The option `backoff`: what it may be, how it travels, and how long it makes a task wait."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alligator.exceptions import InvalidTask
from alligator.retries import Exponential, checked, delay, exponential, from_wire, to_wire

seconds = st.integers(0, 2**53 - 1) | st.floats(0, 1e15)
exponentials = st.builds(
    lambda first, cap, jitter: exponential(min(first, cap), max(first, cap), jitter),
    *(st.floats(0.001, 1e15), st.floats(0.001, 1e15), st.booleans()),
)
backoffs = seconds | st.lists(seconds, min_size=1) | exponentials


def delays(backoff: Any, tries: int) -> list[float]:
    return [delay(backoff, failed) for failed in range(1, tries + 1)]


def test_a_number_is_the_wait_after_every_try() -> None:
    assert delays(30, 3) == [30, 30, 30]
    assert delays(0, 2) == [0, 0]


@pytest.mark.parametrize("waits", [[1, 10.5, 60], (1, 10.5, 60), range(1, 4)])
def test_each_of_a_list_is_the_wait_after_one_try_and_the_last_repeats(waits: Any) -> None:
    assert delays(waits, 5) == [*waits, waits[2], waits[2]]


def test_an_exponential_doubles_up_to_its_cap() -> None:
    assert delays(exponential(1, 10, jitter=False), 6) == [1, 2, 4, 8, 10, 10]


def test_an_exponential_is_drawn_from_all_between_nothing_and_that() -> None:
    drawn = [delay(exponential(1, cap=8), 3) for _ in range(500)]
    assert all(0 <= wait <= 4 for wait in drawn)
    assert min(drawn) < 1  # half a percent of a chance in e^62 that it is not
    assert max(drawn) > 3


def test_an_exponential_has_a_cap_and_jitter_unless_told_otherwise() -> None:
    assert exponential() == Exponential(1.0, 600.0, True)


@given(backoffs, st.integers(1, 2**40))
def test_any_backoff_is_a_number_of_seconds_after_any_try(backoff: Any, failed: int) -> None:
    wait = delay(backoff, failed)
    assert 0 <= wait < math.inf
    if isinstance(backoff, Exponential):
        assert wait <= backoff.cap


@given(backoffs)
def test_a_backoff_is_read_back_from_json_as_it_was(backoff: Any) -> None:
    kept = checked(backoff)
    assert from_wire(json.loads(json.dumps(to_wire(kept)))) == kept


def test_the_wire_is_a_number_a_list_or_an_object() -> None:
    assert to_wire(1.5) == 1.5
    assert to_wire((1, 10)) == [1, 10]
    assert to_wire(exponential(1, 600)) == {"exponential": 1, "cap": 600}
    assert to_wire(exponential(1, 600, jitter=False)) == {
        "exponential": 1,
        "cap": 600,
        "jitter": False,
    }


@pytest.mark.parametrize(
    ("backoff", "message"),
    [
        (-1, "backoff -1 is not a number of at least 0"),
        (2**53, "backoff 9007199254740992 is more than 9007199254740991, the most"),
        (True, "backoff True"),
        (math.nan, "backoff nan"),
        ("30s", "backoff '30s'"),
        (b"1", "backoff b'1'"),
        (None, "backoff None"),
        ([], "backoff is an empty list"),
        ([1, -1], "backoff -1"),
        ([1, "10"], "backoff '10'"),
        ([[1]], r"backoff \[1\]"),
        ({1: 2}, "backoff {1: 2}"),
        (Exponential(0, 0, True), "from 0 stays 0"),
    ],
)
def test_what_is_no_backoff_is_named(backoff: Any, message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        checked(backoff)
    with pytest.raises(InvalidTask, match=message):
        delay(backoff, 1)


@pytest.mark.parametrize(
    ("first", "cap", "jitter", "message"),
    [
        (0, 10, True, "from 0 stays 0"),
        (-1, 10, True, "first -1 is not"),
        ("1s", 10, True, "first '1s'"),
        (1, math.inf, True, "cap inf"),
        (20, 10, True, "cap 10 is less than its first wait, 20"),
        (1, 10, 1, "jitter 1 is neither"),
    ],
)
def test_an_exponential_that_makes_no_sense_is_refused(
    first: Any, cap: Any, jitter: Any, message: str
) -> None:
    with pytest.raises(InvalidTask, match=message):
        exponential(first, cap, jitter)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"exponential": 1},
        {"cap": 10},
        {"exponential": 1, "cap": 10, "jiter": False},
        {"exponential": 1, "cap": 10, "jitter": None},
        {"exponential": [1], "cap": 10},
        {"exponential": 20, "cap": 10},
        "exponential",
        None,
        [],
    ],
    ids=str,
)
def test_what_no_backoff_looks_like_on_the_wire_is_refused(value: Any) -> None:
    with pytest.raises(InvalidTask):
        from_wire(value)
