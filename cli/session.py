"""One run of gator: what was asked of all commands, and where its output goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import click

from .output import Output


@dataclass(eq=False, repr=False)
class Settings:
    """The options that every command has; see `options.global_options`.

    Attributes:
        called: what an error calls those that were given.
    """

    dsn: str | None = None
    dsn_file: str | None = None
    secret_file: str | None = None
    json: bool = False
    format: str | None = None
    fields: tuple[str, ...] = ()
    quiet: bool = False
    color: bool | None = None
    debug: bool = False
    called: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Session:
    """The settings of this run, and what is made from them.

    Attributes:
        secrets: what no error message may show: the password, once a DSN has been looked at.
    """

    settings: Settings = field(default_factory=Settings)
    secrets: tuple[str, ...] = ()

    @cached_property
    def out(self) -> Output:
        """Where records and messages go. Made at the first use, when all options are known."""
        given = self.settings
        return Output(given.format, given.fields, given.quiet, given.color, given.called)


pass_session = click.make_pass_decorator(Session)
