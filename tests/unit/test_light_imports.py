"""What an import pulls in: a program that pushes should not pay for what it does not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

DRIVERS = {"redis", "greenstalk", "sqlite3", "click", "tabulate", "wcwidth"}


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(run.stdout)}


def test_importing_alligator_imports_no_driver() -> None:
    loaded = loaded_after("import alligator")
    assert not loaded & (DRIVERS | {"asyncio", "multiprocessing"})


def test_a_push_imports_nothing_that_only_work_needs() -> None:
    loaded = loaded_after("import alligator; alligator.Gator('locmem://').task(abs, 1)")
    assert not loaded & {"logging", "socket", "selectors"}


@pytest.mark.parametrize(
    ("dsn", "driver"),
    [
        ("locmem://", None),
        ("sqlite:///unused.db", "sqlite3"),
        ("redis://127.0.0.1:1/0", "redis"),
        ("beanstalk://127.0.0.1:1", "greenstalk"),
    ],
)
def test_a_dsn_imports_its_own_driver_at_most(dsn: str, driver: str | None) -> None:
    loaded = loaded_after(f"import alligator; alligator.Gator({dsn!r})")
    assert loaded & DRIVERS <= {driver}
