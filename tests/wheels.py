"""Wheels of what is installed here, so that pip can install it elsewhere without a network."""

from __future__ import annotations

import fcntl
import importlib.metadata
import zipfile
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: What it takes to build Alligator, to install it with the extras of the pages, and to follow the
#: tutorial; and whatever these ask for.
ASKED_FOR = ("setuptools", "alligator[redis,beanstalk]", "django", "aiosmtpd")


def needed() -> set[str]:
    """Return the names of all distributions to pack: all but Alligator itself, which is built."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [*ASKED_FOR]
    while left:
        text = left.pop()
        if text in seen:
            continue
        seen.add(text)
        one = Requirement(text)
        found.add(canonicalize_name(one.name))
        for further in importlib.metadata.requires(one.name) or ():
            marker = Requirement(further).marker
            extras = one.extras or {""}
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                left.append(further)
    return found - {"alligator"}


def pack(name: str, folder: Path) -> None:
    """Pack an installed distribution into a wheel again.

    Args:
        name: the distribution's.
        folder: where the wheel goes.
    """
    found = importlib.metadata.distribution(name)
    tags = [tag for tag in (found.read_text("WHEEL") or "").splitlines() if tag.startswith("Tag:")]
    stem = found.metadata["Name"].replace("-", "_").replace(".", "_")
    path = folder / f"{stem}-{found.version}-{tags[0].removeprefix('Tag: ')}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files or ():
            # Programs, which pip makes anew from entry points, lie outside.
            if ".." not in file.parts and "__pycache__" not in file.parts:
                wheel.write(file.locate(), str(file))


def wheels(folder: Path) -> Path:
    """Return a folder below `folder` with a wheel of each that is needed, made if need be."""

    def make(target: Path) -> None:
        for name in sorted(needed()):
            pack(name, target)

    return once(folder / "wheels", make)


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that one of the processes of a parallel run has filled.

    Args:
        folder: need not be there.
        make: fills it.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            make(folder)
            (folder / "complete").touch()
    return folder
