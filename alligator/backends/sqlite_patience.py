"""A connection that waits for other programs' locks in short slices.

SQLite's own wait is one call, in which no signal's handler runs: a worker that is told to stop, or
a Ctrl-C, would go unheard for the whole time-out. Our own programs take turns under another lock
(see sqlite_file.py) and never wait here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

#: Seconds that SQLite waits by itself.
_SLICE = 0.1

_T = TypeVar("_T")


class PatientConnection(sqlite3.Connection):
    """Waits up to `patience` seconds in each statement outside of a transaction. Within one, which
    has begun with the lock, none waits."""

    patience: float

    @classmethod
    def open(cls, uri: str, patience: float) -> Self:
        """Open a file, without transactions that Python begins, for use in any thread.

        Raises:
            sqlite3.Error: as sqlite3.connect.
        """
        connection = sqlite3.connect(
            uri,
            uri=True,
            factory=cls,
            timeout=min(_SLICE, patience),
            isolation_level=None,
            check_same_thread=False,
        )
        connection.patience = patience
        return connection

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not self._is_locked(error):
                raise
        return self._again(lambda: super(PatientConnection, self).execute(sql, parameters))

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Execute a script whose first statement begins a transaction and takes the lock."""
        return self._again(lambda: super(PatientConnection, self).executescript(sql_script))

    def _again(self, execute: Callable[[], _T]) -> _T:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return execute()
            except sqlite3.OperationalError as error:
                if not self._is_locked(error) or time.monotonic() >= deadline:
                    raise

    def _is_locked(self, error: sqlite3.OperationalError) -> bool:
        # The lowest byte is the error, the others are its details.
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_BUSY and not self.in_transaction
