"""redis-py seen from outside: importing it, where a DSN connects, its errors in ours."""

from __future__ import annotations

import os
import re
import socket
from types import ModuleType
from typing import Any, NamedTuple

from ..dsn import Dsn
from ..exceptions import BrokerError, BrokerRefused, BrokerUnreachable, InvalidDSN
from .registry import no_driver

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

#: After how many seconds of silence the kernel asks whether the other end is there, how often, and
#: how often in vain before the connection is broken; where the system has such settings.
KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}

#: How to be known to the sentinels.
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")

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
    "NOPERM": "give this user ~{prefix}:* &{prefix}:* +@read +@write +@scripting +@pubsub +time "
    "-@dangerous +info, with a database other than 0 +select, with redis+cluster:// "
    "+cluster|slots, and with replicas= +wait",
    "OOM": "the server is at maxmemory: drain the queues, drop failed tasks or raise it",
    "MISCONF": "the server cannot write its files: look at its log and the room on its disk",
    "CROSSSLOT": "give this namespace a prefix of its own",
    "WRONGTYPE": "another program writes to the same keys; name a namespace of your own "
    "(?prefix=), or remove that key",
    "DB": "use a database the server has, from 0 to 15 unless configured otherwise",
}

#: What OpenSSL says when two ends do not trust each other, and what to do about it.
TLS_REMEDIES = {
    "certificate is not valid for": "write a host that the certificate names, or set "
    "ssl_check_hostname=no",
    "key usage extension": "make the authority's certificate anew, with keyUsage=keyCertSign: from "
    "Python 3.13 on it is not believed without",
    "CERTIFICATE_VERIFY_FAILED": "name the file of the authority that signed the server's "
    "certificate: ssl_ca_certs=/path/to/ca.pem",
    "ALERT_CERTIFICATE_REQUIRED": "the server wants to know us: set ssl_certfile and ssl_keyfile",
    "ALERT_HANDSHAKE_FAILURE": "the server may want to know us: set ssl_certfile and ssl_keyfile",
    "ALERT_UNKNOWN_CA": "the server does not know the authority that signed our ssl_certfile",
    "[X509": "check the files that the ssl_ options name",
    "PEM lib": "check the files that the ssl_ options name",
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

#: How a server words NOAUTH, for which redis-py has the class of WRONGPASS.
_NO_PASSWORD = re.compile("Authentication required|client already authenticated")

#: How a server words NOPERM for what a script does.
_NO_PERMISSION = "user executing the script can't"

_CODE_IN_TEXT = re.compile(r"\b(" + "|".join([*NOT_NOW, *REMEDIES]) + r")\b")


class Address(NamedTuple):
    """The driver's connection class for a DSN, and its arguments."""

    kind: Any
    arguments: dict[str, Any]


def driver() -> ModuleType:
    """Return redis-py.

    Raises:
        MissingDriver: it is not installed, or cannot be imported.
    """
    try:
        import redis
    except ImportError as error:
        absent = 'redis:// needs redis-py, which is not installed: pip install "alligator[redis]"'
        raise no_driver(error, "redis", absent) from error
    return redis


def address(dsn: Dsn, timeout: float, database: str | None = None) -> Address:
    """Read where and how a DSN wants to connect.

    Args:
        database: its number as written; left out, the DSN's whole path.

    Raises:
        InvalidDSN: the database is no number, there is no socket path, or a TLS option is no good.
    """
    redis = driver()
    arguments: dict[str, Any] = {
        "db": _database(dsn, dsn.path.strip("/") if database is None else database),
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
    # Without keepalive a worker behind a firewall that forgot the connection waits for ever. The
    # system would look first after hours.
    arguments["socket_keepalive"] = True
    arguments["socket_keepalive_options"] = KEEPALIVE
    if not encrypted(dsn):
        return Address(redis.Connection, arguments)
    return Address(redis.SSLConnection, {**arguments, **_tls(dsn)})


def _tls(dsn: Dsn) -> dict[str, Any]:
    given: dict[str, Any] = {name: dsn.options[name] for name in TLS_OPTIONS if name in dsn.options}
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        # OpenSSL would not say which one.
        if name in given and not os.access(given[name], os.R_OK):
            raise InvalidDSN(f"{dsn.redacted()}: {name}={given[name]!r} is no file we can read")
    requirement = given.get("ssl_cert_reqs", "required")
    if requirement not in ("none", "optional", "required"):
        raise InvalidDSN(
            f"{dsn.redacted()}: ssl_cert_reqs={requirement!r} is not none, optional or required"
        )
    # Said aloud, since redis-py 5 leaves it out by default; there has to be something to check.
    wanted = given.get("ssl_check_hostname", "yes").lower() not in ("0", "no", "false")
    given["ssl_check_hostname"] = wanted and requirement != "none"
    return given


def sentinel_address(dsn: Dsn, timeout: float) -> Address:
    """Read how a DSN wants to connect to sentinels: as to the server, but for user and database."""
    kind, arguments = address(dsn, timeout, database="")
    credentials = {name: dsn.options.get(f"sentinel_{name}") for name in ("username", "password")}
    return Address(kind, {**arguments, **credentials, "db": 0})


def encrypted(dsn: Dsn) -> bool:
    """Whether a DSN's scheme asks for TLS."""
    return dsn.scheme.partition("+")[0] in ("rediss", "valkeys")


def _database(dsn: Dsn, path: str) -> int:
    given = dsn.options.get("db", "" if dsn.scheme == "unix" else path)
    if not given:
        return 0
    if not (given.isascii() and given.isdigit()):
        # Not which: behind three slashes it has the password in it.
        raise InvalidDSN(f"{dsn.redacted()}: the database is not a number")
    return int(given)


def translate(error: Exception, where: str) -> BrokerError:
    """Return our error for one of the driver's; the only place that knows them.

    Args:
        where: the DSN as it may be shown.
    """
    if isinstance(error, BrokerError):
        return error
    code = code_of(error)
    said = str(error).rstrip(".")  # the sentence goes on
    if code in REMEDIES:
        return BrokerRefused(f"{where}: Redis refuses ({code}): {said}; {REMEDIES[code]}")
    if code in NOT_NOW:
        return BrokerUnreachable(
            f"{where}: Redis cannot serve now ({code}): {said}; try again when it is up"
        )
    for saying, remedy in TLS_REMEDIES.items():
        if saying in said:
            return BrokerRefused(f"{where}: no TLS with Redis: {said}; {remedy}")
    redis = driver()
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError)):
        return BrokerUnreachable(
            f"{where}: no answer from Redis: {said}; check that it runs and can be reached"
            f"{_about_tls(where, said)}"
        )
    if "user_script" in said:  # Redis names our script in what went wrong inside it
        return BrokerRefused(
            f"{where}: Redis could not go on: {said}; another program writes to the same keys; "
            "name a namespace of your own (?prefix=)"
        )
    return BrokerRefused(f"{where}: Redis answered: {said}; is this a Redis server, 6.0 or newer?")


def _about_tls(where: str, said: str) -> str:
    """Return what else to check of a connection that just ended: a TLS server says no more to a
    client without TLS, nor, with TLS 1.3, to one without a certificate."""
    if where.startswith(("rediss", "valkeys")):
        return ", that it speaks TLS, and whether it wants our certificate (ssl_certfile)"
    ended = "reset by peer" in said or "closed by server" in said
    return ", and whether it wants TLS (rediss://)" if ended else ""


def code_of(error: Exception) -> str | None:
    """The code of an answer that was an error: READONLY, OOM, ...; None for a lost connection."""
    for kind in type(error).__mro__:
        if kind.__name__ in _CODES:
            code = _CODES[kind.__name__]
            none_given = code == "WRONGPASS" and _NO_PASSWORD.search(str(error))
            return "NOAUTH" if none_given else code
    if _NO_PERMISSION in str(error):
        return "NOPERM"
    # Servers before 7 put an error inside a script after "Error running script"; and some have no
    # class in redis-py.
    found = _CODE_IN_TEXT.search(str(error)) if isinstance(error, driver().ResponseError) else None
    return found[1] if found else None
