"""Which exit code an error has, and how it is told on stderr."""

from __future__ import annotations

import json

import click
from click.core import ParameterSource

FAILED = 1
USAGE = 2
PARTLY = 3
NOT_FOUND = 4
UNSUPPORTED = 5
UNREACHABLE = 69
TIMED_OUT = 124
INTERRUPTED = 130
TERMINATED = 143

#: The library's error classes by name, because a mistyped option is no reason to import the
#: library. An error takes the code of its nearest listed ancestor; the rest of the tree is FAILED.
_LIBRARY = {
    "AlligatorException": FAILED,
    "MultipleDelayError": USAGE,
    "MissingExtra": USAGE,
    "InvalidTask": USAGE,
    "InvalidSetting": USAGE,
    "InvalidDSN": USAGE,
    "UnknownModuleError": USAGE,
    "UnknownCallableError": USAGE,
    "BrokerUnreachable": UNREACHABLE,
    "UnsupportedByBroker": UNSUPPORTED,
}


class CliError(click.ClickException):
    """A command failed: what failed, and a hint of what to do next."""

    exit_code = FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotFound(CliError):
    """There is no such task or queue."""

    exit_code = NOT_FOUND


class PartlyDone(CliError):
    """Some of it was done, and some was not."""

    exit_code = PARTLY


class TimedOut(CliError):
    """It did not happen in the time given."""

    exit_code = TIMED_OUT


class CannotPrint(CliError):
    """Standard output takes nothing any more; what was to be done may be done all the same."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to standard output: {error.strerror or error}")


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Like Ctrl-C it is somebody's wish and no task's failure, hence the parent."""


def exit_code_of(error: BaseException) -> int:
    """Return the exit code for an error that ended a command."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, KeyboardInterrupt | click.Abort):  # Ctrl-C, also at a prompt
        return INTERRUPTED
    code = _library_code(error)
    if code is not None:
        return code
    return TIMED_OUT if isinstance(error, TimeoutError) else FAILED


def _library_code(error: BaseException) -> int | None:
    """Return the code of one of the library's errors, None for any other."""
    names = [a.__name__ for a in type(error).__mro__ if a.__module__ == "alligator.exceptions"]
    return next((_LIBRARY[name] for name in names if name in _LIBRARY), None)


def describe(error: BaseException) -> tuple[str, str]:
    """Return an error's message and a hint of what to do next, which may be empty."""
    notes = "\n".join(getattr(error, "__notes__", ()))
    if isinstance(error, CliError):
        return error.message, "\n".join(part for part in (error.hint, notes) if part)
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "gator"
        _name_variable(error)
        return error.format_message(), f"Try '{path} --help'."
    if isinstance(error, click.ClickException):
        return error.format_message(), ""
    if isinstance(error, Terminated):
        return "stopped by SIGTERM", notes
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted", notes
    if _library_code(error) is not None:
        return str(error), notes
    kind = type(error).__name__
    if isinstance(error, OSError):
        reason = str(error.strerror or error)
        return f"{error.filename}: {reason}" if error.filename else reason, notes
    return f"unexpected {kind}: {error}", "Run it again with --debug for the traceback."


def _name_variable(error: click.UsageError) -> None:
    """Have an error about a value from a variable name that, and not only the option."""
    ctx, param = error.ctx, getattr(error, "param", None)
    if ctx is None or not isinstance(param, click.Option) or param.name is None:
        return
    if ctx.get_parameter_source(param.name) is not ParameterSource.ENVIRONMENT:
        return
    if isinstance(error, click.BadParameter):
        error.param_hint = called(ctx, param)


def called(ctx: click.Context, option: click.Parameter) -> str:
    """Return what an error calls an option: with the variable that its value is from, if any."""
    name = option.opts[-1]
    if ctx.get_parameter_source(str(option.name)) is not ParameterSource.ENVIRONMENT:
        return name
    variable = option.envvar or f"{ctx.auto_envvar_prefix}_{str(option.name).upper()}"
    return f"{variable} ({name})"


def told(error: BaseException, as_json: bool, debug: bool, secrets: tuple[str, ...] = ()) -> str:
    """Return the text for stderr, without its last newline.

    Args:
        as_json: one JSON object instead of a sentence.
        debug: with the traceback.
        secrets: passwords that must not appear, besides those that a DSN's form gives away.
    """
    message, hint = describe(error)
    trace = _traceback(error) if debug else ""
    message, hint, trace = (redacted(text, secrets) for text in (message, hint, trace))
    if not as_json:
        lines = "\n".join(part for part in (trace.rstrip(), f"Error: {message}", hint) if part)
        return escaped(lines, keep="\n\t")
    report: dict[str, object] = {"error": message, "exit_code": exit_code_of(error)}
    if hint:
        report["hint"] = hint
    if trace:
        report["traceback"] = trace
    return json.dumps(report, ensure_ascii=False)


def _traceback(error: BaseException) -> str:
    import traceback  # few runs want one

    return "".join(traceback.format_exception(error))


def escaped(text: str, keep: str) -> str:
    """Return `text` unable to steer a terminal; see `alligator.escapes`."""
    # As with redacted.
    from alligator.escapes import escaped as escape

    return escape(text, keep)


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return `text` without passwords; see `alligator.redaction`."""
    # Imported for errors alone: a command that works should not pay for it.
    from alligator.redaction import redacted as hide

    return hide(text, secrets)
