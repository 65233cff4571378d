"""Text from anywhere, made unable to steer a terminal or to pass for other lines of a log."""

from __future__ import annotations


def escaped(text: str, keep: str = "") -> str:
    """Return `text` with whatever cannot be printed spelled out: line ends, escape sequences, marks
    that turn the direction of writing.

    Args:
        keep: characters left as they are, such as the line ends of a traceback.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text
    )
