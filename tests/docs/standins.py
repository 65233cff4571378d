"""What stands here for the addresses and folders that a page speaks of."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

from alligator import Gator

from ..servers import beanstalkd_server, free_port, redis_server

_ADDRESS = re.compile(r"\blocalhost:\d+")
_BROKER = re.compile(r"(?:redis|beanstalk)://(localhost:\d+)[^\s\"'`,;)]*")
#: As durable as the guarantees want it.
_REDIS = ("--appendonly", "yes", "--appendfsync", "always")


class StandIns:
    """Servers are started when their address is first met, and end with `servers`."""

    def __init__(self, folder: Path, aside: Path, servers: ExitStack) -> None:
        self._folder = folder
        self._aside = aside
        self._servers = servers
        self._addresses: dict[str, str] = {}
        self.dsn = f"sqlite:///{folder / 'queue.db'}"

    def here(self, text: str) -> str:
        """Put what is here in the place of what a page speaks of."""
        text = _ADDRESS.sub(lambda found: self._address(found[0]), text)
        return text.replace("/srv/app", str(self._folder))

    def there(self, text: str) -> str:
        """The same, the other way round."""
        for there, here in self._addresses.items():
            text = text.replace(here, there)
        return text.replace(str(self._folder), "/srv/app")

    def ports(self, code: str) -> list[int]:
        """Return the ports of the addresses that a page's code names."""
        return [int(self._address(name).split(":")[1]) for name in _ADDRESS.findall(code)]

    def idle(self, code: str, page: str) -> bool:
        """Whether no task waits or runs on the brokers that a snippet names; on all of its page,
        when it names none."""
        dsns = self._dsns(code)
        if not dsns:
            files = {f"sqlite:///{path}" for path in self._aside.rglob("queue.db")}
            dsns = self._dsns(page) | files
        return not any(_work_left(dsn) for dsn in dsns)

    def _dsns(self, text: str) -> set[str]:
        named = (found for found in _BROKER.finditer(text) if found[1] in self._addresses)
        return {self.here(found[0]) for found in named}

    def _address(self, name: str) -> str:
        if name not in self._addresses:
            self._addresses[name] = f"127.0.0.1:{self._serve(name)}"
        return self._addresses[name]

    def _serve(self, name: str) -> int:
        folder = self._aside / name
        if name == "localhost:6379":
            folder.mkdir()
            return self._servers.enter_context(redis_server(folder, *_REDIS)).port
        if name == "localhost:11300":
            folder.mkdir()
            durable = ("-b", str(folder), "-f", "0")
            return self._servers.enter_context(beanstalkd_server(*durable)).port
        return free_port()


def _work_left(dsn: str) -> bool:
    with Gator(dsn) as gator:
        client = gator.client
        counts = [client.counts(queue) for queue in client.queues()]
    return any(one.waiting or one.running for one in counts)
