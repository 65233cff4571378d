"""The small rules of the contract that all brokers share: names, failures, what a push may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alligator.backends.base import (
    MAX_FAILURES,
    MAX_NAME,
    MAX_PRIORITY,
    MIN_PRIORITY,
    Capability,
    Entry,
    Failure,
    State,
    check_name,
    dump_failures,
    load_failures,
)
from alligator.backends.locmem_backend import Client
from alligator.exceptions import InvalidName, InvalidTask

FAILURES = st.builds(
    Failure,
    error=st.text(),
    traceback=st.text(),
    at=st.floats(allow_nan=False, allow_infinity=False),
    worker=st.text(),
)


@pytest.mark.parametrize("name", ["a", "x" * MAX_NAME, "naïve ☂", "a/b:c {d}", " "])
def test_printable_names_are_kept(name: str) -> None:
    check_name("task id", name)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "queue name '' has 0 characters; use 1 to 200"),
        ("x" * 201, f"queue name '{'x' * 40}' has 201 characters; use 1 to 200"),
        ("a\nb", r"queue name 'a\nb' has control or unprintable characters"),
        ("a\x7f", r"queue name 'a\x7f' has control or unprintable characters"),
        ("\ud800", r"queue name '\ud800' has control or unprintable characters"),
        (b"bytes", "queue name b'bytes' is not a string"),
        (7, "queue name 7 is not a string"),
        (None, "queue name None is not a string"),
    ],
)
def test_other_names_are_refused_with_their_value(name: str, complaint: str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_name("queue name", name)

    assert str(caught.value) == complaint


@given(st.text(max_size=MAX_NAME + 5))
def test_a_name_that_is_kept_can_be_encoded_and_shown_on_one_line(name: str) -> None:
    try:
        check_name("task id", name)
    except InvalidName:
        return
    assert name.encode().decode() == name
    assert len(name.splitlines()) == 1


@given(st.lists(FAILURES, max_size=MAX_FAILURES + 3))
def test_the_newest_failures_come_back_equal(failures: list[Failure]) -> None:
    text = dump_failures(failures)

    assert load_failures(text) == tuple(failures[-MAX_FAILURES:])
    assert load_failures(text.encode()) == load_failures(text)


@pytest.mark.parametrize("nothing", [None, "", b"", "[]"])
def test_no_failures_come_back_as_none(nothing: str | bytes | None) -> None:
    assert load_failures(nothing) == ()


def test_failures_are_text_that_every_broker_can_keep() -> None:
    text = dump_failures([Failure("ValueError: ☂\ud800\x00", "line\nline", 1.5, "h:1")])

    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize("priority", [MIN_PRIORITY, MAX_PRIORITY])
def test_the_ends_of_the_range_of_priorities_are_in_it(priority: int) -> None:
    Client("locmem://").check("all", [Entry("id", b"", priority=priority)])


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (Entry("id", b"", priority=MAX_PRIORITY + 1), "priority 1001 is outside -1000 to 1000"),
        (Entry("", b""), "task id '' has 0 characters"),
        (Entry("id", b"", unique=""), "unique key '' has 0 characters"),
    ],
)
def test_a_push_says_what_it_cannot_be(entry: Entry, complaint: str) -> None:
    with pytest.raises(InvalidTask, match=complaint):
        Client("locmem://").check("all", [entry])


def test_states_and_capabilities_read_as_words() -> None:
    assert f"{State.RETRYING}" == "retrying"
    assert all(capability.value.islower() for capability in Capability)
