"""What beanstalkd can have as a server address, a queue name, a task id and a cursor."""

from __future__ import annotations

import math
import re

from ..dsn import Dsn, parse
from ..exceptions import InvalidDSN, InvalidName
from .base import DEFAULT_LEASE, check_name

DEFAULT_PORT = 11300

_TUBE = re.compile(r"[A-Za-z0-9+/;.$_()][A-Za-z0-9+/;.$_()-]{0,199}")
_BELL = "alligator;bell;"
_JOB_ID = re.compile(r"[1-9][0-9]{0,18}")
_CURSOR = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})")


def read_dsn(text: str) -> tuple[Dsn, int]:
    """Read `beanstalk://host:port?lease=SECONDS&timeout=SECONDS`.

    Returns:
        The DSN, and its lease in the whole seconds that the server knows, rounded up.

    Raises:
        InvalidDSN: it has a part that means nothing to beanstalkd.
    """
    dsn = parse(text)
    dsn.expect_options("lease", "timeout")
    dsn.expect_one_host()
    if dsn.username or dsn.password:
        raise InvalidDSN(f"{dsn.redacted()}: beanstalkd has no users; leave out what is before @")
    if dsn.path not in ("", "/"):
        raise InvalidDSN(f"{dsn.redacted()}: beanstalk takes no path; name queues with each push")
    return dsn, math.ceil(dsn.seconds("lease", DEFAULT_LEASE))


def bell(connection: str) -> str:
    """Return the tube that only the connection of this name watches: see Client.wait."""
    return f"{_BELL}{connection}"


def is_bell(tube: str) -> bool:
    """Whether a tube is one of those, and no queue."""
    return tube.startswith(_BELL)


def check_tube(name: str) -> None:
    """Raise InvalidName unless a tube can have this name; a command line would break on others."""
    check_name("queue name", name)
    if is_bell(name):
        raise InvalidName(f"queue name {name!r} begins as the names that Alligator keeps to itself")
    if not _TUBE.fullmatch(name):
        raise InvalidName(
            f"queue name {name!r} cannot be kept by beanstalkd; use letters, digits and "
            "+ / ; . $ _ ( ) and -, the last not in front"
        )


def job_id(task_id: str) -> int | None:
    """Return the job's number, or None when no job can have this id."""
    return int(task_id) if _JOB_ID.fullmatch(task_id) else None


def read_cursor(cursor: str | None) -> tuple[int, int]:
    """Return the listing's number and the offset in it.

    Raises:
        ValueError: peek never returned this.
    """
    if cursor is None:
        return 0, 0
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise ValueError(f"{cursor!r} is no cursor that peek returned")
    return int(parts[1]), int(parts[2])
