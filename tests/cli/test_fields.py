"""A format or fields that a command does not have are refused before it does anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Cli, Given
from .test_help import fields_in_help

#: Commands that change something, on two failed tasks: a and b.
CHANGES = [
    "push shop.add",
    "push shop.add --wait --wait-timeout 1ms",
    "push --from rows",
    "push --from rows --print-ids",
    "load rows",
    "load rows --print-ids",
    "retry a",
    "retry --state failed --yes",
    "retry --ids-from ids",
    "cancel a",
    "cancel -q all --yes",
    "move a --to other",
    "move -q all --to other --yes",
    "drop --yes",
    "drop --yes --backup kept",
    "run-task a",
    "pause all",
    "bench --tasks 1",
]


@pytest.fixture
def two(cli: Cli, given: Given, folder: Path) -> Cli:
    for task_id in ("a", "b"):
        given.failed(given.task("shop.boom", task_id=task_id))
    (folder / "rows").write_text('{"task": "shop.add", "id": "c"}\n')
    (folder / "ids").write_text("a\nb\n")
    return cli


def broker(given: Given) -> object:
    """What the broker holds, and has counted."""
    counts = [given.client.counts(queue) for queue in given.client.queues(empty=True)]
    return given.states(), [(one.queue, one.paused, one.done_total) for one in counts]


@pytest.mark.parametrize("args", CHANGES)
@pytest.mark.parametrize("wrong", ["--fields id,nosuch", "--fields nosuch", "--format prometheus"])
def test_a_wrong_one_changes_nothing(
    two: Cli, given: Given, folder: Path, args: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = broker(given)

    result = two(*args.split(), *wrong.split())

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {wrong.split()[0]}: ")
    assert f"Try 'gator {args.split()[0]} --help'." in result.stderr
    assert broker(given) == before
    assert not (folder / "kept").exists()


@pytest.mark.parametrize("args", ["push shop.add", "retry a", "drop --yes"])
def test_a_wrong_one_in_a_variable_changes_nothing(two: Cli, given: Given, args: str) -> None:
    before = broker(given)
    two.env["GATOR_FIELDS"] = "id,state"  # right for peek

    result = two(*args.split())

    assert (result.exit_code, result.stdout) == (2, "")
    assert "GATOR_FIELDS (--fields): there is no field " in result.stderr
    assert broker(given) == before


def test_a_variable_is_no_business_of_a_command_without_fields(two: Cli, given: Given) -> None:
    given.task("shop.add", 1, 2, task_id="c")
    two.env |= {"GATOR_FIELDS": "id,state", "GATOR_FORMAT": "prometheus"}

    assert two.process("run-task", "c").stdout == "3\n"
    assert two.process("worker", "--burst").returncode == os.EX_OK
    assert two("dump").exit_code == os.EX_OK
    assert '"module":"shop"' in two.ok("push", "shop.add", "--dry-run")


@pytest.mark.parametrize("args", ["dump", "result a", "push shop.add --dry-run", "help"])
def test_fields_of_what_has_none_are_refused(two: Cli, args: str) -> None:
    result = two(*args.split(), "--fields", "id")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--fields: what this prints has no fields; leave it out" in result.stderr


@pytest.mark.parametrize(
    ("args", "fields"),
    [
        ("push shop.add --id x", "queued,id"),
        ("push --from rows", "already,lines"),
        ("push --from rows --print-ids", "id"),
        ("retry a", "id"),
        ("retry --state failed --yes", "changed,matched"),
        ("cancel --ids-from ids", "id"),
        ("cancel -q all --yes", "changed"),
        ("drop --yes", "skipped,changed"),
        ("ping", "broker"),
    ],
)
def test_those_that_there_are_are_printed(
    two: Cli, folder: Path, args: str, fields: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    rows = two.json(*args.split(), "--fields", fields)
    assert rows
    assert all([*row] == fields.split(",") for row in rows)


@pytest.mark.parametrize(
    "args",
    ["push shop.add", "load rows", "cancel -q all --yes", "drop --yes", "ping", "bench --tasks 1"],
)
def test_help_names_all_that_are_printed(
    two: Cli, folder: Path, args: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (row,) = two.json(*args.split())
    assert fields_in_help(two, args.split()[0]) == [*row]
