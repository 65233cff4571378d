"""What is wrong with the set-up of a queue file."""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
from collections.abc import Iterator

from .base import Finding

#: The first SQLite without a bug that can lose commits when a checkpoint meets a writer.
MENDED = (3, 51, 3)

#: What SQLite and we put beside a queue file.
BESIDE = ("", "-wal", "-shm", "-lock")


def examine(path: str) -> list[Finding]:
    """Look at a queue file, which exists, and at the library that reads it."""
    return [_library(), *_permissions(path), *_room(path)]


def _library() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= MENDED:
        return Finding("sqlite", True, version)
    wanted = ".".join(map(str, MENDED))
    return Finding(
        "sqlite",
        True,
        f"{version}: before {wanted} a checkpoint that meets a writer can lose commits. Alligator "
        "takes its own under a lock; let no other program write to the file",
    )


def _permissions(path: str) -> Iterator[Finding]:
    open_to_others = [
        path + end
        for end in BESIDE
        if os.path.exists(path + end) and stat.S_IMODE(os.stat(path + end).st_mode) & 0o077
    ]
    if open_to_others:
        names = " ".join(open_to_others)
        yield Finding(
            "permissions",
            False,
            f"others may read or write {names}; a worker runs what they write there",
            f"chmod 600 {shlex.join(open_to_others)}",
        )
    else:
        yield Finding("permissions", True, f"{path} is its owner's alone")
    folder = os.path.dirname(path) or "."
    mode = os.stat(folder).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield Finding(
            "folder",
            False,
            f"everybody may replace the files in {folder}",
            f"chmod o-w {shlex.quote(folder)}",
        )


def _room(path: str) -> Iterator[Finding]:
    disk = os.statvfs(os.path.dirname(path) or ".")
    free = disk.f_bavail * disk.f_frsize / 2**20
    if free < 64:
        yield Finding(
            "disk",
            False,
            f"{free:.0f} MiB free: pushes fail when there is no room",
            "Make room, or move the file.",
        )
    else:
        yield Finding("disk", True, f"{free:.0f} MiB free")
