"""How ids look in Redis: short, and with a way back from any bytes."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alligator.backends.base import check_name
from alligator.backends.redis_wire import read_id, write_id
from alligator.exceptions import InvalidName


@given(st.binary(max_size=60))
@example(b"")
@example(b"\xff\xfe")
@example(b"~0xff")
@example(b"\xff" + bytes(16))
@example(b"\xff" + bytes(15))
@example(b"00000000-0000-0000-0000-000000000000")
@example(b"a\nb\x1b[31m")
def test_any_bytes_have_an_id_that_can_be_shown_and_leads_back_to_them(kept: bytes) -> None:
    task_id = read_id(kept)

    assert task_id.isprintable()
    assert write_id(task_id) == kept


@given(st.one_of(st.text(), st.text("~0xfA", max_size=12), st.uuids().map(str)))
def test_an_id_that_a_push_takes_comes_back_as_it_was(task_id: str) -> None:
    try:
        check_name("task id", task_id)
    except InvalidName:
        write_id(task_id)  # can be looked for
        return
    assert read_id(write_id(task_id)) == task_id


def test_a_uuid_takes_17_bytes() -> None:
    assert len(write_id(str(uuid.uuid4()))) == 17


@pytest.mark.parametrize(
    ("kept", "task_id"), [(b"\xff\xfe", "~0xfffe"), (b"~0xff", "~0x7e30786666")]
)
def test_an_id_of_another_program_is_shown_by_its_digits(kept: bytes, task_id: str) -> None:
    assert read_id(kept) == task_id
