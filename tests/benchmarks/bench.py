"""What every measure is given (sizes, trials, programs) and what it is: subjects, and a way to take
one figure of one subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .systems import System
from .trial import Trial, running

#: What was measured of one subject in one round: numbers, and lists of numbers.
Values = Mapping[str, Any]


class Unavailable(Exception):
    """This cannot be measured here, and why."""


class Programs(Protocol):
    """Where the programs of an environment are."""

    def bin(self, name: str) -> Path:
        """Return the folder of the programs of the environment `name`."""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: how often everything is measured, in turn.
        drain_seconds: a trial of a drain gets as many tasks as are drained in this time, about.
        pushes: pushes one at a time.
        bulk: tasks pushed in bulk by the library.
        lines: lines given to `gator push --from -`.
        latencies: tasks pushed to an idle worker in one round.
        idle_seconds: how long an idle worker is watched.
        waits: tasks that wait 100 ms each.
        shorts: short tasks around the long one, and how long that is, in seconds.
        depths: tasks waiting.
        repeats: how often the drain of a depth is repeated, as it is short.
        looks: how often peek, show and cancel are timed at a depth.
        starts: times a command is started.
    """

    rounds: int
    drain_seconds: float
    pushes: int
    bulk: int
    lines: int
    latencies: int
    idle_seconds: float
    waits: int
    shorts: tuple[int, float]
    depths: tuple[int, ...]
    repeats: int
    looks: int
    starts: int


SIZES = {
    "tiny": Size(1, 0.01, 50, 2_000, 2_000, 5, 0.2, 500, (100, 0.5), (1_000, 3_000), 1, 10, 1),
    "quick": Size(
        2, 1.0, 2_000, 30_000, 100_000, 60, 3.0, 2_000, (10_000, 5.0), (10_000, 100_000), 3, 100, 5
    ),
    "full": Size(
        3,
        2.0,
        10_000,
        200_000,
        1_000_000,
        100,
        10.0,
        5_000,
        (10_000, 5.0),
        (1_000, 10_000, 100_000, 1_000_000),
        5,
        200,
        10,
    ),
}


@dataclass(frozen=True)
class Bench:
    """The size of this run and where its trials and programs are."""

    size: Size
    programs: Programs
    cache: Path

    def trial(self, system: System) -> AbstractContextManager[Trial]:
        """Run a system on an empty broker of its own."""
        return running(system, self.programs.bin(system.environment), self.cache)


@dataclass(frozen=True)
class Measure:
    """One thing that is measured of several subjects.

    Attributes:
        name: its name on the command line and in the results.
        subjects: keys of systems, or names of the measure's own.
        take: measures one subject once.
        once: whether one round is enough, as noise does not matter or it takes long.
    """

    name: str
    subjects: tuple[str, ...]
    take: Callable[[Bench, str], Values]
    once: bool = False
