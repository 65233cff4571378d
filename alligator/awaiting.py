"""Coroutines where no loop runs them: to their end in a loop of their own, or without any."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

from .limits import Left, suspended


def to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits for anything, and returns nothing.

    What tasks go through is written once, as coroutines. On a loop they wait; here their every
    wait is over at once.
    """
    for _ in coroutine.__await__():  # quicker than `send`, which ends in a StopIteration
        coroutine.close()
        raise RuntimeError(f"{coroutine!r} waits, and no loop is there to wait on")


async def on_a_loop_of_its_own(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a user's coroutine to its end before this one goes on: see `to_end`."""
    # Imported when the first one comes: asyncio would double the time of a push from a shell.
    import asyncio

    # What a limit raises here could come in asyncio's own code, which may keep it, or be left with
    # a lock held. So the limit is the loop's, and for what blocks that there is none.
    with closing(coroutine), suspended() as left:
        limited = coroutine if left is None else _limited(coroutine, left)
        with closing(limited):
            if asyncio._get_running_loop() is None:
                return asyncio.run(limited)
            return _in_a_thread(limited)


async def _limited(coroutine: Coroutine[Any, Any, Any], left: Left) -> Any:
    from .loop import limit_on_loop

    with limit_on_loop(max(0.0, left.until - time.monotonic()), left.message):
        return await coroutine


def _in_a_thread(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end in a thread, since this one has a loop already, which waits for us. When
    something ends our wait, as a time limit does, the coroutine is canceled first."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)

    def run() -> Any:
        try:
            return loop.run_until_complete(task)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())

    with closing(loop), ThreadPoolExecutor(1) as pool:
        end = pool.submit(run)
        try:
            return end.result()
        except BaseException:
            loop.call_soon_threadsafe(task.cancel)
            raise
