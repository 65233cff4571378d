"""Pausing longer after each failure in a row."""

from __future__ import annotations

import time

from alligator.backoff import Backoff


def pauses(backoff: Backoff, count: int) -> list[float]:
    """The seconds each of `count` failures adds."""
    found = []
    for _ in range(count):
        backoff.again()
        found.append(backoff.until - time.monotonic())
    return found


def test_at_first_there_is_nothing_to_wait_for() -> None:
    backoff = Backoff(10, 60)
    assert not backoff.waiting()
    assert backoff.until == 0.0
    assert not backoff.reset()


def test_each_failure_doubles_the_pause_up_to_the_longest() -> None:
    for number, pause in enumerate(pauses(Backoff(100, 800), 8)):
        whole = min(100 * 2**number, 800)
        # Jitter takes off up to a half; the test itself took a little more.
        assert whole / 2 - 10 < pause <= whole


def test_the_pause_stays_the_longest_after_any_number_of_failures() -> None:
    assert 300 < pauses(Backoff(1, 800), 5000)[-1] <= 800


def test_only_the_first_failure_in_a_row_says_so() -> None:
    backoff = Backoff(100, 800)
    assert [backoff.again(), backoff.again()] == [True, False]
    assert backoff.waiting()

    assert backoff.reset()
    assert not backoff.waiting()
    assert backoff.again()
    assert pauses(Backoff(100, 800), 1)[0] <= 100


def test_many_processes_do_not_try_in_one_step() -> None:
    assert len({round(pauses(Backoff(100, 800), 1)[0]) for _ in range(50)}) > 5
