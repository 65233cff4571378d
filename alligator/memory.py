"""How much memory there is for this process and its children."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: Where cgroups are, of version 2 or of version 1, and the file that has the limit of one.
_GROUPS = (("", "memory.max"), ("memory", "memory.limit_in_bytes"))


def limit(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes that the machine has, or the least that a cgroup we are in allows.

    Args:
        cgroups: where they are mounted.
        own: the file that has the paths of ours, see cgroups(7).
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(cgroups, own)])


def peak(status: Path = Path("/proc/self/status")) -> int | None:
    """Return the bytes that this process has had at most, where the system tells.

    getrusage(2) tells, on Linux, no less than what the process had that started this one.

    Args:
        status: the file that has it, see proc(5).
    """
    with suppress(OSError, ValueError):
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def _limits(cgroups: Path, own: Path) -> Iterator[int]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return  # another system, or none of it mounted
    paths = {names: path.lstrip("/") for _, names, path in (line.split(":", 2) for line in lines)}
    for name, file in _GROUPS:
        if name not in paths:
            continue
        # A limit holds for all groups below. In a container the path may be the machine's, and only
        # the root of it is there.
        group = Path(paths[name])
        for one in (group, *group.parents):
            with suppress(OSError, ValueError):  # no such file; "max"
                yield int((cgroups / name / one / file).read_text())
