"""Writing: records and rows to stdout in the format asked for, messages to stderr."""

from __future__ import annotations

import csv
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, NamedTuple

import click

from .suggest import did_you_mean

Row = Mapping[str, Any]

#: Rows laid out together as one table; a longer listing becomes several. tabulate holds all it is
#: given in memory, several times over.
TABLE_ROWS = 500


class Columns(NamedTuple):
    """What a command's rows have.

    Attributes:
        names: all fields, in order.
        key: the one that --quiet prints.
        brief: those of a table on a terminal.
        long: those that may be cut to fit a terminal.
    """

    names: tuple[str, ...]
    key: str = "id"
    brief: tuple[str, ...] = ()
    long: frozenset[str] = frozenset()


class Output:
    """Knows how this run wants its output."""

    def __init__(
        self,
        format: str | None = None,
        fields: tuple[str, ...] = (),
        quiet: bool = False,
        color: bool | None = None,
    ) -> None:
        """Take what the global options say.

        Args:
            format: a name that types.output_format takes; None chooses by where stdout goes.
            fields: which to show; () shows all.
            color: None decides by the environment and the terminal.
        """
        self.format = format
        self.fields = fields
        self.quiet = quiet
        self.color = color

    def note(self, text: str) -> None:
        """Say something to the person at the terminal, unless they asked for quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def line(self, text: str) -> None:
        """Write one line of output as it is."""
        sys.stdout.write(text + "\n")

    def ids(self, ids: Iterable[str]) -> None:
        """Write ids: plain lines, unless a format was asked for."""
        if self.format is None:
            for one in ids:
                self.line(one)
        else:
            self.rows(({"id": one} for one in ids), Columns(("id",)))

    def rows(self, rows: Iterable[Row], columns: Columns) -> int:
        """Write rows as they come, and return how many.

        Raises:
            UsageError: --fields names one that there is not.
        """
        names = self._chosen(columns)
        counted = itertools.count()
        rows = (row for row, _ in zip(rows, counted, strict=False))
        if self.quiet:
            for row in rows:
                self.line(_text(row[columns.key]))
        elif self.format == "json":
            for row in rows:
                self.line(_json({name: row[name] for name in names}))
        elif self.format == "csv":
            write = csv.writer(sys.stdout, lineterminator="\n").writerow
            write(names)
            for row in rows:
                write([_text(row[name]) for name in names])
        elif self.format == "tsv" or (self.format is None and not _is_terminal(sys.stdout)):
            for row in rows:
                self.line("\t".join(_escaped(_text(row[name])) for name in names))
        else:
            self._tables(rows, columns, names)
        return next(counted)

    def record(self, record: Row, unasked: str | None = None) -> None:
        """Write one record.

        Args:
            unasked: the format when none was asked for; None chooses by where stdout goes.

        Raises:
            UsageError: --fields names one that there is not.
        """
        names = self._chosen(Columns(tuple(record)))
        shown = {name: record[name] for name in names}
        format = self.format or unasked
        if self.quiet:
            if "id" in record:
                self.line(_text(record["id"]))
        elif format == "json":
            self.line(_json(shown))
        elif format == "csv":
            self.rows([record], Columns(names))
        elif format is None and _is_terminal(sys.stdout):
            sys.stdout.writelines(f"{line}\n" for line in _block(shown))
        else:
            pairs = [{"field": name, "value": value} for name, value in shown.items()]
            Output(format, color=self.color).rows(pairs, Columns(("field", "value")))

    def _chosen(self, columns: Columns) -> tuple[str, ...]:
        for name in self.fields:
            if name not in columns.names:
                raise click.UsageError(
                    f"--fields: there is no field {name!r}.{did_you_mean(name, columns.names)} "
                    f"There are: {', '.join(columns.names)}."
                )
        return self.fields or columns.names

    def _tables(self, rows: Iterator[Row], columns: Columns, names: tuple[str, ...]) -> None:
        from .tables import Layout, table  # tabulate is slow to import, and often not needed

        fitted = self.format is None
        brief = fitted and not self.fields and bool(columns.brief)
        layout = Layout(
            format="simple" if self.format in (None, "table") else str(self.format),
            fitted=fitted,
            hide_empty=brief,
            long=columns.long,
            color=wants_color(sys.stdout, self.color),
        )
        names = columns.brief if brief else names
        while chunk := list(itertools.islice(rows, TABLE_ROWS)):
            texts = [[_escaped(_text(row[name])) for name in names] for row in chunk]
            self.line(table(names, texts, layout))


def wants_color(stream: IO[str], asked: bool | None) -> bool:
    """Whether to colour what goes to `stream`: the option, else NO_COLOR, else FORCE_COLOR, else
    a terminal that is not dumb."""
    if asked is not None:
        return asked
    if os.environ.get("NO_COLOR"):
        return False
    if forced := os.environ.get("FORCE_COLOR"):
        return forced != "0"
    return os.environ.get("TERM") != "dumb" and _is_terminal(stream)


def _is_terminal(stream: IO[str]) -> bool:
    return stream.isatty()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _text(value: Any) -> str:
    """A value as text: nothing for None, compact JSON for what has parts."""
    if isinstance(value, str):
        return value
    return "" if value is None else _json(value)


def _escaped(text: str) -> str:
    """Text without what would break its line or cell. A backslash stays single, so that a column
    of JSON is still JSON."""
    if text.isprintable():
        return text
    for raw, shown in (("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(raw, shown)
    return _harmless(text)


def _harmless(text: str) -> str:
    """Text that cannot steer a terminal: control characters shown as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )


def _block(record: Row, indent: str = "") -> Iterator[str]:
    """Lines of "name: value" for a person; parts that are records, and long texts, go below."""
    width = max((len(name) for name in record), default=0) + 1
    for name, value in record.items():
        parts = value if isinstance(value, list) and value else []
        if all(isinstance(part, dict) for part in parts) and parts:
            for number, part in enumerate(parts, 1):
                yield f"{indent}{name} {number}:"
                yield from _block(part, indent + "  ")
            continue
        text = _harmless(_text(value)).rstrip("\n")
        if "\n" in text:
            yield f"{indent}{name}:"
            yield from (f"{indent}  {line}" for line in text.split("\n"))
        else:
            yield f"{indent}{name + ':':<{width}} {text}".rstrip()
