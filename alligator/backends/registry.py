"""Which class answers to a DSN's scheme, and what is raised when it lacks its driver."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from .. import dsn
from ..exceptions import InvalidDSN, MissingDriver

#: Entry points of this group add schemes: `myscheme = package.module:Client`.
GROUP = "alligator.backends"

# Not looked up as entry points: reading the metadata of every installed package, and even importing
# what reads it, takes longer than a push.
_BUILT_IN = {
    "locmem": "locmem_backend",
    "sqlite": "sqlite_backend",
    **{
        f"{server}{topology}": "redis_backend"
        for server in ("redis", "rediss", "valkey", "valkeys")
        for topology in ("", "+sentinel", "+cluster")
    },
    "unix": "redis_backend",
    "beanstalk": "beanstalk_backend",
}


def no_driver(error: ImportError, module: str, absent: str) -> MissingDriver:
    """Return what to raise for a driver that could not be imported.

    Args:
        module: the driver's own name.
        absent: what to say when that itself is not there, and not something that it imports.
    """
    if isinstance(error, ModuleNotFoundError) and error.name == module:
        return MissingDriver(absent)
    return MissingDriver(
        f"the driver {module!r} cannot be imported: {error}; install what it needs, or it anew, "
        f"into {sys.prefix!r}"
    )


def client_class(conn_string: str) -> Callable[[str], Any]:
    """Return what makes a client for this DSN.

    Raises:
        InvalidDSN: it cannot be read, or no backend answers to its scheme.
        MissingDriver: the backend that another package registered cannot be loaded.
    """
    scheme = dsn.parse(conn_string).scheme
    if scheme in _BUILT_IN:
        module = importlib.import_module(f"{__package__}.{_BUILT_IN[scheme]}")
        built_in: Callable[[str], Any] = module.Client
        return built_in
    from importlib.metadata import entry_points

    others = entry_points(group=GROUP)
    for entry_point in others:
        if entry_point.name == scheme:
            try:
                added: Callable[[str], Any] = entry_point.load()
            except Exception as error:  # somebody else's module, which may raise anything
                raise MissingDriver(
                    f"the backend for {scheme!r}, {entry_point.value}, cannot be loaded: {error}"
                ) from error
            return added
    from difflib import get_close_matches  # only a mistake should have to wait for it

    known = sorted({*_BUILT_IN, *others.names})
    near = get_close_matches(scheme, known, n=1)
    suggestion = f". Did you mean {near[0]!r}?" if near else ""
    raise InvalidDSN(
        f"{dsn.redact(conn_string)!r}: no backend answers to {scheme!r}; there are: "
        f"{', '.join(known)}{suggestion}"
    )
