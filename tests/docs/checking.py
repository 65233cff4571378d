"""What can be said of a snippet without running it, and of what one has printed."""

from __future__ import annotations

import configparser
import difflib
import json
import re
import subprocess
import tomllib
from collections.abc import Callable

import yaml

from .pages import PageError, Snippet

_CRON_LINE = re.compile(r"((?:[\d*/,-]+\s+){5})(\S.*)")

#: What differs from run to run, and what is compared in its place.
_MASKS = (
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", "TIME"),
    (r"\[\d+\]|#\d+", "PID"),
    (r"\b\d+(\.\d+)+\b", "NUMBER"),
    (r"\b\d+(ms|s|m|h|d)\b", "DURATION"),
    (r"-{3,}", "---"),
    (r"[ \t]+", " "),
    (r" $", ""),
)


def check(snippet: Snippet) -> None:
    """Check a snippet's syntax.

    Raises:
        PageError: there is something wrong with it.
    """
    do = _CHECKS.get(snippet.language)
    if do is None:
        return
    try:
        do(snippet)
    except (ValueError, SyntaxError, configparser.Error, yaml.YAMLError) as error:
        raise PageError(f"{snippet.place}: this is no {snippet.language}: {error}") from error


def compare(snippet: Snippet, expected: str, printed: str) -> None:
    """Compare what a page shows with what was printed; `...` stands for anything, and alone on a
    line for any lines or none.

    Raises:
        PageError: they differ in more than ids, times and process ids.
    """
    wanted, got = masked(expected), masked(printed)
    if not re.fullmatch(_pattern(wanted), f"{got}\n", re.DOTALL):
        lines = difflib.unified_diff(
            wanted.splitlines(), got.splitlines(), "the page", "what was printed", lineterm=""
        )
        raise PageError("\n".join([f"{snippet.place}: something else is printed", *lines]))


def _pattern(wanted: str) -> str:
    lines = wanted.split("\n")
    return "".join(r"(?:.*\n)?" if line == "..." else f"{_in_line(line)}\n" for line in lines)


def _in_line(text: str) -> str:
    return r"[^\n]*".join(re.escape(part) for part in text.split("..."))


def typed(snippet: Snippet) -> list[tuple[str, str]]:
    """Return the commands of a console, each with what is shown below it.

    Raises:
        PageError: it does not begin with a command.
    """
    found: list[tuple[str, str]] = []
    for line in snippet.code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif not found:
            raise PageError(f"{snippet.place}: a console begins with '$ ', not with {line!r}")
        elif line.startswith("> ") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", "")
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def masked(text: str) -> str:
    """Return output without what differs from run to run."""
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()


def _python(snippet: Snippet) -> None:
    compile(snippet.code, snippet.page, "exec")


def _shell(snippet: Snippet) -> None:
    _bash_accepts(snippet.code)


def _console(snippet: Snippet) -> None:
    _bash_accepts("\n".join(command for command, _ in typed(snippet)))


def _bash_accepts(code: str) -> None:
    done = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr)


def _crontab(snippet: Snippet) -> None:
    for line in snippet.code.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = _CRON_LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{line!r} is not five fields and a command")
        if re.search(r"(?<!\\)%", found[2]):
            raise ValueError(f"cron takes the % in {line!r} for a line's end; write \\%")
        _bash_accepts(found[2])


def _json(snippet: Snippet) -> None:
    try:
        json.loads(snippet.code)
    except ValueError:  # or one object a line
        for line in snippet.code.splitlines():
            json.loads(line)


def _ini(snippet: Snippet) -> None:
    # systemd repeats keys, and has keys in any case.
    configparser.RawConfigParser(strict=False, allow_no_value=False).read_string(snippet.code)


_CHECKS: dict[str, Callable[[Snippet], object]] = {
    "python": _python,
    "sh": _shell,
    "bash": _shell,
    "console": _console,
    "crontab": _crontab,
    "json": _json,
    "toml": lambda snippet: tomllib.loads(snippet.code),
    "yaml": lambda snippet: list(yaml.safe_load_all(snippet.code)),
    "ini": _ini,
}
