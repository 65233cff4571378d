"""gator top: the live tables, and the keys that choose, read and mend what they show."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding
from textual.widgets import Input

from alligator.backends.base import State

from ..cells import block
from ..commands.drop import UNDROPPABLE, question
from ..commands.show import details
from ..errors import INTERRUPTED
from ..selection import chosen_states
from ..tables import shortened as in_short
from . import deeds
from .dialogs import Question, Reading, shortened
from .layout import HELP
from .listing import Listing
from .live import Live
from .looks import Sight

#: Characters of an id that have room in a question: all of a UUID.
UUID = 36

#: The Textual workers of keys that mend, of those that show a record, and of the help.
MENDING, READING, EXPLAINING = "mending", "reading", "explaining"


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
            self._follow()

    def action_other_queue(self, step: int) -> None:
        """Go to the queue before or after this one."""
        listing = self.query_one("#queues", Listing)
        at = listing.cursor_row + step
        if 0 <= at < len(listing.rows_shown):
            listing.move_cursor(row=at)
            self._follow()

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
        does a second key that mends or explains, before the first one has."""
        if action == "filter":
            return self.focused is not self._filter and len(self.screen_stack) == 1
        if action in ("retry", "cancel", "drop", "pause"):
            return self._is_over(MENDING)
        if action == "explain":
            return self._is_over(EXPLAINING)
        return super().check_action(action, parameters)

    def _is_over(self, group: str) -> bool:
        return all(worker.group != group or worker.is_finished for worker in self.workers)

    def action_unfilter(self) -> None:
        """Show tasks whatever their text."""
        self._filter.clear()
        self._show_with("")
        self._leave_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show tasks that have the text, as it is typed."""
        self._show_with(event.value)

    def _show_with(self, text: str) -> None:
        if text != self._text:
            self._text = text
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

    def on_data_table_row_selected(self, event: Listing.RowSelected) -> None:
        """Show the record under the cursor, unless one is about to be shown."""
        listing = event.data_table
        if isinstance(listing, Listing) and listing.row and self._is_over(READING):
            self._read(listing.row, str(listing.key) if listing.id == "tasks" else None)

    @work(group=READING)
    async def _read(self, row: Mapping[str, Any], task_id: str | None) -> None:
        if task_id is None:
            await self.push_screen_wait(Reading(list(block(row)), {}))
            return
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

    @work(group=EXPLAINING)
    async def action_explain(self) -> None:
        """Tell what the keys do."""
        await self.push_screen_wait(Reading(HELP, {}))

    # -- keys that mend ---------------------------------------------------------------------------

    def _chosen(self) -> tuple[Sight | None, str | None]:
        """Return what is in sight, and the task under the cursor; None for the task while the rows
        are not yet those of the queue, the state and the text that were chosen last."""
        self._follow()
        return self._sight, self._tasks.key if self._shown == self._sight else None

    def _chosen_task(self) -> str | None:
        """Return the task under the cursor; None, and a word about it, where there is none."""
        sight, task_id = self._chosen()
        if task_id is None:
            early = self._shown != sight
            why = "the tasks were not in sight yet" if early else "there was no task"
            self._tell(f"nothing done: {why}")
        return task_id

    def _mend(self, deed: Coroutine[Any, Any, None]) -> None:
        # What the deed is about was read when its key was pressed: a key right behind it may
        # choose something else before this worker begins.
        self.run_worker(deed, group=MENDING)

    def action_retry(self) -> None:
        """Have the task under the cursor run once more."""
        if task_id := self._chosen_task():
            self._mend(self._do(lambda: deeds.retry_one(self._client, task_id)))

    def action_cancel(self) -> None:
        """Take the task under the cursor off its queue."""
        if task_id := self._chosen_task():
            self._mend(self._cancel(task_id))

    async def _cancel(self, task_id: str) -> None:
        text = f"Take task {task_id} off its queue for good?"
        if await self._answer(text, {"y": "yes"}):
            await self._do(lambda: deeds.cancel_one(self._client, task_id))

    def action_drop(self) -> None:
        """Remove the task under the cursor, or all that are in sight without the filter."""
        sight, task_id = self._chosen()
        if sight is not None:
            self._mend(self._drop(sight, task_id))

    async def _drop(self, sight: Sight, task_id: str | None) -> None:
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
        # By its id: the rows may have changed since the key was pressed.
        choices = {"o": f"only task {in_short(task_id, UUID)}"} if task_id else {}
        choices["a"] = f"all {count:,}"
        text = question(count, sight.state.value, [sight.queue])
        if sight.text:
            text += " With those that the filter hides."
        answer = await self._answer(text, choices)
        if answer == "a":
            await self._do(lambda: deeds.drop_all(self._client, sight.queue, sight.state))
        elif answer == "o" and task_id:
            await self._do(lambda: deeds.cancel_one(self._client, task_id))

    def action_pause(self) -> None:
        """Pause the queue, or resume it."""
        sight, _ = self._chosen()
        if sight is not None:
            self._mend(self._do(lambda: deeds.toggle_pause(self._client, sight.queue)))

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
