"""Signs of life of a worker for whoever supervises it: a file that is touched, and systemd."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from .exceptions import InvalidSetting
from .logs import worker_log as log

#: Seconds between two touches of the file, and its age at which `gator health --live` takes the
#: worker for dead.
BEAT, DEAD_AFTER = 5.0, 20.0


class Heartbeat:
    """Beats when the worker's loop comes by: one that hangs is told from one that idles.

    systemd is spoken to as sd_notify(3) says: a datagram to the socket that NOTIFY_SOCKET names.
    """

    def __init__(self, path: str = "") -> None:
        """Prepare.

        Args:
            path: the file; "" for none.
        """
        self._path = path
        self._notify = os.environ.get("NOTIFY_SOCKET", "")
        self._every = self._interval()
        self._failing = False
        #: The monotonic time of the next beat; infinite when nobody listens.
        self.due = 0.0 if path or self._notify else float("inf")

    def _interval(self) -> float:
        """Return the seconds between beats: systemd wants two in the time that it allows."""
        try:
            allowed = int(os.environ["WATCHDOG_USEC"]) / 1_000_000
        except (KeyError, ValueError):
            return BEAT
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return min(BEAT, allowed / 2) if ours and self._notify else BEAT

    def begin(self) -> None:
        """Write the file for the first time.

        Raises:
            InvalidSetting: it cannot be written.
        """
        if not self._path:
            return
        try:
            self._write()
        except OSError as error:
            raise InvalidSetting(
                f"the heartbeat file {self._path!r} cannot be written: {error.strerror}; name one "
                "in a folder that is there and that this user may write to"
            ) from error

    def ready(self) -> None:
        """Say that work can begin."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """Say that this is the end, and take the file away."""
        self._tell("STOPPING=1")
        if self._path:
            with suppress(OSError):
                os.unlink(self._path)

    def beat(self) -> None:
        """Give a sign of life if one is due."""
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + self._every
        self._tell("WATCHDOG=1")
        if self._path:
            self._touch()

    def _touch(self) -> None:
        """Write the file; a full disk, say, must not end a worker, and is told of once."""
        try:
            self._write()
        except OSError as error:
            if not self._failing:
                log.warning(
                    "cannot write the heartbeat file %r: %s; gator health --live will take this "
                    "worker for dead",
                    self._path,
                    error.strerror,
                )
            self._failing = True
        else:
            self._failing = False

    def _write(self) -> None:
        aside = f"{self._path}.{os.getpid()}"
        with open(aside, "w") as file:
            file.write(f"{os.getpid()}\n")
        os.replace(aside, self._path)  # a probe that reads meanwhile finds the one or the other

    def _tell(self, text: str) -> None:
        if not self._notify:
            return
        # A leading @ stands for the abstract namespace's NUL.
        address = "\0" + self._notify[1:] if self._notify.startswith("@") else self._notify
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out,
        ):
            out.sendto(text.encode(), address)
