"""Reading and writing durations and times."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alligator_cli.types import duration, field_names, in_short, interval, rfc3339, size, when


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("0", 0),
        ("0.5", 0.5),
        ("5s", 5),
        ("250ms", 0.25),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1d2h3m4s", 93784),
        (" 5m ", 300),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "5 m", "-5", "5x", "1e3", "inf", "nan", "5m!", "٥"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1024", 1024), ("2K", 2048), ("300m", 300 * 2**20), ("1.5GiB", 3 * 2**29)],
)
def test_a_size_is_read(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "M", "-1", "5X", "1e3", "nan", "3 M", "٥"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        size(text)


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_of_a_duration_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s"
    assert duration(text) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31T08:00:00Z", datetime(2030, 1, 31, 8, tzinfo=UTC)),
        ("2030-01-31T09:00:00+01:00", datetime(2030, 1, 31, 8, tzinfo=UTC)),
        ("2030-01-31 08:00", datetime(2030, 1, 31, 8)),
        ("2030-01-31", datetime(2030, 1, 31)),
        ("1900000000", datetime.fromtimestamp(1_900_000_000, UTC)),
        ("1900000000.5", datetime.fromtimestamp(1_900_000_000.5, UTC)),
    ],
)
def test_a_time_is_read(text: str, moment: datetime) -> None:
    assert when(text) == moment.timestamp()


@pytest.mark.parametrize(
    "text", ["", "noon", "5", "20300131", "1900000000000", "2030-02-30", "nan", "-1"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        when(text)


@given(st.integers(100_000_000_000, 4_000_000_000_000))
def test_a_time_that_was_written_is_read_back(milliseconds: int) -> None:
    text = rfc3339(milliseconds / 1000)
    assert text is not None
    assert round(when(text) * 1000) == milliseconds


@given(st.floats())
def test_any_time_can_be_written(seconds: float) -> None:
    assert rfc3339(seconds)


def test_field_names_are_split_at_commas() -> None:
    assert field_names("id, state") == ("id", "state")
    with pytest.raises(click.BadParameter):
        field_names("id,,state")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.4, "0s"),
        (51.9, "51s"),
        (59.99, "59s"),
        (60, "1m"),
        (7200, "2h"),
        (86399, "23h"),
        (3 * 86400, "3d"),
        (700000, "1w"),
    ],
)
def test_a_span_in_short(seconds: float | None, words: str) -> None:
    assert in_short(seconds) == words


@pytest.mark.parametrize("text", ["36501d", "3153600001", "999999999999d", "9" * 400])
def test_a_duration_that_no_broker_can_keep_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="the most is 36500d"):
        duration(text)
    assert duration("36500d") == 36500 * 86400


@pytest.mark.parametrize("text", ["0", "0s", "0m0s"])
def test_there_is_time_between_two_looks(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time between two looks"):
        interval(text)
    assert interval("500ms") == 0.5
