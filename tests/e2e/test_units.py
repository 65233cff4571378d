"""The files that the how-to pages show for init systems, containers, cron and monitoring: as far as
they can be without those, they are run."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import redis as redis_py
import yaml
from prometheus_client.parser import text_string_to_metric_families

from alligator import Gator
from alligator.settings import DRAIN_TIMEOUT
from alligator_cli.app import app
from alligator_cli.types import duration

from .. import tasks
from ..servers import Server, eventually

UNITS = Path(__file__).parents[2] / "docs" / "examples" / "units"
BIN = Path(sys.executable).parent

#: Seconds that docker stop waits, as its documentation says.
DOCKER_STOP = 10.0


def ini(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / name)
    return parser


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((UNITS / name).read_text()))


def docker_lists() -> list[list[str]]:
    text = (UNITS / "Dockerfile").read_text().replace("\\\n", "")
    return [json.loads(found) for found in re.findall(r"CMD (\[.*\])", text)]


def pods() -> list[dict[str, Any]]:
    deployment, cron_job = documents("kubernetes.yml")
    return [
        deployment["spec"]["template"]["spec"],
        cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ]


def container() -> dict[str, Any]:
    found: dict[str, Any] = pods()[0]["containers"][0]
    return found


def cron_lines() -> list[str]:
    lines = (UNITS / "crontab").read_text().splitlines()
    return [line for line in lines if re.match(r"[*\d]", line)]


def cron_commands() -> list[str]:
    return [line.split(maxsplit=5)[5] for line in cron_lines()]


SERVICE = ini("gator-worker.service")["Service"]
PROGRAM = ini("supervisor.conf")["program:gator-worker"]
COMPOSED = documents("compose.yml")[0]["services"]["worker"]

#: Every worker that is started, and the seconds it has between SIGTERM and SIGKILL.
WORKERS = {
    "systemd": (
        shlex.split(SERVICE["ExecStart"].replace("\\\n", "")),
        duration(SERVICE["TimeoutStopSec"]),
    ),
    "supervisor": (shlex.split(PROGRAM["command"]), float(PROGRAM["stopwaitsecs"])),
    "docker": (docker_lists()[0], DOCKER_STOP),
    "compose": (COMPOSED["command"], duration(COMPOSED["stop_grace_period"])),
    "kubernetes": (container()["command"], pods()[0]["terminationGracePeriodSeconds"]),
}

OTHERS = [
    docker_lists()[1],
    container()["livenessProbe"]["exec"]["command"],
    container()["readinessProbe"]["exec"]["command"],
    pods()[1]["containers"][0]["command"],
    *(shlex.split(line.partition(">")[0]) for line in cron_commands() if line.startswith("gator")),
]


def parsed(command: list[str]) -> dict[str, Any]:
    """What gator makes of a command line; raises click's error for one that it refuses."""
    program, name, *arguments = command
    assert Path(program).name == "gator"
    root = click.Context(app, help_option_names=["-h", "--help"])  # see test_documentation
    found = app.get_command(root, name)
    assert found is not None
    return found.make_context(name, arguments, parent=root).params


def here(command: list[str], folder: Path) -> list[str]:
    """The command with this environment's gator, tasks and files in place of those it names."""
    arguments = [
        word.replace("app.tasks", "tests.tasks").replace("/run/gator", str(folder))
        for word in command[1:]
    ]
    return [str(BIN / "gator"), *arguments]


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A worker, ended with SIGTERM, as all of these end it."""
    worker = subprocess.Popen(
        command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=60)
    assert worker.returncode == 0, log


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_may_drain_before_it_is_killed(name: str) -> None:
    command, grace = WORKERS[name]

    drain = parsed(command)["drain_timeout"]

    assert drain >= DRAIN_TIMEOUT
    assert grace > drain


@pytest.mark.parametrize("command", OTHERS, ids=" ".join)
def test_gator_takes_each_command(command: list[str]) -> None:
    parsed(command)


with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)
UNIT = (UNITS / "gator-worker.service").read_text()
#: As the page says for further queues.
UNIT_OF_A_QUEUE = UNIT.replace("gator worker", "gator worker -q %i")


@with_systemd
@pytest.mark.parametrize(
    ("name", "unit"),
    [("gator-worker.service", UNIT), ("gator-worker@mail.service", UNIT_OF_A_QUEUE)],
)
def test_systemd_finds_nothing_wrong(name: str, unit: str, tmp_path: Path) -> None:
    unit = unit.replace("/srv/shop/.venv/bin", str(BIN)).replace("User=shop", "User=daemon")
    (tmp_path / name).write_text(unit)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")


@with_systemd
@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("gator-worker.service", "gator-worker.service"),
        ("gator-worker@.service", "gator-worker@mail.service"),
    ],
)
def test_systemctl_enables_it_at_each_boot(file: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "systemd" / "system"
    folder.mkdir(parents=True)
    (folder / file).write_text(UNIT)

    subprocess.run(
        ["systemctl", f"--root={tmp_path}", "enable", name], check=True, capture_output=True
    )

    assert os.listdir(folder / "multi-user.target.wants") == [name]


def test_the_service_says_that_it_is_ready_lives_and_stops(tmp_path: Path) -> None:
    dsn = tmp_path / "dsn"
    dsn.write_text(f"sqlite:///{tmp_path}/queue.db\n")
    # The address of a Unix socket has 108 bytes at most, and a test's folder may be longer.
    name = f"@gator-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind("\0" + name[1:])
        notified.settimeout(30)
        said = []
        environment = {
            "NOTIFY_SOCKET": name,
            "WATCHDOG_USEC": str(int(duration(SERVICE["WatchdogSec"]) * 1_000_000)),
            SERVICE["Environment"].partition("=")[0]: str(dsn),
        }
        with started(
            here(shlex.split(SERVICE["ExecStart"].replace("\\\n", "")), tmp_path), **environment
        ):
            while {"READY=1", "WATCHDOG=1"} - set(said):
                said.append(notified.recv(100).decode())
        while "STOPPING=1" not in said:
            said.append(notified.recv(100).decode())


def test_the_probes_of_kubernetes_tell_a_worker_that_lives(tmp_path: Path, sqlite_dsn: str) -> None:
    pod = container()
    live, ready = (
        here(pod[probe]["exec"]["command"], tmp_path)
        for probe in ("livenessProbe", "readinessProbe")
    )

    def passes(probe: list[str]) -> bool:
        done = subprocess.run(
            probe, env={**os.environ, "GATOR_DSN": sqlite_dsn}, capture_output=True, timeout=60
        )
        return done.returncode == 0

    assert not passes(live)
    with started(here(pod["command"], tmp_path), GATOR_DSN=sqlite_dsn):
        eventually((tmp_path / "beat").exists, "the worker touches its file")
        assert passes(live)
        assert passes(ready)
    assert not passes(live)


def test_cron_queues_one_tick_at_a_time(tmp_path: Path, sqlite_dsn: str) -> None:
    (tmp_path / "dsn").write_text(sqlite_dsn)
    environment = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "GATOR_DSN_FILE": str(tmp_path / "dsn"),
        "HOME": str(tmp_path),
    }
    tick, night, metrics = cron_commands()

    for command in (tick, tick, night):
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    with Gator(sqlite_dsn) as gator:
        assert len(gator) == 2
    assert Path(shlex.split(metrics)[0]).name == "gator-metrics.sh"


def exposed(folder: Path, dsn: str) -> str:
    subprocess.run(
        [UNITS / "gator-metrics.sh", folder],
        env={**os.environ, "PATH": f"{BIN}:/usr/bin:/bin", "GATOR_DSN": dsn},
        check=True,
    )
    return (folder / "gator.prom").read_text()


def test_metrics_are_written_and_alerts_ask_for_what_is_there(
    tmp_path: Path, sqlite_dsn: str
) -> None:
    with Gator(sqlite_dsn) as gator:
        gator.task(tasks.nothing)
    folder = tmp_path / "collector"
    folder.mkdir()

    metrics = {
        sample.name: sample.labels
        for family in text_string_to_metric_families(exposed(folder, sqlite_dsn))
        for sample in family.samples
    }

    assert os.listdir(folder) == ["gator.prom"]
    rules = [rule for group in documents("alerts.yml")[0]["groups"] for rule in group["rules"]]
    for rule in rules:
        for name, labels in re.findall(r"(gator_\w+)(?:\{(\w+)=)?", rule["expr"]):
            assert name in metrics, rule["alert"]
            assert not labels or labels in metrics[name]


def test_a_broker_that_is_away_leaves_no_half_a_file(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        exposed(tmp_path, "sqlite:////no/such/folder/queue.db")
    assert os.listdir(tmp_path) == []


def test_the_rights_of_the_redis_user_are_enough(redis: Server) -> None:
    _, name, *rules = (UNITS / "redis-acl.txt").read_text().split()
    name, prefix = f"{name}-{os.getpid()}", f"acl-{os.getpid()}"
    with redis_py.Redis(port=redis.port) as admin:
        rules = [rule.replace("{alligator}", f"{{{prefix}}}") for rule in rules]
        admin.execute_command("ACL", "SETUSER", name, *rules)
    (password,) = [rule[1:] for rule in rules if rule.startswith(">")]
    dsn = f"redis://{name}:{password}@127.0.0.1:{redis.port}/0?prefix={prefix}&lease=5"

    with Gator(dsn) as gator:
        task = gator.options(result_ttl=60).task(tasks.add, 2, 3)
        done = subprocess.run(
            [BIN / "gator", "worker", "--burst"],
            env={**os.environ, "GATOR_DSN": dsn},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "WARNING" not in done.stderr
        assert gator.wait(task, timeout=10) == 5
