"""Which DSN is in force, and the broker behind it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import quote

import click

from alligator.backends.base import Backend, Capability
from alligator.backends.five_verbs import FiveVerbBackend
from alligator.constants import ALL
from alligator.dsn import redact
from alligator.exceptions import InvalidDSN, UnsupportedByBroker
from alligator.gator import Gator
from alligator.redaction import passwords
from alligator.signing import read_secrets

from .errors import CliError
from .session import Session, Settings

#: Where the DSN comes from when nobody names one.
OWN = "default"


def open_gator(
    session: Session,
    queue: str | None = None,
    allow: Sequence[str] | None = None,
    closes: bool = True,
) -> Gator:
    """Return a Gator on a queue (None: the default one), closed when the command ends.

    Args:
        allow: what may run; None leaves it to the environment.
        closes: False leaves the closing to the caller.

    Raises:
        UsageError: a DSN file that is of no use.
        InvalidSetting: a pattern, or a file of secrets, that is.
        BrokerError: the DSN is no good.
        UnsupportedByBroker: what this process pushes or sees, no other one would.
    """
    dsn = dsn_in_force(session)
    path = session.settings.secret_file
    secret = None if path is None else read_secrets(path, "--secret-file")
    try:
        gator = Gator(dsn, ALL if queue is None else queue, allow=allow, secret=secret)
    except InvalidDSN as error:
        source = dsn_source(session.settings)
        raise InvalidDSN(str(error) if source == "--dsn" else f"{source}: {error}") from error
    if isinstance(gator.client, FiveVerbBackend):
        raise UnsupportedByBroker(
            f"{redact(dsn)} is of a backend with five verbs, and gator needs those of a whole one; "
            "push and run its tasks from a program, or give the DSN of another broker"
        )
    if Capability.SHARED not in gator.client.capabilities:
        raise UnsupportedByBroker(
            f"{redact(dsn)} lives inside one process, so gator can neither see its tasks nor leave "
            "any there; give the DSN of a broker that processes share, such as sqlite:///queue.db"
        )
    if closes:
        click.get_current_context().call_on_close(gator.client.close)
    return gator


def open_client(session: Session) -> Backend:
    """Return the broker's client, as `open_gator` does."""
    return open_gator(session).client


def require(client: Backend, what: str, capability: Capability, instead: str = "") -> None:
    """Refuse a command or an option that this broker has nothing for.

    Args:
        what: its name, as it is not called as what it needs.
        instead: what else to do than to take another broker, with "or" behind it.

    Raises:
        UnsupportedByBroker: it lacks the capability.
    """
    if capability not in client.capabilities:
        raise UnsupportedByBroker(
            f"{what}: {client.broker} cannot {capability.value}; {instead}give the DSN of another "
            "broker: Redis and SQLite can"
        )


def dsn_in_force(session: Session) -> str:
    """Return the DSN of this session, having noted its password as a secret."""
    dsn = find_dsn(session.settings)
    session.secrets = tuple(passwords(dsn))
    return dsn


def find_dsn(settings: Settings) -> str:
    """Return the options' DSN, else the environment's, else that of the user's own queue.

    Raises:
        UsageError: an empty DSN; a DSN file that cannot be read, or is empty.
    """
    source = dsn_source(settings)
    if source == "--dsn":
        if not settings.dsn:  # as of a shell's variable that is not set
            raise click.UsageError("--dsn is empty; give a DSN, or leave the option out")
        return settings.dsn
    if source == "--dsn-file":
        return _read_dsn(settings.dsn_file or "", source)
    if source == "GATOR_DSN_FILE":
        return _read_dsn(os.environ[source], source)
    return _own_queue() if source == OWN else os.environ[source]


def dsn_source(settings: Settings) -> str:
    """Return the option or variable that the DSN comes from; OWN for none."""
    if settings.dsn is not None:
        return "--dsn"
    if settings.dsn_file is not None:
        return "--dsn-file"
    variables = ("GATOR_DSN", "ALLIGATOR_DSN", "GATOR_DSN_FILE")
    return next((name for name in variables if os.environ.get(name)), OWN)


def _read_dsn(path: str, source: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.UsageError(f"{source} {path!r} cannot be read: {reason}") from error
    dsn = next((line.strip() for line in lines if line.strip()), "")
    if not dsn:
        raise click.UsageError(f"{source} {path!r} is empty; its first line has to be a DSN")
    return dsn


def _own_queue() -> str:
    """Return the DSN of the user's own SQLite queue, its folder made."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the XDG specification has a relative path ignored
        state = os.path.expanduser("~/.local/state")
    folder = os.path.join(state, "gator")
    try:
        os.makedirs(state, exist_ok=True)
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise CliError(
            f"cannot make {folder!r} for the default queue: {error.strerror}",
            hint="Name a broker with --dsn or GATOR_DSN.",
        ) from error
    return f"sqlite:///{quote(os.path.join(folder, 'queue.db'))}"
