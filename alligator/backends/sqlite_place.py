"""Which path an sqlite DSN names, and whether a queue file can be there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ..dsn import Dsn
from ..exceptions import BrokerRefused, InvalidDSN

#: Where locks or shared memory do not reach from one machine to the other.
_NETWORK_FILE_SYSTEMS = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb2",
        "smb3",
        "smbfs",
    ]
)


class Place:
    """Where a queue file is to be.

    Args:
        dsn: what names it.
        mounts: where the system lists its file systems; see file_system.

    Attributes:
        path: the file's, absolute; two names of one file lead to one path, hence to one lock.
        shown: the DSN as messages show it.

    Raises:
        InvalidDSN: it names no file.
    """

    def __init__(self, dsn: Dsn, mounts: str) -> None:
        self.shown = dsn.redacted()
        given = self._path_in(dsn)
        self._relative = not os.path.isabs(given)
        self.path = os.path.realpath(given)
        self._mounts = mounts

    def _path_in(self, dsn: Dsn) -> str:
        if dsn.host is not None or dsn.username is not None:
            raise InvalidDSN(
                f"{self.shown}: a file has no host; write three slashes before a relative path, "
                "as in sqlite:///queue.db, and four for an absolute one"
            )
        path = dsn.path[1:]
        if path in ("", ":memory:"):
            raise InvalidDSN(f"{self.shown} names no file; for a queue in memory use locmem://")
        if "\0" in path:
            raise InvalidDSN(f"{self.shown}: write no NUL in the path")
        return path

    def refuse(self) -> None:
        """Raise BrokerRefused when no queue file can be kept there."""
        folder = os.path.dirname(self.path)
        try:
            device = os.stat(folder).st_dev
        except (FileNotFoundError, NotADirectoryError) as error:
            hint = "; an absolute path takes four slashes" if self._relative else ""
            raise BrokerRefused(
                f"{self.shown}: the folder {folder!r} does not exist; make it first{hint}"
            ) from error
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise BrokerRefused(f"{self.shown}: {self.path!r} is not a file; name one")
        kind = file_system(device, self._mounts)
        if kind in _NETWORK_FILE_SYSTEMS:
            raise BrokerRefused(
                f"{self.shown}: {folder!r} is on a network file system ({kind}), where SQLite "
                "loses data; use a local disk, or Redis to share a queue between machines"
            )


def file_system(device: int, mounts: str) -> str | None:
    """Return the type of the file system that a device number belongs to, where it can be told.

    Args:
        device: `st_dev` of a file on it.
        mounts: a file in the format of proc(5), /proc/pid/mountinfo.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError), open(mounts, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            place, _, system = line.partition(" - ")
            if place.split()[2:3] == [wanted]:
                return system.split()[0]
    return None
