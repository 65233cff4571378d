"""The benchmarks in short, so that they keep running; nothing here asserts on time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ..servers import eventually
from . import __main__ as benchmarks
from .bench import SIZES, Bench, Measure
from .environments import PINS, Here
from .markdown import number
from .measures import MEASURES
from .page import page
from .report import series
from .results import Results
from .systems import GATOR, PEERS, SYSTEMS
from .targets import Target, targets
from .trial import session

ABOUT = {
    "size": "tiny",
    "rounds": 1,
    "lines": 2000,
    "waits": 500,
    "machine": {
        "cpu": "a processor",
        "cores": 2,
        "kernel": "6.1",
        "python": "3.11",
        "load": 0.0,
        "at": "2026-01-01",
    },
    "servers": {"Redis": "7.0", "beanstalkd": "1.12"},
    "versions": {system.environment: "1.0" for system in SYSTEMS.values()},
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(SIZES["tiny"], Here(), tmp_path)


def orphans(leader: int) -> list[int]:
    """The processes of a session whose leader has ended."""
    living = session(leader)
    return [] if leader in living else living


def made_up(**rates: float) -> Results:
    """Results of the measure drain; a keyword's _ stands for the - of a key."""
    results = Results(ABOUT)
    for key, rate in rates.items():
        results.add("drain", key.replace("_", "-"), {"rate": rate})
    return results


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_a_measure_runs_on_every_broker_of_ours(measure: Measure, bench: Bench) -> None:
    ((_, subjects),) = benchmarks.chosen([measure.name], peers=[])

    results = benchmarks.run(bench, [(measure, subjects)], "tiny")

    gaps = [subject for _, subject, reason in results.gaps() if not reason.startswith("broken")]
    assert sorted(results.subjects(measure.name) + gaps) == sorted(subjects), results.gaps()
    for target in targets(results):
        assert target.got > 0 or target.most, target
    assert page(results).startswith("# Benchmarks")
    json.dumps(series(results))
    assert list(bench.cache.iterdir()) == [], "trials clean up"


def test_the_tasks_of_a_drain_are_all_seen(bench: Bench) -> None:
    with bench.trial(GATOR) as trial:
        trial.produce("fill", "noop", 300)
        with trial.worker() as worker:
            assert worker.rate(300) > 0
            assert session(worker.pid)
        assert sum(trial.shares()) == 300
        assert session(worker.pid) == []


def test_what_a_worker_leaves_behind_is_ended(bench: Bench) -> None:
    leaving = "import subprocess; subprocess.Popen(['sleep', '300'])"
    careless = dataclasses.replace(GATOR, command=("python", "-c", leaving))

    with bench.trial(careless) as trial, trial.worker() as worker:
        eventually(lambda: orphans(worker.pid), "it has ended, and its child lives")

    assert session(worker.pid) == []


def test_a_worker_that_does_not_start_is_told_with_its_log(bench: Bench) -> None:
    broken = dataclasses.replace(GATOR, command=("gator", "worker", "--no-such-option"))

    with (
        bench.trial(broken) as trial,
        trial.worker() as worker,
        pytest.raises(RuntimeError, match=r"stopped at 0 of 1 bytes(.|\n)*--no-such-option"),
    ):
        worker.until(1)


def test_a_queue_that_does_not_work_leaves_the_others_their_figures(bench: Bench) -> None:
    def take(_bench: Bench, subject: str) -> dict[str, float]:
        if subject == "alligator-c2":
            raise RuntimeError("it stopped\nwith a log")
        return {"rate": 5.0}

    plan = [(Measure("drain", (), take), ["alligator-c2", "floor"])]
    results = benchmarks.run(bench, plan, "tiny")

    assert results.subjects("drain") == ["floor"]
    assert "- drain, Alligator, two processes: broken: RuntimeError('it stopped" in page(results)


def test_every_round_takes_all_in_turn_but_what_is_measured_once(bench: Bench) -> None:
    taken = []

    def take(_bench: Bench, subject: str) -> dict[str, float]:
        taken.append(subject)
        return {"rate": 1.0}

    twice = dataclasses.replace(bench, size=dataclasses.replace(bench.size, rounds=2))
    plan = [
        (Measure("drain", (), take), ["floor", "raw"]),
        (Measure("idle", (), take, once=True), ["alligator-c1"]),
    ]
    benchmarks.run(twice, plan, "tiny")

    assert taken == ["floor", "raw", "alligator-c1", "floor", "raw"]


def test_a_run_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    results = made_up(floor=3.0, alligator_c1=2.0)
    results.miss("concurrency", "saq-500", "no reason")
    results.save(tmp_path / "results.json")

    again = Results.load(tmp_path / "results.json")

    assert page(again) == page(results)
    assert again.gaps() == [("concurrency", "saq-500", "no reason")]


def test_a_faster_peer_is_named_with_how_much_faster_it_is() -> None:
    text = page(made_up(alligator_c1=100.0, huey_thread=50.0, dramatiq=250.0))

    assert "- Drain, redis: Dramatiq, 8 threads, 2.5 ×." in text
    assert "0.4 × | at least once" in text


def test_a_target_is_set_against_the_fastest_peer_of_as_many_processes() -> None:
    (target,) = targets(
        made_up(alligator_c1=300.0, huey_thread=10.0, rq_simple=20.0, huey_process=30.0)
    )

    assert (target.got, target.reached) == (15.0, True)


@pytest.mark.parametrize(
    ("got", "most", "reached"),
    [(2.0, False, True), (1.9, False, False), (2.0, True, True), (2.1, True, False)],
)
def test_a_target_is_a_least_or_a_most(got: float, most: bool, reached: bool) -> None:
    assert Target("what", "reach", got, bound=2.0, most=most).reached is reached


@pytest.mark.parametrize(
    ("value", "text"),
    [(123_456, "123,000"), (99.96, "100"), (0.35, "0.35"), (1.0, "1"), (None, "–"), (100.4, "100")],
)
def test_a_number_is_shown_with_three_figures(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "drain,speed"], "'speed' is none of drain, push"),
        (["--peers", "resque"], "'resque' is none of celery, rq"),
    ],
)
def test_an_unknown_name_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        benchmarks.main(arguments)

    assert message in capsys.readouterr().err


def test_chosen_peers_are_measured_beside_alligator_and_the_floor() -> None:
    ((_, subjects),) = benchmarks.chosen(["drain"], ["huey"])

    assert "huey-thread" in subjects
    assert "floor" in subjects
    assert not [key for key in subjects if SYSTEMS[key].family in set(PEERS) - {"huey"}]


def test_every_environment_is_pinned() -> None:
    named = {system.environment for system in SYSTEMS.values()} | {"matplotlib"}

    assert {path.stem for path in PINS.iterdir()} == named
    for path in PINS.iterdir():
        assert all("==" in line for line in path.read_text().splitlines()), path


def test_every_subject_is_a_system_where_a_system_is_measured() -> None:
    unknown: dict[str, Any] = {
        measure.name: [key for key in measure.subjects if key not in SYSTEMS]
        for measure in MEASURES
        if measure.name != "start"
    }

    assert not any(unknown.values()), unknown
