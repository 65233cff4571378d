"""gator load, stopped in the middle of lines that wait for others, and run again."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator.backends.base import Counts
from alligator.gator import Gator

from ..servers import eventually
from .conftest import Cli, Given

#: Lines that depend on another, and lines that depend on none.
BLOCKED, FREE = 1500, 1500

MOMENTS: dict[str, Callable[[Counts], bool]] = {
    "while they are kept back": lambda counts: counts.waiting > 0,
    "while they are pushed": lambda counts: counts.blocked > 0,
}


@pytest.fixture(params=["sqlite", "redis"])
def one(request: pytest.FixtureRequest, folder: Path) -> Cli:
    return Cli(request.getfixturevalue(f"{request.param}_dsn"), folder)


@pytest.fixture
def held(one: Cli) -> Iterator[Given]:
    """What the broker of `one` holds."""
    with Gator(one.dsn) as gator:
        yield Given(gator.client)


@pytest.fixture
def dependencies(folder: Path) -> dict[str, list[str]]:
    """Write a dump, `rows`, in which every task that depends on another is before that one, and
    return what each depends on."""
    chain = {f"b{number}": [f"b{number + 1}"] for number in range(BLOCKED - 1)}
    chain[f"b{BLOCKED - 1}"] = ["f0"]
    wanted = {**chain, **{f"f{number}": [] for number in reversed(range(FREE))}}
    lines = ({"task": "shop.add", "id": one, "depends_on": on} for one, on in wanted.items())
    (folder / "rows").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return wanted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_load_that_is_stopped_and_run_again_loses_nothing(
    one: Cli, held: Given, dependencies: dict[str, list[str]], moment: str, number: signal.Signals
) -> None:
    with one.start("load", "rows", "--rate", "2000/s", stderr=subprocess.PIPE) as process:
        eventually(lambda: MOMENTS[moment](held.client.counts("all")), moment)
        process.send_signal(number)
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert " tasks queued so far. The same command goes on with the rest.\n" in stderr
    stopped = held.client.counts("all")
    assert stopped.waiting + stopped.blocked < len(dependencies)

    again = json.loads(one.ok("load", str(one.folder / "rows")))

    assert again["lines"] == len(dependencies)
    assert again["already"] == stopped.waiting + stopped.blocked
    found = {row["id"]: row.get("depends_on", []) for row in one.json("dump")}
    assert found == dependencies
