"""Names in command lines that are told to a person, so that a shell and gator read them back."""

from __future__ import annotations

import shlex


def arguments(*names: str) -> str:
    """Return names as the arguments of a command."""
    dashes = "-- " if any(name.startswith("-") for name in names) else ""
    return dashes + shlex.join(names)
