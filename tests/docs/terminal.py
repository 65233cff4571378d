"""Runs a process on a terminal of its own, and keeps what that shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..servers import eventually

COLUMNS = 100

#: Seconds that a snippet may take: one that hangs is ended by them. Some start whole test runs, on
#: machines that do much else at the time.
PATIENCE = 240.0


class Terminal:
    """A process whose stdout and stderr are a terminal; its stdin is empty, or that terminal.

    A process group of its own, so that Ctrl-C reaches it and everything that it started.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        env: dict[str, str],
        pass_fds: Sequence[int] = (),
        typed: bool = False,
    ) -> None:
        """Start it.

        Args:
            typed: something will be typed.
        """
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        self._bytes = bytearray()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=slave if typed else subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            pass_fds=pass_fds,
            start_new_session=True,
            # A shell wants it for its own; Popen has no other way to say so.
            preexec_fn=_take_terminal if typed else None,
        )
        # Kept open: the reader ends when we say so, not when the last program lets go of it.
        self._slave = slave
        self._marks = 0
        self._closing = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not (self._closing and self._bytes.endswith(_MARK)):
            self._bytes += os.read(self._master, 65536)

    @property
    def shown(self) -> str:
        """Everything it has shown so far."""
        text = bytes(self._bytes).replace(_MARK, b"").decode(errors="replace")
        return _OVERWRITTEN.sub("", text.replace("\r\n", "\n"))

    def all_shown(self) -> str:
        """Return everything that was written to it before this call."""
        self._marks += 1
        os.write(self._slave, _MARK)
        eventually(lambda: self._bytes.count(_MARK) >= self._marks, "the terminal is stuck")
        return self.shown

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def close(self) -> None:
        """End whatever still runs on it, and the terminal."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._closing = True
        os.write(self._slave, _MARK)
        self._reader.join(10)
        os.close(self._slave)
        os.close(self._master)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


#: What a line showed before it was begun anew and cleared: meters do that.
_OVERWRITTEN = re.compile(r"[^\n]*\r\x1b\[K")

#: Written by us behind what programs have written, to see how far the reader is.
_MARK = b"\x00"
