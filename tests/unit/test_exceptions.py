"""The tree of errors is the one that its module's docstring draws."""

from __future__ import annotations

import inspect
import re

import pytest

from alligator import exceptions
from alligator.exceptions import AlligatorException


def drawn() -> list[tuple[str, str]]:
    """Pairs of a class and its base, as the docstring draws them."""
    assert exceptions.__doc__ is not None
    ancestors: list[str] = []
    pairs = []
    for line in exceptions.__doc__.splitlines():
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
    assert str(error("what failed")) == "what failed"
