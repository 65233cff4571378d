"""Locks between processes beside a queue file: who may write, and who is alive.

Two kinds, for their two ways to end. The write lock is a flock: it belongs to one open file, so
two clients of one process exclude each other too. A life is a POSIX record lock: it belongs to the
process, so a forked child that inherits the open file does not keep its dead parent alive. The
price of the second kind: a process that closes any descriptor of such a file loses its lock, so a
process never opens the file of a life of its own again.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

_SUFFIX = ".life"

#: Seconds between two tries for the write lock. The pauses shrink as a waiter ages, so that
#: whoever has waited longest tries most often and none starves, as some do under SQLite's own
#: busy handler, whose pauses grow.
_FIRST_PAUSE, _LAST_PAUSE, _AGED = 0.002, 0.0002, 0.05


class WriteLock:
    """The right to change one queue file.

    Args:
        path: the lock's own file.
        like: the file whose owner and permissions it gets.
    """

    def __init__(self, path: str, like: str) -> None:
        self._path = path
        self._like = like
        self._descriptor: int | None = None

    def acquire(self, timeout: float) -> bool:
        """Take the lock; False when it was not to be had within `timeout` seconds."""
        if self._descriptor is None:
            self._descriptor = _open(self._path, self._like)
        started: float | None = None
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            now = time.monotonic()
            started = now if started is None else started
            waited = now - started
            if waited >= timeout:
                return False
            age = min(1.0, waited / _AGED)
            pause = _FIRST_PAUSE + (_LAST_PAUSE - _FIRST_PAUSE) * age
            time.sleep(min(timeout - waited, pause * _jitter()))

    def release(self) -> None:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


# The lives this process leads, by the path of their file. A forked child has none of them, though
# it inherits the descriptors: closing those takes nothing from the parent.
_lives: dict[str, int] = {}
_pid = os.getpid()


def begin_life(folder: str, like: str) -> str:
    """Create and lock a file that tells others that this process lives; return its name.

    The caller holds the write lock: nobody else looks at the file between its making and locking.
    """
    _forget_after_fork()
    _sweep(folder)
    name = os.urandom(8).hex()
    path = os.path.join(folder, name + _SUFFIX)
    descriptor = _open(path, like)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    _lives[path] = descriptor
    return name


def has_file(folder: str, name: str) -> bool:
    """Tell whether the file of a life is still there, without which others take it for over."""
    return os.path.exists(os.path.join(folder, name + _SUFFIX))


def is_alive(folder: str, name: str) -> bool:
    """Tell whether the process that began this life still leads it."""
    _forget_after_fork()
    path = os.path.join(folder, name + _SUFFIX)
    if path in _lives:
        return True
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # either errno means that somebody has the lock
        return True
    finally:
        os.close(descriptor)
    return False


def end_life(folder: str, name: str) -> None:
    """Remove the file of a life that this process leads, or that is over."""
    _forget_after_fork()
    path = os.path.join(folder, name + _SUFFIX)
    with suppress(OSError):
        os.unlink(path)
    descriptor = _lives.pop(path, None)
    if descriptor is not None:
        os.close(descriptor)


def abandon_life(folder: str, name: str) -> None:
    """End a life if it is this process's own: what is left to do for a client nobody closed."""
    _forget_after_fork()
    if os.path.join(folder, name + _SUFFIX) in _lives:
        end_life(folder, name)


def make_folder(path: str, like: str) -> None:
    """Make the folder of lives and of wake-ups unless it is there."""
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
        adopt(path, like)


def adopt(made: str | int, like: str) -> None:
    """Give a new file or folder the owner and permissions of the file `like`, whatever the umask,
    so that whoever may use the queue may use what stands beside it."""
    try:
        model = os.stat(like)
    except FileNotFoundError:
        return
    mode = model.st_mode & 0o666
    if isinstance(made, str) and os.path.isdir(made):
        mode |= (mode & 0o444) >> 2
    os.chmod(made, mode)
    if os.geteuid() == 0:
        os.chown(made, model.st_uid, model.st_gid)


def _jitter() -> float:
    # Not from the module random, whose import takes longer than a push.
    return 0.5 + os.urandom(1)[0] / 512


def _open(path: str, like: str) -> int:
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            os.chmod(descriptor, 0o600)
            adopt(descriptor, like)
            return descriptor


def _sweep(folder: str) -> None:
    """Remove what processes left that were killed while they held no lease."""
    for entry in os.listdir(folder):
        name = entry.removesuffix(_SUFFIX)
        if name != entry and not is_alive(folder, name):
            end_life(folder, name)


def _forget_after_fork() -> None:
    global _pid
    if _pid != os.getpid():
        _pid = os.getpid()
        while _lives:
            _, descriptor = _lives.popitem()
            with suppress(OSError):  # as a daemon does, the copy may have closed them all
                os.close(descriptor)
