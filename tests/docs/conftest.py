"""The example project, running for real: its web server, its worker, and a mail server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from ..servers import eventually, free_port, listens
from .examples import copy


class MailServer:
    """An SMTP server on a port of its own, which can be stopped and started again.

    Attributes:
        received: recipient and subject of each mail, in the order they came.
        waiting: how many mails have come so far as to be taken.
        open: mails are taken while this is set, and wait otherwise.
        refused: who is not known here.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.received: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        self.waiting = 0
        self.open = threading.Event()
        self.open.set()
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    # aiosmtpd finds these by their names.
    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.waiting += 1
        while not self.open.is_set():
            await asyncio.sleep(0.01)
        subject = message_from_bytes(envelope.content)["Subject"]
        self.received += [(address, subject) for address in envelope.rcpt_tos]
        return "250 OK"


class Project:
    """A copy of the example, with its database made, on one broker."""

    def __init__(self, folder: Path, dsn: str, mail: MailServer) -> None:
        self.folder = folder / "community"
        self.dsn = dsn
        self.env = {
            **{name: text for name, text in os.environ.items() if not name.startswith("GATOR")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DJANGO_SETTINGS_MODULE": "settings",
            "GATOR_DSN": dsn,
            "SMTP_SERVER": f"127.0.0.1:{mail.port}",
            "PYTHONUNBUFFERED": "1",
        }
        self.log = folder / "log"
        self._port = free_port()
        self._started: list[subprocess.Popen[str]] = []
        copy("community", self.folder)
        self.run("python", "manage.py", "migrate", "--run-syncdb")
        self.run("python", "manage.py", "loaddata", "members")

    def run(self, *command: str) -> str:
        """Run a command in the project's folder to its end; return what it prints on stdout."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command that goes on; what it says goes to `log`."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=log, stderr=log, text=True
            )
        self._started.append(process)
        return process

    def serve(self) -> None:
        """Start the web server."""
        self.start("python", "manage.py", "runserver", "--noreload", f"127.0.0.1:{self._port}")
        eventually(lambda: listens(self._port), "the web server does not answer")

    def post(self, path: str, author: str = "ada", message: str = "Hello") -> int:
        """Post a message by a form; return the answer's status."""
        form = urllib.parse.urlencode({"author": author, "message": message}).encode()
        try:
            with urllib.request.urlopen(self._url(path), form, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self._url(path), timeout=60) as answer:
            text: str = answer.read().decode()
        return text

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def end(self) -> None:
        """End what was started."""
        for process in reversed(self._started):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait(10)


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A mail server that listens."""
    server = MailServer()
    server.start()
    yield server
    server.open.set()
    server.stop()


@pytest.fixture
def project(sqlite_dsn: str, tmp_path: Path, mail: MailServer) -> Iterator[Project]:
    """The example on SQLite, its web server running and no worker."""
    running = Project(tmp_path, sqlite_dsn, mail)
    try:
        running.serve()
        yield running
    finally:
        running.end()
