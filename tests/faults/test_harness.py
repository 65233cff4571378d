"""The harness in short, and its oracle on evidence made up."""

from __future__ import annotations

import pytest

from . import harness
from .oracle import Event, Kill, Verdict, judge


@pytest.mark.parametrize("broker", ["sqlite", "redis", "beanstalk"])
def test_kills_lose_nothing(broker: str) -> None:
    verdict = harness.torment(broker, kills=20, seed=7, limit=20)

    assert verdict.lost == []
    assert verdict.problems == []
    assert verdict.kills > 10, "a token that nobody reached is no kill"
    assert verdict.acknowledged > 0
    assert verdict.executed > 0


def evidence(*lines: str) -> list[Event]:
    """Events from lines of word, name, pid and a time in ms."""
    split = (line.split() for line in lines)
    return [Event(word, name, int(pid), 100, int(at) * 1_000_000) for word, name, pid, at in split]


def killed(pid: int, at: int, in_flight: int = 1) -> Kill:
    return Kill("child", (pid,), in_flight, at * 1_000_000, at * 1_000_000)


def seen(events: list[Event], *kills: Kill) -> Verdict:
    return judge({event.name for event in events}, events, kills, failed=(), queued=())


def test_an_acknowledged_task_that_is_nowhere_is_lost() -> None:
    events = evidence("started a 1 1", "finished a 1 2", "started b 1 3")

    verdict = judge(["a", "b", "c", "d", "e"], events, [], failed=["c"], queued=["d"])

    assert verdict.lost == ["b", "e"]
    assert not verdict.passed


def test_a_task_that_ran_though_its_push_did_not_return_is_no_matter() -> None:
    verdict = judge([], evidence("started a 1 1", "finished a 1 2"), [], failed=[], queued=[])

    assert verdict.passed
    assert (verdict.acknowledged, verdict.executed) == (0, 1)


def test_what_is_queued_at_the_end_is_told() -> None:
    verdict = judge(["a"], [], [], failed=[], queued=["a"])

    assert verdict.problems == ["1 tasks are queued or running at the end: a"]


def test_as_many_duplicates_as_were_in_flight_are_right() -> None:
    events = evidence(
        "started a 1 1", "finished a 1 2", "started a 2 4", "finished a 2 5", "finished a 3 9"
    )

    assert seen(events, killed(1, 3, in_flight=2)).duplicates == 2
    assert seen(events, killed(1, 3, in_flight=2)).passed
    (problem,) = seen(events, killed(1, 3, in_flight=1)).problems
    assert problem.startswith("2 duplicates")


def test_a_duplicate_that_no_kill_explains_is_named() -> None:
    events = evidence(
        *("started a 1 1", "finished a 1 2", "started b 1 3", "finished b 1 4"),
        *("started a 2 10", "finished a 2 11", "started b 2 12", "finished b 2 13"),
    )

    assert seen(events, killed(1, 5, in_flight=2)).unexplained == []
    assert seen(events, killed(1, 5, in_flight=1)).unexplained == ["a"]
    assert seen(events, killed(9, 5, in_flight=2)).unexplained == ["a", "b"]


def test_a_killed_supervisor_explains_what_its_dead_children_had_ended() -> None:
    events = evidence("started a 1 1", "finished a 1 2", "started a 2 10", "finished a 2 11")

    kill = killed(3, 5)

    assert seen(events, kill._replace(supervisor=100)).unexplained == []
    assert seen(events, kill._replace(supervisor=101)).unexplained == ["a"]


def test_a_failed_try_may_be_settled_after_what_finished_later() -> None:
    events = evidence(
        *("started a 1 1", "failed a 1 2", "started b 1 3", "finished b 1 4"),
        *("started a 2 10", "finished a 2 11", "started a 2 12", "finished a 2 13"),
    )

    assert seen(events, killed(1, 5)).unexplained == []


def test_recovery_is_from_the_kill_to_the_next_start() -> None:
    events = evidence(
        "started a 1 1",
        "finished a 1 2",
        "started b 1 3",
        "started b 2 40",
        "finished b 2 41",
        "started b 3 90",
    )

    (recovery,) = seen(events, killed(1, 10)).recoveries

    assert recovery.name == "b"
    assert recovery.seconds == pytest.approx(0.03)


@pytest.mark.parametrize(
    "lines",
    [
        ("started a 1 1", "finished a 1 2", "started a 2 20"),
        ("started a 1 1", "failed a 1 2", "started a 2 20"),
        ("started a 1 1",),
        ("started a 1 20",),
    ],
    ids=["it had finished", "it had failed", "it never started again", "the number is another's"],
)
def test_there_is_no_recovery_where_nothing_was_cut_short(lines: tuple[str, ...]) -> None:
    verdict = seen(evidence(*lines), killed(1, 10))

    assert verdict.recoveries == []
    assert verdict.row()[-2:] == ["-", "-"]


def test_an_unknown_broker_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        harness.main(["--brokers", "sqlite,rabbit"])

    assert "'rabbit' is none of sqlite, redis, beanstalk" in capsys.readouterr().err
