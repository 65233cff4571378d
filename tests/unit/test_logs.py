"""Log lines: each stays one line, with its fields apart, whatever a task's author wrote into it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from alligator import redaction
from alligator.logs import formatter

#: Logs to a pipe that is full, then reads that, and logs once more.
UNREAD = """
import fcntl, os
reading, writing = os.pipe()
fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
os.dup2(writing, 2)
os.write(writing, b"." * 8192)
from alligator.logs import configure, worker_log
configure("text", "info", waits=False)
for _ in range(3):
    worker_log.info("lost")
os.read(reading, 8192)
worker_log.info("seen")
print(os.read(reading, 4096).decode())
"""

FORGED = "x'\n2030-01-01T00:00:00.000Z INFO    [1] done task_id=other \x1b[2J\u202e\u2028\x00"


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("alligator.worker", logging.INFO, "", 0, "%s", (message,), None)
    vars(made).update(fields)
    return made


def test_a_message_is_one_line_that_steers_no_terminal() -> None:
    line = formatter("text").format(record(f"failed: {FORGED}", task_id="id", queue="all"))

    assert line.isprintable()
    assert "failed: x'\\n2030-01-01T00:00:00.000Z INFO" in line
    assert line.endswith(" \\x1b[2J\\u202e\\u2028\\x00 task_id=id queue=all")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("payroll-42", "payroll-42"),
        ("id outcome=success", '"id outcome=success"'),
        ('a"b', r'"a\"b"'),
        ("a\nb\x1b[31m", '"a\\nb\\u001b[31m"'),
        ("\x1b[31m", "\\x1b[31m"),
        ("é☂", "é☂"),
    ],
)
def test_a_field_ends_where_it_ends(value: str, shown: str) -> None:
    line = formatter("text").format(record("done", task_id=value, queue="all", seconds=0.5))

    assert line.isprintable()
    assert line.endswith(f" done task_id={shown} queue=all seconds=0.500")


def test_a_traceback_keeps_its_lines_and_nothing_else() -> None:
    made = record("failed", task_id="id")
    try:
        raise ValueError("a\x1b[2J\rb\tc\nd")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    first, *others = formatter("text").format(made).split("\n")

    assert first.endswith("failed task_id=id ")
    assert others[0] == "Traceback (most recent call last):"
    assert others[-2:] == ["ValueError: a\\x1b[2J\\rb\tc", "d"]


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_password_is_hidden_wherever_it_stands_and_nothing_else(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_known", {'p\u00e4"ss', "0", "queue"})
    made = record('no\n0 and p\u00e4"ss', task_id="a\n0", queue="all", seconds=0.5)
    shown = formatter(kind).format(made)

    if kind == "json":
        read = json.loads(shown)
        assert (read["message"], read["task_id"]) == ("no\n*** and ***", "a\n***")
        assert (read["queue"], read["seconds"]) == ("all", 0.5)
    else:
        assert shown.endswith(r'no\n*** and *** task_id="a\n***" queue=all seconds=0.500')


def test_json_is_one_line_too() -> None:
    line = formatter("json").format(record(FORGED, task_id=FORGED))

    assert line.isprintable()
    assert json.loads(line)["message"] == json.loads(line)["task_id"] == FORGED


def test_who_must_not_wait_leaves_out_what_nobody_reads_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNREAD], capture_output=True, text=True, timeout=20, check=True
    )

    told, seen = done.stdout.strip().splitlines()
    assert told.endswith("nobody read the log: 3 lines were left out")
    assert seen.endswith("seen")
