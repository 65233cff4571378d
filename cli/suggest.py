"""Did you mean...: the nearest of the names that exist."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """Return " Did you mean 'x'?", or "" when no name is near."""
    from difflib import get_close_matches  # only a mistake should have to wait for it

    near = get_close_matches(wrong, list(names), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
