"""The options every command has: before and after it, in variables; and which DSN is in force."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import quote

import pytest

from .conftest import Cli, Given


@pytest.mark.parametrize(
    "args",
    [
        ("--json", "--fields", "id", "peek"),
        ("peek", "--json", "--fields", "id"),
        ("--json", "peek", "--fields", "id"),
        ("--format", "tsv", "peek", "--fields", "id", "--json"),
        ("--fields", "state", "peek", "--fields", "id", "--format", "json"),
    ],
)
def test_they_work_before_and_after_the_command_and_the_last_wins(
    cli: Cli, given: Given, args: tuple[str, ...]
) -> None:
    given.task("shop.add", task_id="a")
    assert cli.ok(*args) == '{"id":"a"}\n'


@pytest.mark.parametrize(
    ("env", "args"),
    [
        ({"GATOR_JSON": "1", "GATOR_FIELDS": "id"}, ()),
        ({"GATOR_FORMAT": "json", "GATOR_FIELDS": "state"}, ("--fields", "id")),
        ({"GATOR_FORMAT": "csv", "GATOR_FIELDS": "id"}, ("--json",)),
    ],
)
def test_each_has_a_variable_that_an_option_goes_before(
    cli: Cli, given: Given, env: dict[str, str], args: tuple[str, ...]
) -> None:
    given.task("shop.add", task_id="a")
    cli.env.update(env)
    assert cli.ok(*args, "peek") == '{"id":"a"}\n'
    assert cli.ok("peek", *args) == '{"id":"a"}\n'


def test_a_variable_that_says_no_is_no(cli: Cli, given: Given) -> None:
    given.task("shop.add", task_id="a")
    cli.env.update(GATOR_JSON="0", GATOR_QUIET="false")
    assert cli.ok("peek").startswith("a\tall\t")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("peek",), "name one queue at a time, or use --all-queues"),
        (("drop", "--yes"), "name one queue at a time, or use --all-queues"),
        (("cancel", "--yes"), "name one queue at a time, or use --all-queues"),
        (("retry", "--yes"), "name one queue at a time, or use --all-queues"),
        (("move", "--to", "c", "--yes"), "name one queue at a time, or use --all-queues"),
        (("dump",), "name one queue at a time, or use --all-queues"),
        (("push", "shop.add"), "name one queue at a time\n"),
        (("load", "/dev/null"), "name one queue at a time\n"),
        (("top",), "name one queue at a time\n"),
    ],
)
def test_a_second_queue_is_refused_where_there_can_be_one(
    cli: Cli, given: Given, args: tuple[str, ...], said: str
) -> None:
    tasks = {given.task("shop.add", queue=queue) for queue in ("a", "b")}
    for queues in (("-q", "a", "-q", "b"), ("-qa", "--queue=b")):
        result = cli(*args, *queues)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"-q is given twice; {said}" in result.stderr
    assert given.states().keys() == tasks


def test_one_queue_goes_before_that_of_a_variable_and_others_take_several(
    cli: Cli, given: Given
) -> None:
    given.task("shop.add", queue="a", task_id="x")
    cli.env["GATOR_PEEK_QUEUE"] = "b"
    assert cli.ok("peek", "-q", "a", "--quiet") == "x\n"
    assert cli.ok("stats", "-q", "a", "-q", "b", "--fields", "queue") == "a\nb\n"


def test_a_commands_own_options_have_variables(cli: Cli) -> None:
    cli.env.update(GATOR_PUSH_QUEUE="mail", GATOR_PUSH_RETRIES="2")
    cli.ok("enqueue", "shop.add", "--id", "a")
    record = cli.json("show", "a")[0]
    assert (record["queue"], record["retries"]) == ("mail", 2)


class TestDsn:
    """--dsn, --dsn-file, GATOR_DSN, ALLIGATOR_DSN, GATOR_DSN_FILE, the user's own queue."""

    SOURCES = ("--dsn", "--dsn-file", "GATOR_DSN", "ALLIGATOR_DSN", "GATOR_DSN_FILE", "default")

    @pytest.mark.parametrize("first", range(len(SOURCES)))
    def test_the_first_that_is_given_is_in_force(self, cli: Cli, first: int) -> None:
        given = self.SOURCES[first:]
        cli.env |= dict.fromkeys(("GATOR_DSN", "ALLIGATOR_DSN", "GATOR_DSN_FILE"), "")  # not set
        args: list[str] = []
        for source in given[:-1]:
            dsn = f"sqlite:///{cli.folder / source}.db"
            path = cli.folder / f"{source}.txt"
            path.write_text(f"\n  {dsn}\n")
            value = str(path) if source.lower().endswith("file") else dsn
            if source.startswith("--"):
                args += [source, value]
            else:
                cli.env[source] = value
        own = f"sqlite:///{cli.folder}/state/gator/queue.db"
        wanted = own if len(given) == 1 else f"sqlite:///{cli.folder / given[0]}.db"
        assert cli.json(*args, "ping")[0]["dsn"] == wanted
        assert cli.json("ping", *args)[0]["dsn"] == wanted

    def test_the_users_own_queue_is_in_a_private_folder(self, cli: Cli) -> None:
        cli.env.update(GATOR_DSN="", XDG_STATE_HOME=str(cli.folder / "a b%20?"))
        cli.ok("push", "shop.add", "--id", "a")
        folder = cli.folder / "a b%20?" / "gator"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / "queue.db").exists()
        assert cli.json("ping")[0]["dsn"].endswith(quote("a b%20?") + "/gator/queue.db")

    def test_a_relative_state_folder_is_ignored(self, cli: Cli) -> None:
        cli.env.update(GATOR_DSN="", XDG_STATE_HOME="state")
        dsn = cli.json("ping")[0]["dsn"]
        assert dsn == f"sqlite:///{cli.folder}/.local/state/gator/queue.db"

    def test_no_place_for_it_is_told_with_what_to_do(self, cli: Cli) -> None:
        (cli.folder / "file").touch()
        cli.env.update(GATOR_DSN="", XDG_STATE_HOME=str(cli.folder / "file"))
        result = cli("ping")
        assert result.exit_code == 1
        assert "--dsn or GATOR_DSN" in result.stderr

    @pytest.mark.parametrize("text", [None, "", "\n \n", b"\xff"])
    def test_a_dsn_file_of_no_use_is_exit_2(self, cli: Cli, text: str | bytes | None) -> None:
        path: Path = cli.folder / "dsn"
        if text is not None:
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        result = cli("ping", "--dsn-file", str(path))
        assert (result.exit_code, str(path) in result.stderr) == (2, True)

    @pytest.mark.parametrize("option", ["--dsn", "--dsn-file"])
    def test_an_empty_option_is_no_leave_to_take_another_broker(
        self, cli: Cli, given: Given, option: str
    ) -> None:
        given.task("shop.add", task_id="a")
        result = cli("drop", "--yes", option, "")
        assert (result.exit_code, option in result.stderr) == (2, True)
        assert given.states()["a"]

    @pytest.mark.parametrize("dsn", ["nonsense", "http://host", "redis://host:port"])
    def test_a_dsn_that_cannot_be_read_is_exit_2(self, cli: Cli, dsn: str) -> None:
        assert cli("ping", "--dsn", dsn).exit_code == 2
