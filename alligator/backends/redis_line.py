"""The connection that tells Redis of a process's end."""

from __future__ import annotations

import math
import socket
import time
from contextlib import suppress
from typing import Any

from ..exceptions import BrokerError
from ..forks import begins_in_copies
from .redis_driver import driver
from .redis_link import Link, read_info, readable, socket_of

#: Seconds from one line to the next, as something may end each at once; more of them from one that
#: was forbidden; and how long each step to one may take.
_BETWEEN, _FORBIDDEN, _LONGEST = 1.0, 15.0, 0.5

#: Seconds for which a client whose line broke does not judge others. What broke it may have broken
#: theirs, too, and they may be in a pause between two attempts to come back.
_UNSURE = 7.0


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
        self._again_at = self._sure_at = -math.inf
        self.server = ""
        begins_in_copies(self)

    def hold(self) -> int | None:
        """Hold it anew, unless it is held; see Backend.hold_line.

        Raises:
            BrokerUnreachable: the server is away.
        """
        if self._connection is not None:
            held = socket_of(self._connection)
            if held is not None and not readable(0, held):
                return int(held.fileno())
            self.drop()
            self._sure_at = time.monotonic() + _UNSURE
            # By the connection that there is, as a new one may take long, and others may find this
            # client gone meanwhile.
            self._link.ask("HDEL", f"{self._base}lines", self._link.client)
        if time.monotonic() < self._again_at:
            return None
        self._again_at = time.monotonic() + _BETWEEN
        connection: Any = None
        channel = f"{self._base}line:{self._link.client}"
        try:
            connection = self._link.open(_LONGEST)
            # Asked here, as another connection may lead to another server by now.
            about = read_info(self._link.exchange(connection, "INFO", "server"))
            # No line where none could be looked at.
            self._link.exchange(connection, "PUBSUB", "NUMSUB", channel)
            self._link.exchange(connection, "SUBSCRIBE", channel)
            self.server = about["run_id"]
        except (driver().RedisError, OSError, BrokerError, KeyError) as error:
            # Some services forbid INFO, or channels. Then the end of a lease has to do.
            if isinstance(error, driver().ResponseError | KeyError):
                self._again_at += _FORBIDDEN
            if connection is not None:
                connection.disconnect()
            return None
        self._connection = connection
        return int(socket_of(connection).fileno())

    @property
    def judges(self) -> bool:
        """Whether its client may say of others that they are gone."""
        return self.server != "" and time.monotonic() >= self._sure_at

    def cut(self) -> None:
        """Have it break, as it is held on another server than that which has our keys now."""
        if self._connection is not None:
            with suppress(OSError):
                socket_of(self._connection).shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        """Close it. Whoever does so while it still holds leases is taken for dead."""
        connection, self._connection, self.server = self._connection, None, ""
        if connection is not None:
            connection.disconnect()

    def begin(self) -> None:
        """Hold none in a forked child: the line tells of the parent, whose channel it is, and would
        go on to after its end. To close it here leaves it open there."""
        self.drop()
        self._again_at = -math.inf
