"""Checks that pass or fail, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from alligator.backends.base import Finding

from .output import Columns
from .session import Session

#: One thing that was looked at.
Check = Finding

COLUMNS = Columns(
    names=("check", "ok", "detail", "remedy"),
    key="check",
    # Whoever mends something needs all of what is wrong with it, and first of all what it is.
    long={"check": 16, "detail": 30, "remedy": 20},
    wrapped=("check", "detail", "remedy"),
)


def report(session: Session, checks: Iterable[Check]) -> bool:
    """Write the checks as they come, and return whether all passed, read by anybody or not."""
    passed = True

    def rows() -> Iterable[dict[str, object]]:
        nonlocal passed
        for check in checks:
            passed = passed and check.ok
            yield check._asdict()

    session.out.answer(rows(), COLUMNS)
    return passed
