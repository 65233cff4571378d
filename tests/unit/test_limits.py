"""The time limit of one try."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from alligator.exceptions import TaskTimeout
from alligator.limits import time_limit

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


def test_in_another_thread_the_body_runs_without_a_limit() -> None:
    ran: list[int] = []

    def run() -> None:
        with time_limit(SHORT):
            ran.append(1)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran == [1]
