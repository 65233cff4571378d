"""Runs the snippets of a page: the rules are in test_snippets.py."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from ..servers import eventually, listens
from .checking import check, compare, typed
from .examples import copy
from .installing import copy_checkout, set_up, without_apt
from .interpreter import Interpreter
from .pages import ROOT, Kind, PageError, Snippet, snippets
from .standins import StandIns
from .terminal import PATIENCE, Terminal

_CHANGES_THE_MACHINE = re.compile(r"\b(apt|python3? -m pip|systemctl|docker|kubectl|sudo)\b(?!-)")

#: Has a snippet begin where the one before it ended: in the same folder, with the same variables.
_BEGIN = """
set -euo pipefail
if [ -e {state} ]; then source {state}; fi
"""
_KEEP = """
trap 'snippet_status=$?
    {{ declare -p | grep -E "^declare (-x|--) [A-Za-z]"; printf "cd %q\\n" "$PWD"; }} >{state}
    exit "$snippet_status"' EXIT
"""

#: A worker that ends by itself.
_ENDS = re.compile(r"--burst|max_tasks=")

#: The kinds whose code runs here.
_RUN = (Kind.PYTHON, Kind.SHELL, Kind.CONSOLE, Kind.CRONTAB, Kind.FILE)

#: What Ctrl-C may end a program in another terminal with.
_STOPPED = (0, 1, 130, -2)


def run(page: str, text: str, folder: Path, shared: Path | None = None) -> None:
    """Run all snippets of a page.

    Args:
        folder: an empty one, for this page.
        shared: where files may lie that are of use to other pages, too.

    Raises:
        PageError: one does not do what the page says.
    """
    with PageRun(page, text, folder, shared or folder) as running:
        running.run_all()


class PageRun:
    """A page while its snippets run, in a folder and with a broker of its own."""

    def __init__(self, page: str, text: str, folder: Path, shared: Path) -> None:
        self._text = text
        self._snippets = snippets(page, text)
        self._aside = folder
        self._shared = shared
        self._folder = folder / "page"
        self._home = folder / "home"
        self._state = folder / "shell-state"
        self._stack = ExitStack()
        self._names = StandIns(self._folder, folder, self._stack)
        self._python: Interpreter | None = None
        self._elsewhere: list[tuple[Snippet, Terminal]] = []
        self._environment: dict[str, str] = {}
        self._printed = ""

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self._home.mkdir()
        if "checkout" in self._text:
            copy_checkout(self._folder)
        self._environment = {
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache"),
            # A page's pytest runs one of the tests that it is asked for; see tests/conftest.py.
            "ALLIGATOR_TEST_ONE": "1",
            # Its readers have it set when the page has told them to, and not otherwise.
            **({"GATOR_DSN": self._names.dsn} if self._tells_to_export() else {}),
            **set_up(self._folder, self._aside, self._shared, self._text),
        }
        if "docs/examples" in self._text:
            self._copy_examples()
        return self

    def __exit__(self, *_error: object) -> None:
        # A page that failed has them still; killed, a supervisord would leave what it has started.
        for _, terminal in reversed(self._elsewhere):
            terminal.interrupt()
            with suppress(subprocess.TimeoutExpired):
                terminal.process.wait(10)
        self._stack.close()

    def run_all(self) -> None:
        """Do with each snippet what its kind says, then look after what is left.

        Raises:
            PageError: one does not do what the page says.
        """
        do: dict[Kind, Callable[[Snippet], None]] = {
            Kind.PYTHON: self._run_python,
            Kind.SHELL: self._run_shell,
            Kind.CONSOLE: self._run_console,
            Kind.CRONTAB: self._run_crontab,
            Kind.DATA: check,
            Kind.OUTPUT: self._compare,
            Kind.FILE: self._write,
            Kind.TEXT: lambda _snippet: None,
        }
        for snippet in self._snippets:
            do[snippet.kind](snippet)
        for snippet in self._snippets:
            if self._is_unused(snippet):
                self._import(snippet)
        for snippet, terminal in reversed(self._elsewhere):
            terminal.interrupt()
            status = self._wait(snippet, terminal)
            _expect(status in _STOPPED, snippet, f"exit code {status}", terminal.all_shown())

    # -- what is done with each kind ------------------------------------------------------------

    def _run_python(self, snippet: Snippet) -> None:
        if self._python is None:
            self._python = Interpreter(self._folder, self._environment)
            self._stack.callback(self._python.close)
        terminal = self._python.terminal
        before = len(terminal.all_shown())
        stop = self._stopper(snippet, terminal, before)
        code = self._names.here(snippet.code)
        trace = self._python.run(snippet.page, snippet.line, code, stop)
        self._printed = terminal.all_shown()[before:]
        _expect(trace is None, snippet, trace or "", self._printed)

    def _run_shell(self, snippet: Snippet) -> None:
        if snippet.elsewhere:
            self._start_elsewhere(snippet, snippet.code)
            return
        status = self._shell(snippet, snippet.code)
        _expect(status == 0, snippet, f"exit code {status}", self._printed)

    def _run_console(self, snippet: Snippet) -> None:
        for command, expected in typed(snippet):
            if snippet.elsewhere:
                self._start_elsewhere(snippet, command)
                continue
            status = self._shell(snippet, command)
            fine = status == 0 or bool(expected)
            _expect(fine, snippet, f"exit code {status} of {command}", self._printed)
            compare(snippet, expected, self._names.there(self._printed))

    def _run_crontab(self, snippet: Snippet) -> None:
        check(snippet)
        env = {**self._environment, "PATH": "/usr/bin:/bin"}
        for line in snippet.code.splitlines():
            if line.strip() and not line.startswith("#"):
                command = self._names.here(line.split(maxsplit=5)[5])
                with Terminal(["/bin/sh", "-c", command], self._folder, env) as terminal:
                    status = self._wait(snippet, terminal)
                    _expect(status == 0, snippet, f"exit code {status}", terminal.all_shown())

    def _compare(self, snippet: Snippet) -> None:
        compare(snippet, snippet.code, self._names.there(self._printed))

    def _write(self, snippet: Snippet) -> None:
        check(snippet)
        path = self._folder / str(snippet.file)
        inside = path.is_relative_to(self._folder) and ".." not in path.parts
        _expect(inside, snippet, f"{snippet.file} is not in the page's folder", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._names.here(snippet.code))

    def _is_unused(self, snippet: Snippet) -> bool:
        """Whether it is a Python file that no other snippet imports, runs or names."""
        if snippet.kind is not Kind.FILE or snippet.language != "python":
            return False
        named = re.compile(rf"\b({re.escape(str(snippet.file))}|{re.escape(_module(snippet))})\b")
        others = (one for one in self._snippets if one is not snippet and one.kind in _RUN)
        return not any(named.search(one.code) for one in others)

    def _import(self, snippet: Snippet) -> None:
        code = f"cd {shlex.quote(str(self._folder))}; python -c 'import {_module(snippet)}'"
        status = self._shell(snippet, code)
        _expect(status == 0, snippet, f"import {_module(snippet)} fails", self._printed)

    # -- terminals --------------------------------------------------------------------------------

    def _tells_to_export(self) -> bool:
        return any("export GATOR_DSN=" in snippet.code for snippet in self._snippets)

    def _shell(self, snippet: Snippet, code: str) -> int:
        with self._terminal(snippet, _KEEP.format(state=self._quoted_state()) + code) as terminal:
            status = self._wait(snippet, terminal)
            self._printed = terminal.all_shown()
        return status

    def _terminal(self, snippet: Snippet, code: str) -> Terminal:
        change = _CHANGES_THE_MACHINE.search(code)
        remedy = "would change this machine; say it in a sentence, and test it elsewhere"
        _expect(not change, snippet, f"{change and change[0]} {remedy}", "")
        script = _BEGIN.format(state=self._quoted_state()) + without_apt(self._names.here(code))
        return Terminal(["bash", "-c", script], self._folder, self._environment)

    def _quoted_state(self) -> str:
        return shlex.quote(str(self._state))

    def _start_elsewhere(self, snippet: Snippet, code: str) -> None:
        terminal = self._stack.enter_context(self._terminal(snippet, code))
        self._elsewhere.append((snippet, terminal))
        ports = self._names.ports(code)

        def ready() -> bool:
            _expect(not terminal.ended(), snippet, "it ended at once", terminal.shown)
            return all(listens(port) for port in ports)

        eventually(ready, f"{snippet.place}: nothing listens at its address")

    def _wait(self, snippet: Snippet, terminal: Terminal) -> int:
        """Wait until a program has ended; return its exit code."""
        stop = self._stopper(snippet, terminal, 0)
        deadline = time.monotonic() + PATIENCE
        stopped = False
        while not terminal.ended():
            late = time.monotonic() > deadline
            _expect(not late, snippet, "it does not end", terminal.shown)
            stopped = stop() or stopped
            time.sleep(0.01)
        status = terminal.process.returncode
        # 1 is what a Worker of one's own says of a Ctrl-C.
        return 0 if stopped and status == 1 else status

    def _stopper(self, snippet: Snippet, terminal: Terminal, since: int) -> Callable[[], bool]:
        """Return what is to be called while a snippet runs: it presses Ctrl-C for a worker that
        would go on though there is nothing to do, and says when it did."""
        pressed = 0

        def stop() -> bool:
            nonlocal pressed
            if _ENDS.search(snippet.code):
                return False
            workers = terminal.shown.count("consuming", since)
            if workers <= pressed or not self._names.idle(snippet.code, self._text):
                return False
            pressed += 1
            terminal.interrupt()
            return True

        return stop

    def _copy_examples(self) -> None:
        target = self._folder / "docs" / "examples"
        if not target.exists():
            copy(".", target)
        for path in target.rglob("*"):
            if path.is_file():
                path.write_text(self._names.here(path.read_text()))


def _module(snippet: Snippet) -> str:
    return str(snippet.file).removesuffix(".py").replace("/", ".")


def _expect(holds: bool, snippet: Snippet, otherwise: str, shown: str) -> None:
    if not holds:
        raise PageError(f"{snippet.place}: {otherwise}\n{shown}".rstrip())
