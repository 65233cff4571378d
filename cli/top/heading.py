"""The first line of gator top: when it looked last, and where."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from ..tables import shortened


class Heading(Static):
    """A time, and the name of a broker, of which a narrow screen shows both ends."""

    def __init__(self, where: str, *, id: str, classes: str) -> None:
        super().__init__(id=id, classes=classes)
        self._where = where
        self._time = ""

    def show(self, time: str) -> None:
        """Show another time."""
        self._time = time
        self.refresh()

    def render(self) -> Text:
        """Return the line, made to fit."""
        before = f"{self._time}  " if self._time else ""
        room = self.size.width - len(before)
        return Text(before + shortened(self._where, room), no_wrap=True)
