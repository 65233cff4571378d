"""Writing: records and rows to stdout in the format asked for, messages to stderr."""

from __future__ import annotations

import io
import itertools
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

import click

from .cells import Row, block, cells, object_of, text_of
from .errors import CannotPrint
from .suggest import did_you_mean
from .types import PROMETHEUS

#: Rows laid out together as one table; a longer listing becomes several for a person, and is
#: refused for a program. tabulate holds all it is given in memory, several times over.
TABLE_ROWS = 500


@dataclass(frozen=True)
class Columns:
    """What a command's rows have.

    Attributes:
        names: all fields, in order.
        key: the one that --quiet prints.
        brief: those of a table on a terminal.
        long, optional, wrapped: what such a table cuts, leaves out and breaks into lines to fit;
            see tables.Fit.
        words: how such a table words a field's values.
    """

    names: tuple[str, ...]
    key: str = "id"
    brief: tuple[str, ...] = ()
    long: Mapping[str, int] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    wrapped: tuple[str, ...] = ()
    words: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)


class Output:
    """Knows how this run wants its output."""

    def __init__(
        self,
        format: str | None = None,
        fields: tuple[str, ...] = (),
        quiet: bool = False,
        color: bool | None = None,
        called: Mapping[str, str] | None = None,
    ) -> None:
        """Take what the global options say.

        Args:
            format: a name that types.output_format takes; None chooses by where stdout goes.
            fields: which to show; () shows all.
            color: None decides by the environment and the terminal.
            called: what an error calls `format` and `fields`; by default as the options are.
        """
        self.format = format
        self.fields = fields
        self.quiet = quiet
        self.color = color
        self.called = {"format": "--format", "fields": "--fields", **(called or {})}
        self._headed: tuple[str, ...] | None = None

    def note(self, text: str) -> None:
        """Say something to the person at the terminal, unless they asked for quiet."""
        if not self.quiet:
            tell(text)

    def line(self, text: str) -> None:
        """Write one line of output as it is."""
        write(text + "\n")

    def flush(self) -> None:
        """Have written what was to be written, or raise CannotPrint."""
        flush()

    def ids(self, ids: Iterable[str]) -> None:
        """Write ids: plain lines, unless a format was asked for."""
        if self.format is None:
            for one in ids:
                self.line(one)
        else:
            rows = ({"id": one} for one in ids)
            # What is done is told, whatever the format: in several tables, if it has to be.
            while some := list(itertools.islice(rows, TABLE_ROWS)):
                self.rows(some, Columns(("id",)))

    def check(self, names: Sequence[str], formats: Sequence[str] = ()) -> None:
        """Refuse a format or fields that a command's output cannot have.

        Args:
            names: the fields that it has; () for output that has none.
            formats: what it has besides those that all have.

        Raises:
            UsageError: it says what there is.
        """
        if self.format in formats:
            return
        if self.format == PROMETHEUS and (names or self._given("format")):
            raise click.UsageError(f"{self.called['format']}: only gator stats has {PROMETHEUS}")
        if not names and self.fields and self._given("fields"):
            raise click.UsageError("--fields: what this prints has no fields; leave it out")
        for name in self.fields if names else ():
            if name not in names:
                raise click.UsageError(
                    f"{self.called['fields']}: there is no field {name!r}."
                    f"{did_you_mean(name, names)} There are: {', '.join(names)}."
                )

    def _given(self, option: str) -> bool:
        """Whether the option itself was given. A variable is there for all commands, those that
        have no use for it too."""
        return self.called[option] == f"--{option}"

    def rows(self, rows: Iterable[Row], columns: Columns) -> int:
        """Write rows as they come, and return how many; those before an error of `rows` too, which
        is raised once they are written.

        Raises:
            UsageError: --fields names one that there is not, or there are more rows than the format
                can have.
        """
        names = self._chosen(columns)
        counted = itertools.count()
        rows = (row for row, _ in zip(rows, counted, strict=False))
        if self.quiet:
            for row in rows:
                self.line(text_of(row[columns.key]))
        elif self.format == "json":
            for row in rows:
                self.line(object_of({name: row[name] for name in names}))
        elif self.format == "csv":
            import csv  # it would slow every other command

            put = csv.writer(_Stdout, lineterminator="\n").writerow
            if names != self._headed:  # a listing that comes in parts has one head
                put(names)
                self._headed = names
            for row in rows:
                put([text_of(row[name]) for name in names])
        elif self.format == "tsv" or (self.format is None and not is_terminal(sys.stdout)):
            for row in rows:
                self.line("\t".join(cells(row, names)))
        else:
            self._tables(rows, columns, names)
        return next(counted)

    def answer(self, rows: Iterable[Row], columns: Columns) -> None:
        """Write rows of a command whose exit code is the answer, as `rows` does; they are gone
        through to their end when nobody reads them."""
        rows = iter(rows)
        with read_or_not():
            self.rows(rows, columns)
        for _ in rows:
            pass

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
                self.line(text_of(record["id"]))
        elif format == "json":
            self.line(object_of(shown))
        elif format == "csv":
            self.rows([record], Columns(names))
        elif format is None and is_terminal(sys.stdout):
            for line in block(shown):
                self.line(line)
        else:
            pairs = [{"field": name, "value": value} for name, value in shown.items()]
            Output(format, color=self.color).rows(pairs, Columns(("field", "value")))

    def _chosen(self, columns: Columns) -> tuple[str, ...]:
        self.check(columns.names)
        return self.fields or columns.names

    def _one_table(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Return the rows of a format whose reader takes one table for all there is.

        Raises:
            UsageError: there are too many to be laid out together; nothing is written.
        """
        together = list(itertools.islice(rows, TABLE_ROWS + 1))
        if len(together) > TABLE_ROWS:
            raise click.UsageError(
                f"{self.called['format']}: {self.format} can have {TABLE_ROWS} rows at most, "
                "and there are more; --format csv, tsv or json have any number"
            )
        return iter(together)

    def _tables(self, rows: Iterator[Row], columns: Columns, names: tuple[str, ...]) -> None:
        # tabulate is slow to import, and often not needed
        from .tables import Fit, fitted_table, table

        color = wants_color(sys.stdout, self.color)
        names = names if self.format or self.fields else columns.brief or names
        fit = Fit(columns.long, columns.optional, columns.wrapped, bool(self.fields))
        format = "simple" if self.format == "table" else self.format
        with _error_last(rows) as rows:
            if self.format not in (None, "table"):
                rows = self._one_table(rows)
            while chunk := list(itertools.islice(rows, TABLE_ROWS)):
                if format is not None:
                    self.line(table(names, [cells(row, names) for row in chunk], format, color))
                else:
                    texts = [cells(row, names, columns.words) for row in chunk]
                    self.line(fitted_table(names, texts, fit, color))


def write(text: str) -> None:
    """Write to stdout.

    Raises:
        BrokenPipeError: who reads it has seen enough.
        CannotPrint: it takes nothing.
    """
    with _printing():
        sys.stdout.write(text)


def flush() -> None:
    """Have stdout pass on what it holds back; raises as `write` does."""
    with _printing():
        sys.stdout.flush()


def tell(text: str, color: bool | None = None) -> None:
    """Write a message to stderr. When nobody can hear it, that changes nothing: what was to be done
    is done, and the exit code still speaks.

    Args:
        color: None leaves colours out unless a terminal shows them.
    """
    with suppress(OSError):
        click.echo(text, err=True, color=color)


def reader_left() -> bool:
    """Whether stdout is a pipe that nobody reads any more.

    The pipe itself is asked, because a broker's connection can break with the very same error.
    """
    try:
        stdout = sys.stdout.fileno()
    except io.UnsupportedOperation:
        return False
    poll = select.poll()
    poll.register(stdout, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


@contextmanager
def read_or_not() -> Iterator[None]:
    """End the block, and nothing else, when nobody reads stdout any more."""
    try:
        yield
    except BrokenPipeError:
        if not reader_left():
            raise


@contextmanager
def _error_last(rows: Iterator[Row]) -> Iterator[Iterator[Row]]:
    """Yield rows that end where getting one fails, and raise that error at the end of the block:
    the rows gathered before it are to be written."""
    errors: list[BaseException] = []

    def before() -> Iterator[Row]:
        try:
            yield from rows
        except (Exception, KeyboardInterrupt) as error:
            errors.append(error)

    try:
        yield before()
    finally:
        for error in errors:
            raise error  # rather than that nobody reads them: it has the exit code


@contextmanager
def _printing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotPrint(error) from error


class _Stdout:
    """The standard output as the csv module wants it."""

    write = staticmethod(write)


def wants_color(stream: IO[str], asked: bool | None) -> bool:
    """Whether to colour what goes to `stream`: the option, else NO_COLOR, else FORCE_COLOR, else
    a terminal that is not dumb."""
    if asked is not None:
        return asked
    if os.environ.get("NO_COLOR"):
        return False
    if forced := os.environ.get("FORCE_COLOR"):
        return forced != "0"
    return os.environ.get("TERM") != "dumb" and is_terminal(stream)


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person sees what goes to `stream`."""
    return stream.isatty()
