"""--watch: the same output again and again, in place on a terminal."""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, TypeVar

import click

from .errors import INTERRUPTED, Terminated
from .output import is_terminal
from .types import interval

F = TypeVar("F", bound=Callable[..., Any])

_ENTER, _LEAVE = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"


def watch_options(command: F) -> F:
    """Add --watch and --every."""
    for option in (
        click.option(
            "--every",
            type=interval,
            default=2.0,
            show_default="2s",
            metavar="TIME",
            help="With --watch: how often.",
        ),
        click.option("--watch", is_flag=True, help="Go on until Ctrl-C; a terminal is redrawn."),
    ):
        command = option(command)
    return command


def repeat(show: Callable[[], None], every: float) -> int:
    """Call `show`, which writes to stdout, until somebody ends it; return the exit code."""
    on_terminal = is_terminal(sys.stdout)
    if on_terminal:
        sys.stdout.write(_ENTER)
    try:
        while True:
            began = time.monotonic()
            if on_terminal:
                _redraw(show)
            else:
                show()
            sys.stdout.flush()
            time.sleep(max(0.0, began + every - time.monotonic()))
    except Terminated:
        raise
    except KeyboardInterrupt:
        return INTERRUPTED  # it ends in no other way, so there is nothing to complain about
    finally:
        if on_terminal:
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()


class _Screen(io.StringIO):
    """Takes what is written, as a terminal would."""

    def isatty(self) -> bool:
        return True


def _redraw(show: Callable[[], None]) -> None:
    """Write over what is there, line by line: clearing the screen first would flicker."""
    screen = _Screen()
    # What is said besides has no other place: the next look would wipe it out at once.
    with redirect_stdout(screen), redirect_stderr(screen):
        show()
    rows = shutil.get_terminal_size().lines
    lines = [time.strftime("%H:%M:%S"), *screen.getvalue().splitlines()]
    if len(lines) > rows:
        lines[rows - 1 :] = [f"… and {len(lines) - rows + 1} more lines"]
    sys.stdout.write("\033[H" + "\033[K\n".join(lines) + "\033[K\033[J")
