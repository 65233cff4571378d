"""A connection to beanstalkd that sends many commands in one write, and the one place where a
refusal or a lost connection becomes an Alligator error.

greenstalk gives the table of refusals and their exceptions. Its own connection has no time-out and
sends one command at a time, which costs a round trip a task.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import select
import socket
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import NamedTuple, NoReturn

from ..exceptions import (
    AlligatorException,
    BodyTooLarge,
    BrokerRefused,
    BrokerUnreachable,
    UnsupportedByBroker,
)
from .lookout import Lookout
from .registry import no_driver

# A window of commands goes out in one write, then all of its answers are read. Both sides would
# block for ever if we wrote more than the socket buffers hold while the server's answers to it
# wait to be read, so a window has either few large answers or few large commands: 500 commands
# without a body are under 20 kB, and 500 answers to a put under 16 kB.
WINDOW_COMMANDS = 500
WINDOW_BYTES = 256 * 1024

#: A descriptor's number above those that a program has open at once.
_HIGH = 500

#: Longest line the server sends without a body of its own.
_MAX_LINE = 1024

#: Bytes received at once.
_RECEIVED = 64 * 1024

_WITH_DATA = frozenset({b"OK", b"FOUND", b"RESERVED"})

_BUG = "client and server disagree about the protocol; please report it"

# What a refusal means to whoever called, and what to do next.
REFUSALS: dict[bytes, tuple[type[AlligatorException], str]] = {
    b"BAD_FORMAT": (BrokerRefused, f"it could not read the request: {_BUG}"),
    b"BURIED": (BrokerRefused, "it is out of memory for its queues; work off or drop tasks"),
    b"DEADLINE_SOON": (BrokerRefused, f"a lease ends within a second: {_BUG}"),
    b"DRAINING": (BrokerRefused, "it is in drain mode and takes no new tasks; use another server"),
    b"EXPECTED_CRLF": (BrokerRefused, f"it missed the end of a task: {_BUG}"),
    b"INTERNAL_ERROR": (BrokerRefused, "it has an internal error; look at its log"),
    b"JOB_TOO_BIG": (BodyTooLarge, "the task is over its limit (-z); pass an id or a path instead"),
    b"NOT_FOUND": (BrokerRefused, f"it knows no such task: {_BUG}"),
    b"NOT_IGNORED": (BrokerRefused, f"one queue has to be watched: {_BUG}"),
    b"OUT_OF_MEMORY": (BrokerRefused, "it is out of memory or disk; work off or drop tasks"),
    b"TIMED_OUT": (BrokerRefused, f"nothing was ready: {_BUG}"),
    b"UNKNOWN_COMMAND": (UnsupportedByBroker, "it lacks a command; use beanstalkd 1.12 or later"),
}


#: The tube that a new connection uses and watches.
UNASKED = "default"


class Reply(NamedTuple):
    """One answer: its first word, the words after it, and the data that followed the line."""

    status: bytes
    values: list[bytes]
    data: bytes = b""


def driver() -> ModuleType:
    """Return greenstalk.

    Raises:
        MissingDriver: it is not installed, or cannot be imported.
    """
    try:
        import greenstalk  # the lazy driver import
    except ImportError as error:
        absent = 'beanstalk:// needs the greenstalk package: pip install "alligator[beanstalk]"'
        raise no_driver(error, "greenstalk", absent) from error
    return greenstalk


def refuse(reply: Reply, doing: str, shown: str) -> NoReturn:
    """Raise what a refusal means, with greenstalk's exception for it as the cause.

    Args:
        doing: what failed, as in "push to 'all'".
        shown: the DSN, redacted.
    """
    greenstalk = driver()
    known = greenstalk.ERROR_RESPONSES.get(reply.status)
    cause: Exception = (
        known(reply.values)
        if known is not None
        else greenstalk.UnknownResponseError(reply.status, reply.values)
    )
    word = reply.status.decode("ascii", "backslashreplace")
    unknown = (BrokerRefused, "is beanstalkd listening there?")
    kind, meaning = REFUSALS.get(reply.status, unknown)
    raise kind(f"cannot {doing}: {shown} answered {word}: {meaning}") from cause


class Connection:
    """One socket to beanstalkd, used by one thread at a time.

    It closes itself whenever an exchange does not come to its end, since answers would then no
    longer match commands. The server hands everything reserved on it to others at that moment.

    Attributes:
        name: no other connection of any process has it.
        closed: it can no longer be used.
    """

    def __init__(self, host: str, port: int, timeout: float, shown: str) -> None:
        self.name = secrets.token_hex(8)
        self.closed = False
        self._timeout = timeout
        self._shown = shown
        self._using = UNASKED
        self._watching = {UNASKED}
        self._answered = False
        self._lookout = Lookout()
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except (OSError, UnicodeError) as error:
            raise BrokerUnreachable(
                f"cannot connect to {shown}: {error}; is beanstalkd running there?"
            ) from error
        _keep_alive(self._socket)
        # What was received, and how much of that has been read.
        self._unread, self._at = b"", 0
        # Received into one buffer: a new one each time, cut to what came, leaves holes in the heap,
        # and a push of a million lines ends with more memory than one of a thousand.
        self._buffer = memoryview(bytearray(_RECEIVED))
        _open.add(self)

    def ask(
        self,
        commands: Iterable[bytes] = (),
        use: str | None = None,
        watch: Collection[str] | None = None,
    ) -> list[Reply]:
        """Send commands, a window in one write, and return their answers in order.

        Args:
            commands: without the line end; a put has its body after a CRLF.
            use: the tube that puts and peeks are about.
            watch: exactly the tubes that reserves look at.

        Raises:
            BrokerUnreachable: the connection broke; what was carried out is unknown.
            BrokerRefused: the server would not switch tubes.
        """
        before = self._switches(use, watch)
        replies: list[Reply] = []
        try:
            for window in _windows(itertools.chain(before, commands)):
                self._send(window)
                self._lookout.wait(self._socket)
                replies.extend(self._receive() for _ in window)
                self._answered = True
        except OSError as error:
            self._lost(error)
        except BaseException:
            self.close()
            raise
        for reply in replies[: len(before)]:
            if reply.status not in (b"USING", b"WATCHING"):
                self.close()
                refuse(reply, "switch tubes", self._shown)
        return replies[len(before) :]

    def wait_for_job(
        self,
        seconds: int,
        cut_off: float | None,
        wake_on: int | None,
        ring: Callable[[], bool],
    ) -> Reply | None:
        """Reserve a job as soon as a watched tube has one.

        Args:
            seconds: when the server says TIMED_OUT.
            cut_off: seconds after which to give up before the server does.
            wake_on: a file descriptor; when it is readable, give up.
            ring: called to give up: has a job put into a watched tube, so that the server answers;
                False when there is none. A connection that is closed instead may have been given a
                job at that moment, and the server would count that as a delivery.

        Returns:
            The answer; None, and the connection is closed, on giving up without one.
        """
        try:
            self._send([b"reserve-with-timeout %d" % seconds])
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if wake_on is not None:
                poll.register(wake_on, select.POLLIN)
            events = poll.poll(1000 * (seconds + self._timeout if cut_off is None else cut_off))
            if any(fd == self._socket.fileno() for fd, _ in events):
                return self._receive()
            if not events and cut_off is None:
                raise TimeoutError
            if ring():
                return self._receive()
        except OSError as error:
            self._lost(error)
        except BaseException:
            self.close()
            raise
        self.close()
        return None

    def alive(self) -> bool:
        """False once the connection cannot be used, as after a restart of the server."""
        if self.closed:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        # Nothing was asked, so input is the end of the stream, or words we could not place.
        return not poll.poll(0)

    def end_first(self) -> None:
        """Have this connection, which is to wait, end before the others if the process is killed.

        Ended those first, the server would hand what they had reserved to this one, and count a
        delivery that no task was run for. Linux closes a dead process's descriptors from the
        highest number down (exit_files queues them, task_work_run takes the last one first).
        """
        if self._socket.fileno() >= _HIGH:
            return
        with suppress(OSError):  # the process may have no such number
            number = fcntl.fcntl(self._socket, fcntl.F_DUPFD_CLOEXEC, _HIGH)
            self._socket.close()
            self._socket = socket.socket(fileno=number)
            self._socket.settimeout(self._timeout)

    def end(self) -> None:
        """Close the socket once the server has seen its end: others can have what was reserved."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(1024):
                pass
        except OSError:
            pass  # the server is gone, or too slow to be waited for
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket."""
        self.closed = True
        self._socket.close()

    def _switches(self, use: str | None, watch: Collection[str] | None) -> list[bytes]:
        commands = []
        if use is not None and use != self._using:
            commands.append(b"use " + use.encode("ascii"))
            self._using = use
        if watch is not None and (wanted := set(watch)) != self._watching:
            # Watch first: the server refuses to ignore the only tube that is watched.
            commands += [b"watch " + tube.encode("ascii") for tube in wanted - self._watching]
            commands += [b"ignore " + tube.encode("ascii") for tube in self._watching - wanted]
            self._watching = wanted
        return commands

    def _send(self, window: list[bytes]) -> None:
        self._socket.sendall(b"\r\n".join([*window, b""]))

    # A file object over the socket would have a lock of its own, which a fork can leave taken.

    def _receive(self) -> Reply:
        line = self._line()
        status, *values = line.split()
        if status not in _WITH_DATA:
            return Reply(status, values)
        if not values or not values[-1].isdigit():
            raise ConnectionError(f"{line!r} is no answer of beanstalkd")
        return Reply(status, values, self._chunk(int(values[-1]) + 2)[:-2])

    def _line(self) -> bytes:
        while (end := self._unread.find(b"\r\n", self._at)) < 0:
            rest = self._unread[self._at :]
            if len(rest) > _MAX_LINE:
                raise ConnectionError(f"{rest[:60]!r} is no answer of beanstalkd")
            self._unread, self._at = rest + self._more(), 0
        line = self._unread[self._at : end]
        self._at = end + 2
        if not line.strip():
            raise ConnectionError("an empty line is no answer of beanstalkd")
        return line

    def _chunk(self, size: int) -> bytes:
        if self._at + size > len(self._unread):
            parts = [self._unread[self._at :]]
            missing = size - len(parts[0])
            while missing > 0:
                parts.append(self._more())
                missing -= len(parts[-1])
            self._unread, self._at = b"".join(parts), 0
        chunk = self._unread[self._at : self._at + size]
        self._at += size
        return chunk

    def _more(self) -> bytes:
        size = self._socket.recv_into(self._buffer)
        if not size:
            raise ConnectionResetError("the server closed the connection")
        return bytes(self._buffer[:size])

    def _lost(self, error: OSError) -> NoReturn:
        self.close()
        reason = f"no answer in {self._timeout:g} s" if isinstance(error, TimeoutError) else error
        if not self._answered:  # so far it was asked nothing that changes anything
            raise BrokerUnreachable(
                f"cannot connect to {self._shown}: {reason}; is beanstalkd running there?"
            ) from error
        raise BrokerUnreachable(
            f"the connection to {self._shown} broke: {reason}; whether the last request was "
            "carried out is unknown, so look at the queue before repeating it",
            maybe_done=True,
        ) from error


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


def _close_all() -> None:
    for connection in list(_open):
        connection.close()


# A child that kept a copy of a socket would keep the connection alive after its parent's death, and
# with it the leases; and what a waiting connection of the parent is given, nobody would take.
os.register_at_fork(after_in_child=_close_all)


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system lets a program say how soon; the system's own two hours serve there.
    for option, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


def _windows(commands: Iterable[bytes]) -> Iterator[list[bytes]]:
    window: list[bytes] = []
    size = 0
    for command in commands:
        window.append(command)
        size += len(command)
        if len(window) >= WINDOW_COMMANDS or size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window
