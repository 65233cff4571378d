"""The files that are made from the commands are what they would be made to be."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_reference_man_pages_and_completions_are_up_to_date() -> None:
    generated = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert generated["stale"]() == [], "run python docs/generate.py"
    wanted = {path for path in generated["files"]() if path.suffix == ".1"}
    assert set((ROOT / "man").iterdir()) == wanted


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_reads_the_pages_without_complaint() -> None:
    for page in sorted((ROOT / "man").glob("*.1")):
        done = subprocess.run(
            ["man", "--warnings", "-l", str(page)], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
