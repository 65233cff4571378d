"""gator in pipes, in a real bash with `set -euo pipefail`, on each broker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TASKS = """
def report(number): return f"report {number}"
def tick(): pass
def mail(number):
    if number % 20 == 0: raise TimeoutError("Timeout")
    if number % 10 == 0: raise ValueError("no such address")
"""


def test_every_line_composes(shared_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    plain = ["plain"] if shared_dsn.startswith("beanstalk") else []
    done = subprocess.run(
        ["bash", "-x", Path(__file__).with_name("compose.sh"), tmp_path, *plain],
        env={
            **os.environ,
            "GATOR_DSN": shared_dsn,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
