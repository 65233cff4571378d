"""The worker's log on stderr: readable lines, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import time

from .redaction import redacted

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

#: What a log record may carry beside its message, in the order it is shown.
FIELDS = ("task_id", "task", "queue", "seconds", "outcome")

worker_log = logging.getLogger("alligator.worker")


def configure(log_format: str, level: str) -> None:
    """Send Alligator's log to stderr.

    Args:
        log_format: one of FORMATS.
        level: one of LEVELS.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if log_format == "json" else _TextLines())
    logger = logging.getLogger("alligator")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def _utc(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


class _TextLines(logging.Formatter):
    """time LEVEL [pid] message field=value ..."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_utc(record), f"{record.levelname:<7}", f"[{record.process}]", record.getMessage()]
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                shown = f"{value:.3f}" if isinstance(value, float) else value
                parts.append(f"{name}={shown}")
        if record.exc_info:
            parts.append("\n" + self.formatException(record.exc_info))
        return redacted(" ".join(parts))


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
        return redacted(json.dumps(line))
