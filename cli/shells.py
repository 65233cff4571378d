"""What each shell tells of a command line that is being typed, and how it is answered.

An answer is a line: `plain,WORD` offers a word, `described,WORD:TEXT` tells zsh what it means, too;
`file,PREFIX` has the shell offer files for what is typed after the prefix.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem, ShellComplete


class Typed(NamedTuple):
    """A command line up to the cursor.

    Attributes:
        args: the whole words between the command and the cursor.
        word: what there is of the last one, without its quotes.
        kept: how much of that bash leaves as it is, and adds our answer to.
        quote: the quote that is open, or "".
    """

    args: list[str]
    word: str
    kept: int = 0
    quote: str = ""


def answer(app: click.Group, shell: str, told: Sequence[str]) -> str:
    """Return what a shell is answered, one a line; nothing when the line makes no sense.

    Args:
        told: what the shell's script says.
    """
    if shell == "bash":
        typed = read(told[0], told[1])
    elif shell == "zsh":
        typed = Typed([*told[:-1]], told[-1])
    elif shell == "fish":
        typed = Typed([*told[:-1]], read(f"gator {told[-1]}").word)
    else:
        return ""
    # `--state=fa`: click completes what comes after the =.
    option = re.match("--[a-z-]+=", typed.word)
    prefix = option[0] if option else ""
    try:
        found = ShellComplete(app, {}, "gator", "").get_completions(typed.args, typed.word)
    except Exception:
        return ""  # a message would land in the middle of what is being typed
    return "\n".join(_line(shell, typed, prefix, item) for item in found)


def _line(shell: str, typed: Typed, prefix: str, item: CompletionItem[str]) -> str:
    if item.type != "plain":
        return f"file,{prefix}"
    word = prefix + item.value
    if shell == "bash":
        return f"plain,{_quoted(word[typed.kept :], typed.quote)}"
    if not item.help:
        return f"plain,{word}"
    return f"plain,{word}\t{item.help}" if shell == "fish" else f"described,{word}:{item.help}"


def read(line: str, breaks: str = "") -> Typed:
    """Read a command line up to the cursor, as bash does.

    Args:
        breaks: readline's word breaks.
    """
    words: list[str] = []
    word: str | None = None
    kept, quote = 0, ""
    chars = iter(line)
    for char in chars:
        if char == quote:
            quote = ""
        elif char == "\\" and quote != "'":
            following = next(chars, "")
            kept_backslash = quote and following not in '"\\$`'
            word = (word or "") + (char if kept_backslash else "") + following
        elif not quote and char in "'\"":
            word, quote = word or "", char
            kept = len(word)
        elif not quote and char.isspace():
            if word is not None:
                words.append(word)
            word, kept = None, 0
        else:
            word = (word or "") + char
            if not quote and char in breaks:
                kept = len(word)
    return Typed(words[1:], word or "", kept, quote)


def _quoted(text: str, quote: str) -> str:
    """Return text that bash reads as it is, where this quote is open."""
    if quote == "'":
        return text.replace("'", "'\\''")
    special = r'["$\\`]' if quote else r"""[\s!"#$&'()*;<>?\[\\\]^`{|}~]"""
    return re.sub(special, r"\\\g<0>", text)
