"""Tables for people, laid out by tabulate and fitted to the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import click
from tabulate import tabulate

#: A column is not cut below this many characters.
NARROWEST = 10

#: Characters that tabulate's "simple" format puts between columns, and after a heading as well.
_GAP = 2

_STATE_COLORS = {"failed": "red", "retrying": "yellow", "running": "green"}


@dataclass(frozen=True)
class Layout:
    """How a table is to look.

    Attributes:
        format: one of tabulate's.
        fitted: cut the long columns until a line fits the terminal.
        hide_empty: leave out columns with nothing in them.
        long: names of the columns that may be cut.
    """

    format: str
    fitted: bool
    hide_empty: bool
    long: frozenset[str]
    color: bool


def table(names: Sequence[str], rows: list[list[str]], layout: Layout) -> str:
    """Return the rows as a table with the names as its head."""
    if layout.hide_empty:
        kept = [number for number in range(len(names)) if any(row[number] for row in rows)]
        names = [names[number] for number in kept]
        rows = [[row[number] for number in kept] for row in rows]
    if layout.fitted:
        limits = _limits(names, rows, layout.long)
        rows = [
            [_cut(cell, limit) for cell, limit in zip(row, limits, strict=True)] for row in rows
        ]
    if layout.color and "state" in names:
        place = names.index("state")
        for row in rows:
            row[place] = click.style(row[place], fg=_STATE_COLORS.get(row[place]))
    # An id such as 1e5 is no number.
    return tabulate(rows, headers=list(names), tablefmt=layout.format, disable_numparse=True)


def _limits(names: Sequence[str], rows: list[list[str]], long: frozenset[str]) -> list[int]:
    """Return how wide each column may be, having taken from the widest long ones first."""
    widths = [
        max(len(name) + _GAP, *(len(row[number]) for row in rows))
        for number, name in enumerate(names)
    ]
    spare = shutil.get_terminal_size().columns - sum(widths) - _GAP * (len(widths) - 1)
    cuttable = [number for number, name in enumerate(names) if name in long]
    while spare < 0 and cuttable:
        widest = max(cuttable, key=lambda number: widths[number])
        if widths[widest] <= max(NARROWEST, len(names[widest]) + _GAP):
            break
        widths[widest] -= 1
        spare += 1
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
