"""Reading the values of options: durations, times, JSON, states, formats.

Each is a function from text to value, which click takes as an option's type.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from .suggest import did_you_mean

#: The states of alligator.backends.base.State, in the order of a task's life. A test compares
#: them; written out, because help must not wait for the library's import.
STATES = ("waiting", "delayed", "retrying", "blocked", "running", "failed")

#: Formats that need no tabulate.
FORMATS = ("json", "tsv", "csv", "table")

#: One that only gator stats has.
PROMETHEUS = "prometheus"

#: Seconds: no broker has a longer delay than 136 years, and calendars end.
_LONGEST = 36500 * 86400.0

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PART = rf"({_NUMBER})(ms|[smhdw])"

#: Unix times outside these are a mistake: a delay, a date without dashes, milliseconds.
_FIRST_TIME, _LAST_TIME = 1e8, 1e11


def duration(text: str) -> float:
    """Read seconds: 5, 5s, 2.5m, 2h, 1d, 1h30m; 100 years at most."""
    text = str(text).strip()
    if re.fullmatch(_NUMBER, text):
        return _not_too_long(text, float(text))
    if not re.fullmatch(f"({_PART})+", text):
        raise click.BadParameter(f"{text!r} is no duration; write 30, 30s, 5m, 2h, 1d or 1h30m")
    parts = re.findall(_PART, text)
    return _not_too_long(text, sum(float(number) * _UNITS[unit] for number, unit in parts))


def _not_too_long(text: str, seconds: float) -> float:
    if seconds > _LONGEST:
        raise click.BadParameter(f"{text} is too long; the most is 36500d, which is 100 years")
    return seconds


def interval(text: str) -> float:
    """Read the seconds between two looks, which are some."""
    seconds = duration(text)
    if not seconds:
        raise click.BadParameter(f"{text} is no time between two looks; write 2s or 500ms")
    return seconds


def rate(text: str) -> float:
    """Read how many a second: 100/s, 6000/m, 100."""
    found = re.fullmatch(rf"({_NUMBER})(?:/(s|m|h|d))?", str(text).strip())
    a_second = float(found[1]) / _UNITS[found[2] or "s"] if found else 0.0
    if a_second <= 0:
        raise click.BadParameter(f"{text!r} is no rate; write 100/s, 6000/m or 100 (a second)")
    return a_second


def size(text: str) -> int:
    """Read bytes: 300M, 1.5G, 500000."""
    found = re.fullmatch(rf"({_NUMBER})([KMG]?)i?B?", str(text).strip(), re.IGNORECASE)
    if found is None:
        raise click.BadParameter(f"{text!r} is no size; write 300M, 1.5G or a number of bytes")
    return int(float(found[1]) * 1024 ** "_KMG".index(found[2].upper() or "_"))


def memory(text: str) -> int:
    """Read the bytes that a process may have, which has a few million from the start."""
    found = size(text)
    if 0 < found < 1 << 20:
        raise click.BadParameter(f"{text} is less than any process has; write 300M or 1.5G")
    return found


def when(text: str) -> float:
    """Read a time as Unix time: RFC 3339, an ISO date or date-time in local time, or Unix time."""
    text = str(text).strip()
    if re.fullmatch(_NUMBER, text):
        seconds = float(text)
        if _FIRST_TIME <= seconds < _LAST_TIME:
            return seconds
        year = "before 1974" if seconds < _FIRST_TIME else "after the year 5000"
        raise click.BadParameter(
            f"{text} as Unix time is {year}; write seconds since 1970, a date-time like "
            "2030-01-31T08:00:00Z, or use --delay"
        )
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is no time; write 2030-01-31T08:00:00Z, 2030-01-31 08:00 (local time) or "
            "Unix time"
        ) from error


def rfc3339(seconds: float | None) -> str | None:
    """Return a Unix time as RFC 3339 in UTC with milliseconds; None stays None."""
    if seconds is None:
        return None
    try:
        whole, part = divmod(round(seconds * 1000), 1000)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{part:03d}Z"
    except (ValueError, OverflowError, OSError):  # no number, or past what calendars hold
        return str(seconds)


def in_short(seconds: float | None) -> str:
    """Word a time span for a table: 51s, 2h; "" for None."""
    if seconds is None:
        return ""
    unit = next((unit for unit in ("w", "d", "h", "m") if seconds >= _UNITS[unit]), "s")
    return f"{seconds // _UNITS[unit]:.0f}{unit}"


def choice(what: str, names: tuple[str, ...]) -> Callable[[str], str]:
    """Return a type that takes one of the names and suggests the nearest for another."""

    def read(text: str) -> str:
        if text in names:
            return text
        raise click.BadParameter(
            f"there is no {what} {text!r}.{did_you_mean(text, names)} "
            f"There are: {', '.join(names)}."
        )

    return read


state = choice("state", STATES)


def output_format(text: str) -> str:
    """Read the name of an output format."""
    if text in FORMATS or text == PROMETHEUS:
        return text
    from tabulate import tabulate_formats  # slow to import, and seldom asked for

    names = tuple(dict.fromkeys((*FORMATS, *tabulate_formats)))
    if text in names:
        return text
    raise click.BadParameter(
        f"there is no format {text!r}.{did_you_mean(text, (*names, PROMETHEUS))} "
        f"There are: {', '.join(names)}; and {PROMETHEUS}, of gator stats."
    )


def field_names(text: str) -> tuple[str, ...]:
    """Read names with commas between."""
    names = tuple(name.strip() for name in str(text).split(","))
    if not all(names):
        raise click.BadParameter(f"{text!r} has an empty name; write names like id,state")
    return names


def queue_name(text: str) -> str:
    """Read the name of a queue."""
    # Help and completion need the names of options, and not the library.
    from alligator.backends.base import check_name
    from alligator.exceptions import InvalidName

    try:
        check_name("queue name", text)
    except InvalidName as error:
        raise click.BadParameter(str(error)) from error
    return text


def some_text(text: str) -> str:
    """Read a text that says something. An empty one comes of a shell's variable that is not set,
    and left out it would mean another thing."""
    if not text:
        raise click.BadParameter("it is empty; give a value, or leave the option out")
    return text


def given_id(text: str) -> str:
    """Read a task's id."""
    if not text:  # of a push that failed, say: to a wait, "gone" would pass for done
        raise click.BadParameter("it is empty; give the id that push printed")
    return text


class WholeNumber(click.IntRange):
    """As click's type, which calls a text that is no number no "integer range"."""

    @classmethod
    def of(cls, asked: click.IntRange) -> WholeNumber:
        """Return the type for the same numbers."""
        return cls(asked.min, asked.max, asked.min_open, asked.max_open, asked.clamp)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        return super().convert(value, param, ctx)


def json_array(text: str) -> list[Any]:
    """Read a JSON array: the text itself, @file, or - for standard input."""
    value = _json(text)
    if not isinstance(value, list):
        raise click.BadParameter(f"{_kind(value)} where an array is needed; write it like '[1]'")
    return value


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object: the text itself, @file, or - for standard input."""
    value = _json(text)
    if not isinstance(value, dict):
        raise click.BadParameter(
            f"{_kind(value)} where an object is needed; write it like '{{\"name\": 1}}'"
        )
    return value


def _json(source: str) -> Any:
    text, name = _source(source)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise click.BadParameter(_pointed_out(error, name)) from error
    except (ValueError, RecursionError) as error:
        reason = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise click.BadParameter(f"{name} cannot be read: {reason}") from error


def _source(text: str) -> tuple[str, str]:
    """Return the JSON text behind an option's value, and how to name it in a message."""
    if text != "-" and not text.startswith("@"):
        return text, "the JSON"
    name = "standard input" if text == "-" else repr(text[1:])
    try:
        data = sys.stdin.buffer.read() if text == "-" else _bytes_of(text[1:])
        read = data.decode("utf-8-sig")
    except OSError as error:
        raise click.BadParameter(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{name} is not UTF-8 text, at byte {error.start}") from error
    if not read.strip():
        raise click.BadParameter(f"{name} is empty")
    return read, name


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON; leave it out, or pass null or text")


def _pointed_out(error: json.JSONDecodeError, name: str) -> str:
    """Say where a JSON text breaks, with a caret under the place."""
    place = f"{name} breaks at line {error.lineno}, column {error.colno}: {error.msg}"
    return (
        f"{place}\n{pointed_at(error.doc, error.pos)}\n"
        "Quote it once for the shell, and text in double quotes: '[\"text\", 1]'"
    )


def pointed_at(text: str, place: int) -> str:
    """Return the line of `text` that character number `place` is in, with a caret under it."""
    start_of_line = text.rfind("\n", 0, place) + 1
    line = text[start_of_line:].partition("\n")[0].rstrip("\r")
    column = place - start_of_line
    # What fits on a line around the place; a tab would put the caret elsewhere.
    start = max(0, column - 39)
    shown = line[start : start + 72].replace("\t", " ")
    return f"  {shown}\n  {'^':>{column - start + 1}}"


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {str: "text", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names[type(value)]
