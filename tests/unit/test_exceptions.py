"""The tree of errors is the one that its module's docstring draws."""

from __future__ import annotations

import inspect
import math
import pickle
import re
from datetime import timedelta
from typing import Any

import pytest

from alligator import exceptions
from alligator.exceptions import AlligatorException, BrokerUnreachable, RetryIn, Snooze


def drawn() -> list[tuple[str, str]]:
    """Pairs of a class and its base, as the docstring draws them."""
    assert exceptions.__doc__ is not None
    ancestors: list[str] = []
    pairs = []
    for line in inspect.cleandoc(exceptions.__doc__).splitlines():
        line = line.removeprefix("    ")  # the drawing is a literal block
        found = re.match(r"((?:│   |    )*)(?:├── |└── )(\w+)", line)
        if found:
            depth = len(found[1]) // 4 + 1
            ancestors[depth:] = [found[2]]
            pairs.append((found[2], ancestors[depth - 1]))
        elif line.strip() == AlligatorException.__name__:
            ancestors = [line.strip()]
    return pairs


def defined() -> list[tuple[str, str]]:
    """Pairs of a class and its base, as they are."""
    classes = [
        each
        for each in vars(exceptions).values()
        if inspect.isclass(each) and each.__module__ == exceptions.__name__
    ]
    return [(each.__name__, each.__base__.__name__) for each in classes if each.__base__]


def test_the_drawn_tree_is_the_real_one_in_the_same_order() -> None:
    assert [("AlligatorException", "Exception"), *drawn()] == defined()


@pytest.mark.parametrize("name", [name for name, _ in defined()])
def test_every_error_is_caught_by_the_root_and_says_what_it_is(name: str) -> None:
    error = getattr(exceptions, name)

    assert issubclass(error, AlligatorException)
    assert error.__doc__
    text = "what failed"
    arguments = {"Snooze": (), "RetryIn": (5, text)}.get(name, (text,))
    assert not arguments or str(error(*arguments)) == text


@pytest.mark.parametrize(
    ("verdict", "seconds", "text"),
    [
        (Snooze(90), 90, "again in 90 s"),
        (Snooze(timedelta(minutes=2)), 120, "again in 120 s"),
        (Snooze(0), 0, "again in 0 s"),
        (RetryIn(1.5), 1.5, "try again in 1.5 s"),
        (RetryIn(timedelta(0, 5), "busy"), 5, "busy"),
    ],
)
def test_a_wait_may_be_seconds_or_a_timedelta(
    verdict: Snooze | RetryIn, seconds: float, text: str
) -> None:
    assert (verdict.seconds, str(verdict)) == (seconds, text)
    copy = pickle.loads(pickle.dumps(verdict))
    assert (type(copy), copy.seconds, str(copy)) == (type(verdict), seconds, text)


@pytest.mark.parametrize("maybe_done", [False, True])
def test_whether_a_request_may_be_done_survives_a_pickle(maybe_done: bool) -> None:
    copy = pickle.loads(pickle.dumps(BrokerUnreachable("gone", maybe_done=maybe_done)))
    assert (str(copy), copy.maybe_done) == ("gone", maybe_done)


@pytest.mark.parametrize("kind", [Snooze, RetryIn])
@pytest.mark.parametrize(
    "wait", [-1, math.nan, math.inf, "30s", None, True, 2**53, timedelta(seconds=-1)], ids=repr
)
def test_a_wait_that_is_none_is_named(kind: type[Snooze | RetryIn], wait: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{kind.__name__}({wait!r}): give seconds")):
        kind(wait)
