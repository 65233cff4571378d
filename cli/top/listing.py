"""A table on the screen: it fits its width, and its cursor stays with the row that it was on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text
from textual.binding import Binding
from textual.widgets import DataTable

from ..cells import cells
from ..output import Columns
from ..tables import Fit, color_of, fitted


class Listing(DataTable[Text]):
    """Rows, of which one is under the cursor."""

    BINDINGS = [  # noqa: RUF012 - Textual's own way to say it
        Binding("left", "app.other_queue(-1)", show=False),
        Binding("right", "app.other_queue(1)", show=False),
    ]

    def __init__(self, columns: Columns, *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self.columns_shown = columns
        self.rows_shown: Sequence[Mapping[str, Any]] = ()
        self._laid_out: object = None

    @property
    def row(self) -> Mapping[str, Any] | None:
        """The row under the cursor; None where there is none."""
        at = self.cursor_row
        return self.rows_shown[at] if 0 <= at < len(self.rows_shown) else None

    @property
    def key(self) -> str | None:
        """What tells that row from others."""
        return None if self.row is None else self.row[self.columns_shown.key]

    def fill(self, rows: Sequence[Mapping[str, Any]], key: str | None = None) -> None:
        """Show these rows instead, the cursor on the row that it was on, or on the one with `key`
        if it was on none."""
        wanted, at = self.key or key, self.cursor_row
        self.rows_shown = rows
        keys = [row[self.columns_shown.key] for row in rows]
        self._lay_out(keys.index(wanted) if wanted in keys else min(at, len(rows) - 1))

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self._lay_out(self.cursor_row)

    def _lay_out(self, cursor: int) -> None:
        widths, body = self._fitted()
        laid_out = (list(widths.items()), body)
        if laid_out != self._laid_out:
            self._laid_out = laid_out
            self._fill(widths, body)
        if 0 <= cursor != self.cursor_row:
            self.move_cursor(row=cursor)

    def _fill(self, widths: Mapping[str, int], body: Sequence[Sequence[str]]) -> None:
        self.clear(columns=True)
        for name, width in widths.items():
            # Text, not str, here and in the cells: other people's "[red]" is no markup of ours.
            self.add_column(Text(name), width=width)
        for row in body:
            self.add_row(*(_cell(*pair) for pair in zip(widths, row, strict=True)))

    def _fitted(self) -> tuple[dict[str, int], list[list[str]]]:
        columns = self.columns_shown
        names = columns.brief or columns.names
        if not self.rows_shown:
            return {}, []
        texts = [cells(row, names, columns.words) for row in self.rows_shown]
        # Each column has a blank on either side, where `fitted` reckons with two between columns;
        # and there is the scroll bar.
        room = self.outer_size.width - self.styles.scrollbar_size_vertical - 2
        return fitted(names, texts, Fit(columns.long, columns.optional), max(room, 1))


def _cell(column: str, text: str) -> Text:
    return Text(text, style=color_of(column, text) or "", no_wrap=True, overflow="ellipsis")
