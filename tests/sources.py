"""What a wheel is built from, copied away first, as a build leaves files beside its sources."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]

SOURCES = (
    *("alligator", "cli", "latergator.py", "man", "completions"),
    *("pyproject.toml", "setup.cfg", "README.md", "LICENSE"),
)


def copy_sources(folder: Path) -> None:
    """Copy them into an existing folder."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
