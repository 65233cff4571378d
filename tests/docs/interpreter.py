"""A Python process that runs a page's snippets, and how to talk to it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .terminal import PATIENCE, Terminal

_PROGRAM = str(Path(__file__).with_name("interpreter_program.py"))


class Interpreter:
    """Runs snippets one after another, in one namespace, on a terminal."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        command = [sys.executable, _PROGRAM, str(orders), str(answers)]
        self.terminal = Terminal(command, folder, env, (orders, answers))
        os.close(orders)
        os.close(answers)
        os.set_blocking(self._answers, False)

    def run(self, page: str, line: int, code: str, meanwhile: Callable[[], object]) -> str | None:
        """Run a snippet, calling `meanwhile` again and again; return its traceback, or None."""
        order = json.dumps({"page": page, "line": line, "code": code})
        os.write(self._orders, order.encode() + b"\n")
        answer = b""
        deadline = time.monotonic() + PATIENCE
        while not answer.endswith(b"\n"):
            meanwhile()
            try:
                answer += os.read(self._answers, 65536) or b'"Python has ended"\n'
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return "still running"
                time.sleep(0.01)
        trace: Any = json.loads(answer)
        return None if trace is None else str(trace)

    def close(self) -> None:
        self.terminal.close()
        os.close(self._orders)
        os.close(self._answers)
