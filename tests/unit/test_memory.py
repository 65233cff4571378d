"""How much memory there is, by what the kernel tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alligator import memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_here_it_is_no_more_than_the_machine_has() -> None:
    assert 0 < memory.limit() <= MACHINE


def test_without_groups_it_is_what_the_machine_has(tmp_path: Path) -> None:
    assert memory.limit(tmp_path, tmp_path / "none") == MACHINE


@pytest.mark.parametrize(
    ("own", "limits", "least"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "5000"}, 5000),
        ("0::/a/b", {"a/b/memory.max": "4000", "a/memory.max": "5000"}, 4000),
        ("0::/a", {"memory.max": "3000"}, 3000),
        ("4:memory:/a", {"memory/a/memory.limit_in_bytes": "2000"}, 2000),
        ("4:memory:/a\n0::/", {"memory/a/memory.limit_in_bytes": "9223372036854771712"}, MACHINE),
        ("1:cpu:/a", {"cpu/a/memory.limit_in_bytes": "1000"}, MACHINE),
        ("0::/x:y", {"x:y/memory.max": "6000"}, 6000),
    ],
)
def test_it_is_the_least_that_any_group_allows(
    tmp_path: Path, own: str, limits: dict[str, str], least: int
) -> None:
    write(tmp_path / "own", f"{own}\n")
    for name, text in limits.items():
        write(tmp_path / "groups" / name, f"{text}\n")

    assert memory.limit(tmp_path / "groups", tmp_path / "own") == least


def test_what_the_process_had_that_started_this_one_does_not_count() -> None:
    ask = "from alligator import memory; print(memory.peak())"
    start = (
        "import subprocess, sys; bytearray(300_000_000); "
        f"subprocess.run([sys.executable, '-c', {ask!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)

    assert 0 < int(done.stdout) < 150_000_000


def test_a_system_that_does_not_tell_is_no_error(tmp_path: Path) -> None:
    assert memory.peak(tmp_path / "none") is None
