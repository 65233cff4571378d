"""One queue file: opening it, one writer at a time, what its errors mean, and forks.

Everything that changes the file does so inside `writing`, under a lock of our own. That is what
keeps writers from starving, and it is also what makes SQLite's automatic checkpoints safe: they
run as part of a commit, hence under the lock, and SQLite up to 3.51.2 may lose a commit when a
checkpoint runs beside another connection's write (https://sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote

from ..exceptions import BrokerError, BrokerRefused, BrokerUnreachable, InvalidName
from .sqlite_foreign import to_text
from .sqlite_lock import WriteLock
from .sqlite_patience import PatientConnection
from .sqlite_place import Place

_APPLICATION_ID = int.from_bytes(b"Alig", "big")

#: The newest version of the schema: sqlite_schema_N.sql makes a file of version N - 1 one of N.
_SCHEMA_VERSION = 2

_DAMAGED = "it is damaged; restore it, or save it with .recover"

#: How each of SQLite's errors reads, by the start of its name, and what to do about it.
_MEANINGS = (
    ("SQLITE_BUSY", BrokerUnreachable, "another program keeps it locked; close that program"),
    ("SQLITE_FULL", BrokerRefused, "the disk is full; free some room, then try again"),
    ("SQLITE_IOERR", BrokerRefused, "reading or writing fails; look for a full or failing disk"),
    ("SQLITE_READONLY", BrokerRefused, "it is read-only; make it and its folder writable"),
    ("SQLITE_PERM", BrokerRefused, "it may not be used; look at its permissions"),
    ("SQLITE_CANTOPEN", BrokerRefused, "it cannot be opened; look at its folder's permissions"),
    ("SQLITE_NOTADB", BrokerRefused, "it is not an SQLite file; name another file"),
    ("SQLITE_CORRUPT", BrokerRefused, _DAMAGED),
)


#: Seconds that closing waits for its turn: without one it leaves the log to the next who closes.
_CLOSING = 0.5

#: Bytes of its disk, or an eighth of a small one, that a push leaves for acks and retries.
_RESERVE = 8 * 1024 * 1024


class QueueFile:
    """The connection to one queue file, opened when first needed, for one thread at a time.

    Args:
        place: where it is.
        timeout: seconds a verb waits for its turn to write.

    Attributes:
        path: the file's, absolute.
        folder: where lives and wake-ups are kept, beside the file.
    """

    def __init__(self, place: Place, timeout: float) -> None:
        self._place = place
        self._shown = place.shown
        self.path = place.path
        self.folder = self.path + "-workers"
        self._timeout = timeout
        self._mutex = threading.RLock()
        self._lock = WriteLock(self.path + "-lock", self.path)
        self._holds_lock = False
        self._connection: PatientConnection | None = None
        self._inode = 0
        self._pid = os.getpid()
        _files.add(self)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for statements that change nothing; they wait for no writer."""
        with self._mutex, self._translated():
            yield self._connected()

    @contextmanager
    def writing(self, adds: int = 0, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Hold the connection inside a transaction that is committed unless the block raises.

        Args:
            adds: bytes by which the file grows; not begun when they would fill the disk.
            durable: False lets the next one that is durable put it on the disk.
        """
        with self._mutex, self._translated():
            connection = self._connected()
            with self._locked():
                if adds:
                    self._leave_room(connection, adds)
                else:
                    self._keep_room(connection)
                # FULL: what was acknowledged is on the disk.
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
                    connection.execute("COMMIT")
                except BaseException as error:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    _make_room(connection, error)
                    raise

    def _leave_room(self, connection: sqlite3.Connection, adds: int) -> None:
        """Refuse to fill the disk up: what has been written to the log alone needs room in the
        file, and without any left acks would fail too, so that the queue could not even shrink."""
        left, kept = self._room()
        if left >= adds + kept + _size(f"{self.path}-wal"):
            return
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        left, kept = self._room()
        if left < adds + kept:
            raise BrokerRefused(
                f"{self._shown}: the disk is full; free some room, then try again (of the "
                f"{left // 1024} kB left, some are kept so that tasks can still be worked off)"
            )

    def _keep_room(self, connection: sqlite3.Connection) -> None:
        """Work the log off before it has taken what was left for acks. The file grows by leases
        now and then; when it cannot, the log cannot be worked off either, and nothing goes on."""
        left, kept = self._room()
        if left < 2 * kept and _size(f"{self.path}-wal") > kept // 4:
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _room(self) -> tuple[int, int]:
        """Return the bytes left on the disk, and those of them that are for acks."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize, min(_RESERVE, disk.f_blocks * disk.f_frsize // 8)

    def close(self) -> None:
        """Close the connection; the next verb opens another."""
        with self._mutex:
            connection, self._connection = self._connection, None
            if connection is not None:
                # The last connection to close writes everything back into the file.
                # Who did not get its turn just now does not wait as long for it once more.
                with suppress(BrokerError, OSError), self._locked(min(self._timeout, _CLOSING)):
                    connection.close()
                connection.close()
            self._lock.close()

    @contextmanager
    def _locked(self, timeout: float | None = None) -> Iterator[None]:
        if self._holds_lock:
            raise BrokerRefused(
                f"{self._shown}: a signal handler came here in the middle of another call, and "
                "changed nothing; have it set a flag, and go on from there when that call has ended"
            )
        seconds = self._timeout if timeout is None else timeout
        self._holds_lock = True
        try:
            if not self._lock.acquire(seconds):
                raise BrokerUnreachable(
                    f"{self._shown}: waited {seconds:g} s for other writers and changed "
                    "nothing; look for a stopped process that uses it, or raise ?timeout="
                )
            yield
        finally:
            self._lock.release()
            self._holds_lock = False

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None:
            if self._pid != os.getpid():
                # Forked past Python's fork hooks (see _before_fork), by an embedding server. Left
                # open, it would make SQLite believe that this process holds its parent's locks.
                self._lock.close()  # without release: it is the parent's
                self._holds_lock = False
                self.close()
            elif self._inode != _inode(self.path):
                self.close()  # the file was removed or replaced: writing to it would be in vain
        if self._connection is None:
            self._pid = os.getpid()
            self._connection = self._open()
            self._inode = _inode(self.path)
        return self._connection

    def _open(self) -> PatientConnection:
        self._place.refuse()
        if not os.path.exists(self.path):
            with self._locked():
                self._create()
        # mode=rw: SQLite would create a missing file with permissions by the umask.
        uri = f"file:{quote(self.path)}?mode=rw"
        connection = PatientConnection.open(uri, self._timeout)
        connection.text_factory = to_text
        try:
            if not self._is_set_up(connection):
                with self._locked():
                    self._set_up(connection)
            # A log of 16 MB writes a page that many tasks change back just once.
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA journal_size_limit = 33554432")
            connection.execute("PRAGMA cache_size = -16000")
            # What a savepoint may have to bring back would go to files of the system's folder for
            # such, which may not be writable, or full.
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(self.path, flags, 0o600)
            os.fchmod(descriptor, 0o600)
            os.close(descriptor)

    def _is_set_up(self, connection: sqlite3.Connection) -> bool:
        newest = self._version(connection) == _SCHEMA_VERSION
        return newest and _journal_mode(connection) == "wal"

    def _set_up(self, connection: sqlite3.Connection) -> None:
        # Looked at once more, now that nobody else can be at it.
        version = self._version(connection)
        if version < _SCHEMA_VERSION:
            _make_schema(connection, range(version + 1, _SCHEMA_VERSION + 1))
        # After the schema, which is then in the file itself however this ends.
        if _journal_mode(connection, "= WAL") != "wal":
            raise BrokerRefused(
                f"{self._shown}: the file system has no shared memory for SQLite's write-ahead "
                "log; use a local disk"
            )

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return which of our schemas the file has, 0 while it is empty; anything else raises."""
        # One statement, so that another process that sets the file up comes before or after it.
        application, version, tables = connection.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        ours = application == _APPLICATION_ID
        if ours and not 1 <= version <= _SCHEMA_VERSION:
            raise BrokerRefused(
                f"{self._shown}: the file has schema {version} and this Alligator knows "
                f"{_SCHEMA_VERSION}; install the Alligator that made it, or name another file"
            )
        if not ours and (application or version or tables):
            raise BrokerRefused(
                f"{self._shown}: the file belongs to another program, and was left as it is; "
                "name another file"
            )
        return int(version) if ours else 0

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite and the system raise into our errors: the one place that does."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            kind, meaning = next(
                ((kind, meaning) for prefix, kind, meaning in _MEANINGS if name.startswith(prefix)),
                (BrokerRefused, "SQLite refused; look at its reason"),
            )
            raise kind(f"{self._shown}: {meaning} ({error})") from error
        except UnicodeDecodeError as error:
            # SQLite's own message, which quotes the bytes that it cannot read.
            raise BrokerRefused(f"{self._shown}: {_DAMAGED}") from error
        except UnicodeEncodeError as error:
            raise InvalidName(f"{error.object!r} has characters that are no text") from error
        except OSError as error:
            hint = {
                errno.ENOSPC: "; free some room, then try again",
                errno.EACCES: "; look at the permissions of the file and its folder",
                errno.EROFS: "; use a folder that can be written",
            }.get(error.errno or 0, "")
            raise BrokerRefused(f"{self._shown}: {error}{hint}") from error


def _make_schema(connection: sqlite3.Connection, versions: Iterable[int]) -> None:
    """Take the file through these versions, in one transaction."""
    steps = list(map(_step, versions))
    try:
        connection.executescript("\n".join(["BEGIN IMMEDIATE;", *steps, "COMMIT;"]))
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _step(version: int) -> str:
    # Without pathlib, whose import takes a millisecond of a push.
    name = os.path.join(os.path.dirname(__file__), f"sqlite_schema_{version}.sql")
    with open(name, encoding="utf-8") as file:
        return file.read()


def _journal_mode(connection: sqlite3.Connection, change: str = "") -> str:
    mode: str
    (mode,) = connection.execute(f"PRAGMA journal_mode {change}").fetchone()
    return mode


def is_out_of_room(error: BaseException) -> bool:
    """Whether SQLite could not write, as on a full disk, or this is our error for that."""
    name = getattr(
        error.__cause__ if isinstance(error, BrokerRefused) else error, "sqlite_errorname", ""
    )
    return str(name).startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def _make_room(connection: sqlite3.Connection, error: BaseException) -> None:
    """After a failed write, work off the write-ahead log: on a full disk the acks that follow then
    take the place of older writes, so that the queue can still shrink."""
    if is_out_of_room(error):
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


# -- forks ----------------------------------------------------------------------------------
# A connection must not cross a fork. The child would share the parent's write lock, and SQLite in
# the child would take its parent's record locks for its own, so that the parent, believing itself
# alone, could remove the log that the child writes to. So connections are closed before a fork and
# opened again, by whichever side needs one, after it.

_files: weakref.WeakSet[QueueFile] = weakref.WeakSet()

#: What the thread that forks holds meanwhile: others may fork, too.
_forking = threading.local()


def _before_fork() -> None:
    _forking.files = []
    for file in sorted(_files, key=id):  # one order for all threads that fork
        file._mutex.acquire()
        _forking.files.append(file)
        # A signal handler that forks in the middle of a verb: _connected finds that out.
        if file._connection is not None and not file._connection.in_transaction:
            file.close()


def _after_fork() -> None:
    while _forking.files:
        _forking.files.pop()._mutex.release()


# The thread that forks holds every mutex, and is the one that lives on in the child.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
