"""gator top itself: three tables that look again and again, and the keys that mend what is off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

import click
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import Input, Static

from alligator.backends.base import Capability, State
from alligator.exceptions import AlligatorException
from alligator.gator import Gator

from ..commands.drop import UNDROPPABLE, question
from ..commands.show import details
from ..errors import INTERRUPTED, describe, escaped, redacted
from ..output import block
from ..selection import chosen_states
from . import deeds
from .dialogs import Keys, Question, Reading, shortened
from .line import Line
from .listing import Listing
from .looks import QUEUE_COLUMNS, TASK_COLUMNS, WORKER_COLUMNS, Looker, Overview, Sight, Tasks

T = TypeVar("T")

#: A look that takes long is followed by a pause that is longer by this factor: looking must not be
#: what keeps a broker busy.
EASE = 4

KEYS = {
    "⏎": "look",
    "r": "retry",
    "c": "cancel",
    "d": "drop",
    "p": "pause",
    "s": "state",
    "/": "filter",
    "u": "update",
    "?": "help",
    "q": "quit",
}

HELP = """
tab      the next table: queues, workers, tasks
← →      the queue before or after this one
⏎        all about the task, queue or worker under the cursor
r        retry the task under the cursor
c        cancel it: take it off its queue; asks first
d        drop it, or all of the queue in this state; asks first
p        pause the queue, or resume it
s S      tasks in the next state, or in the one before
/        only tasks with this text in their name or last error,
         of those in sight: the first 200, or newest failed ones
esc      all of them again
u        look again now
q        quit
ctrl-c   quit, with exit code 130
""".strip().splitlines()


class Nothing(Exception):
    """The broker did not do it, and the screen says why."""


class Top(App[Exception | None]):
    """The screen. Its result is the error that ended it, if one did."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; overflow: hidden; }
    Static { height: auto; }
    Listing { height: auto; scrollbar-size: 1 1; overflow-x: hidden; }
    Listing > .datatable--header, Listing:focus > .datatable--header {
        background: ansi_default; color: ansi_default; text-style: underline; }
    Listing > .datatable--cursor {
        background: ansi_default; color: ansi_default; text-style: bold; }
    Listing:focus > .datatable--cursor {
        background: ansi_default; color: ansi_default; text-style: reverse; }
    .caption { text-style: bold; height: 1; }
    #queues { max-height: 30%; }
    #workers { max-height: 22%; }
    #tasks { height: 1fr; min-height: 3; }
    #filter { height: 1; border: none; padding: 0; }
    #status { max-height: 3; }
    Reading, Question { background: ansi_default; }
    Reading VerticalScroll { height: 1fr; scrollbar-size: 1 1; }
    Question { align: center middle; }
    Question Vertical { width: 80%; height: auto; border: round ansi_default; padding: 0 1; }
    """
    BINDINGS: ClassVar = [
        Binding("ctrl+c,ctrl+q", "interrupt", priority=True),
        Binding("q", "leave"),
        Binding("r", "retry"),
        Binding("c", "cancel"),
        Binding("d", "drop"),
        Binding("p", "pause"),
        Binding("s", "next_state(1)"),
        Binding("S", "next_state(-1)"),
        # Before the table under the cursor has its say, and not after it: of "/drop", typed fast,
        # the rest must not be taken for keys that mend.
        Binding("slash", "filter", priority=True),
        Binding("escape", "unfilter"),
        Binding("u", "update"),
        Binding("question_mark", "explain"),
    ]

    def __init__(
        self,
        gator: Gator,
        *,
        where: str,
        every: float,
        queue: str | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        """Take what to look at.

        Args:
            where: how the broker is named on the screen.
            every: seconds from the end of a look to the next.
            queue: the first one in sight; None is the one where most has failed.
            secrets: what no error may show.
        """
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self._gator, self._client = gator, gator.client
        self._where, self._every, self._secrets = where, every, secrets
        self._looker, self._line = Looker(gator.client), Line()
        self._queue, self._state, self._text = queue, State.FAILED, ""
        self._again = asyncio.Event()
        self._overall = True
        self._note = self._trouble = ""

    # -- the screen -------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Static(Text(self._where), id="where", classes="caption")
        yield Listing(QUEUE_COLUMNS, id="queues")
        yield Static(id="at_work", classes="caption")
        yield Listing(WORKER_COLUMNS, id="workers")
        yield Static(id="in_sight", classes="caption")
        yield Listing(TASK_COLUMNS, id="tasks")
        yield Input(placeholder="text in the name or the error", id="filter")
        yield Static(id="status")
        yield Keys(KEYS)

    def on_mount(self) -> None:
        """Begin to look."""
        self._filter.display = False
        self.set_focus(self._tasks)
        self._watch()

    @property
    def _tasks(self) -> Listing:
        return self.query_one("#tasks", Listing)

    @property
    def _filter(self) -> Input:
        return self.query_one("#filter", Input)

    def _say(self, place: str, text: str, style: str = "") -> None:
        self.query_one(place, Static).update(Text(text, style, no_wrap=place != "#status"))

    def _show_status(self) -> None:
        if self._trouble:
            self._say("#status", f"{self._trouble}; trying again", "red")
        else:
            self._say("#status", self._note)

    def _show_overview(self, overview: Overview) -> None:
        rows, workers = overview
        if self._queue is None and rows:
            self._queue = str(max(rows, key=lambda row: row["failed"])["queue"])
        self.query_one("#queues", Listing).fill(rows, self._queue)
        self._say("#where", f"{self._where}  {time.strftime('%H:%M:%S')}")
        listing = self.query_one("#workers", Listing)
        listing.display = bool(workers)
        if workers is None:
            self._say("#at_work", f"workers: {self._client.broker} cannot {Capability.WORKERS}")
        else:
            listing.fill(workers)
            stale = sum(worker["state"] == "stale" for worker in workers)
            self._say(
                "#at_work", f"workers: {len(workers)}" + (f", {stale} stale" if stale else "")
            )

    def _show_tasks(self, tasks: Tasks) -> None:
        sight, rows, looked_at, more = tasks
        if sight != self._sight:
            return  # it has changed meanwhile, and another look is on its way
        self._tasks.fill(rows)
        first = "newest" if sight.state is State.FAILED else "first"
        among = f"the {first} {looked_at}" if more else str(looked_at)
        if sight.text:
            among = f"{len(rows)} of {among} with {sight.text!r}"
        self._say("#in_sight", f"{sight.state} tasks of queue {sight.queue!r}: {among}")

    # -- looking ----------------------------------------------------------------------------------

    @property
    def _sight(self) -> Sight | None:
        return None if self._queue is None else Sight(self._queue, self._state, self._text)

    @work
    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            self._again.clear()
            try:
                await self._look()
                self._trouble = ""
            except Nothing as error:
                self._trouble = str(error)
            self._show_status()
            pause = max(self._every, EASE * (time.monotonic() - began))
            try:
                await asyncio.wait_for(self._again.wait(), pause)
            except TimeoutError:
                self._overall = True

    async def _look(self) -> None:
        if self._overall or self._sight is None:
            queue = self._queue
            self._show_overview(await self._ask(lambda: self._looker.overview(queue)))
            self._overall = False
        if sight := self._sight:
            self._show_tasks(await self._ask(lambda: self._looker.tasks(sight)))
        else:
            self._say("#in_sight", "no queue holds a task")

    async def _ask(self, call: Callable[[], T]) -> T:
        """Have the broker called.

        Raises:
            Nothing: it refused, cannot, or did not answer.
        """
        try:
            return await self._line(call)
        except (AlligatorException, click.ClickException) as error:
            message = redacted(describe(error)[0], self._secrets)
            raise Nothing(escaped(message, keep="")) from error
        except Exception as error:
            self.exit(error, 1)
            raise asyncio.CancelledError from error

    def _look_again(self, overall: bool = True) -> None:
        self._overall |= overall
        if not overall:
            self._note = ""  # it is about what was in sight before
        self._again.set()

    # -- keys that choose what is in sight --------------------------------------------------------

    def on_data_table_row_highlighted(self, event: Listing.RowHighlighted) -> None:
        """Go to another queue."""
        listing = event.data_table
        if isinstance(listing, Listing) and listing.id == "queues":
            self._go_to(listing.key)

    def _go_to(self, queue: str | None) -> None:
        if queue is not None and queue != self._queue:
            self._queue = queue
            self._look_again(overall=False)

    def action_other_queue(self, step: int) -> None:
        """Go to the queue before or after this one."""
        listing = self.query_one("#queues", Listing)
        at = listing.cursor_row + step
        if 0 <= at < len(listing.rows_shown):
            listing.move_cursor(row=at)

    def action_next_state(self, step: int) -> None:
        """Show tasks in another state, of those that the broker knows."""
        states = chosen_states(self._client, ())
        self._state = states[(states.index(self._state) + step) % len(states)]
        self._look_again(overall=False)

    def action_filter(self) -> None:
        """Ask for a text."""
        self._filter.display = True
        self.set_focus(self._filter)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key means an action now: a / within the text, or over a record, is none."""
        if action == "filter":
            return self.focused is not self._filter and len(self.screen_stack) == 1
        return super().check_action(action, parameters)

    def action_unfilter(self) -> None:
        """Show tasks whatever their text."""
        self._filter.clear()
        self._text = ""
        self._leave_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show tasks that have the text, as it is typed."""
        self._text = event.value
        self._look_again(overall=False)

    def on_input_submitted(self) -> None:
        """Keep the text."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        self._filter.display = bool(self._text)
        self.set_focus(self._tasks)

    def action_update(self) -> None:
        """Look again now."""
        self._look_again()

    # -- keys that read ---------------------------------------------------------------------------

    @work
    async def on_data_table_row_selected(self, event: Listing.RowSelected) -> None:
        """Show the record under the cursor."""
        listing = event.data_table
        if not isinstance(listing, Listing) or listing.row is None:
            return
        if listing.id != "tasks":
            await self.push_screen_wait(Reading(list(block(listing.row)), {}))
            return
        task_id = str(listing.key)
        gator = self._gator
        lines = await self._tried(lambda: shortened(list(block(details(gator, task_id)))))
        if lines is None:
            return
        key = await self.push_screen_wait(Reading(lines, {"r": "retry", "c": "cancel"}))
        if key == "r":
            await self._do(lambda: deeds.retry_one(self._client, task_id))
        elif key == "c":
            await self._cancel(task_id)

    @work
    async def action_explain(self) -> None:
        """Tell what the keys do."""
        await self.push_screen_wait(Reading(HELP, {}))

    # -- keys that mend ---------------------------------------------------------------------------

    @work
    async def action_retry(self) -> None:
        """Have the task under the cursor run once more."""
        if task_id := self._tasks.key:
            await self._do(lambda: deeds.retry_one(self._client, task_id))

    @work
    async def action_cancel(self) -> None:
        """Take the task under the cursor off its queue."""
        if task_id := self._tasks.key:
            await self._cancel(task_id)

    async def _cancel(self, task_id: str) -> None:
        text = f"Take task {task_id} off its queue for good?"
        if await self._answer(text, {"y": "yes"}):
            await self._do(lambda: deeds.cancel_one(self._client, task_id))

    @work
    async def action_drop(self) -> None:
        """Remove the task under the cursor, or all that are in sight without the filter."""
        sight, task_id = self._sight, self._tasks.key
        if sight is None:
            return
        if sight.state is State.RUNNING:
            self._tell(UNDROPPABLE)
            return
        counts = await self._tried(lambda: self._client.counts(sight.queue))
        if counts is None:
            return
        count = getattr(counts, sight.state.value)
        choices = {"o": "only the one under the cursor"} if task_id else {}
        choices["a"] = f"all {count:,}"
        text = question(count, sight.state.value, [sight.queue])
        if sight.text:
            text += " The filter leaves out none of them."
        answer = await self._answer(text, choices)
        if answer == "a":
            await self._do(lambda: deeds.drop_all(self._client, sight.queue, sight.state))
        elif answer == "o" and task_id:
            await self._do(lambda: deeds.cancel_one(self._client, task_id))

    @work
    async def action_pause(self) -> None:
        """Pause the queue, or resume it."""
        if queue := self._queue:
            await self._do(lambda: deeds.toggle_pause(self._client, queue))

    async def _answer(self, text: str, choices: Mapping[str, str]) -> str | None:
        return await self.push_screen_wait(Question(text, choices))

    async def _do(self, deed: Callable[[], str]) -> None:
        told = await self._tried(deed)
        if told is not None:
            self._tell(told)
            self._look_again()

    async def _tried(self, call: Callable[[], T]) -> T | None:
        """Have the broker called; None, and a word about it, when that did not work."""
        try:
            return await self._ask(call)
        except Nothing as error:
            self._tell(f"Error: {error}")
            return None

    def _tell(self, text: str) -> None:
        self._note = escaped(text, keep="")
        self._show_status()

    # -- ends -------------------------------------------------------------------------------------

    def action_interrupt(self) -> None:
        """End as Ctrl-C ends any command that watches."""
        self.exit(None, INTERRUPTED)

    def action_leave(self) -> None:
        """End well."""
        self.exit(None, 0)
