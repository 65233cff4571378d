"""redis-py seen from outside: importing it, where a DSN connects, its errors in ours."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any, NamedTuple

from ..dsn import Dsn
from ..exceptions import BrokerError, BrokerRefused, BrokerUnreachable, InvalidDSN, MissingDriver

#: redis-py's TLS options, passed on as they are.
TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_password",
)

#: Answers that say the command was not carried out and may be soon, or by another server.
NOT_NOW = (
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "MOVED",
    "ASK",
    "NOREPLICAS",
    "UNBLOCKED",
)

#: Answers that mean no, and what to do about each.
REMEDIES = {
    "WRONGPASS": "check the user name and password in the DSN",
    "NOAUTH": "the server wants a password: put it in the DSN, redis://:password@host",
    "NOPERM": "give this user the keys and channels {prefix}:*, EVAL, EVALSHA and BZPOPMIN",
    "OOM": "the server is at maxmemory: drain the queues, drop failed tasks or raise it",
    "MISCONF": "the server cannot write its files: look at its log and the room on its disk",
    "CROSSSLOT": "give this namespace a prefix of its own",
    "DB": "use a database the server has, from 0 to 15 unless configured otherwise",
}

#: redis-py cuts the code off the messages of errors it has a class for.
_CODES = {
    "AuthenticationWrongNumberOfArgsError": "NOAUTH",
    "AuthenticationError": "WRONGPASS",
    "AuthorizationError": "WRONGPASS",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ClusterCrossSlotError": "CROSSSLOT",
    "BusyLoadingError": "LOADING",
    "ReadOnlyError": "READONLY",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "MovedError": "MOVED",
    "AskError": "ASK",
}

_CODE_IN_TEXT = re.compile(r"\b(" + "|".join([*NOT_NOW, *REMEDIES]) + r")\b")


class Address(NamedTuple):
    """The driver's connection class for a DSN, and its arguments."""

    kind: Any
    arguments: dict[str, Any]


def driver() -> ModuleType:
    """Return redis-py.

    Raises:
        MissingDriver: it is not installed.
    """
    try:
        import redis
    except ImportError as error:
        raise MissingDriver(
            'redis:// needs redis-py, which is not installed: pip install "alligator[redis]"'
        ) from error
    return redis


def address(dsn: Dsn, timeout: float) -> Address:
    """Read where and how a DSN wants to connect.

    Raises:
        InvalidDSN: the database is no number, or there is no socket path or no host.
    """
    redis = driver()
    arguments: dict[str, Any] = {
        "db": _database(dsn),
        "username": dsn.username,
        "password": dsn.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # One dialect for redis-py 5 to 8, which differ in their default.
        "protocol": 2,
    }
    if dsn.scheme == "unix":
        if dsn.path in ("", "/"):
            raise InvalidDSN(f"{dsn.redacted()} names no socket; write unix:///path/to/redis.sock")
        return Address(redis.UnixDomainSocketConnection, {**arguments, "path": dsn.path})
    arguments |= {"host": dsn.host or "localhost", "port": dsn.port or 6379}
    # Without keepalive a worker behind a firewall that forgot the connection waits for ever.
    arguments["socket_keepalive"] = True
    if dsn.scheme == "redis":
        return Address(redis.Connection, arguments)
    tls: dict[str, Any] = {name: dsn.options[name] for name in TLS_OPTIONS if name in dsn.options}
    if "ssl_check_hostname" in tls:
        tls["ssl_check_hostname"] = tls["ssl_check_hostname"].lower() not in ("0", "no", "false")
    return Address(redis.SSLConnection, {**arguments, **tls})


def _database(dsn: Dsn) -> int:
    path = "" if dsn.scheme == "unix" else dsn.path.strip("/")
    given = dsn.options.get("db", path)
    if not given:
        return 0
    if not (given.isascii() and given.isdigit()):
        raise InvalidDSN(f"{dsn.redacted()}: database {given!r} is not a number")
    return int(given)


def translate(error: Exception, where: str) -> BrokerError:
    """Return our error for one of the driver's; the only place that knows them.

    Args:
        where: the DSN as it may be shown.
    """
    code = code_of(error)
    said = str(error).rstrip(".")  # the sentence goes on
    if code in REMEDIES:
        return BrokerRefused(f"{where}: Redis refuses ({code}): {said}; {REMEDIES[code]}")
    if code in NOT_NOW:
        return BrokerUnreachable(
            f"{where}: Redis cannot serve now ({code}): {said}; try again when it is up"
        )
    redis = driver()
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError)):
        return BrokerUnreachable(
            f"{where}: no answer from Redis: {said}; check that it runs and can be reached"
        )
    return BrokerRefused(f"{where}: Redis answered: {said}; is this a Redis server, 6.0 or newer?")


def code_of(error: Exception) -> str | None:
    """The code of an answer that was an error: READONLY, OOM, ...; None for a lost connection."""
    for kind in type(error).__mro__:
        if kind.__name__ in _CODES:
            return _CODES[kind.__name__]
    # Servers before 7 put an error inside a script after "Error running script"; and some have no
    # class in redis-py.
    found = _CODE_IN_TEXT.search(str(error)) if isinstance(error, driver().ResponseError) else None
    return found[1] if found else None
