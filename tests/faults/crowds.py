"""Tasks that run beside others in one process, and show it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from contextvars import ContextVar

from .deeds import note

_arrived = 0
_counting = threading.Lock()

LEFT_BY: ContextVar[str] = ContextVar("LEFT_BY", default="nobody")


def _arrive() -> None:
    global _arrived
    with _counting:
        _arrived += 1


def meet(evidence: str, number: int) -> None:
    """End once so many tasks run in this process at the same time."""
    _arrive()
    while _arrived < number:
        time.sleep(0.005)
    note(evidence, f"met {threading.current_thread().name}")


async def meet_on_loop(evidence: str, number: int) -> None:
    _arrive()
    while _arrived < number:
        await asyncio.sleep(0.005)
    note(evidence, f"met {threading.current_thread().name}")


async def until_told(evidence: str, go: str) -> None:
    note(evidence, f"started {os.getpid()}")
    while not os.path.exists(go):
        await asyncio.sleep(0.01)
    note(evidence, "finished")


async def rest(evidence: str) -> None:
    note(evidence, f"started {os.getpid()}")
    await asyncio.sleep(60)


async def never_end(evidence: str) -> None:
    """Ignore every cancellation."""
    note(evidence, f"started {os.getpid()}")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


async def block_the_loop(evidence: str) -> None:
    note(evidence, f"blocks {os.getpid()}")
    time.sleep(60)


async def block_the_loop_for(evidence: str, seconds: float) -> None:
    """Block it for a while, and end well."""
    note(evidence, f"blocks {os.getpid()}")
    time.sleep(seconds)


def hold_the_interpreter(evidence: str) -> None:
    note(evidence, f"blocks {os.getpid()}")
    ctypes.PyDLL(None).sleep(60)


async def rest_a_little_on_loop(evidence: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    note(evidence, "rested")


def rest_a_little(evidence: str, seconds: float) -> None:
    time.sleep(seconds)
    note(evidence, "rested")


def spin(evidence: str) -> None:
    """Compute for ever: the interpreter can raise something in here at any time."""
    note(evidence, f"started {os.getpid()}")
    while True:
        pass


def leave_in_context(evidence: str, name: str) -> None:
    note(evidence, f"found {LEFT_BY.get()}")
    LEFT_BY.set(name)


async def leave_in_context_on_loop(evidence: str, name: str) -> None:
    leave_in_context(evidence, name)


def fork_in_thread(evidence: str) -> None:
    """Return twice, once in a copy of the process."""
    copy = os.fork()
    note(evidence, "original" if copy else "copy")
    if copy:
        os.waitpid(copy, 0)


async def fork_and_wait(evidence: str) -> None:
    """Wait, in a copy of the process too, for something that comes at once."""
    copy = os.fork()
    note(evidence, "original" if copy else "copy")
    await asyncio.sleep(0)
    note(evidence, "waited" if copy else "copy waited")
    if copy:
        os.waitpid(copy, 0)


async def fork_in_subtask(evidence: str) -> None:
    await asyncio.gather(fork_and_wait(evidence), asyncio.sleep(0))


async def leave(evidence: str) -> None:
    raise SystemExit(7)


async def interrupt(evidence: str) -> None:
    raise KeyboardInterrupt


async def leave_in_subtask(evidence: str) -> None:
    await asyncio.create_task(leave(evidence))


async def cancel_itself(evidence: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def cancel_itself_too_late(evidence: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    note(evidence, "canceled")


def leave_thread(evidence: str) -> None:
    sys.exit(7)


def interrupt_thread(evidence: str) -> None:
    raise KeyboardInterrupt


def much(letter: str, size: int) -> str:
    """Return a result that no pipe takes in one piece."""
    return letter * size


async def who(evidence: str) -> None:
    note(evidence, f"pid {os.getpid()}")


def grow_and_meet(evidence: str, size: int, number: int) -> None:
    bytearray(size)
    note(evidence, f"pid {os.getpid()}")
    meet(evidence, number)
