"""Running the app so that every way it can end has its exit code and its words."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from . import errors
from .output import flush, is_terminal, reader_left, tell, wants_color
from .session import Session

#: The command that exits with 1 where others exit with 2: Docker's health checks keep 2 for
#: themselves.
PROBE = "health"


def run(app: click.Group, args: Sequence[str] | None = None, **_extra: Any) -> int:
    """Run one command line and return its exit code, the error told on stderr.

    Args:
        args: None for the process's own.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    session = Session()
    code = 0
    try:
        code = _invoke(app, arguments, session)
        flush()
    except SystemExit:
        raise
    except BrokenPipeError as error:
        # Who reads us has seen enough: `gator peek | head -1` succeeded. A command that came to
        # its end before the output was passed on has its own code.
        code = code if reader_left() else _tell(error, session, arguments)
    except BaseException as error:
        code = _tell(error, session, arguments)
    _let_go_of_streams()
    return code


def _invoke(app: click.Group, arguments: list[str], session: Session) -> int:
    try:
        with app.make_context("gator", list(arguments), obj=session) as ctx:
            code = app.invoke(ctx)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as error:
        if _command_in(app, arguments) != PROBE:
            raise
        raise errors.CliError(*errors.describe(error)) from error
    return code if isinstance(code, int) else 0


def _command_in(app: click.Group, arguments: list[str]) -> str | None:
    """Return the command's name, also where a wrong option or variable kept click from it."""
    with_value = {
        name
        for param in app.params
        if isinstance(param, click.Option) and not param.is_flag
        for name in param.opts
    }
    words = iter(arguments)
    for word in words:
        if word in with_value:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _tell(error: BaseException, session: Session, arguments: list[str]) -> int:
    """Say on stderr what went wrong, and return the exit code."""
    given = session.settings
    text = errors.told(
        error,
        # A command line that click could not read has not reached the settings.
        as_json=given.json or given.format == "json" or "--json" in arguments,
        debug=given.debug or "--debug" in arguments,
        secrets=session.secrets,
    )
    if text.startswith("Error:") and wants_color(sys.stderr, given.color):
        text = click.style("Error:", fg="red", bold=True) + text[len("Error:") :]
    if isinstance(error, KeyboardInterrupt | click.Abort) and is_terminal(sys.stderr):
        text = f"\n{text}"  # the terminal has shown ^C, or a prompt, on this line
    tell(text, color=True)
    return errors.exit_code_of(error)


def _let_go_of_streams() -> None:
    """Write out what is left. The interpreter does so again at its end and would complain, and
    change the exit code, about a stream that takes nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
