"""Copies of docs/examples, without what a reader's visit leaves there."""

from __future__ import annotations

import shutil
from pathlib import Path

from .pages import ROOT

EXAMPLES = ROOT / "docs" / "examples"
_LEFT_THERE = shutil.ignore_patterns(".*", "__pycache__", "*.sqlite3*", "queue.db*")


def copy(example: str, target: Path) -> None:
    """Copy one of the examples, or all for ".", to a folder that is not there yet."""
    shutil.copytree(EXAMPLES / example, target, ignore=_LEFT_THERE)
