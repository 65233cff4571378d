"""The time limit of one try."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import pytest

from alligator.exceptions import TaskTimeout
from alligator.limits import time_limit
from alligator.loop import limit_on_loop

T = TypeVar("T")

SHORT, LONG = 0.05, 10.0


def test_what_runs_past_the_limit_is_stopped_by_an_error() -> None:
    with (
        pytest.raises(TaskTimeout, match=r"longer than its time limit of 0\.05 s"),
        time_limit(SHORT),
    ):
        time.sleep(LONG)


def spin() -> None:
    while True:
        pass


# Loops in frames of their own: Python 3.13.0 does not cover the end of one by the `with` around it.
def turn(times: int) -> None:
    for _ in range(times):
        pass


def spin_for(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@pytest.mark.parametrize("seconds", [1e-6, 1e-5, 1e-4])
def test_a_limit_that_ends_at_once_or_with_its_body_is_no_limit_of_what_follows(
    seconds: float,
) -> None:
    before = signal.getsignal(signal.SIGALRM)
    for _ in range(300):
        with suppress(TaskTimeout), time_limit(seconds):
            spin_for(seconds)
    assert signal.getsignal(signal.SIGALRM) == before
    with time_limit(LONG):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 1
    with pytest.raises(TaskTimeout, match=r"0\.05 s"), time_limit(SHORT):
        time.sleep(LONG)


def test_a_busy_loop_is_stopped_too() -> None:
    with pytest.raises(TaskTimeout), time_limit(SHORT):
        spin()


def test_what_ends_in_time_leaves_no_alarm_and_no_handler_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(LONG):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_an_error_of_the_body_passes_and_nothing_is_left_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(KeyError), time_limit(LONG):
        raise KeyError
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_no_limit_sets_no_alarm() -> None:
    with time_limit(None):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def outlast_an_inner_limit() -> None:
    with time_limit(LONG):
        pass
    time.sleep(LONG)


def test_a_limit_inside_another_leaves_the_outer_one_standing() -> None:
    with pytest.raises(TaskTimeout), time_limit(SHORT):
        outlast_an_inner_limit()


def in_thread(body: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(body).result()


def on_loop(body: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        return await body()

    return asyncio.run(main())


def test_in_another_thread_too_what_runs_past_the_limit_is_stopped() -> None:
    def body() -> None:
        with time_limit(SHORT):
            spin()

    with pytest.raises(TaskTimeout, match=r"longer than its time limit of 0\.05 s"):
        in_thread(body)


def test_in_another_thread_a_limit_inside_another_leaves_the_outer_one_standing() -> None:
    def body() -> None:
        with time_limit(SHORT):
            with time_limit(LONG):
                pass
            spin()

    with pytest.raises(TaskTimeout, match=r"0\.05 s"):
        in_thread(body)


@pytest.mark.parametrize("run", [in_thread, lambda body: body()], ids=["thread", "main"])
@pytest.mark.parametrize(("outer", "inner"), [(SHORT, LONG), (LONG, SHORT)])
def test_of_limits_inside_each_other_the_first_to_end_counts(
    run: Callable[[Callable[[], str]], str], outer: float, inner: float
) -> None:
    def body() -> str:
        with time_limit(outer):
            try:
                with time_limit(inner):
                    spin()
            except TaskTimeout as error:
                return str(error)
        return "no limit"

    assert "0.05 s" in run(body)


def test_a_limit_that_is_met_at_the_last_moment_harms_nothing_that_comes_after() -> None:
    """The exception comes in the body of the `with`, or not at all."""

    def body() -> int:
        stopped = 0
        for number in range(5000):
            try:
                with time_limit(1e-5 + number % 50 * 2e-5):
                    with suppress(TaskTimeout), time_limit(1e-5 + number % 37 * 3e-5):
                        turn(3000)
                    turn(100)
            except TaskTimeout:
                stopped += 1
            turn(50)
        return stopped

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as pool:
            assert sum(pool.map(lambda _: body(), range(2))) > 0
    finally:
        sys.setswitchinterval(before)


def test_on_a_loop_what_is_awaited_past_the_limit_is_stopped() -> None:
    async def body() -> None:
        with limit_on_loop(SHORT):
            await asyncio.sleep(LONG)

    with pytest.raises(TaskTimeout, match=r"longer than its time limit of 0\.05 s"):
        on_loop(body)


def test_on_a_loop_a_cancel_from_elsewhere_stays_one() -> None:
    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        with limit_on_loop(LONG):
            task.cancel()
            await asyncio.sleep(LONG)

    with pytest.raises(asyncio.CancelledError):
        on_loop(body)


def test_on_a_loop_a_limit_that_struck_leaves_no_cancel_behind() -> None:
    async def body() -> str:
        with suppress(TaskTimeout), limit_on_loop(SHORT):
            await asyncio.sleep(LONG)
        await asyncio.sleep(0)
        return "on it goes"

    assert on_loop(body) == "on it goes"
