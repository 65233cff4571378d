"""Raising TaskTimeout in a thread whose time is up, which SIGALRM does in a main thread only, and
other calls that wait for their time in a thread."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Protocol

from .exceptions import TaskTimeout
from .limits import LONGEST, Left

FOREVER = float("inf")


class _Due(Protocol):
    """What a watch is to ring: once, unless it is removed at about the same moment."""

    at: float

    def ring(self) -> None: ...


class _Alarm:
    """One limit of one thread.

    The watching thread and the limited one race for the token. Who has it decides: there is either
    no exception, or one that comes while the limited thread waits for it. No lock is taken in the
    limited thread, since the exception could come between the taking and the holding of it.
    """

    def __init__(self, at: float, message: str) -> None:
        self.at = at
        self.over = False
        self._token = [True]
        self._thread = threading.get_ident()
        self.message = message

    def again(self) -> _Alarm:
        """Return one like it, to be set anew."""
        return _Alarm(self.at, self.message)

    def claim(self) -> bool:
        """Take the token; one caller gets it."""
        try:
            return self._token.pop()
        except IndexError:
            return False

    def ring(self) -> None:
        """Raise the exception in the limited thread, unless that came first."""
        if self.claim():
            # The interpreter makes the exception, from a class and no arguments.
            message = self.message
            kind = type("TaskTimeout", (TaskTimeout,), {"__str__": lambda _self: message})
            _raise_in(self._thread, kind)
            self.over = True

    def silence(self) -> bool:
        """Return when no exception can come any more, and whether there was none; it may come in
        here."""
        if self.claim():
            return True
        while not self.over:
            time.sleep(0)
        # Set before `over` was, it has come by now, here or in the code that was limited. This is
        # for an interpreter that takes its time.
        _raise_in(self._thread, None)
        return False


class _Watch:
    """The thread that rings alarms when their time has come."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._alarms: dict[_Due, None] = {}
        self._pokes: SimpleQueue[None] = SimpleQueue()
        # When the thread wakes by itself; FOREVER while it is awake, so that no poke is missed.
        self._wakes_at = FOREVER
        threading.Thread(target=self._ring_forever, name="alligator-alarms", daemon=True).start()

    def add(self, alarm: _Due) -> None:
        self._alarms[alarm] = None
        if alarm.at < self._wakes_at:
            self._pokes.put(None)

    def remove(self, alarm: _Due) -> None:
        self._alarms.pop(alarm, None)

    def _ring_forever(self) -> None:
        while True:
            self._wakes_at = FOREVER
            now = time.monotonic()
            alarms = list(self._alarms)
            for alarm in alarms:
                if alarm.at <= now:
                    self.remove(alarm)
                    alarm.ring()
            next_at = min((alarm.at for alarm in alarms if alarm.at > now), default=FOREVER)
            self._wakes_at = next_at
            try:
                self._pokes.get(timeout=None if next_at == FOREVER else next_at - now)
            except Empty:
                continue


_watch: _Watch | None = None
_starting = threading.Lock()
_current = threading.local()


class Alarm:
    """Raises TaskTimeout in the body of a `with` once `seconds` have passed; this is the part of
    `limits.time_limit` for threads.

    No generator: the exception could come between its yield and the body, and its end would then
    come when it is collected, in the midst of another task.
    """

    def __init__(self, seconds: float, message: str) -> None:
        self._seconds = seconds
        self._message = message
        self._outer: _Alarm | None = None
        self._set = False

    def __enter__(self) -> None:
        outer: _Alarm | None = getattr(_current, "alarm", None)
        if outer is not None and outer.at <= time.monotonic() + self._seconds:
            return
        self._set = True
        self._outer = _silence()
        try:
            _set(_Alarm(time.monotonic() + self._seconds, self._message))
        except BaseException:
            self._restore()
            raise

    def __exit__(self, *_error: object) -> None:
        if not self._set:  # the outer one, which ends first, goes on
            return
        try:
            _silence()
        finally:
            self._restore()

    def _restore(self) -> None:
        _current.alarm = None  # which _silence leaves undone where the exception comes in there
        if self._outer is not None:
            _set(self._outer.again())


class Call:
    """A call that a thread makes in so many seconds, or later if it cannot run before."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.at = time.monotonic() + min(seconds, LONGEST)
        self.ring = call
        _watching().add(self)

    def cancel(self) -> None:
        """Call it off; it may come all the same when it is due by now."""
        _watching().remove(self)


@contextmanager
def alarm_suspended() -> Iterator[Left | None]:
    """The part of `limits.suspended` for threads."""
    alarm = _silence()
    if alarm is None:
        yield None
        return
    try:
        yield Left(alarm.at, alarm.message)
    finally:
        if alarm.at > time.monotonic():
            _set(alarm.again())


def _set(alarm: _Alarm) -> None:
    _current.alarm = alarm
    _watching().add(alarm)


def _silence() -> _Alarm | None:
    """Take down this thread's alarm; return it if it has not rung."""
    alarm: _Alarm | None = getattr(_current, "alarm", None)
    if alarm is None:
        return None
    silent = alarm.silence()
    _current.alarm = None
    _watching().remove(alarm)
    return alarm if silent else None


def _watching() -> _Watch:
    global _watch
    if _watch is None or _watch.pid != os.getpid():  # threads do not cross a fork
        with _starting:
            if _watch is None or _watch.pid != os.getpid():
                _watch = _Watch()
    return _watch


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have the interpreter raise `kind` in a thread; None takes back what has not been raised."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind)
    )
