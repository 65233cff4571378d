"""Where gator starts: the process's streams and signals, then the app."""

from __future__ import annotations

import codecs
import io
import json
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from .app import app
from .errors import FAILED, Terminated, exit_code_of

_ESCAPED = "gator-escaped"


def run() -> NoReturn:
    """Run gator with the process's arguments and exit."""
    _open_streams()
    try:
        signal.signal(signal.SIGTERM, _terminate)
        app.main()
    except KeyboardInterrupt as error:
        os._exit(exit_code_of(error))  # a second signal, while the first was being told of
    except SystemExit as end:
        _keep(end.code if isinstance(end.code, int) else FAILED)
        raise
    raise AssertionError("unreachable: App.main exits")


def _keep(code: int) -> None:
    """Have a signal that comes as the interpreter ends change nothing but how long that takes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(code))


def _open_streams() -> None:
    codecs.register_error(_ESCAPED, _escape)
    # Started with a stream closed (`>&-`), the next file opened would take its place: the queue's
    # database, with our output in it. Nor may it in the programs that we start.
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A task may hold text that this locale cannot write; half a listing helps nobody.
            # Escaped as in JSON, what is JSON stays JSON.
            stream.reconfigure(errors=_ESCAPED)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _terminate(_number: int, _frame: FrameType | None) -> None:
    # The default action would do, but for process 1 of a container there is none.
    raise Terminated
