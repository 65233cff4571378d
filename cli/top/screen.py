"""gator top: the live tables, and the keys that choose, read and mend what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import work
from textual.binding import Binding
from textual.widgets import Input

from alligator.backends.base import State

from ..cells import block
from ..commands.drop import UNDROPPABLE, question
from ..commands.show import details
from ..errors import INTERRUPTED
from ..selection import chosen_states
from . import deeds
from .dialogs import Question, Reading, shortened
from .layout import HELP
from .listing import Listing
from .live import Live

#: The Textual workers of keys that mend.
MENDING = "mending"


class Top(Live):
    """The screen."""

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

    # -- keys that choose what is in sight --------------------------------------------------------

    def on_data_table_row_highlighted(self, event: Listing.RowHighlighted) -> None:
        """Go to another queue."""
        listing = event.data_table
        if isinstance(listing, Listing) and listing.id == "queues":
            self._go_to(listing.key)

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
        self._look_elsewhere()

    def action_filter(self) -> None:
        """Ask for a text."""
        self._filter.display = True
        self.set_focus(self._filter)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key means an action now: a / within the text, or over a record, does not, nor
        does a second key that mends, before the first one has."""
        if action == "filter":
            return self.focused is not self._filter and len(self.screen_stack) == 1
        if action in ("retry", "cancel", "drop", "pause"):
            return all(worker.group != MENDING or worker.is_finished for worker in self.workers)
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
        self._tell("")
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

    @work(group=MENDING)
    async def action_retry(self) -> None:
        """Have the task under the cursor run once more."""
        if task_id := self._tasks.key:
            await self._do(lambda: deeds.retry_one(self._client, task_id))

    @work(group=MENDING)
    async def action_cancel(self) -> None:
        """Take the task under the cursor off its queue."""
        if task_id := self._tasks.key:
            await self._cancel(task_id)

    async def _cancel(self, task_id: str) -> None:
        text = f"Take task {task_id} off its queue for good?"
        if await self._answer(text, {"y": "yes"}):
            await self._do(lambda: deeds.cancel_one(self._client, task_id))

    @work(group=MENDING)
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
        if not count:
            self._tell(f"no {sight.state} task in queue {sight.queue!r}")
            return
        self._tell("")
        choices = {"o": "only the one under the cursor"} if task_id else {}
        choices["a"] = f"all {count:,}"
        text = question(count, sight.state.value, [sight.queue])
        if sight.text:
            text += " With those that the filter hides."
        answer = await self._answer(text, choices)
        if answer == "a":
            await self._do(lambda: deeds.drop_all(self._client, sight.queue, sight.state))
        elif answer == "o" and task_id:
            await self._do(lambda: deeds.cancel_one(self._client, task_id))

    @work(group=MENDING)
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

    # -- keys that end ----------------------------------------------------------------------------

    def action_interrupt(self) -> None:
        """End as Ctrl-C ends any command that watches."""
        self.exit(None, INTERRUPTED)

    def action_leave(self) -> None:
        """End well."""
        self.exit(None, 0)
