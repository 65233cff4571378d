"""Three tables that show a broker, and look at it again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import click
from rich.console import RenderableType
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.widgets import Input, Static

from alligator.backends.base import Capability, State
from alligator.exceptions import AlligatorException
from alligator.gator import Gator

from ..errors import describe, escaped, redacted
from ..queue_rows import STATS_COLUMNS
from .dialogs import Keys
from .heading import Heading
from .layout import CSS, KEYS
from .line import Line
from .listing import Listing
from .looks import TASK_COLUMNS, WORKER_COLUMNS, Looker, Overview, Sight, Tasks

T = TypeVar("T")

#: A look that takes long is followed by a pause that is longer by this factor: looking must not be
#: what keeps a broker busy.
EASE = 4

#: Seconds that a call which is on its way has left when somebody quits.
PATIENCE = 0.5


class NotDone(Exception):
    """The broker did not do it, and the screen says why."""


class Live(App[Exception | None]):
    """The screen without its keys. Its result is the error that ended it, if one did."""

    ENABLE_COMMAND_PALETTE = False
    CSS = CSS

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
        self._shown: Sight | None = None  # what the rows of tasks are; None while they are none
        self._again = asyncio.Event()
        self._overall = True
        self._note = self._trouble = ""

    # -- the screen -------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Heading(self._where, id="where", classes="caption")
        yield Listing(STATS_COLUMNS, id="queues")
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
            self._say("#status", f"Trying again. {self._trouble}", "red")
        else:
            self._say("#status", self._note)

    def _show_overview(self, overview: Overview) -> None:
        rows, workers = overview
        if self._queue is None and rows:
            self._queue = str(max(rows, key=lambda row: row["failed"])["queue"])
        self.query_one("#queues", Listing).fill(rows, self._queue)
        self._follow()
        self.query_one("#where", Heading).show(time.strftime("%H:%M:%S"))
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

    def _follow(self) -> None:
        """Have the tasks of the queue under the cursor in sight: a key may have moved it, and
        Textual's word of that be on its way yet."""
        queue = self.query_one("#queues", Listing).key
        if queue is not None and queue != self._queue:
            self._queue = queue
            self._look_elsewhere()

    def _show_tasks(self, tasks: Tasks) -> None:
        sight, rows, looked_at, more = tasks
        if sight != self._sight:
            return  # another look is on its way
        self._shown = sight
        self._tasks.fill(rows)
        first = "newest" if sight.state is State.FAILED else "first"
        among = f"the {first} {looked_at}" if more else str(looked_at)
        if sight.text:
            among = f"{len(rows)} of {among} with {sight.text!r}"
        self._say_sight(sight, f": {among}")

    def _say_sight(self, sight: Sight, more: str) -> None:
        self._say("#in_sight", f"{sight.state} tasks of queue {sight.queue!r}{more}")

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
            except NotDone as error:
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
            self._overall = False  # before the look: what is asked for meanwhile is another one
            self._show_overview(await self._ask(lambda: self._looker.overview(queue)))
        if sight := self._sight:
            self._show_tasks(await self._ask(lambda: self._looker.tasks(sight)))
        else:
            self._say("#in_sight", "no queue holds a task")

    async def _ask(self, call: Callable[[], T]) -> T:
        """Have the broker called.

        Raises:
            NotDone: it refused, cannot, or did not answer.
        """
        try:
            return await self._line(call)
        except (AlligatorException, click.ClickException) as error:
            message = redacted(describe(error)[0], self._secrets)
            raise NotDone(escaped(message, keep="")) from error
        except Exception as error:
            self.exit(error, 1)
            raise asyncio.CancelledError from error

    def _look_again(self, overall: bool = True) -> None:
        self._overall |= overall
        if not overall:
            self._note = ""  # it is about what was in sight before
        self._again.set()

    def _look_elsewhere(self) -> None:
        """Look at other tasks; what was in sight is gone at once, however slow the broker is."""
        if sight := self._sight:
            self._shown = None
            self._tasks.fill(())
            self._say_sight(sight, "")
        self._look_again(overall=False)

    # -- saying -----------------------------------------------------------------------------------

    async def _tried(self, call: Callable[[], T]) -> T | None:
        """Have the broker called; None, and a word about it, when that did not work."""
        self._tell("…")
        try:
            return await self._ask(call)
        except NotDone as error:
            self._tell(f"Error: {error}")
            return None

    def _tell(self, text: str) -> None:
        self._note = escaped(text, keep="")
        self._show_status()

    def exit(
        self,
        result: Exception | None = None,
        return_code: int = 0,
        message: RenderableType | None = None,
    ) -> None:
        """End it. What comes from the broker later finds no table to be shown in."""
        self.workers.cancel_all()
        super().exit(result, return_code, message)

    def close(self) -> None:
        """Close the connection, unless the broker has just stopped to answer."""
        self._line.end(self._client.close, PATIENCE)
