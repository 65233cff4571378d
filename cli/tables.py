"""Tables for people, laid out by tabulate and fitted to the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import click
from tabulate import tabulate
from wcwidth import clip, wcswidth, wrap

#: A column is not cut, or broken into lines, below this many characters.
NARROWEST = 10
NARROWEST_WRAPPED = 8

#: Spaces that tabulate's "plain" format puts between columns.
_GAP = 2

#: Cells of a column that can be missed.
_NOTHING = {"", "0", "{}", "[]"}

#: The colour of a cell by what it says, in the columns that say one of a few words.
_BY_WORD = {
    "state": {"failed": "red", "retrying": "yellow", "running": "green", "stale": "red"},
    "ok": {"true": "green", "false": "red"},
    "paused": {"paused": "yellow"},
}

#: Of whatever a column has, but for 0.
_BY_COLUMN = {"failed": "red", "retrying": "yellow", "running": "green", "error": "red"}


@dataclass(frozen=True)
class Fit:
    """What may be done to a table that is wider than the terminal.

    Attributes:
        long: the columns that may be cut, the most useful first, and the width each had better
            keep.
        optional: the columns that are left out when others would be cut below that, the most
            useful first.
        wrapped: the long columns that are broken over several lines where others are cut.
        all_columns: leave out none.
    """

    long: Mapping[str, int] = field(default_factory=dict)
    optional: Sequence[str] = ()
    wrapped: Sequence[str] = ()
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
    made_to_fit = [
        [(_wrapped if name in fit.wrapped else _cut)(cell, width) for cell in columns[name]]
        for name, width in widths.items()
    ]
    return widths, [list(row) for row in zip(*made_to_fit, strict=True)]


def _widths(columns: Mapping[str, Sequence[str]], fit: Fit, room: int) -> dict[str, int]:
    """Return the columns to show, and how wide each is."""
    widths = {name: max(len(name), *map(width_of, cells)) for name, cells in columns.items()}
    for name in fit.long.keys() & widths.keys():
        widths[name] = min(widths[name], room)
    narrow = {
        name: max(NARROWEST_WRAPPED if name in fit.wrapped else NARROWEST, len(name))
        for name in fit.long
    }
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


def width_of(text: str) -> int:
    """Return how many places of a terminal the text takes: two for a letter of Chinese, none for
    an accent of its own."""
    return len(text) if text.isascii() else wcswidth(text)


def _cut(text: str, width: int) -> str:
    return text if width_of(text) <= width else clip(text, 0, width - 1) + "…"


def shortened(text: str, width: int) -> str:
    """Return the beginning and the end of a text that is too long: a DSN has the kind of broker at
    its one end, and the database at the other."""
    whole = width_of(text)
    if whole <= width:
        return text
    left = max(0, (width - 1) // 2)
    right = max(0, width - 1 - left)
    return f"{clip(text, 0, left)}…{clip(text, whole - right, whole)}"


def _wrapped(text: str, width: int) -> str:
    # Not at hyphens: a remedy may be a command with options.
    return "\n".join(wrap(text, width, break_on_hyphens=False))


def color_of(column: str, text: str) -> str | None:
    """Return the colour of a cell, None for most; it says nothing that the text does not."""
    if text in _NOTHING:
        return None
    return _BY_WORD.get(column, {}).get(text) or _BY_COLUMN.get(column)


def _colored(names: Sequence[str], rows: list[list[str]]) -> list[list[str]]:
    return [[_styled(*cell) for cell in zip(names, row, strict=True)] for row in rows]


def _styled(column: str, text: str) -> str:
    color = color_of(column, text)
    return text if color is None else click.style(text, fg=color)
