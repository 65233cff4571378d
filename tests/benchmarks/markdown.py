"""How numbers, names and tables look on the page."""

from __future__ import annotations

from collections.abc import Iterable

from .systems import SYSTEMS

Row = Iterable[str]


def table(header: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table; numbers stand in all columns but the first."""
    header = list(header)
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None) -> str:
    """Return a number with about three figures that mean something."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


def label(key: str) -> str:
    return SYSTEMS[key].label if key in SYSTEMS else key
