"""The same shell script leaves the same state on every broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALLS = 1000


def test_one_script_has_one_outcome_on_every_broker(shared_dsn: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", Path(__file__).with_name("journey.sh"), str(CALLS), tmp_path],
        cwd=ROOT,
        env={
            **os.environ,
            "GATOR_DSN": shared_dsn,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    facts: dict[str, object] = {}
    for line in done.stdout.splitlines():
        facts.update(json.loads(line))
    failing = "tests.faults.deeds.fail"
    assert facts == {
        "ids": CALLS,
        "listed": CALLS + 3,
        "shown": {"state": "waiting", "task": failing, "retries": 2, "attempts": 0},
        "canceled_show_exits": 4,
        "dropped": 3,
        "left": [
            {"queue": "all", "waiting": 0, "delayed": 1, "blocked": 0, "running": 0, "failed": 1}
        ],
        "failed": [{"task": failing, "attempts": 3, "error": "ValueError: as asked"}],
        "delayed": "delayed",
        "run_task_exits": 1,
        "ran": None,
        "waiting_for_nothing": 0,
    }

    evidence = (tmp_path / "evidence").read_text().splitlines()
    assert sorted(evidence) == sorted(
        [f"call {n}" for n in range(1, CALLS + 1)] + ["first", "later"] + ["tried"] * 4
    )
    assert evidence[0] == "first"
