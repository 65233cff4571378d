"""Round trips on a bare socket: the machine's own limit for a push that waits for its answer."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

_url = urlsplit(os.environ["BENCH_BROKER"])
_socket = socket.create_connection((_url.hostname, _url.port))
_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

#: LPUSH of a body as large as a no-op task's, packed once.
_COMMAND = b"*3\r\n$5\r\nLPUSH\r\n$3\r\nraw\r\n$160\r\n" + b"x" * 160 + b"\r\n"


def send(_name: str, *_args: object) -> None:
    """Send the command and read the answer."""
    _socket.sendall(_COMMAND)
    _socket.recv(100)
