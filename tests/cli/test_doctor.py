"""gator doctor: each fault it knows, made for real where one can be made here."""

from __future__ import annotations

import json
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator.backends.base import Capability, Entry
from alligator.backends.redis_examination import clock_finding
from alligator.backends.roster import WorkerRecord
from alligator.gator import Gator
from alligator_cli.stuck import LOOKED_AT

from ..servers import Server, beanstalkd_server, eventually, redis_server
from .conftest import Cli, Given

Found = dict[str, dict[str, object]]


def found(cli: Cli, *args: str) -> Found:
    """What doctor says, by what it looked at; its exit code has to say the same."""
    result = cli("doctor", "--json", *args)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == int(any(not row["ok"] for row in rows)), result.stderr
    assert all(row["remedy"] for row in rows if not row["ok"])
    return {row["check"]: row for row in rows}


@pytest.fixture
def a_redis(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a Redis of the test's own, with options."""
    servers = []

    def start(*options: str) -> Server:
        folder = tmp_path / f"redis-{len(servers)}"
        folder.mkdir()
        servers.append(redis_server(folder, *options))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


class TestRedis:
    def test_a_sound_set_up(self, cli: Cli, a_redis: Callable[..., Server]) -> None:
        rows = found(cli, "--dsn", a_redis("--appendonly", "yes").dsn)
        assert all(row["ok"] for row in rows.values())
        assert {"broker", "eviction policy", "persistence", "clock"} <= rows.keys()
        assert "appendfsync everysec" in str(rows["persistence"]["detail"])

    def test_no_persistence(self, cli: Cli, a_redis: Callable[..., Server]) -> None:
        row = found(cli, "--dsn", a_redis().dsn)["persistence"]
        assert row["ok"] is False
        assert "a restart of the server loses every task" in str(row["detail"])
        assert "CONFIG SET appendonly yes" in str(row["remedy"])

    def test_snapshots_are_told_from_a_log(self, cli: Cli, a_redis: Callable[..., Server]) -> None:
        row = found(cli, "--dsn", a_redis("--save", "3600 1").dsn)["persistence"]
        assert row["ok"] is True
        assert str(row["detail"]).startswith("snapshots")

    def test_a_policy_that_would_evict_once_there_is_a_limit(
        self, cli: Cli, a_redis: Callable[..., Server]
    ) -> None:
        row = found(cli, "--dsn", a_redis("--maxmemory-policy", "allkeys-lru").dsn)[
            "eviction policy"
        ]
        assert row["ok"] is False
        assert "maxmemory-policy noeviction" in str(row["remedy"])

    def test_a_server_that_evicts(self, cli: Cli, a_redis: Callable[..., Server]) -> None:
        options = ("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
        row = found(cli, "--dsn", a_redis(*options).dsn)["broker"]
        assert row["ok"] is False
        assert "allkeys-lru" in str(row["detail"])
        assert row["remedy"] == "set maxmemory-policy noeviction"

    def test_a_wrong_password(self, cli: Cli, a_redis: Callable[..., Server]) -> None:
        server = a_redis("--requirepass", "right", "--appendonly", "yes")
        wrong = f"redis://:wr0ng@127.0.0.1:{server.port}/0"
        rows = found(cli, "--dsn", wrong)
        assert rows["broker"]["ok"] is False
        assert rows["broker"]["remedy"] == "check the user name and password in the DSN"
        assert "wr0ng" not in json.dumps(rows)
        row = found(cli, "--dsn", server.dsn)["broker"]
        assert "the server wants a password: put it in the DSN" in str(row["remedy"])

    @pytest.mark.parametrize(
        ("hidden", "detail"),
        [
            ("-config", "no append-only file; snapshots are not known of"),
            ("-config -info", "not known: "),
        ],
    )
    def test_a_service_that_keeps_its_settings_to_itself(
        self, cli: Cli, a_redis: Callable[..., Server], hidden: str, detail: str
    ) -> None:
        server = a_redis("--user", *f"shy on >pw ~* &* +@all {hidden}".split())
        rows = found(cli, "--dsn", f"redis://shy:pw@127.0.0.1:{server.port}/0")
        assert str(rows["persistence"]["detail"]).startswith(detail)
        assert rows["clock"]["ok"] is True


@pytest.mark.parametrize(
    ("theirs", "detail"),
    [
        (100.0, None),
        (101.0, None),
        (98.1, None),
        (105.5, "the server's is 4.5 s ahead of ours"),
        (97.0, "the server's is 3.0 s behind ours"),
    ],
)
def test_clocks_that_differ(theirs: float, detail: str | None) -> None:
    """Ours shows 100 s as the server is asked and 101 s as it has answered."""
    finding = clock_finding(theirs, 100.0, 101.0)
    assert finding.ok is (detail is None)
    if detail:
        assert finding.detail == detail
        assert "NTP" in finding.remedy


class TestSqlite:
    def test_a_sound_set_up(self, cli: Cli) -> None:
        rows = found(cli)
        assert all(row["ok"] for row in rows.values())
        assert {"sqlite", "permissions", "disk", "trust", "module path"} <= rows.keys()

    def test_a_file_that_others_may_read(self, cli: Cli, folder: Path) -> None:
        path = folder / "the queue.db"
        cli.dsn = f"sqlite:///{path}"
        cli.ok("push", "shop.add")
        path.chmod(0o644)
        row = found(cli)["permissions"]
        assert row["ok"] is False
        assert str(row["remedy"]).startswith(f"chmod 600 '{path}'")
        os.system(str(row["remedy"]))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert found(cli)["permissions"]["ok"] is True

    def test_a_folder_in_which_everybody_may_replace_it(self, cli: Cli, folder: Path) -> None:
        folder = folder / "of all"
        folder.mkdir()
        cli.dsn = f"sqlite:///{folder}/queue.db"
        cli.ok("push", "shop.add")
        folder.chmod(0o777)
        assert found(cli)["folder"]["remedy"] == f"chmod o-w '{folder}'"
        folder.chmod(0o1777)
        assert "folder" not in found(cli)


class TestBeanstalkd:
    def test_a_sound_set_up(self, cli: Cli, tmp_path: Path) -> None:
        with beanstalkd_server("-b", str(tmp_path)) as server:
            rows = found(cli, "--dsn", server.dsn)
        assert all(row["ok"] for row in rows.values())
        assert rows["size of a task"]["detail"] == "65535 bytes at most"

    def test_nobody_watches_a_queue_with_waiting_tasks(self, beanstalk_cli: Cli) -> None:
        beanstalk_cli.ok("push", "shop.hook", "--args", "[1]", "-q", "(mail)")
        row = found(beanstalk_cli)["queue (mail)"]
        assert row["detail"] == "1 waiting, and no worker takes from it"
        assert row["remedy"] == "gator worker -q '(mail)'"
        with beanstalk_cli.start("worker", "-q", "(mail)", "--log-level", "error") as worker:
            try:
                eventually(
                    lambda: found(beanstalk_cli).get("queue (mail)", {"ok": True})["ok"],
                    "the worker is seen",
                )
                beanstalk_cli.ok("push", "shop.wait_for", "--args", '["stop"]', "-q", "(mail)")
                eventually((beanstalk_cli.folder / "stop.started").exists, "the task runs")
                more_than_a_prefetch = '{"task":"shop.hook","args":[1]}\n' * 500
                beanstalk_cli.ok("push", "--from", "-", "-q", "(mail)", input=more_than_a_prefetch)
                assert found(beanstalk_cli)["queue (mail)"]["ok"] is True
            finally:
                (beanstalk_cli.folder / "stop").touch()
                worker.terminate()

    def test_of_the_queue_that_every_connection_watches_nothing_is_said(
        self, beanstalk_cli: Cli
    ) -> None:
        beanstalk_cli.ok("push", "shop.add", "-q", "default")
        assert "queue default" not in found(beanstalk_cli)

    def test_no_persistence(self, beanstalk_cli: Cli) -> None:
        assert found(beanstalk_cli)["persistence"]["remedy"] == "Start beanstalkd with -b FOLDER."


def test_an_unreachable_broker(cli: Cli) -> None:
    row = found(cli, "--dsn", "redis://127.0.0.1:1/0")["broker"]
    assert row["ok"] is False
    assert "running" in str(row["remedy"])


def test_a_wrong_dsn(cli: Cli) -> None:
    rows = cli("doctor", "--dsn", "redis://h/0?nosuch=1", "--fields", "check,ok").stdout
    assert rows == "dsn\tfalse\nmodule path\ttrue\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ModuleNotFoundError(name='redis')", 'pip install "alligator[redis]"'),
        ("import no_such_part", "'redis' cannot be imported: No module named 'no_such_part'; inst"),
        ("import redis.no_such_part", "'redis' cannot be imported: No module named 'redis.no_such"),
        ("from redis import no_such_name", "'redis' cannot be imported: cannot import name 'no_"),
    ],
)
def test_a_missing_driver(cli: Cli, folder: Path, code: str, said: str) -> None:
    (folder / "redis.py").write_text(f"{code}\n")
    done = cli.process("doctor", "--json", "--dsn", "redis://127.0.0.1:1/0")
    rows = {(row := json.loads(line))["check"]: row for line in done.stdout.splitlines()}
    assert done.returncode == 1
    assert said in rows["driver"]["detail"]
    assert rows["driver"]["remedy"] == "Install what is missing."


def test_a_module_that_is_not_there(cli: Cli) -> None:
    rows = found(cli, "--import", "json", "--import", "nosuch_module")
    assert rows["module json"]["ok"] is True
    assert "no module named" in str(rows["module nosuch_module"]["detail"])


def test_secrets_and_patterns_of_no_use(cli: Cli, folder: Path) -> None:
    secret = folder / "secret"
    secret.touch(0o600)
    row = found(cli, "--secret-file", str(secret))["secret"]
    assert "is empty" in str(row["detail"])
    cli.env["GATOR_SECRET_FILE"] = str(secret)
    assert "is empty" in str(found(cli)["trust"]["detail"])
    secret.write_text("a secret of some length")
    assert "only signed tasks run" in str(found(cli)["trust"]["detail"])
    cli.env["GATOR_ALLOW"] = "shop/*"
    assert "no pattern" in str(found(cli)["trust"]["detail"])


def test_nobody_works_on_a_queue_with_waiting_tasks(cli: Cli, given: Given) -> None:
    given.task("shop.add")
    assert found(cli)["queue all"]["remedy"] == "gator worker -q all"
    given.client.beat(WorkerRecord("h:1", "h", 1, ("all",), 2, time.time()), 60)
    assert found(cli)["queue all"]["ok"] is True
    given.client.pause("all")
    assert found(cli)["queue all"]["remedy"] == "gator resume all"


def test_a_remedy_is_quoted_for_the_shell(cli: Cli, given: Given) -> None:
    given.task("shop.add", queue="a b; c")
    assert found(cli)["queue a b; c"]["remedy"] == "gator worker -q 'a b; c'"
    given.client.pause("--a b")
    remedy = str(found(cli)["queue --a b"]["remedy"])
    assert remedy == "gator resume -- '--a b'"
    cli.ok(*shlex.split(remedy)[1:])
    assert given.client.paused() == []


class TestBlockedForEver:
    def test_those_whose_dependency_was_canceled_or_dropped(
        self, any_cli: Cli, given_any: Given
    ) -> None:
        if Capability.DEPENDENCIES not in given_any.client.capabilities:
            assert not any("blocked" in check for check in found(any_cli))
            return
        for queue, name in (("first", "canceled"), ("second", "dropped"), ("third", "there")):
            given_any.task("shop.add", task_id=name, queue=queue)
        given_any.task("shop.add", task_id="a", depends_on=["canceled", "there"])
        given_any.task("shop.add", task_id="-b", depends_on="dropped")
        given_any.task("shop.add", task_id="c", depends_on="there")
        assert "blocked in all" not in found(any_cli)
        given_any.client.cancel("canceled")
        given_any.client.drop_all("second")
        row = found(any_cli)["blocked in all"]
        assert row["detail"] == (
            "2 tasks blocked for ever by what was canceled or dropped: a by canceled; -b by dropped"
        )
        retry, _, _ = str(row["remedy"]).partition(" to run")
        assert retry == "gator retry -- a -b"
        any_cli.ok(*shlex.split(retry)[1:])
        assert "blocked in all" not in found(any_cli)

    def test_those_whose_dependency_has_failed(self, any_cli: Cli, given_any: Given) -> None:
        if Capability.DEPENDENCIES not in given_any.client.capabilities:
            return
        for name in ("-bad", "gone", "good"):
            given_any.task("shop.boom", task_id=name, queue="first")
        given_any.task("shop.add", task_id="a", depends_on=["-bad", "good"])
        given_any.task("shop.add", task_id="b", depends_on=["-bad"])
        given_any.task("shop.add", task_id="c", depends_on=["-bad", "gone"])
        assert "failed before all" not in found(any_cli)
        given_any.failed("-bad")
        given_any.client.cancel("gone")
        rows = found(any_cli)
        row = rows["failed before all"]
        assert row["detail"] == "2 tasks that wait for failed ones: a for -bad; b for -bad"
        assert str(rows["blocked in all"]["detail"]).endswith("dropped: c by gone")
        retry, _, cancel = str(row["remedy"]).partition(" to have them follow when that succeeds, ")
        assert cancel == "gator cancel a b to remove them"
        any_cli.ok(*shlex.split(retry)[1:])
        assert "failed before all" not in found(any_cli)

    def test_the_look_is_bounded(self, cli: Cli, given: Given) -> None:
        given.task("shop.add", task_id="there")
        entries = [Entry(f"{n}", b"", depends_on=("there",)) for n in range(LOOKED_AT)]
        given.client.push_many("all", entries)
        assert "blocked in all" not in found(cli)
        given.client.push_many("other", [Entry("gone", b"")])
        given.client.push_many("all", [Entry("last", b"", depends_on=("gone",))])
        given.client.cancel("gone")
        row = found(cli)["blocked in all"]
        assert row["ok"] is True
        assert row["detail"] == "none for ever, of the oldest 500 looked at"
        given.client.cancel("there")
        row = found(cli)["blocked in all"]
        assert "500 tasks" in str(row["detail"])
        assert "4 by there; and 495 more" in str(row["detail"])
        assert str(row["remedy"]).endswith("; then gator doctor again for the others")


def test_what_a_backend_of_ones_own_has_to_say() -> None:
    with Gator("locmem://") as gator:
        assert gator.client.examine() == []
