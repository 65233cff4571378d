"""The signals that `gator worker` heeds, and an end to waiting for a broker that does not answer.

A signal wakes whoever waits for `fileno`, and is noted for the loop to look at. Nothing else
happens in a handler, with one exception: once there is no more time, a conversation with the broker
that is under way is cut short by an exception, which leaves it as BrokerUnreachable.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from .exceptions import BrokerUnreachable

FOREVER = float("inf")

#: Seconds for the last words with the broker, when nothing is left to wait for.
LAST_WORDS = 1.0

#: Seconds between two attempts to cut a conversation short: an exception may get lost, as it does
#: in a finalizer.
_AGAIN = 0.1


class Signals:
    """Notes signals in the `with`.

    Attributes:
        stops: the numbers of the SIGINT and SIGTERM that came.
        drain_until: the monotonic time at which running tasks have had their time; FOREVER until
            the first of those.
        reload: whether fresh children were asked for; the reader sets it back.
        suspend: whether a terminal wants us to stand still; the reader sets it back.
        hurried: whether there is an end to the time that the broker has for its answers.
    """

    def __init__(self, drain_timeout: float, busy: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            drain_timeout: seconds from the first signal to stop.
            busy: whether something runs or is yet to be settled; without, a broker that does not
                answer is not waited for so long.
        """
        self.stops: list[int] = []
        self.drain_until = FOREVER
        self.reload = False
        self.suspend = False
        self.hurried = False
        self._drain_timeout = drain_timeout
        self._busy = busy
        self._talking = False
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)
        self._before: dict[int, Any] = {}
        self._old_descriptor = -1

    @property
    def stopping(self) -> bool:
        """Whether a signal to stop came."""
        return bool(self.stops)

    def fileno(self) -> int:
        """The descriptor that is readable when something happened."""
        return self._reading.fileno()

    def clear(self) -> None:
        """Make `fileno` unreadable until something happens again."""
        with suppress(BlockingIOError):
            self._reading.recv(4096)

    def ask_to_reload(self) -> None:
        """Do as SIGHUP does; may be called from a thread."""
        self.reload = True
        with suppress(OSError):  # full: the loop is woken already; closed: it is over
            self._writing.send(b"!")

    def stand_still(self) -> None:
        """Stop this process as SIGTSTP does, until somebody has it go on; return at once where the
        system sees that nobody could, and does not stop it."""
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)

    def hang_up_within(self, seconds: float) -> None:
        """Cut short what is said to the broker so many seconds from now, or later."""
        self.hurried = True
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), _AGAIN)

    def talking(self) -> _Talk:
        """Return a context for what is said to the broker; BrokerUnreachable is raised in it when
        it has to be cut short."""
        return _Talk(self)

    def __enter__(self) -> Self:
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: self._stop,
            signal.SIGTERM: self._stop,
            signal.SIGHUP: self._reload,
            signal.SIGTSTP: self._suspend,
            signal.SIGCHLD: lambda _number, _frame: None,  # to wake the loop
            signal.SIGALRM: self._hang_up,
        }
        for number in (signal.SIGHUP, signal.SIGTSTP):
            if signal.getsignal(number) is signal.SIG_IGN:  # as nohup has it, for one
                del handlers[number]
        self._old_descriptor = signal.set_wakeup_fd(
            self._writing.fileno(), warn_on_full_buffer=False
        )
        self._before = {number: signal.signal(number, todo) for number, todo in handlers.items()}
        return self

    def __exit__(self, *_error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_descriptor)
        self._reading.close()
        self._writing.close()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.stops.append(number)
        # From now on, whatever the loop is busy with.
        self.drain_until = min(self.drain_until, time.monotonic() + self._drain_timeout)
        first = len(self.stops) == 1
        self.hang_up_within(self._drain_timeout if first and self._busy() else LAST_WORDS)

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reload = True

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        self.suspend = True

    def _hang_up(self, _number: int, frame: FrameType | None) -> None:
        if self._talking and not (frame and frame.f_code in _TALKS_OWN):
            raise _HungUp


class _HungUp(BaseException):
    """Nothing for a client, which tries again after errors it knows."""


class _Talk:
    # No generator: the handler should find as little as possible of ours to interrupt.

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def __enter__(self) -> None:
        self._signals._talking = True

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._signals._talking = False
        if isinstance(error, _HungUp):
            raise BrokerUnreachable("no answer, and no more time to wait for one") from None


#: An exception raised in these would pass the `with` by.
_TALKS_OWN = (_Talk.__enter__.__code__, _Talk.__exit__.__code__)
