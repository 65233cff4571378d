"""Values as text: the cells of a row, records as JSON, and blocks of lines for a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]


def cells(
    row: Row, names: Iterable[str], words: Mapping[str, Callable[[Any], str]] | None = None
) -> list[str]:
    """Return the fields named, each as text that stays in its cell."""
    words = words or {}
    return [escaped(words.get(name, text_of)(row[name])) for name in names]


def object_of(record: Row) -> str:
    """A record as a JSON object on one line."""
    return "{" + ",".join(f"{_json(name)}:{_json(value)}" for name, value in record.items()) + "}"


def _json(value: object) -> str:
    """Compact JSON. A number of ours has six decimals at most and no exponent, which not every
    reader of a cell takes; those within a task's arguments stay as they are."""
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def text_of(value: Any) -> str:
    """A value as text: nothing for None, compact JSON for what has parts."""
    if isinstance(value, str):
        return value
    return "" if value is None else _json(value)


def escaped(text: str) -> str:
    """Text without what would break its line or cell. A backslash stays single, so that a column
    of JSON is still JSON."""
    if text.isprintable():
        return text
    for raw, shown in (("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(raw, shown)
    return _harmless(text)


def _harmless(text: str) -> str:
    """Text that cannot steer a terminal: control characters shown as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )


def block(record: Row, indent: str = "") -> Iterator[str]:
    """Yield lines of "name: value" for a person; records and long texts within go below."""
    width = max((len(name) for name in record), default=0) + 1
    for name, value in record.items():
        parts = value if isinstance(value, list) and value else []
        if all(isinstance(part, dict) for part in parts) and parts:
            for number, part in enumerate(parts, 1):
                yield f"{indent}{name} {number}:"
                yield from block(part, indent + "  ")
            continue
        text = _harmless(text_of(value)).rstrip("\n")
        if "\n" in text:
            yield f"{indent}{name}:"
            yield from (f"{indent}  {line}" for line in text.split("\n"))
        else:
            yield f"{indent}{name + ':':<{width}} {text}".rstrip()
