"""The fields of what commands print about tasks that they pushed or changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Of ids alone.
ID = ("id",)

#: Of one task.
PUSHED = ("id", "queue", "queued")

#: Of many lines.
LINES = ("lines", "queued", "already", "invalid")

#: Of tasks that were selected.
CHANGED = ("matched", "changed", "failed", "skipped")


def of_push(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return those that push prints with these values of its options."""
    if params.get("path") is not None:
        return of_lines(params)
    # A result, or a body, has the fields that its task gave it.
    return () if params.get("wait") or params.get("dry_run") else PUSHED


def of_lines(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return those of push --from and load, likewise."""
    return ID if params.get("print_ids") else LINES


def of_changes(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return those of the commands that change tasks by id or as selected, likewise."""
    return ID if params.get("ids") or params.get("ids_from") is not None else CHANGED
