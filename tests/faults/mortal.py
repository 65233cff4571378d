"""Tasks for the harness: they leave evidence, and die where a token tells the next process to.

A token is an empty file named for a point, in the folder that GATOR_TEST_DIE_AT names. Whoever
reaches the point first removes the token and kills its own process, so each token is one death.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from typing import NoReturn

from .deeds import note

#: The variable that names the folder of tokens; without it no point kills anybody.
DIE_AT = "GATOR_TEST_DIE_AT"

#: The points, in the order that one try reaches them.
POINTS = ("import", "hook", "task", "done")

#: Asked once: whoever outlives its supervisor for a ms has another parent.
SUPERVISOR = os.getppid()

#: Evidence of a token's death, and its own file: at an import, no task's file is known.
DEATHS = "deaths"


def reach(point: str) -> None:
    """Kill this process if a token for the point lies there."""
    folder = os.environ.get(DIE_AT)
    if not folder:
        return
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, point))
        note(os.path.join(folder, DEATHS), f"{point} {os.getpid()} {time.monotonic_ns()}")
        os.kill(os.getpid(), signal.SIGKILL)


def work(evidence: str, name: str) -> None:
    """Take a few ms, rarely so long that the tasks behind are handed back."""
    _say(evidence, "started", name)
    time.sleep(0.15 if random.random() < 0.005 else random.uniform(0, 0.006))
    reach("task")
    _say(evidence, "finished", name)
    reach("done")


async def work_on_loop(evidence: str, name: str) -> None:
    """Work as a coroutine."""
    _say(evidence, "started", name)
    await asyncio.sleep(random.uniform(0, 0.02))
    reach("task")
    _say(evidence, "finished", name)
    reach("done")


def stumble(evidence: str, name: str) -> None:
    """Fail at the first try."""
    _say(evidence, "started", name)
    with suppress(FileExistsError):
        os.mkdir(f"{evidence}-{name}")
        _fail(evidence, name)
    _say(evidence, "finished", name)


def fail(evidence: str, name: str) -> None:
    """Fail at every try."""
    _say(evidence, "started", name)
    _fail(evidence, name)


def before(task: object) -> None:
    """An on_start hook: dying here is dying after the decoding, before the call."""
    reach("hook")


def _fail(evidence: str, name: str) -> NoReturn:
    _say(evidence, "failed", name)
    raise ValueError("as asked")


def _say(evidence: str, word: str, name: str) -> None:
    note(evidence, f"{word} {name} {os.getpid()} {SUPERVISOR} {time.monotonic_ns()}")
