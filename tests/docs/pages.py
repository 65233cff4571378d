"""Reads the snippets of a page: its fences, and the comments before them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]

#: Pages whose snippets are not looked at here, and why.
EXCLUDED = {
    "docs/commands.md": "written by docs/generate.py; tests/cli/test_documentation.py reads it",
    "docs/benchmarks.md": "written by tests/benchmarks, whose tests read it",
}


class Kind(Enum):
    """What is done with a snippet."""

    PYTHON = "run by Python"
    SHELL = "run by bash"
    CONSOLE = "typed into a terminal"
    CRONTAB = "run as cron would"
    DATA = "parsed"
    OUTPUT = "compared with what was printed"
    FILE = "written for later ones"
    TEXT = "only text"


_KINDS = {
    "python": Kind.PYTHON,
    "sh": Kind.SHELL,
    "bash": Kind.SHELL,
    "console": Kind.CONSOLE,
    "crontab": Kind.CRONTAB,
    "toml": Kind.DATA,
    "yaml": Kind.DATA,
    "json": Kind.DATA,
    "ini": Kind.DATA,
    "text": Kind.TEXT,
}
#: MyST directives that hold no snippet of the page's own.
_NO_SNIPPET = {"toctree", "eval-rst", "literalinclude", "image", "figure", "raw"}
_WITH_MARKDOWN = {"note", "tip", "important", "warning", "admonition"}

_ELSEWHERE = re.compile(r"<!-- in another terminal -->\s*$")
_HIDDEN = re.compile(r"<!-- hidden(, in another terminal)?\n(.*)-->\s*$", re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w./-]+\.\w+)$")


class PageError(Exception):
    """A page breaks the rules; the message names file and line."""


@dataclass(frozen=True)
class Snippet:
    """One fence of a page.

    Attributes:
        line: where its code begins, counted from 1.
        language: the fence's word.
        file: the name it is to be written under, if it has one.
        elsewhere: it goes on in the background while the page goes on.
    """

    page: str
    line: int
    language: str
    code: str
    kind: Kind
    file: str | None = None
    elsewhere: bool = False

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Return the paths of all pages but EXCLUDED, from the repository's root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    names = sorted(str(path.relative_to(ROOT)) for path in found if "_build" not in path.parts)
    return [name for name in names if name not in EXCLUDED]


def snippets(page: str, text: str) -> list[Snippet]:
    """Return a page's snippets, in order.

    Raises:
        PageError: a fence in a language that nothing is known about, code that is only indented,
            or a comment for a snippet that does not follow.
    """
    return list(_Reader(page).read(text, 0))


class _Reader:
    def __init__(self, page: str) -> None:
        self._page = page
        self._comment: tuple[str, int] | None = None  # the mark for the next fence, and its line
        self._ran: Snippet | None = None  # what a text may be the output of
        self._paragraphs = 0  # since then

    def read(self, text: str, offset: int) -> Iterator[Snippet]:
        """Yield the snippets of Markdown that stands `offset` lines below the page's top."""
        for token in MarkdownIt("commonmark").parse(text):
            line = offset + (token.map[0] if token.map else 0) + 1
            if token.type == "fence":
                yield from self._fence(token, line)
            elif token.type == "code_block":
                raise PageError(f"{self._page}:{line}: indented code; use a fence, with a language")
            elif token.type == "html_block":
                yield from self._comment_block(token.content, line)
            elif token.type in ("paragraph_open", "heading_open"):
                self._expect_no_comment()
                self._paragraphs += 1 if token.type == "paragraph_open" else 2
        self._expect_no_comment()

    def _comment_block(self, content: str, line: int) -> Iterator[Snippet]:
        self._expect_no_comment()
        if hidden := _HIDDEN.match(content):
            if hidden[1]:
                self._comment = "<!-- in another terminal -->", line
            yield from self.read(hidden[2], line)
        elif _ELSEWHERE.match(content):
            self._comment = content, line

    def _expect_no_comment(self) -> None:
        if self._comment is not None:
            comment, line = self._comment
            raise PageError(f"{self._page}:{line}: no fence follows {comment.strip()}")

    def _fence(self, token: Token, line: int) -> Iterator[Snippet]:
        info = token.info.strip()
        directive = re.fullmatch(r"\{([\w-]+)\}\s*(.*)", info)
        if directive and directive[1] in _NO_SNIPPET:
            self._expect_no_comment()
            return
        if directive and directive[1] in _WITH_MARKDOWN:
            self._expect_no_comment()
            yield from self.read(token.content, line)
            return
        snippet = self._snippet(directive[2] if directive else info, token.content, line + 1)
        if directive and directive[1] != "code-block":
            raise PageError(f"{snippet.place}: no rule for the directive {directive[1]!r}")
        self._ran, self._paragraphs = (snippet if _prints(snippet) else None), 0
        yield snippet

    def _snippet(self, language: str, content: str, line: int) -> Snippet:
        file, code, skipped = _file_name(content)
        plain = Snippet(self._page, line + skipped, language, code, Kind.TEXT, file)
        if language not in _KINDS:
            raise PageError(
                f"{plain.place}: nothing is known about the language {language!r}; "
                f"the rules are in tests/docs/test_snippets.py"
            )
        comment, self._comment = self._comment, None
        plain = replace(plain, kind=self._kind(plain))
        if comment is None:
            return plain
        if plain.kind not in (Kind.SHELL, Kind.CONSOLE):
            raise PageError(f"{plain.place}: only commands can run in another terminal")
        return replace(plain, elsewhere=True)

    def _kind(self, snippet: Snippet) -> Kind:
        if snippet.file is not None:
            return Kind.FILE
        if snippet.language in ("text", "json") and self._ran and self._paragraphs <= 1:
            return Kind.OUTPUT
        return _KINDS[snippet.language]


def _prints(snippet: Snippet) -> bool:
    """Whether what follows may be its output; a console has its own."""
    runs = _KINDS[snippet.language] in (Kind.PYTHON, Kind.SHELL)
    return runs and snippet.kind is not Kind.FILE and not snippet.elsewhere


def _file_name(content: str) -> tuple[str | None, str, int]:
    """Return the name a snippet is to be written under, its code, and how many lines stand before
    that: the options of a directive."""
    lines = content.splitlines(keepends=True)
    options = 0
    while options < len(lines) and re.match(r":[\w-]+:", lines[options]):
        options += 1
    code = "".join(lines[options:])
    for option in lines[:options]:
        if caption := re.match(r":caption:\s*(\S+)\s*$", option):
            return caption[1], code, options
    first = code.split("\n", 1)[0]
    named = _FILE_NAME.match(first)
    return (named[1] if named else None), code, options
