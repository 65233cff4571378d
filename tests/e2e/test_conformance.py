"""A backend of another package is found by its DSN and held to the contract, as the how-to says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "backend"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example is installed, beside what is here."""
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(EXAMPLE, source)  # building leaves files behind
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    done = subprocess.run([*pip, "install", *options, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": str(target)}


def test_the_suite_runs_over_a_backend_of_another_package(
    installed: dict[str, str], tmp_path: Path
) -> None:
    # A few of its files: all of them run over this very store already, as sqlite.
    files = ["test_five_verbs.py", "test_reserve.py", "test_incapable.py"]
    suite = [str(ROOT / "tests" / "contract" / name) for name in files]
    queue = f"audited:///{tmp_path}/{{}}.db"

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *suite],
        env={**installed, "ALLIGATOR_CONTRACT_DSN": queue},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert len(list(tmp_path.glob("*.db"))) > 10


def test_gator_finds_it_by_the_scheme(installed: dict[str, str], tmp_path: Path) -> None:
    gator = [sys.executable, "-m", "alligator", "--dsn", f"audited:///{tmp_path}/queue.db"]

    pushed = subprocess.run(
        [*gator, "push", "math.factorial", "--args", "[5]", "--result-ttl", "1m"],
        env=installed,
        capture_output=True,
        text=True,
    )
    subprocess.run([*gator, "worker", "--burst"], env=installed, capture_output=True)
    result = subprocess.run(
        [*gator, "result", pushed.stdout.strip()], env=installed, capture_output=True, text=True
    )

    assert result.stdout == "120\n", pushed.stderr + result.stderr
