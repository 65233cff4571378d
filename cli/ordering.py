"""Lines of a dump whose tasks depend on others, held back until those have come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple


class _Held(NamedTuple):
    number: int
    line: bytes
    task_id: str | None
    depends_on: tuple[str, ...]


class Ordered(NamedTuple):
    """A line whose turn it is.

    Attributes:
        circle: the id of a task that it depends on and that depends, in the end, on it.
    """

    number: int
    line: bytes
    circle: str | None


class HeldBack:
    """Lines with dependencies, which a dump may have before the tasks that they depend on.

    Attributes:
        first: the number of the first line that is not dealt with, None when there is none.
    """

    def __init__(self) -> None:
        self._held: list[_Held] = []
        self.first: int | None = None

    def take(self, line: bytes, number: int) -> bool:
        """Hold a line back if it has dependencies; return whether it is."""
        if b'"depends_on"' not in line:
            return False
        try:
            fields: Any = json.loads(line)
        except (ValueError, RecursionError):
            return False  # whoever reads it says what is wrong
        given = fields.get("depends_on") if isinstance(fields, dict) else None
        ids = [given] if isinstance(given, str) else given
        if not ids or not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            return False
        task_id = fields.get("id")
        own = task_id if isinstance(task_id, str) else None
        self._held.append(_Held(number, line, own, tuple(ids)))
        self.first = self._held[0].number
        return True

    def in_order(self) -> Iterator[Ordered]:
        """Yield lines, each after those of this store that it depends on; otherwise in the order of
        the input. Of a circle, one line comes too early, and says so."""
        place: dict[str, int] = {}
        for index, held in enumerate(self._held):
            if held.task_id is not None:
                place.setdefault(held.task_id, index)
        seen: set[int] = set()
        for start, held in enumerate(self._held):
            self.first = held.number
            path = {} if start in seen else {start: iter(held.depends_on)}
            seen.add(start)
            circles: dict[int, str] = {}
            while path:
                index, others = next(reversed(path.items()))
                for one in others:
                    other = place.get(one)
                    if other in path:
                        circles[index] = one
                    elif other is not None and other not in seen:
                        seen.add(other)
                        path[other] = iter(self._held[other].depends_on)
                        break
                else:
                    del path[index]
                    found = self._held[index]
                    yield Ordered(found.number, found.line, circles.get(index))
        self.first = None
