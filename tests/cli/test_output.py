"""How rows, records and messages are written, whatever the command."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator

import pytest
from click import UsageError
from hypothesis import given as for_all
from hypothesis import strategies as st
from wcwidth import wcswidth

from alligator.backends.base import Failure, Retry
from alligator.exceptions import BrokerUnreachable
from alligator_cli.cells import escaped
from alligator_cli.output import TABLE_ROWS, Columns, Output, wants_color

from .conftest import Cli, Given

UUID = "0123456789abcdef0123456789abcdef-123"


@pytest.fixture
def listing(cli: Cli, given: Given) -> Cli:
    """A failed task with an awkward error, and a waiting one with long arguments."""
    given.failed(given.task("shop.boom", task_id="a"), "E: one\ttwo\nthree \x1b[31m")
    given.task("shop.add", "long " * 100, task_id=UUID)
    return cli


def test_piped_rows_are_tab_separated_with_full_values(listing: Cli) -> None:
    lines = listing.ok("peek", "--fields", "id,args,error").splitlines()
    assert lines == [
        f'{UUID}\t["{"long " * 100}"]\t',
        "a\t[]\tE: one\\ttwo\\nthree \\x1b[31m",
    ]


def test_json_is_one_object_a_line_with_full_values(listing: Cli) -> None:
    rows = listing.json("peek")
    assert [row["error"] for row in rows] == ["", "E: one\ttwo\nthree \x1b[31m"]
    assert rows[0]["args"] == ["long " * 100]


def test_csv_comes_back_equal(listing: Cli) -> None:
    rows = list(csv.DictReader(io.StringIO(listing.ok("peek", "--format", "csv"))))
    assert [row["error"] for row in rows] == ["", "E: one\ttwo\nthree \x1b[31m"]
    assert json.loads(rows[0]["args"]) == ["long " * 100]


@pytest.mark.parametrize("format", ["table", "github", "html", "grid"])
def test_tables_have_full_values_when_asked_for(listing: Cli, format: str) -> None:
    shown = listing.ok("peek", "--format", format)
    assert "long " * 100 in shown.replace("&quot;", '"')
    assert "\x1b" not in shown


def test_an_unknown_format_or_field_gets_a_suggestion(cli: Cli) -> None:
    wrong = cli("queues", "--format", "gird")
    assert (wrong.exit_code, "Did you mean 'grid'?" in wrong.stderr) == (2, True)
    wrong = cli("stats", "--format", "promtheus")
    assert "Did you mean 'prometheus'?" in wrong.stderr
    wrong = cli("queues", "--fields", "queue,wating")
    assert (wrong.exit_code, "Did you mean 'waiting'?" in wrong.stderr) == (2, True)


def test_fields_choose_and_order_in_every_format(listing: Cli) -> None:
    assert [*listing.json("peek", "--fields", "state,id")[0]] == ["state", "id"]
    assert listing.ok("peek", "--fields", "state,id", "--format", "csv").splitlines()[0] == (
        "state,id"
    )
    assert [*listing.json("show", "a", "--fields", "error,id")[0]] == ["error", "id"]


def test_quiet_is_ids_only(listing: Cli) -> None:
    assert listing.ok("peek", "--quiet").splitlines() == [UUID, "a"]
    assert listing.ok("peek", "--quiet", "--json").splitlines() == [UUID, "a"]


def test_a_record_is_a_field_a_line(listing: Cli) -> None:
    lines = listing.ok("show", "a").splitlines()
    fields = dict(line.split("\t", 1) for line in lines)
    assert fields["error"] == "E: one\\ttwo\\nthree \\x1b[31m"
    assert json.loads(fields["failures"])[0]["worker"] == "host:1"


def test_on_a_terminal_rows_are_a_table_that_fits_with_ids_full(listing: Cli) -> None:
    lines = listing.on_terminal("peek", "--no-color", columns=120).splitlines()
    assert lines[0].split()[:3] == ["id", "queue", "state"]
    assert max(map(len, lines)) <= 120
    assert any(line.startswith(UUID) and "…" in line for line in lines)
    assert "worker" not in lines[0]  # nothing runs


LONG_ERROR = "ConnectionError: HTTPSConnectionPool(host='api.example.com', port=443) refused"


def table_lines(cli: Cli, *args: str, columns: int) -> list[str]:
    lines = cli.on_terminal(*args, "--no-color", columns=columns).splitlines()
    return [line for line in lines if line and "shows all" not in line]


@pytest.fixture
def busy(cli: Cli, given: Given) -> Cli:
    """Tasks in all states, with ids of full length and much to say in every field."""
    first = given.task("shop.app.tasks.reports.weekly", 1, "weekly", {"a": [1, 2, 3]}, queue="mail")
    given.task("shop.app.tasks.reports.weekly", delay_by=3600, queue="mail", priority=7)
    given.task("shop.add", 1, 2, depends_on=first, queue="mail")
    given.running(given.task("shop.app.tasks.reports.weekly", 2, queue="mail"))
    given.failed(given.task("shop.app.tasks.reports.weekly", 1, queue="mail"), LONG_ERROR)
    retried = given.task("shop.app.tasks.reports.weekly", "x" * 200, queue="mail")
    lease = given.client.claim(retried)
    assert lease
    given.client.settle([Retry(lease, lease.body, 60.0, Failure(LONG_ERROR, "", 1.7e9, "host:1"))])
    return cli


@pytest.mark.parametrize(
    ("columns", "error", "shown"),
    [
        (60, 9, {"id", "state", "error"}),
        (80, 12, {"id", "state", "task", "error"}),
        (120, 30, {"id", "queue", "state", "task", "args", "error"}),
        (250, 50, {"id", "queue", "state", "task", "args", "due", "worker", "error"}),
    ],
)
@pytest.mark.parametrize("states", [("--state", "failed"), ()])
def test_a_table_of_tasks_fits_the_terminal_and_shows_the_reason(
    busy: Cli, columns: int, error: int, shown: set[str], states: tuple[str, ...]
) -> None:
    lines = table_lines(busy, "peek", "-q", "mail", *states, columns=columns)
    assert max(map(len, lines)) <= columns
    assert any(LONG_ERROR[:error] in line for line in lines)
    ids = busy.ok("peek", "-q", "mail", "--quiet", *states).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ids
    assert shown - set(lines[0].split()) <= ({"due", "worker"} if states else set())


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_of_queues_fits_the_terminal(busy: Cli, given: Given, columns: int) -> None:
    given.task("shop.add", queue="a-queue-with-a-name-that-is-long")
    lines = table_lines(busy, "queues", columns=columns)
    assert max(map(len, lines)) <= columns
    assert {"queue", "waiting", "failed"} <= set(lines[0].split())


@pytest.mark.parametrize("command", ["queues", "stats"])
def test_a_narrow_table_of_queues_tells_of_a_pause(busy: Cli, given: Given, command: str) -> None:
    given.task("shop.add", queue="a-queue-with-a-name-that-is-long")
    assert "paused" not in table_lines(busy, command, columns=60)[0]
    given.client.pause("mail")
    assert "paused" in table_lines(busy, command, columns=60)[0]


def test_a_table_that_has_the_room_leaves_no_column_out(cli: Cli, given: Given) -> None:
    given.task("shop.add")
    assert len(table_lines(cli, "queues", columns=80)[0].split()) == 8


def test_a_table_takes_all_of_the_width_before_it_cuts(busy: Cli) -> None:
    for columns in (80, 100, 120, 140):
        lines = table_lines(busy, "peek", "-q", "mail", columns=columns)
        assert len(lines[1]) == columns


def test_chosen_fields_are_all_shown_on_a_terminal(busy: Cli) -> None:
    fields = ("id", "kwargs", "priority", "deliveries", "retries", "error")
    lines = table_lines(busy, "peek", "-q", "mail", "--fields", ",".join(fields), columns=80)
    assert tuple(lines[0].split()) == fields


def test_an_id_is_never_cut(cli: Cli, given: Given) -> None:
    given.task("shop.add", 1, task_id="i" * 150)
    assert "i" * 150 in "".join(table_lines(cli, "peek", columns=60))


def test_a_number_has_six_decimals_at_most_and_no_exponent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = (0.00001234567, 51.1234567, 2.0, 1e17)
    plain = ["0.000012", "51.123457", "2", "100000000000000000"]
    row = {str(place): number for place, number in enumerate(numbers)}
    columns = Columns(tuple(row), key="0")
    for format in ("tsv", "csv", "json"):
        Output(format).rows([row], columns)
    tsv, _, csv_row, object = capsys.readouterr().out.splitlines()
    assert tsv.split("\t") == csv_row.split(",") == plain
    assert re.findall(r":([^,}]+)", object) == plain
    assert json.loads(object)["1"] == 51.123457


def test_numbers_of_a_task_stay_as_they_are(cli: Cli, given: Given) -> None:
    given.task("shop.add", 1e-9, task_id="a")
    assert cli.json("peek")[0]["args"] == [1e-9]


def test_on_a_terminal_control_characters_of_a_task_are_harmless(listing: Cli) -> None:
    listing.env["NO_COLOR"] = "1"
    for command in (("peek", "--state", "failed"), ("show", "a")):
        shown = listing.on_terminal(*command, columns=200)
        assert "\x1b" not in shown
        assert "\\x1b[31m" in shown


def test_on_a_terminal_a_record_shows_its_traceback_as_lines(listing: Cli) -> None:
    shown = listing.on_terminal("show", "a")
    assert "failures 1:\n  error:\n" in shown
    assert "    Traceback (most recent call last):\n      in shop\n" in shown


def test_colour_comes_on_a_terminal_and_goes_with_no_color(listing: Cli) -> None:
    assert "\x1b[31mfailed" in listing.on_terminal("peek")
    assert "\x1b[31mfailed" not in listing.on_terminal("peek", "--no-color")
    listing.env["NO_COLOR"] = "1"
    assert "\x1b[31mfailed" not in listing.on_terminal("peek")
    assert "\x1b[31mfailed" in listing.on_terminal("peek", "--color")


COLOR = re.compile("\x1b\\[3[0-9]m(.+?)\x1b\\[0m")


def test_only_what_has_a_colour_has_an_end_of_it(listing: Cli, given: Given) -> None:
    given.task("shop.add", queue="mail")
    for command in (("peek", "--all-queues"), ("queues",), ("peek", "--format", "grid")):
        shown = listing.on_terminal(*command, columns=120)
        assert COLOR.search(shown)
        assert "\x1b" not in COLOR.sub("", shown)


def test_colour_tells_nothing_that_the_words_do_not(listing: Cli, given: Given) -> None:
    for command in (("peek",), ("health", "--max-depth", "0")):
        plain = listing.on_terminal(*command, "--no-color")
        assert COLOR.sub(r"\1", listing.on_terminal(*command, "--color")) == plain


@pytest.mark.parametrize("columns", [60, 120])
def test_a_check_that_did_not_pass_stands_out(cli: Cli, given: Given, columns: int) -> None:
    given.task("shop.add", queue="mail")
    for command in (("health", "--max-depth", "0"), ("doctor",)):
        shown = cli.on_terminal(*command, columns=columns)
        assert "\x1b[32mtrue\x1b[0m" in shown
        assert [*re.findall("\x1b\\[31m(.+?)\x1b", shown)] == ["false"]


def test_on_a_narrow_terminal_checks_are_told_in_full(cli: Cli, given: Given) -> None:
    given.task("shop.add", queue="mail")
    lines = table_lines(cli, "doctor", columns=60)
    assert max(map(len, lines)) <= 60
    detail, remedy = (lines[0].index(name) for name in ("detail", "remedy"))
    details = " ".join(line[detail:remedy].strip() for line in lines)
    assert "1 waiting, and no worker takes from it" in details
    remedies = " ".join(line[remedy:].strip() for line in lines)
    assert "gator worker -q mail" in " ".join(remedies.split())


@pytest.mark.parametrize(
    ("columns", "names"),
    [(40, ["check", "ok", "detail", "remedy"]), (30, ["check", "ok", "detail"])],
)
def test_a_terminal_may_be_too_narrow_for_the_remedy_but_not_for_the_name_of_a_check(
    cli: Cli, given: Given, columns: int, names: list[str]
) -> None:
    given.task("shop.add", queue="mail")
    lines = table_lines(cli, "doctor", columns=columns)
    assert max(map(len, lines)) <= columns
    assert lines[0].split() == names
    assert any(line.startswith("queue") and "false" in line for line in lines)


WIDE = "報告書を毎週作成するキュー"


@pytest.mark.parametrize("columns", [60, 120])
def test_letters_of_two_places_and_of_none_keep_columns_straight(
    cli: Cli, given: Given, columns: int
) -> None:
    for queue in (WIDE, f"{WIDE}\N{WHITE HEAVY CHECK MARK}" * 5, "re\u0301sume\u0301", "mail"):
        given.task("shop.add", queue, queue=queue)
    for command in (("queues",), ("peek", "--all-queues"), ("stats",)):
        lines = table_lines(cli, *command, columns=columns)
        assert max(map(wcswidth, lines)) <= columns
        edges = [rule.start() for rule in re.finditer(" -", lines[1])]
        for line in lines[2:]:
            places = "".join(char + "\0" * (wcswidth(char) - 1) for char in line if wcswidth(char))
            assert all(places[at] == " " and places[at + 1] != " " for at in edges[:2])


def test_tasks_by_name_fit_a_narrow_terminal(cli: Cli, given: Given) -> None:
    given.task("shop.app.tasks.reports.weekly.of.a.long.name")
    lines = table_lines(cli, "stats", "--by", "task", columns=60)
    assert lines[0].split()[:2] == ["task", "waiting"]
    assert max(map(len, lines)) <= 60


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("asked", "env", "terminal", "colored"),
    [
        (None, {}, True, True),
        (None, {}, False, False),
        (None, {"TERM": "dumb"}, True, False),
        (None, {"FORCE_COLOR": "1"}, False, True),
        (None, {"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        (None, {"FORCE_COLOR": "0"}, True, False),
        (None, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        (None, {"NO_COLOR": ""}, True, True),
        (True, {"NO_COLOR": "1", "TERM": "dumb"}, False, True),
        (False, {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_who_decides_about_colour(
    monkeypatch: pytest.MonkeyPatch,
    asked: bool | None,
    env: dict[str, str],
    terminal: bool,
    colored: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert wants_color(Terminal() if terminal else io.StringIO(), asked) is colored


@for_all(st.text())
def test_an_escaped_value_stays_on_its_line_and_in_its_column(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", escaped(text))


@for_all(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_a_printable_value_is_itself(text: str) -> None:
    assert escaped(text) == text


@pytest.mark.parametrize("format", ["github", "html"])
def test_a_format_for_programs_has_one_table_or_none(
    format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(count: int) -> Iterator[dict[str, str]]:
        return ({"n": f"row {number}"} for number in range(count))

    assert Output(format).rows(rows(TABLE_ROWS), Columns(("n",))) == TABLE_ROWS
    shown = capsys.readouterr().out
    assert (shown.count("row "), shown.count("<table>")) == (TABLE_ROWS, format == "html")
    with pytest.raises(UsageError, match=f"--format: {format} can have 500 rows at most"):
        Output(format).rows(rows(TABLE_ROWS + 1), Columns(("n",)))
    assert capsys.readouterr().out == ""
    Output(format).ids(str(number) for number in range(TABLE_ROWS + 1))  # they are done
    assert f"{TABLE_ROWS}" in capsys.readouterr().out


def test_csv_that_comes_in_parts_has_one_head(cli: Cli, given: Given) -> None:
    ids = [f"task-{number}" for number in range(501)]  # more than are changed at once
    for task_id in ids:
        given.task("shop.add", task_id=task_id)
    changed = cli.ok("cancel", "--ids-from", "-", "--format", "csv", input="\n".join(ids))
    assert changed.splitlines() == ["id", *ids]


@pytest.mark.parametrize("format", ["table", "html", "tsv"])
@pytest.mark.parametrize("error", [BrokerUnreachable("away"), KeyboardInterrupt()])
def test_rows_that_came_before_an_error_are_shown(
    capsys: pytest.CaptureFixture[str], format: str, error: BaseException
) -> None:
    def rows() -> Iterator[dict[str, str]]:
        yield {"n": "first"}
        yield {"n": "second"}
        raise error

    with pytest.raises(type(error)):
        Output(format).rows(rows(), Columns(("n",)))
    assert re.findall("first|second", capsys.readouterr().out) == ["first", "second"]


def test_a_long_listing_is_several_tables(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ({"n": str(number)} for number in range(TABLE_ROWS + 1))
    assert Output("table").rows(rows, Columns(("n",))) == TABLE_ROWS + 1
    assert capsys.readouterr().out.splitlines().count("---") == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_json_is_json_in_every_encoding(cli: Cli, given: Given, encoding: str) -> None:
    cli.env["PYTHONIOENCODING"] = encoding
    text = "é ☂ 😀"
    given.task("shop.add", text, task_id="a")

    for command in (["show", "a", "--json"], ["peek", "--json"], ["dump"]):
        done = cli.process(*command, encoding=encoding)
        assert text in json.dumps(json.loads(done.stdout), ensure_ascii=False)
