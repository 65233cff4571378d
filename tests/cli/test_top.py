"""gator top: what its screen shows, and what each of its keys does to the broker."""

from __future__ import annotations

import asyncio
import html
import os
import pty
import re
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.widgets import Input

from alligator.backends.base import Counts, State
from alligator.backends.locmem_backend import Client as LocmemClient
from alligator.backends.roster import Running, WorkerRecord
from alligator.gator import Gator
from alligator_cli.queue_rows import Rates
from alligator_cli.top.dialogs import MOST_CHARACTERS, MOST_LINES, shortened
from alligator_cli.top.layout import HELP
from alligator_cli.top.listing import Listing
from alligator_cli.top.screen import READING, Top

from ..servers import eventually, redis_server
from .conftest import Cli, Given

#: Seconds between looks. Textual takes a screen that hardly rests for busy, and waits with keys.
EVERY = 0.1


@dataclass
class Person:
    """Somebody who looks at the screen and presses keys."""

    top: Top
    pilot: Any

    def screen(self) -> str:
        """Return what is there to read."""
        lines: dict[float, str] = {}
        # Textual shows itself as SVG: a piece of text has its place in its attributes.
        for y, text in re.findall(
            r'<text class="[^"]*-r\d+" x="[^"]*" y="([^"]*)"[^>]*>([^<]*)<',
            self.top.export_screenshot(),
        ):
            lines[float(y)] = lines.get(float(y), "") + html.unescape(text)
        return "\n".join(lines[y] for y in sorted(lines)).replace("\N{NO-BREAK SPACE}", " ")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    def type_fast(self, text: str) -> None:
        """Press keys before the first one has had its effect."""
        for char in text:
            self.top.post_message(Key("slash" if char == "/" else char, char))

    async def sees(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.screen() for text in texts), f"{texts}")

    async def sees_no(self, text: str) -> None:
        await self.until(lambda: text not in self.screen(), f"{text} is gone")

    async def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, f"never: {what}; but:\n{self.screen()}"
            await self.pilot.pause(0.01)


def look(
    gator: str | Gator,
    does: Callable[[Person], Awaitable[None]],
    *,
    size: tuple[int, int] = (100, 24),
    **options: Any,
) -> Top:
    """Have a person look at a broker, and return the screen when they are done."""

    async def run() -> Top:
        on = Gator(gator) if isinstance(gator, str) else gator
        top = Top(on, **{"where": "here", "every": EVERY, **options})
        with closing(top):
            async with top.run_test(size=size) as pilot:
                await does(Person(top, pilot))
                if top.return_code is None:
                    top.exit()
        return top

    return asyncio.run(run())


def a_worker(name: str = "h:1", queue: str = "all") -> WorkerRecord:
    running = (Running("t", "all", "shop.slow", time.time() - 65),)
    return WorkerRecord(name, "h", 1, (queue,), 2, time.time(), running=running, done=7, failed=1)


@pytest.fixture(params=["sqlite", "redis"])
def full_dsn(request: pytest.FixtureRequest) -> str:
    """A broker that can do all that keys ask for."""
    dsn: str = request.getfixturevalue(f"{request.param}_dsn")
    return dsn


def given_on(dsn: str) -> Given:
    return Given(Gator(dsn).client)


class TestWhatIsThere:
    @pytest.mark.parametrize("size", [(60, 20), (80, 24), (200, 60)])
    def test_queues_workers_and_the_failed_tasks_of_the_worst_queue(
        self, full_dsn: str, size: tuple[int, int]
    ) -> None:
        given = given_on(full_dsn)
        given.task("shop.add")
        given.failed(given.task("shop.boom", queue="mail"), "ValueError: no way")
        given.client.beat(a_worker(), 60)
        given.client.beat(a_worker("h:2"), 1e-9)

        async def does(person: Person) -> None:
            await person.sees("all", "mail", "shop.slow 1m", "workers: 2, 1 stale")
            await person.sees("failed tasks of queue 'mail': 1", "shop.boom", "ValueError")
            await person.sees("r retry", "q quit")
            assert all(len(line.rstrip()) <= size[0] for line in person.screen().splitlines())

        look(full_dsn, does, size=size)
        given.client.close()

    @pytest.mark.parametrize("width", [60, 80, 120])
    def test_a_narrow_screen_shows_both_ends_of_the_broker_s_name(
        self, sqlite_dsn: str, width: int
    ) -> None:
        where = "rediss://gator:***@queue-production.eu-west-1.cache.example.com:6379/7"

        async def does(person: Person) -> None:
            await person.sees("no queue holds a task")
            first = person.screen().splitlines()[0].rstrip()
            assert len(first) <= width
            assert re.fullmatch(r"[0-9:]{8}  rediss://gator:\*\*\*@.*[.]com:6379/7", first)
            assert (where in first) == (width > 79)

        look(sqlite_dsn, does, size=(width, 20), where=where)

    def test_the_help_fits_a_narrow_screen(self, sqlite_dsn: str) -> None:
        async def does(person: Person) -> None:
            await person.press("question_mark")
            await person.sees("ctrl-c   quit, with exit code 130", *HELP)

        look(sqlite_dsn, does, size=(60, 20))

    def test_it_is_live(self, any_cli: Cli, given_any: Given) -> None:
        async def does(person: Person) -> None:
            await person.sees("no queue holds a task")
            task_id = given_any.task("shop.boom")
            await person.sees("failed tasks of queue 'all': 0")
            given_any.failed(task_id)
            await person.sees("failed tasks of queue 'all': 1", "ValueError: no way")
            given_any.task("shop.boom", queue="another")
            await person.sees("another")

        look(any_cli.dsn, does)

    def test_a_queue_is_chosen_at_the_start_even_an_empty_one(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'mail': 0")
            assert [line.split()[0] for line in person.screen().split("\n")[4:7:2]] == [
                "all",
                "mail",
            ]

        look(cli.dsn, does, queue="mail")

    def test_one_page_of_many_is_looked_at_the_newest_failures_first(
        self, cli: Cli, given: Given
    ) -> None:
        for number in range(201):
            given.failed(given.task("shop.boom", task_id=str(number)), f"ValueError: {number}")

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': the newest 200", "ValueError: 200")
            assert person.top._tasks.rows_shown[-1]["id"] == "1"

        look(cli.dsn, does)

    def test_what_others_wrote_is_harmless(self, cli: Cli, given: Given) -> None:
        name = "[red]x[/]"
        given.failed(given.task("shop.boom", task_id=name, queue=name), "E: \x1b[31m[bold]no\nway")
        given.body("odd", b'{"module": "[link=x]m", "callable": "\\u001b[2J"}', queue=name)

        async def does(person: Person) -> None:
            await person.sees(f"failed tasks of queue '{name}': 1", r"\x1b[31m[bold]no\nway")
            await person.press("enter")
            await person.sees(f"id:                {name}", r"E: \x1b[31m[bold]no")
            await person.press("escape", "s")
            await person.sees(r"[link=x]m.\x1b[2J")
            await person.press("c")
            await person.sees("Take task odd")
            assert "\x1b" not in person.screen()

        look(cli.dsn, does, size=(140, 30))

    def test_beanstalkd_has_no_workers_to_show(self, beanstalk_cli: Cli) -> None:
        async def does(person: Person) -> None:
            await person.sees("workers: beanstalkd cannot keep a list of the workers")

        look(beanstalk_cli.dsn, does)


class TestChoosing:
    def test_arrows_go_to_other_queues(self, cli: Cli, given: Given) -> None:
        for queue in ("all", "mail"):
            given.failed(given.task("shop.boom", task_id=f"in-{queue}", queue=queue))

        async def does(person: Person) -> None:
            await person.sees("in-all")
            await person.press("left", "right")
            await person.sees("failed tasks of queue 'mail': 1", "in-mail")
            await person.press("right", "left")
            await person.sees("in-all")
            await person.press("shift+tab", "down")  # into the table of queues
            await person.sees("in-mail")

        look(cli.dsn, does)

    def test_a_look_that_ends_meanwhile_does_not_undo_a_key(self, cli: Cli, given: Given) -> None:
        for queue in ("all", "mail"):
            given.failed(given.task("shop.boom", task_id=f"in-{queue}", queue=queue))

        async def does(person: Person) -> None:
            await person.sees("in-all")
            top = person.top
            overview = await top._ask(lambda: top._looker.overview("all"))
            top.action_other_queue(1)
            top._show_overview(overview)  # before Textual has told that the cursor moved
            await person.sees("failed tasks of queue 'mail': 1", "in-mail")

        look(cli.dsn, does)

    def test_a_key_right_behind_one_that_chooses_acts_on_what_that_chose(
        self, cli: Cli, given: Given
    ) -> None:
        for queue in ("all", "mail"):
            given.failed(given.task("shop.boom", task_id=f"in-{queue}", queue=queue))

        async def does(person: Person) -> None:
            await person.sees("in-all")
            top, queues = person.top, person.top.query_one("#queues", Listing)
            top.action_other_queue(1)  # and before Textual has told that the cursor moved:
            top.action_retry()
            await person.sees("nothing done: the tasks were not in sight yet", "in-mail")
            top.action_retry()
            top.action_other_queue(-1)
            await person.sees("task in-mail retried", "in-all")
            queues.action_cursor_down()
            top.action_cancel()
            await person.sees("nothing done", "failed tasks of queue 'mail': 0")
            await person.press("c")
            await person.sees("nothing done: there was no task")
            queues.action_cursor_up()
            top.action_pause()
            await person.sees("queue 'all' is paused")

        look(cli.dsn, does)
        assert given.states() == {"in-all": State.FAILED, "in-mail": State.WAITING}
        assert given.client.paused() == ["all"]

    def test_the_cursor_stays_with_its_row(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="older", queue="mail"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'mail': 1", "older")
            given.failed(given.task("shop.boom", task_id="newer", queue="mail"))
            given.failed(given.task("shop.boom", queue="all"))
            await person.sees("failed tasks of queue 'mail': 2", "newer", "all")
            await person.press("r")
            await person.sees("task older retried")
            await person.press("left")
            await person.sees("failed tasks of queue 'all': 1")

        look(cli.dsn, does)

    def test_states_go_round(self, any_cli: Cli, given_any: Given) -> None:
        given_any.task("shop.add")

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 0")
            await person.press("s")
            await person.sees("waiting tasks of queue 'all': 1", "shop.add")
            await person.press("S")
            await person.sees("failed tasks of queue 'all': 0")
            seen = set()
            for _ in range(7):
                await person.press("s")
                seen.add(person.top._state)
            assert {State.WAITING, State.DELAYED, State.RUNNING, State.FAILED} <= seen

        look(any_cli.dsn, does)

    def test_a_filter_goes_by_the_name_and_by_the_error(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"), "TimeoutError: late")
        given.failed(given.task("shop.time", task_id="2"), "ValueError: no")
        given.failed(given.task("shop.boom", task_id="3"), "ValueError: [t]ime/out")

        def ids(person: Person) -> list[str]:
            return [row["id"] for row in person.top._tasks.rows_shown]

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 3")
            await person.press("slash", *"shop.t")
            await person.sees("1 of 3 with 'shop.t'")
            assert ids(person) == ["2"]
            await person.press("enter", "escape")
            await person.sees("failed tasks of queue 'all': 3")
            await person.press("slash", "[", "t", "]", "i", "m", "e", "slash")
            await person.sees("1 of 3 with '[t]ime/'")
            assert ids(person) == ["3"]
            await person.press("escape", "slash", "[", "s", "]", "h")
            await person.sees("0 of 3 with '[s]h'")
            await person.press("escape", "slash", *"Time")
            await person.sees("1 of 3 with 'Time'")
            assert ids(person) == ["1"]

        look(cli.dsn, does)

    def test_rows_from_before_a_filter_are_not_mended(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            top = person.top
            top.on_input_changed(Input.Changed(top._filter, "late"))
            top.action_retry()
            await person.sees("nothing done", "0 of 1 with 'late'")
            top.action_unfilter()
            top.action_retry()
            await person.sees("nothing done", "failed tasks of queue 'all': 1")

        look(cli.dsn, does)
        assert given.states() == {"1": State.FAILED}

    def test_letters_of_a_filter_mend_nothing(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            person.type_fast("/rpdacyq")
            await person.sees("0 of 1 with 'rpdacyq'")

        look(cli.dsn, does)
        assert given.states() == {"1": State.FAILED}
        assert given.client.paused() == []


class TestReading:
    def test_a_record_with_its_traceback(self, any_cli: Cli, given_any: Given) -> None:
        given_any.failed(given_any.task("shop.boom", 1, "two"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            await person.press("enter")
            await person.sees("task:", "shop.boom", '[1,"two"]', "esc back")
            await person.press("end")
            await person.sees("Traceback (most recent call last):", "in shop")
            await person.press("q")
            await person.sees("failed tasks of queue 'all': 1")

        look(any_cli.dsn, does, size=(80, 20))

    def test_a_key_pressed_twice_opens_one_record_or_help(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            top = person.top
            for listing, shown in (("#tasks", "traceback"), ("#queues", "oldest_age:")):
                for _ in range(2):  # at once: the first record takes a second key for "back"
                    top.query_one(listing, Listing).action_select_cursor()
                await person.sees(shown, "esc back")
                await person.press("escape")
                await person.until(lambda: top._is_over(READING), "it is closed")
                await person.sees("failed tasks of queue 'all': 1")
            for _ in range(2):
                await top.run_action("explain")
            await person.sees(HELP[0])
            await person.press("escape")
            await person.sees("failed tasks of queue 'all': 1")

        look(cli.dsn, does)

    def test_a_task_can_be_retried_from_its_record(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            await person.press("enter")
            await person.sees("esc back")
            await person.press("r")
            await person.sees("task 1 retried", "failed tasks of queue 'all': 0")

        look(cli.dsn, does)
        assert given.states() == {"1": State.WAITING}

    def test_the_new_id_of_a_retried_task_is_told(self, beanstalk_cli: Cli) -> None:
        given = given_on(beanstalk_cli.dsn)
        failed = given.failed(given.task("shop.boom"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1", "shop.boom")
            await person.press("r")
            await person.sees(f"task {failed} retried, as ", "failed tasks of queue 'all': 0")
            (waits,) = given.states()
            await person.sees(f"retried, as {waits}")

        look(beanstalk_cli.dsn, does)
        given.client.close()

    def test_a_queue_and_a_worker_have_their_records(self, cli: Cli, given: Given) -> None:
        given.task("shop.boom")
        given.client.beat(a_worker(), 60)

        async def does(person: Person) -> None:
            await person.sees("workers: 1")
            await person.press("tab", "enter")
            await person.sees("done_total:")
            await person.press("escape", "tab", "enter")
            await person.sees("started_at:", "running 1:")

        look(cli.dsn, does, size=(80, 40))

    def test_a_task_that_is_gone_is_said_to_be(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            given.client.cancel("1")
            await person.press("enter")
            await person.sees("Error: no queue has a task '1'")

        look(cli.dsn, does, every=3600)

    def test_a_huge_record_is_cut(self) -> None:
        lines = shortened(["x" * (MOST_CHARACTERS + 5), *["y"] * MOST_LINES])
        assert lines[0] == "x" * MOST_CHARACTERS + "… and 5 more characters"
        assert lines[-1] == "… and 1 more lines"
        assert len(lines) == MOST_LINES + 1

    def test_help_tells_every_key(self, cli: Cli) -> None:
        async def does(person: Person) -> None:
            await person.press("question_mark")
            await person.sees("cancel it: take it off its queue", "esc back")
            assert all(len(line.rstrip()) <= 60 for line in person.screen().splitlines())
            await person.press("q")
            await person.sees("no queue holds a task")

        look(cli.dsn, does, size=(60, 24))


class TestMending:
    def test_retry(self, any_cli: Cli, given_any: Given) -> None:
        given_any.failed(given_any.task("shop.boom"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            await person.press("r")
            await person.sees("retried", "failed tasks of queue 'all': 0")

        look(any_cli.dsn, does)
        assert list(given_any.states().values()) == [State.WAITING]

    def test_what_runs_is_left_alone(self, cli: Cli, given: Given) -> None:
        given.running(given.task("shop.add", task_id="1"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 0")
            await person.press("S")
            await person.sees("running tasks of queue 'all': 1")
            await person.press("r")
            await person.sees("task 1 not retried: a worker is running it")
            await person.press("d")
            await person.sees("a running task cannot be dropped, only waited for")

        look(cli.dsn, does)
        assert given.states() == {"1": State.RUNNING}

    def test_cancel_asks(self, any_cli: Cli, given_any: Given) -> None:
        task_id = given_any.task("shop.add")

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 0")
            await person.press("s")
            await person.sees("waiting tasks of queue 'all': 1")
            for no in ("escape", "n", "q"):
                await person.press("c")
                await person.sees(f"Take task {task_id} off its queue for good?")
                await person.press("x")
                person.type_fast(2 * no) if no == "n" else await person.press(no)
                await person.sees("waiting tasks of queue 'all': 1")
            assert given_any.states() == {task_id: State.WAITING}
            await person.press("c")
            await person.sees("y yes")
            await person.press("y")
            await person.sees(f"task {task_id} canceled")

        look(any_cli.dsn, does, size=(120, 24))
        assert given_any.states() == {}

    def test_drop_asks_with_the_count_and_takes_one_or_all(
        self, any_cli: Cli, given_any: Given
    ) -> None:
        for _ in range(3):
            given_any.failed(given_any.task("shop.boom"))
        kept = given_any.task("shop.add")
        other = given_any.failed(given_any.task("shop.boom", queue="mail"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 3")
            await person.press("d")
            await person.sees("Remove 3 failed tasks of queue 'all' for good?", "a all 3")
            await person.press("escape", "d")
            await person.sees(f"o only task {person.top._tasks.key}")
            await person.press("o")
            await person.sees("failed tasks of queue 'all': 2", "canceled")
            await person.press("d")
            await person.sees("Remove 2 failed tasks of queue 'all' for good?")
            await person.press("a")
            await person.sees("2 tasks of queue 'all' removed", "failed tasks of queue 'all': 0")
            await person.press("d")
            await person.sees("no failed task in queue 'all'")

        look(any_cli.dsn, does, queue="all")
        assert given_any.states() == {kept: State.WAITING, other: State.FAILED}

    def test_drop_names_the_task_that_was_under_the_cursor(self, cli: Cli, given: Given) -> None:
        long = "y" * 200
        for task_id, error in (("x", "ValueError: no"), (long, "TimeoutError: late")):
            given.failed(given.task("shop.boom", task_id=task_id), error)

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 2")
            top = person.top
            await person.press("down")
            top.action_drop()
            top.on_input_changed(Input.Changed(top._filter, "late"))  # before the question is there
            await person.sees("o only task x")
            await person.press("o")
            await person.sees("task x canceled", "1 of 1 with 'late'")
            await person.press("d")
            await person.sees(f"o only task {'y' * 17}…")

        look(cli.dsn, does)
        assert given.states() == {long: State.FAILED}

    def test_drop_says_that_a_filter_spares_none(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            await person.press("slash", "x", "enter", "d")
            await person.sees("With those that the filter hides.", "a all 1")
            assert "only task" not in person.screen()

        look(cli.dsn, does, size=(120, 24))

    def test_a_second_key_waits_for_the_first_to_have_ended(self, cli: Cli, given: Given) -> None:
        given.failed(given.task("shop.boom", task_id="1"))

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 1")
            person.type_fast("dd")
            await person.sees("Remove 1 failed task")
            await person.press("escape")
            await person.sees("failed tasks of queue 'all': 1")

        look(cli.dsn, does)

    def test_pause_and_resume(self, full_dsn: str) -> None:
        given = given_on(full_dsn)
        name = "reports-weekly"
        given.task("shop.add", queue=name)
        given.client.beat(a_worker(queue=name), 60)

        async def does(person: Person) -> None:
            await person.sees(name)
            await person.press("p")
            await person.sees(f"queue '{name}' is paused", "oldest_age  paused")
            assert given.client.paused() == [name]
            await person.press("p")
            await person.sees(f"queue '{name}' is resumed")
            assert given.client.paused() == []

        look(full_dsn, does, size=(60, 24))
        given.client.close()

    def test_a_broker_that_cannot_says_so(self, beanstalk_cli: Cli) -> None:
        beanstalk_cli.ok("push", "shop.add")

        async def does(person: Person) -> None:
            await person.sees("failed tasks of queue 'all': 0")
            await person.press("p")
            await person.sees("Error: beanstalkd cannot pause a queue")

        look(beanstalk_cli.dsn, does)


class TestTroubles:
    def test_a_broker_that_is_away_is_told_and_looked_for(self, tmp_path: Path) -> None:
        with redis_server(tmp_path) as server:
            given = given_on(server.dsn)
            given.task("shop.add")
            given.client.close()

            async def does(person: Person) -> None:
                await person.sees("failed tasks of queue 'all': 0")
                server.kill()
                await person.sees("Trying again.", "no answer")
                await person.press("s", "question_mark")  # the screen is as quick as ever
                await person.sees("esc back")
                await person.press("escape")
                server.start()
                given_on(server.dsn).task("shop.boom")
                await person.sees("waiting tasks of queue 'all': 1", "shop.boom")
                await person.sees_no("Trying again.")

            look(f"{server.dsn}?timeout=0.2", does)

    def test_one_that_hangs_holds_up_neither_keys_nor_the_end(self, tmp_path: Path) -> None:
        with redis_server(tmp_path) as server:
            given = given_on(server.dsn)
            given.failed(given.task("shop.boom"))
            given.client.close()

            async def does(person: Person) -> None:
                await person.sees("failed tasks of queue 'all': 1", "shop.boom")
                os.kill(server.process.pid, signal.SIGSTOP)
                await person.press("s")
                await person.sees("waiting tasks of queue 'all'")
                assert "shop.boom" not in person.screen()
                await person.press("q")

            began = time.monotonic()
            assert look(f"{server.dsn}?timeout=300", does).return_code == 0
            assert time.monotonic() - began < 100
            os.kill(server.process.pid, signal.SIGCONT)

    def test_an_error_that_nobody_expected_ends_it_and_is_passed_on(self) -> None:
        class Broken(LocmemClient):
            def counts(self, queue_name: str) -> Counts:
                raise ZeroDivisionError(queue_name)

        gator = Gator("locmem://", backend_class=Broken)

        async def does(person: Person) -> None:
            await person.until(lambda: person.top.return_value, "it ends")

        assert isinstance(look(gator, does, queue="all").return_value, ZeroDivisionError)


def test_a_rate_is_unknown_where_totals_were_set_back() -> None:
    rates = Rates()
    row = {"queue": "all", "done_total": 5, "failed_total": 0}
    assert rates.of([row])["all"] is None
    assert rates.of([{**row, "done_total": 2}])["all"] is None
    assert rates.of([{**row, "done_total": 2}])["all"] == 0


class TestTheCommand:
    def test_without_a_terminal_it_names_what_needs_none(self, cli: Cli) -> None:
        result = cli.process("top")
        assert (result.returncode, result.stdout) == (2, "")
        assert "gator stats --watch" in result.stderr

    @pytest.mark.parametrize(
        ("ended_by", "code"), [(b"q", 0), (b"\x03", 130), (signal.SIGTERM, 143)]
    )
    def test_on_a_terminal_it_leaves_no_trace(
        self, cli: Cli, given: Given, ended_by: bytes | signal.Signals, code: int
    ) -> None:
        given.task("shop.add", queue="mail")
        shown, ended = on_terminal(cli, "mail", ended_by)
        assert "mail" in shown
        assert ended == code
        before, _, after = shown.rpartition("\x1b[?1049l")
        assert "\x1b[?1049h" in before
        assert not re.sub(r"\x1b\[[?<>=0-9;]*[a-zA-Z]", "", after).strip()
        assert "\x1b[?25h" in shown[-100:]

    def test_colour_comes_and_goes_as_elsewhere(self, cli: Cli, given: Given) -> None:
        for _ in range(2):  # the one under the cursor has the cursor's colour
            given.failed(given.task("shop.boom", queue="mail"))
        red = re.compile(r"\x1b\[(?:[0-9;]*;)?31[;m]")
        assert red.search(on_terminal(cli, "no way", b"q")[0])
        assert not red.search(on_terminal(cli, "no way", b"q", "--no-color")[0])
        cli.env["NO_COLOR"] = "1"
        assert not red.search(on_terminal(cli, "no way", b"q")[0])
        assert red.search(on_terminal(cli, "no way", b"q", "--color")[0])


def on_terminal(
    cli: Cli, awaited: str, ended_by: bytes | signal.Signals, *args: str
) -> tuple[str, int]:
    """Run gator top on a terminal of 80 columns until a text is shown and it is ended; return
    what it wrote, and its exit code."""
    master, slave = pty.openpty()
    shown = b""
    with cli.start("top", *args, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        os.set_blocking(master, False)

        def read() -> bool:
            nonlocal shown
            try:
                shown += os.read(master, 1 << 16)
            except BlockingIOError:
                pass
            except OSError:  # the other side has closed
                return True
            return process.poll() is not None

        eventually(lambda: read() or awaited.encode() in shown, awaited)
        if isinstance(ended_by, bytes):
            os.write(master, ended_by)
        else:
            process.send_signal(ended_by)
        eventually(read, "the end")
        code = process.wait(20)
    os.close(master)
    return shown.decode(), code
