"""Tables for people, laid out by tabulate and fitted to the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import click
from tabulate import tabulate

#: A column is not cut below this many characters.
NARROWEST = 10

#: Spaces that tabulate's "plain" format puts between columns.
_GAP = 2

#: Cells of a column that can be missed.
_NOTHING = {"", "0", "{}", "[]"}

STATE_COLORS = {"failed": "red", "retrying": "yellow", "running": "green"}


@dataclass(frozen=True)
class Fit:
    """What may be done to a table that is wider than the terminal.

    Attributes:
        long: the columns that may be cut, the most useful first, and the width each had better
            keep.
        optional: the columns that are left out when others would be cut below that, the most
            useful first.
        all_columns: leave out none.
    """

    long: Mapping[str, int] = field(default_factory=dict)
    optional: Sequence[str] = ()
    all_columns: bool = False


def table(names: Sequence[str], rows: list[list[str]], format: str, color: bool) -> str:
    """Return the rows in one of tabulate's formats, with the names as the head."""
    rows = _colored(names, rows) if color else rows
    # An id such as 1e5 is no number.
    return tabulate(rows, headers=list(names), tablefmt=format, disable_numparse=True)


def fitted_table(names: Sequence[str], rows: list[list[str]], fit: Fit, color: bool) -> str:
    """Return the rows as a table no wider than the terminal, if its ids leave it the room."""
    widths, body = fitted(names, rows, fit, shutil.get_terminal_size().columns)
    rules = ["-" * width for width in widths.values()]
    # The head goes in as rows: tabulate makes a column two characters wider than its heading.
    lines = [list(widths), rules, *(_colored(list(widths), body) if color else body)]
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def fitted(
    names: Sequence[str], rows: Sequence[Sequence[str]], fit: Fit, room: int
) -> tuple[dict[str, int], list[list[str]]]:
    """Return the columns that fit into `room` characters, each with its width, and the rows with
    their cells cut to these."""
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    if not fit.all_columns:
        columns = {name: cells for name, cells in columns.items() if any(cells)}
    widths = _widths(columns, fit, room)
    cut = [[_cut(cell, width) for cell in columns[name]] for name, width in widths.items()]
    return widths, [list(row) for row in zip(*cut, strict=True)]


def _widths(columns: Mapping[str, Sequence[str]], fit: Fit, room: int) -> dict[str, int]:
    """Return the columns to show, and how wide each is."""
    widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
    for name in fit.long.keys() & widths.keys():
        widths[name] = min(widths[name], room)
    narrow = {name: max(NARROWEST, len(name)) for name in fit.long}
    if not fit.all_columns:
        optional = sorted(fit.optional, key=lambda name: not _says(columns.get(name, ())))
        kept = widths.keys() - fit.long.keys() - set(optional)
        kept |= _fitting(
            widths, kept, [name for name in fit.long if name not in optional], narrow, room
        )
        kept |= _fitting(widths, kept, optional, fit.long, room)
        widths = {name: width for name, width in widths.items() if name in kept}
    for floors in (fit.long, narrow):
        _shrink(widths, floors, room)
    return widths


def _says(cells: Iterable[str]) -> bool:
    return any(cell not in _NOTHING for cell in cells)


def _fitting(
    widths: Mapping[str, int],
    kept: Set[str],
    more: Iterable[str],
    floors: Mapping[str, int],
    room: int,
) -> set[str]:
    """Return which of `more`, the first ones first, fit beside the kept columns, all cut to the
    floors."""
    least = {name: min(width, floors.get(name, width)) for name, width in widths.items()}
    added: set[str] = set()
    for name in more:
        if name in least and _line(least[each] for each in (*kept, *added, name)) <= room:
            added.add(name)
    return added


def _shrink(widths: dict[str, int], floors: Mapping[str, int], room: int) -> None:
    """Take from the widest columns that are above their floors until all fit."""
    while _line(widths.values()) > room:
        above = [name for name, floor in floors.items() if widths.get(name, 0) > floor]
        if not above:
            return
        widths[max(above, key=widths.__getitem__)] -= 1


def _line(widths: Iterable[int]) -> int:
    widths = list(widths)
    return sum(widths) + _GAP * (len(widths) - 1)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _colored(names: Sequence[str], rows: list[list[str]]) -> list[list[str]]:
    """Return the rows with the states in their colours."""
    if "state" not in names:
        return rows
    place = names.index("state")
    return [
        [*row[:place], click.style(row[place], fg=STATE_COLORS.get(row[place])), *row[place + 1 :]]
        for row in rows
    ]
