"""Starting real brokers on free ports of 127.0.0.1, and ending them by pid."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Server:
    """A running broker: its port, its process and how to start it again on the same port."""

    name: str
    port: int
    command: list[str]
    process: subprocess.Popen[bytes]

    @property
    def dsn(self) -> str:
        path = "/0" if self.name == "redis" else ""
        return f"{self.name}://127.0.0.1:{self.port}{path}"

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the server and wait until it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(10)

    def start(self) -> None:
        """Start the server again, with the same files and port."""
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(lambda: listens(self.port), f"{self.name} does not answer")
        if self.process.poll() is not None:
            raise RuntimeError(f"port {self.port} of {self.name} is another program's now")


def with_lease(dsn: str, seconds: int) -> str:
    """The DSN with a lease of so many seconds, where leases are a matter of time."""
    if dsn.startswith("sqlite"):
        return dsn
    return f"{dsn}{'&' if '?' in dsn else '?'}lease={seconds}"


def eventually(holds: Callable[[], object], what: str, timeout: float = 60.0) -> None:
    """Wait until `holds()` is true; raise AssertionError with `what` when it never is."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.01)


@contextmanager
def redis_server(
    folder: Path, *options: str, program: str = "redis-server", port_flag: str = "--port"
) -> Iterator[Server]:
    """A Redis with its files in `folder`; `options` are appended to its command line."""
    command = [program, "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with running("redis", command, port_flag, *options) as server:
        yield server


@contextmanager
def beanstalkd_server(*options: str) -> Iterator[Server]:
    """A beanstalkd; `options` are appended to its command line."""
    with running("beanstalk", ["beanstalkd", "-l", "127.0.0.1"], "-p", *options) as server:
        yield server


@contextmanager
def running(name: str, command: list[str], port_flag: str, *options: str) -> Iterator[Server]:
    """A server started with `command`, a free port and the options."""
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"{command[0]} is not installed; sh tests/run installs it")
    for _ in range(10):  # another process may take the port between the look and the start
        port = free_port()
        whole = [*command, port_flag, str(port), *options]
        process = subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = Server(name, port, whole, process)
        try:
            eventually(
                lambda p=process, n=port: p.poll() is not None or listens(n),  # type: ignore[misc]
                f"{name} neither answers nor exits",
            )
            if process.poll() is None:
                yield server
                return
        finally:
            server.kill()
    raise RuntimeError(f"{command[0]} exits at once: {' '.join(command)}")


def free_port() -> int:
    """Return a port that nobody has, and that no test gets before this process ends.

    A server that is killed and started again must find its port free: whoever had it meanwhile
    would be spoken to as if it were that server. So it is none of those that the system gives to
    connections, and this process holds an abstract Unix socket of the port's name, see unix(7),
    which every other process that looks for a port cannot bind then.
    """
    while True:
        port = _chance.randrange(10_000, 32_000)
        claim = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe, suppress(OSError):
            claim.bind(f"\0alligator-tests-port-{port}")
            probe.bind(("127.0.0.1", port))
            _claims.append(claim)
            return port
        claim.close()


#: Not the module's own generator: parallel tests are seeded alike.
_chance = random.SystemRandom()
_claims: list[socket.socket] = []


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
