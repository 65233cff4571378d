"""The worker's log on stderr: readable lines, coloured or not, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import re
import select
import time
from typing import TextIO

from .escapes import escaped
from .redaction import redacted

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json", "colored")

#: The escape codes of levels that want to be seen, in colored text.
_COLORS = {logging.WARNING: "33", logging.ERROR: "31"}

#: What a log record may carry beside its message, in the order it is shown.
FIELDS = ("task_id", "task", "queue", "seconds", "outcome")

worker_log = logging.getLogger("alligator.worker")


def configure(log_format: str, level: str, waits: bool = True) -> None:
    """Send Alligator's log to stderr.

    Args:
        log_format: one of FORMATS.
        level: one of LEVELS.
        waits: False leaves lines out while nobody takes them, as from a pipe whose reader has
            stopped, and says so later: for who has leases to extend meanwhile.
    """
    handler = logging.StreamHandler() if waits else _Unheld()
    handler.setFormatter(formatter(log_format))
    logger = logging.getLogger("alligator")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def formatter(log_format: str) -> logging.Formatter:
    """Return what makes the lines of one of FORMATS."""
    return _JsonLines() if log_format == "json" else _TextLines(colored=log_format == "colored")


class _Unheld(logging.StreamHandler[TextIO]):
    """Writes to stderr only what does not have to wait for a reader."""

    #: Milliseconds that the first of several lines waits.
    _PATIENCE = 200

    def __init__(self) -> None:
        super().__init__()
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if not self._is_taken(0 if self._left_out else self._PATIENCE):
            self._left_out += 1
            return
        if self._left_out:
            missing, self._left_out = self._left_out, 0
            worker_log.warning("nobody read the log: %d lines were left out", missing)
            self.emit(record)  # that may have taken the last room
        else:
            super().emit(record)

    def _is_taken(self, milliseconds: int) -> bool:
        try:
            poll = select.poll()
            poll.register(self.stream, select.POLLOUT)
        except (OSError, ValueError):  # no file at all: who reads this has it in memory
            return True
        return bool(poll.poll(milliseconds))


def _utc(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


class _TextLines(logging.Formatter):
    """time LEVEL [pid] message field=value ...

    What is logged was written by whoever writes to the broker: it stays on its line, and in its
    field.
    """

    def __init__(self, colored: bool) -> None:
        super().__init__()
        self._colored = colored

    def format(self, record: logging.LogRecord) -> str:
        parts = [f"[{record.process}]", redacted(record.getMessage())]
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                parts.append(f"{name}={_field(value)}")
        line = f"{_utc(record)} {self._level(record)} {escaped(' '.join(parts))}"
        if not record.exc_info:
            return line
        return f"{line} \n{escaped(redacted(self.formatException(record.exc_info)), keep=_LAYOUT)}"

    def _level(self, record: logging.LogRecord) -> str:
        name = f"{record.levelname:<7}"
        color = _COLORS.get(record.levelno) if self._colored else None
        return name if color is None else f"\033[{color}m{name}\033[0m"


#: The characters of a traceback that are not its words.
_LAYOUT = "\n\t"

_ENDS_FIELD = re.compile(r"""[\s="]""")


def _field(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = redacted(str(value))
    return json.dumps(text, ensure_ascii=False) if _ENDS_FIELD.search(text) else text


class _JsonLines(logging.Formatter):
    """One object: time, level, pid, message, and the fields that are set."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "pid": record.process,
            "message": record.getMessage(),
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = round(value, 6) if isinstance(value, float) else value
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # Before they are encoded, when \n is another letter of the word behind it.
        hidden = {
            name: redacted(value) if isinstance(value, str) else value
            for name, value in line.items()
        }
        return json.dumps(hidden)
