"""The connection that tells Redis of a process's end."""

from __future__ import annotations

from typing import Any

from ..exceptions import BrokerError
from .redis_driver import driver
from .redis_link import Link, read_info, readable, socket_of


class Line:
    """A connection on which nothing is said: when its process ends, in whatever way, the kernel
    closes it and the server ends its subscription, which scripts can see (bury() of settle.lua).

    Attributes:
        server: the run id of the server that it is held on; "" while it is not held.
    """

    def __init__(self, link: Link, base: str) -> None:
        """Prepare a line.

        Args:
            base: what the server's keys and channels begin with.
        """
        self._link = link
        self._base = base
        self._connection: Any = None
        self.server = ""

    def hold(self) -> int | None:
        """Hold it anew, unless it is held; see Backend.hold_line."""
        held = self._connection and socket_of(self._connection)
        if held and not readable(0, held):
            return int(held.fileno())
        self.drop()
        connection: Any = None
        try:
            connection = self._link.open()
            # Asked here, as another connection may lead to another server by now.
            about = read_info(self._link.exchange(connection, "INFO", "server"))
            self._link.exchange(connection, "SUBSCRIBE", f"{self._base}line:{self._link.client}")
            self.server = about["run_id"]
        except (driver().RedisError, OSError, BrokerError, KeyError):
            # Some services forbid INFO, or channels. Then the end of a lease has to do.
            if connection is not None:
                connection.disconnect()
            return None
        self._connection = connection
        return int(socket_of(connection).fileno())

    def drop(self) -> None:
        """Close it. Whoever does so while it still holds leases is taken for dead."""
        connection, self._connection, self.server = self._connection, None, ""
        if connection is not None:
            connection.disconnect()
