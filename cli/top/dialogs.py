"""What comes over the screen: a record to read, and a question to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

#: Lines of a record that are shown, and characters of each: a body has 16 MiB at most.
MOST_LINES, MOST_CHARACTERS = 2000, 4000


class Keys(Static):
    """Keys and what they do, side by side over as many lines as that takes, or one a line."""

    def __init__(self, keys: Mapping[str, str], *, one_a_line: bool = False) -> None:
        super().__init__()
        self._pairs = [(key, f"{key} {word}") for key, word in keys.items()]
        self._one_a_line = one_a_line

    def on_mount(self) -> None:
        """Take the height that they need."""
        self._lay_out(self.screen.size.width)

    def on_resize(self, event: events.Resize) -> None:
        """Break the lines anew."""
        self._lay_out(event.size.width)

    def _lay_out(self, width: int) -> None:
        text, used = Text(), 0
        for key, pair in self._pairs:
            if used and (self._one_a_line or used + 1 + cell_len(pair) > width):
                text.append("\n")
                used = 0
            elif used:
                text.append(" ")
                used += 1
            text.append(key, "bold").append(pair.removeprefix(key))
            used += cell_len(pair)
        self.update(text)


class Reading(ModalScreen[str | None]):
    """Lines to scroll through; ends with a key of `choices`, or with None."""

    def __init__(self, lines: Sequence[str], choices: Mapping[str, str]) -> None:
        super().__init__()
        self._lines = lines
        self._choices = choices

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text("\n".join(self._lines)))
        yield Keys({"esc": "back", "↑↓": "scroll", **self._choices})

    def on_key(self, event: events.Key) -> None:
        """Go back, or do as a key says."""
        _answer(self, event, self._choices, ("escape", "q", "enter"))


class Question(ModalScreen[str | None]):
    """A question; ends with a key of `choices`, or with None."""

    def __init__(self, text: str, choices: Mapping[str, str]) -> None:
        super().__init__()
        self._text = text
        self._choices = choices

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._text))
            yield Keys({**self._choices, "esc": "nothing"}, one_a_line=True)

    def on_key(self, event: events.Key) -> None:
        """Take the answer."""
        _answer(self, event, self._choices, ("escape", "q", "n"))


def _answer(
    screen: ModalScreen[str | None],
    event: events.Key,
    choices: Mapping[str, str],
    leave: Sequence[str],
) -> None:
    if not screen.is_current:  # a key before has ended it
        return
    if event.key in choices:
        screen.dismiss(event.key)
    elif event.key in leave:
        screen.dismiss(None)
    else:
        return
    event.stop()


def shortened(lines: Sequence[str]) -> list[str]:
    """Return as much of a record as a screen can take, saying what is left out."""
    shown = [
        line
        if len(line) <= MOST_CHARACTERS
        else f"{line[:MOST_CHARACTERS]}… and {len(line) - MOST_CHARACTERS:,} more characters"
        for line in lines[:MOST_LINES]
    ]
    left = len(lines) - MOST_LINES
    return [*shown, f"… and {left:,} more lines"] if left > 0 else shown
