"""The option `backoff`: how long a task waits between a failed try and the next."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from .checks import at_least_zero
from .exceptions import InvalidTask


class Exponential(NamedTuple):
    """A wait that doubles with each failed try; `exponential` makes one.

    Attributes:
        first: seconds after the first failed try.
        cap: seconds it never grows beyond.
        jitter: whether the wait is drawn between 0 and that, so that tasks which failed together
            do not come back together ("full jitter").
    """

    first: float
    cap: float
    jitter: bool


#: A number: the same seconds each time. A tuple: the n-th failed try waits the n-th, and the last
#: one repeats.
Backoff = float | tuple[float, ...] | Exponential

#: What a user may give.
AnyBackoff = float | Sequence[float] | Exponential


# Before the question whether it is a sequence, which takes as long as the rest of making a task.
_NO_LIST = (int, float, str, bytes)


def exponential(first: float = 1.0, cap: float = 600.0, jitter: bool = True) -> Exponential:
    """Return a backoff that doubles, as in `Task(retries=8, backoff=exponential(1, cap=600))`.

    Args:
        first: seconds after the first failed try.
        cap: the most seconds.
        jitter: draw each wait between 0 and that.

    Raises:
        InvalidTask: first is 0 or not a number, cap is less than first, jitter is no bool.
    """
    if at_least_zero("first", first) == 0:
        raise InvalidTask("an exponential backoff from 0 stays 0; begin with more")
    if at_least_zero("cap", cap) < first:
        raise InvalidTask(f"the backoff's cap {cap!r} is less than its first wait, {first!r}")
    if not isinstance(jitter, bool):
        raise InvalidTask(f"jitter {jitter!r} is neither True nor False")
    return Exponential(first, cap, jitter)


def checked(backoff: AnyBackoff) -> Backoff:
    """Return what a user gave as a Task keeps it.

    Raises:
        InvalidTask: it is no backoff.
    """
    if isinstance(backoff, Exponential):
        return exponential(*backoff)
    if isinstance(backoff, _NO_LIST) or not isinstance(backoff, Sequence):
        seconds: float = at_least_zero("backoff", backoff)
        return seconds
    if not backoff:
        raise InvalidTask("backoff is an empty list; leave it out to wait not at all")
    return tuple(at_least_zero("backoff", seconds) for seconds in backoff)


def to_wire(backoff: Backoff) -> Any:
    """Return JSON for a body: a number, a list, or {"exponential": first, "cap": cap}, which has
    "jitter": false too when there is none."""
    if isinstance(backoff, Exponential):
        wire: dict[str, Any] = {"exponential": backoff.first, "cap": backoff.cap}
        return wire if backoff.jitter else wire | {"jitter": False}
    return list(backoff) if isinstance(backoff, tuple) else backoff


def from_wire(value: Any) -> Backoff:
    """Read what `to_wire` returned.

    Raises:
        InvalidTask: it is no backoff.
    """
    if not isinstance(value, dict):
        return checked(value)
    if not {"exponential", "cap"} <= value.keys() <= {"exponential", "cap", "jitter"}:
        raise InvalidTask(f"backoff {value!r} is not an object of exponential, cap and jitter")
    return exponential(value["exponential"], value["cap"], value.get("jitter", True))


def delay(backoff: AnyBackoff, failed: int) -> float:
    """Return the seconds to wait.

    Args:
        failed: how many tries have failed, the last one included; at least 1.

    Raises:
        InvalidTask: it is no backoff; a hook may have left something else in the task.
    """
    backoff = checked(backoff)
    if isinstance(backoff, Exponential):
        # 2.0 ** 1024 is more than a float holds; any cap is reached long before.
        longest = min(backoff.cap, backoff.first * 2.0 ** min(failed - 1, 1000))
        return random.uniform(0.0, longest) if backoff.jitter else longest
    if isinstance(backoff, tuple):
        wait: float = backoff[min(failed, len(backoff)) - 1]
        return wait
    return backoff
