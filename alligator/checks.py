"""Checks of the numbers that options of a task are."""

from __future__ import annotations

from typing import Any

from .exceptions import InvalidTask


def at_least_zero(name: str, value: Any) -> Any:
    """Return a number of seconds, or of times; `name` is the option's, for the message.

    Raises:
        InvalidTask: it is not a number, below 0, or larger than JSON readers keep exactly.
    """
    kind = type(value)
    numeric = kind is int or kind is float or _is_number(value)
    if numeric and value >= 2**53:
        raise InvalidTask(f"{name} {value!r} is more than {2**53 - 1}, the most")
    if not numeric or not value >= 0:
        raise InvalidTask(f"{name} {value!r} is not a number of at least 0")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(name: str, value: Any) -> int:
    """Return a whole number.

    Raises:
        InvalidTask: it is none.
    """
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, int)):
        raise InvalidTask(f"{name} {value!r} is not a whole number")
    return value
