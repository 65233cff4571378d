"""How far a long command has come, on a terminal's standard error."""

from __future__ import annotations

import errno
import io
import re
import sys
import time
from pathlib import Path

import pytest

from alligator.backends.base import Entry, Fail, Failure
from alligator_cli.progress import PAUSE, Meter

from .conftest import Cli, Given

#: What begins the line anew.
ANEW = "\r\x1b[K"


def looks(shown: str) -> list[str]:
    """Return what the line said, one look after another."""
    return [look for look in shown.split(ANEW)[1:-1] if look]


@pytest.fixture
def rows(folder: Path) -> Path:
    """A file of 3,000 calls."""
    path = folder / "rows"
    path.write_text("".join(f'{{"task":"shop.add","args":[{n},2]}}\n' for n in range(3000)))
    return path


@pytest.fixture
def full(cli: Cli, given: Given) -> Cli:
    """3,000 waiting tasks."""
    given.client.push_many("all", [Entry(f"task-{number}", b"{}") for number in range(3000)])
    return cli


def assert_bars(shown: str, count: str, columns: int) -> None:
    seen = looks(shown)
    assert all(len(look) < columns for look in seen)
    early = rf"\[#*-*\] {count}"
    assert re.fullmatch(early, seen[0]), seen[0]  # nothing is known of the rate yet
    late = rf"(\[#*-*\]) {count}, [0-9,]+/s, 0:0[0-9] left"
    told = [found for look in seen if (found := re.fullmatch(late, look))]
    assert told, seen
    assert told[0][1].count("#") <= told[-1][1].count("#")
    assert told[-1][1].count("#") > seen[0].count("#")


@pytest.mark.parametrize("columns", [60, 120])
@pytest.mark.parametrize(
    "command",
    [
        ("cancel", "-q", "all", "--yes"),
        ("move", "-q", "all", "--to", "mail", "--yes"),
        ("drop", "--yes"),
    ],
    ids=lambda command: command[0],
)
def test_verbs_that_change_many_draw_a_bar(
    full: Cli, command: tuple[str, ...], columns: int
) -> None:
    shown = full.on_terminal(*command, "--rate", "2500/s", columns=columns)
    assert_bars(shown, r"[0-9,]+/3,000 tasks", columns)
    assert shown.split(ANEW)[-1].startswith("{")  # it is erased before the summary


def test_a_retry_draws_a_bar(full: Cli, given: Given) -> None:
    failure = Failure("ValueError: no", "", 1.7e9, "host:1")
    leases = given.client.reserve(["all"], 3000)
    given.client.settle([Fail(lease, failure) for lease in leases])

    shown = full.on_terminal("retry", "--state", "failed", "--yes", "--rate", "2500/s", columns=60)

    assert_bars(shown, r"[0-9,]+/3,000 tasks", 60)


@pytest.mark.parametrize("columns", [60, 120])
@pytest.mark.parametrize("command", [("push", "--from"), ("load",)], ids=lambda it: it[0])
def test_loads_of_a_file_draw_a_bar_of_its_bytes(
    cli: Cli, rows: Path, command: tuple[str, ...], columns: int
) -> None:
    shown = cli.on_terminal(*command, str(rows), "--rate", "2500/s", columns=columns)
    assert_bars(shown, r"[0-9]+% [0-9,]+ lines", columns)
    assert shown.split(ANEW)[-1].startswith("{")


def test_a_load_that_goes_on_begins_where_it_stopped(cli: Cli, rows: Path, folder: Path) -> None:
    given = ("push", "--from", str(rows), "--checkpoint", str(folder / "note"))
    text = rows.read_bytes()
    rows.write_bytes(b"".join(text.splitlines(keepends=True)[:1500]))
    cli.ok(*given)
    rows.write_bytes(text)
    shown = looks(cli.on_terminal(*given, "--rate", "2500/s"))
    assert re.search(r"] 5[0-9]% 1,[0-9]{3} lines", shown[0])


def test_a_dump_draws_a_bar_beside_what_it_writes(full: Cli) -> None:
    with (full.folder / "dump").open("w") as file:
        shown = full.on_terminal("dump", stdout=file)
    assert re.search(r"\[-*\] 1/3,000 tasks", shown)
    assert shown.endswith(ANEW)
    assert len((full.folder / "dump").read_text().splitlines()) == 3000


def test_where_the_total_is_unknown_there_is_a_count(cli: Cli, full: Cli) -> None:
    shown = full.on_terminal("cancel", "--task", "*", "--yes", "--rate", "2500/s")
    assert re.fullmatch("[0-9,]+ tasks", looks(shown)[0])
    assert re.fullmatch("[0-9,]+ tasks, [0-9,]+/s", looks(shown)[-1])


def test_one_who_was_asked_gets_a_bar_of_the_number_that_was_told(full: Cli) -> None:
    shown, _ = full.talk("y\n", "cancel", "--task", "*", "--rate", "2500/s", columns=60)
    assert "Cancel 3000 tasks?" in shown
    assert_bars(shown, r"[0-9,]+/3,000 tasks", 60)


@pytest.mark.parametrize("quiet", ["--quiet", "TERM=dumb", "no terminal"])
def test_nobody_who_cannot_see_it_gets_it(full: Cli, quiet: str) -> None:
    command = ["cancel", "-q", "all", "--yes", "--rate", "9000/s"]
    if quiet == "no terminal":
        assert full.process(*command).stderr == ""
        return
    if quiet == "--quiet":
        command.append(quiet)
    else:
        full.env["TERM"] = "dumb"
    assert ANEW not in full.on_terminal(*command)


def test_ctrl_c_erases_it(full: Cli, given: Given) -> None:
    shown, code = full.talk(
        "",
        *("cancel", "-q", "all", "--yes", "--rate", "500/s"),
        interrupt_when=lambda: given.client.len("all") < 2900,
    )
    assert code == 130
    assert looks(shown)
    assert shown.split(ANEW)[-1].startswith("\n\x1b[31m\x1b[1mError:\x1b[0m interrupted\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_is_drawn_no_more_than_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    began = time.monotonic()
    meter = Meter("tasks", total=lambda: 10**6)
    for done in range(10**6):
        meter.at(done)
        if time.monotonic() - began > 3 * PAUSE:
            break
    took = time.monotonic() - began
    assert 1 < terminal.getvalue().count(ANEW) <= took / PAUSE + 1


class Gone(Terminal):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_terminal_that_is_gone_does_not_end_what_it_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    monkeypatch.setenv("TERM", "xterm")
    meter = Meter("tasks")
    meter.at(1)
    meter.clear()


def test_nobody_counts_where_nobody_watches() -> None:
    def count() -> int:
        raise AssertionError

    Meter("tasks", quiet=True, total=count).at(1)
