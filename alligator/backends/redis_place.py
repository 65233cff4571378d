"""Which server owns our keys: the DSN's own, one that sentinels name, or a node of a cluster."""

from __future__ import annotations

import binascii
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ..dsn import Dsn
from ..exceptions import BrokerError, BrokerRefused, BrokerUnreachable, InvalidDSN
from .redis_driver import Address, address, code_of, driver, sentinel_address, translate

#: Servers that may be silent within one search before it gives up.
PATIENCE = 4


class Where(NamedTuple):
    """A server's host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Place(Protocol):
    """Where a Link has to connect to.

    Attributes:
        address: how to connect; its host and port are those of the DSN.
        answered: whether a search ever found an answer, so that it is worth searching again.
    """

    address: Address
    answered: bool

    def find(self, seconds: float) -> Where | None:
        """Search for the server, for about so many seconds; None for the address's own.

        Raises:
            BrokerUnreachable: nobody knows where it is, now.
            BrokerRefused: those who know won't tell us.
        """

    def doubt(self) -> None:
        """The last answer led nowhere: ask somebody else first next time."""

    def verify(self, connection: Any) -> None:
        """Raise BrokerUnreachable or BrokerRefused unless this is the server that was searched."""

    def __str__(self) -> str:
        """What the server is, after its host and port; empty where the DSN says it all."""


def place(dsn: Dsn, timeout: float, tag: str) -> Place:
    """Read from a DSN's scheme how the server is found.

    Args:
        tag: the hash tag in all keys.

    Raises:
        InvalidDSN: a part is missing or cannot be meant.
    """
    topology = dsn.scheme.partition("+")[2]
    if topology == "sentinel":
        return Sentinels(dsn, timeout)
    if topology == "cluster":
        return Cluster(dsn, timeout, tag)
    return OneServer(dsn, timeout)


class OneServer:
    """The server that the DSN names."""

    answered = False

    def __init__(self, dsn: Dsn, timeout: float) -> None:
        dsn.expect_one_host()
        self.address = address(dsn, timeout)

    def find(self, seconds: float) -> Where | None:
        return None

    def doubt(self) -> None:
        pass

    def verify(self, connection: Any) -> None:
        pass

    def __str__(self) -> str:
        return ""


class _Search:
    """Asking one server after another, the one that answered well last time first."""

    def __init__(self, dsn: Dsn, advisers: Address, port: int) -> None:
        self._shown = dsn.redacted()
        self._advisers = advisers
        self._hosts = tuple(Where(host, given or port) for host, given in dsn.hosts)
        self.answered = False
        if not self._hosts:
            raise InvalidDSN(
                f"{self._shown} names no host; write {dsn.scheme}://host1:{port},host2:{port}"
            )

    def doubt(self) -> None:
        first, *others = self._hosts
        self._hosts = (*others, first)

    def _search(self, seconds: float, what: str, remedy: str, *question: str) -> Where:
        """Put a question to one server after another until an answer names what is searched."""
        deadline = time.monotonic() + seconds
        share = seconds / min(PATIENCE, len(self._hosts))
        asked: list[str] = []
        for _ in self._hosts:
            # Not by its index: another thread's search may turn the list meanwhile.
            adviser = self._hosts[0]
            try:
                answer = self._ask(adviser, share, *question)
                if (found := self._read(answer, adviser)) is not None:
                    self.answered = True
                    return found
                asked.append(f"{adviser} knows none")
            except (driver().RedisError, OSError) as error:
                ours = translate(error, self._shown)
                if isinstance(ours, BrokerRefused):
                    raise self._refusal(adviser, error) from error
                asked.append(f"{adviser}: {error}")
            self.doubt()
            if time.monotonic() > deadline:
                break
        tried = "; ".join(asked).rstrip(".")
        raise BrokerUnreachable(f"{self._shown}: no {what}: {tried}. {remedy}")

    def _ask(self, adviser: Where, seconds: float, *question: str) -> Any:
        connection = self._advisers.kind(
            **{
                **self._advisers.arguments,
                **adviser._asdict(),
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
            }
        )
        try:
            connection.send_command(*question)
            return connection.read_response()
        finally:
            connection.disconnect()

    def _read(self, answer: Any, adviser: Where) -> Where | None:
        """Return what an answer names."""
        raise NotImplementedError

    def _refusal(self, adviser: Where, error: Exception) -> BrokerError:
        """Return the error for an adviser that will not answer us."""
        raise NotImplementedError


class Sentinels(_Search):
    """The master of a service that Redis Sentinel watches."""

    def __init__(self, dsn: Dsn, timeout: float) -> None:
        self._service, _, database = dsn.path.removeprefix("/").partition("/")
        super().__init__(dsn, sentinel_address(dsn, timeout), 26379)
        self.address = address(dsn, timeout, database)
        if not self._service:
            raise InvalidDSN(
                f"{self._shown} names no service; write {dsn.scheme}://host1,host2/service/0"
            )

    def find(self, seconds: float) -> Where:
        return self._search(
            seconds,
            f"sentinel knows the master of {self._service!r}",
            "Check the service's name, and that the sentinels run and can be reached",
            *("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service),
        )

    def _read(self, answer: Any, adviser: Where) -> Where | None:
        return Where(answer[0].decode(), int(answer[1])) if answer else None

    def _refusal(self, adviser: Where, error: Exception) -> BrokerError:
        remedy = "is a sentinel there?"
        if code_of(error) in ("NOAUTH", "WRONGPASS", "NOPERM"):
            remedy = "check the options sentinel_username and sentinel_password in the DSN"
        return BrokerRefused(f"{self._shown}: sentinel {adviser} answered: {error}; {remedy}")

    def verify(self, connection: Any) -> None:
        # A master that was away may not have heard yet that it is one no more.
        role = _hello(connection)["role"]
        if role != "master":
            raise BrokerUnreachable(
                f"{self._shown}: the sentinels name {connection.host}:{connection.port} as the "
                f"master of {self._service!r}, and it is a {role}; try again after the fail-over"
            )

    def __str__(self) -> str:
        return f"the master of {self._service!r}"


class Cluster(_Search):
    """The node of a Redis Cluster that owns the one slot in which all keys of a prefix are."""

    def __init__(self, dsn: Dsn, timeout: float, tag: str) -> None:
        self.address = address(dsn, timeout)
        super().__init__(dsn, self.address, 6379)
        self._seeds = self._hosts
        if self.address.arguments["db"] != 0:
            raise InvalidDSN(f"{self._shown}: a cluster has one database, 0; leave the number out")
        # CRC-16/XMODEM, as the cluster specification has it.
        self._slot = binascii.crc_hqx(tag.encode(), 0) % 16384

    def find(self, seconds: float) -> Where:
        return self._search(
            seconds,
            f"node serves slot {self._slot}, where this prefix is",
            "Check with redis-cli --cluster check",
            *("CLUSTER", "SLOTS"),
        )

    def _read(self, answer: Any, adviser: Where) -> Where | None:
        owner = None
        nodes = [adviser]
        for first, last, *members in answer:
            here = [_node(member, adviser) for member in members]
            nodes += here
            if first <= self._slot <= last:
                owner = here[0]
        # Nodes may come and go while the DSN stays as it is.
        self._hosts = tuple(dict.fromkeys([*nodes, *self._seeds]))
        return owner

    def _refusal(self, adviser: Where, error: Exception) -> BrokerError:
        if "cluster support disabled" in str(error):
            return BrokerRefused(f"{self._shown}: {adviser} is in no cluster; use redis://")
        return translate(error, f"{self._shown}: {adviser}")

    def verify(self, connection: Any) -> None:
        pass  # a node that does not own the slot answers MOVED

    def __str__(self) -> str:
        return f"the cluster's node for slot {self._slot}"


def _node(member: Sequence[Any], adviser: Where) -> Where:
    # No host means the one that answered.
    host = (member[0] or b"").decode()
    return Where(host or adviser.host, member[1])


def _hello(connection: Any) -> dict[str, Any]:
    # Not ROLE, which a user's rights may leave out.
    connection.send_command("HELLO")
    answer = connection.read_response()
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return {
        name.decode(): value.decode() if isinstance(value, bytes) else value
        for name, value in pairs
    }
