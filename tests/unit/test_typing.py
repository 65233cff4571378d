"""What a type checker says about programs that use Alligator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import alligator

GOOD = """
from alligator import Gator, Task, Worker
from alligator.retries import exponential

def add(a: int, b: int = 0) -> int:
    return a + b

def on_success(task: Task, result: int) -> None: ...

gator = Gator("locmem://")
task: Task = gator.task(add, 1, b=2)
with gator.options(retries=3, on_success=on_success) as opts:
    opts.task(add, 1)
gator.push(Task("id"), add, 1)
Task(backoff=30), Task(backoff=[1, 2.5]), Task(backoff=(1, 2)), Task(backoff=exponential(1, 60))
finished: Task | None = gator.pop()
code: int = Worker(gator, to_consume=["mail", "all"]).run_forever()
"""

BAD = """
from alligator import Gator, Task

def add(a: int, b: int = 0) -> int:
    return a + b

gator = Gator("locmem://")
gator.task(add, "one")  # wrong
gator.task(add, 1, c=2)  # wrong
gator.task(add)  # wrong
gator.push(Task(), add, 1, 2, 3)  # wrong
with gator.options(retries=3) as opts:
    opts.task(add, b=None, a=1)  # wrong
gator.pop().result  # wrong
Task(retries="3")  # wrong
Task(backoff="30s")  # wrong
"""


def test_mypy_finds_the_wrong_calls_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    # mypy does not follow the hook by which an editable install is found.
    environment = os.environ | {"MYPYPATH": str(Path(alligator.__file__).parents[1])}
    command = "-m mypy --strict --follow-imports silent --cache-dir cache good.py bad.py"
    run = subprocess.run(
        [sys.executable, *command.split()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    found = re.findall(r"^([a-z]+\.py):(\d+): error:", run.stdout, re.MULTILINE)
    wrong = {
        ("bad.py", str(number))
        for number, line in enumerate(BAD.splitlines(), 1)
        if line.endswith("# wrong")
    }
    assert set(found) == wrong, run.stdout


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(alligator.__file__).parent / "py.typed").exists()
