"""Reading a DSN, and showing one without its password."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qsl, unquote, urlsplit

from .exceptions import InvalidDSN

#: What the name of an option has in it whose value is a password, in small letters.
SECRET_OPTIONS = ("password", "secret", "token", "api_key", "apikey")

#: The longest time in seconds that an option may ask for, some 24 days: longer ones are too many
#: milliseconds for the system's calls, and SQLite would not wait at all.
MOST_SECONDS = (2**31 - 1) // 1000


@cache
def _in_options() -> re.Pattern[str]:
    # A password among the options, up to the next option: behind a raw `&` of its own comes what
    # looks like an option without a value, and no option is without one. Made when it is needed: it
    # takes as long as a fiftieth of `gator push`.
    names = "|".join(SECRET_OPTIONS)
    return re.compile(rf"(?i)([?&][^=&]*(?:{names})[^=&]*=)([^&]*(?:&[^=&]+(?=&|$))*)")


def _may_have(text: str) -> bool:
    folded = text.casefold()
    return any(name in folded for name in SECRET_OPTIONS)


def passwords_among(options: str) -> Sequence[str]:
    """Return the passwords among a DSN's options, or those of its end, as they are written."""
    if not _may_have(options):
        return ()
    return [found[2] for found in _in_options().finditer(options)]


def without_passwords(text: str, instead: str = r"\1***") -> str:
    """Return a DSN, or the end of one, without the passwords among its options.

    Args:
        instead: the template for such an option, of which group 1 is all but the password.
    """
    return _in_options().sub(instead, text) if _may_have(text) else text


@dataclass(frozen=True, slots=True)
class Dsn:
    """The parts of a connection string.

    Attributes:
        scheme: what chooses the backend, in lower case.
        hosts: each host between commas and its port, or None; empty where no host is given.
        host, port, username, password: as given, decoded; None where absent. The first host's.
        path: everything between the host and the `?`, decoded, its leading slash kept.
        options: the query string's names and values.
    """

    text: str = field(repr=False)
    scheme: str
    hosts: tuple[tuple[str, int | None], ...]
    username: str | None
    password: str | None = field(repr=False)
    path: str
    options: dict[str, str]

    @property
    def host(self) -> str | None:
        return (self.hosts[0][0] or None) if self.hosts else None

    @property
    def port(self) -> int | None:
        return self.hosts[0][1] if self.hosts else None

    def redacted(self) -> str:
        """Return the DSN as it may be shown to anybody."""
        return redact(self.text)

    def seconds(self, name: str, default: float) -> float:
        """Return the option `name` as a positive number of seconds.

        Raises:
            InvalidDSN: it is none up to MOST_SECONDS.
        """
        given = self.options.get(name)
        if given is None:
            return default
        try:
            value = float(given)
        except ValueError:
            value = 0.0
        if not 0.0 < value <= MOST_SECONDS:
            raise InvalidDSN(
                f"{self.redacted()}: option {name}={given!r} is not a positive number of seconds "
                f"up to {MOST_SECONDS}"
            )
        return value

    def count(self, name: str, default: int) -> int:
        """Return the option `name` as a whole number from 0.

        Raises:
            InvalidDSN: it is none.
        """
        given = self.options.get(name)
        if given is None:
            return default
        if not (given.isascii() and given.isdigit()):
            raise InvalidDSN(f"{self.redacted()}: option {name}={given!r} is not a number from 0")
        return int(given)

    def expect_one_host(self) -> None:
        """Raise InvalidDSN when there are several hosts."""
        if len(self.hosts) > 1:
            raise InvalidDSN(
                f"{self.redacted()}: {self.scheme} takes one host; only redis+sentinel:// and "
                "redis+cluster:// take several"
            )

    def expect_options(self, *known: str) -> None:
        """Raise InvalidDSN when the query string has a name outside `known`."""
        for name in self.options:
            if name not in known:
                listed = ", ".join(known) if known else "none"
                raise InvalidDSN(
                    f"{self.redacted()}: unknown option {name!r}; {self.scheme} knows: {listed}"
                )


def parse(text: str) -> Dsn:
    """Read a connection string.

    Raises:
        InvalidDSN: it has no scheme, a port that is no number, a broken address or a raw @ or
            # behind the host, or is in quotes.
    """
    if not isinstance(text, str) or "://" not in text:
        shown = redact(text) if isinstance(text, str) else repr(text)
        raise InvalidDSN(
            f"{shown!r} is not a DSN; write one like sqlite:///queue.db, redis://localhost:6379/0 "
            "or beanstalk://localhost:11300"
        )
    if text[0] in "'\"":  # as from a file of variables that no shell reads
        raise InvalidDSN(f"{_unread(text)} is in quotes; take them off")
    scheme, _, rest = text.partition("://")
    place = _place(rest)
    user, _, given = place.rpartition("@")
    username, _, password = user.partition(":")
    behind = rest[len(place) :]
    problem = ""
    try:
        # Apart from the hosts: of several, newer Pythons refuse an IPv6 address among them.
        parts = urlsplit(f"{scheme}://{behind}")
        hosts = _hosts(given)
    except ValueError as error:
        problem = "the port is not a number from 1 to 65535" if "ort" in str(error) else "bad host"
    # What is taken for the host may be the beginning of a password with a mark in it, and what
    # follows, up to the @, its rest: no message may show that as a port, a database or an option.
    # Without a host the path may be a file's.
    where = behind if problem or hosts else f"?{parts.query}"
    if "@" in without_passwords(where, r"\1"):
        problem = (
            "there is an @ behind the host; write it as %40, and in a user name or password also "
            "/ as %2F, ? as %3F and # as %23"
        )
    if problem:
        raise InvalidDSN(f"{_unread(text)}: {problem}")
    if "#" in behind:
        raise InvalidDSN(f"{redact(text)}: nothing is read behind a #; write # as %23")
    if any("&" in password for password in passwords_among(f"?{parts.query}")):
        raise InvalidDSN(
            f"{redact(text)}: there is an option without a value behind a password; write & in a "
            "password as %26"
        )
    return Dsn(
        text=text,
        scheme=parts.scheme.lower(),
        hosts=hosts,
        username=unquote(username) if username else None,
        password=unquote(password) if password else None,
        path=unquote(parts.path),
        options=dict(parse_qsl(parts.query, keep_blank_values=True)),
    )


def _place(rest: str) -> str:
    """Return what stands between the `://` and the first mark that ends the hosts."""
    return re.split("[/?#]", rest, maxsplit=1)[0]


def _hosts(given: str) -> tuple[tuple[str, int | None], ...]:
    """Read hosts between commas.

    Raises:
        ValueError: a port or a host is none.
    """
    if not given:
        return ()
    parts = [urlsplit(f"//{each}") for each in given.split(",")]
    if len(parts) > 1 and not all(part.hostname for part in parts):
        raise ValueError("a host is missing between commas")
    if any(part.port == 0 for part in parts):
        raise ValueError("nobody answers at port 0")
    return tuple((part.hostname or "", part.port) for part in parts)


def _unread(text: str) -> str:
    """Return a DSN that cannot be read, without all that stands before its last `@`: nobody knows
    what in it is the password."""
    scheme, mark, rest = text.partition("://")
    hidden = without_passwords(rest)
    _, at_sign, after = hidden.rpartition("@")
    if at_sign:
        return f"{scheme}{mark}***@{after}"
    return f"{scheme}{mark}***" if "@" in rest else redact(text)


def redact(text: str) -> str:
    """Return `text` with the password of a DSN in it replaced by `***`.

    A password may hold a raw `/`, `?`, `#` or `@`, so the last `@` outside the options' passwords
    is taken for its end: rather hide too much. Without one, what is no port may be a password, too:
    of a DSN that was cut off, as a shell does at a raw `&`.
    """
    scheme, mark, rest = without_passwords(text).partition("://")
    before, at_sign, after = (rest if mark else scheme).rpartition("@")
    if not mark:
        return f"***@{after}" if at_sign else scheme
    user, colon, _ = before.partition(":")
    if colon:
        return f"{scheme}{mark}{user}:***@{after}"
    host, colon, _ = rest.partition(":")
    if colon and not at_sign and not _begins_with_hosts(rest):
        return f"{scheme}{mark}{host}:***"
    return scheme + mark + rest


def _begins_with_hosts(rest: str) -> bool:
    try:
        _hosts(_place(rest))
    except ValueError:
        return False
    return True
