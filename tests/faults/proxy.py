"""A TCP proxy in front of a real server, that loses answers or stops passing anything on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Passes bytes between clients and a server until it is told to do worse.

    All that comes from the server until the client speaks again counts as one answer, in however
    many pieces: clients here send one request and read what comes back before they send another.
    Were the pieces counted, an attempt with as many of them as `lose_every` would never succeed.

    Attributes:
        port: where clients find it, on 127.0.0.1.
        lose_after: answers to pass before one is lost, -1 for none; -1 again once it was lost.
        lose_every: of so many answers the last is lost, 0 for none.
        silent: the connection of a lost answer stays open and says no more; else it is cut.
        lost: how many answers were lost.
    """

    def __init__(self, target: int) -> None:
        self.lose_after = -1
        self.lose_every = 0
        self.silent = False
        self.lost = 0
        self._target = target
        self._generation = 0
        self._answers = 0
        self._counting = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Hold back what comes, in both directions, and every connection stays open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Pass on what was kept, and go on."""
        self._flowing.set()

    def forget(self) -> None:
        """Drop whatever comes on the connections there are; they stay open, and new ones work."""
        self._generation += 1

    def close(self) -> None:
        """Cut every connection, and take no more."""
        _cut(self._listener)
        self._listener.close()
        self.resume()
        for each in list(self._sockets):
            _cut(each)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets += (near, far)
            asked = threading.Event()
            for source, sink, answers in ((near, far, False), (far, near, True)):
                arguments = (source, sink, answers, asked)
                threading.Thread(target=self._pass, args=arguments, daemon=True).start()

    def _pass(
        self, source: socket.socket, sink: socket.socket, answers: bool, asked: threading.Event
    ) -> None:
        """Pass on what comes from one side; when it ends, for whatever reason, close both.

        Args:
            answers: that side is the server.
            asked: the client has spoken, and no answer has begun since.
        """
        speaks, born = True, self._generation
        with source, sink, suppress(OSError):
            try:
                while data := source.recv(65536):
                    self._flowing.wait()
                    if not answers:
                        asked.set()
                    elif self._begins(asked) and self._loses():
                        speaks = False
                        if not self.silent:
                            return
                    if speaks and born == self._generation:
                        sink.sendall(data)
            finally:
                _cut(source)
                _cut(sink)

    def _begins(self, asked: threading.Event) -> bool:
        begins = asked.is_set()
        asked.clear()
        return begins

    def _loses(self) -> bool:
        with self._counting:
            self._answers += 1
            loses = self.lose_after == 0 or (
                self.lose_every > 0 and self._answers % self.lose_every == 0
            )
            self.lose_after = max(-1, self.lose_after - 1)
            self.lost += loses
            return loses


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy for the server on a port of 127.0.0.1, as long as the block lasts."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()


def _cut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
