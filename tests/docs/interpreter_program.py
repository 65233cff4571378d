"""Runs a page's Python snippets, one after another, in one namespace; see interpreter.py.

Arguments: a descriptor to read orders from and one to write answers to, a JSON line each. An order
has page, line and code; the answer is a traceback, or null.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any


def main(reading: int, writing: int) -> None:
    sys.path[0] = os.getcwd()
    namespace: dict[str, object] = {"__name__": "__main__"}
    with open(reading) as orders, open(writing, "w") as answers:
        for line in orders:
            answers.write(json.dumps(_run(json.loads(line), namespace)) + "\n")
            answers.flush()


def _run(order: dict[str, Any], namespace: dict[str, object]) -> str | None:
    # The empty lines make the line numbers of a traceback the page's.
    code = "\n" * (order["line"] - 1) + order["code"]
    try:
        exec(compile(code, order["page"], "exec"), namespace)
    except BaseException as error:  # SystemExit fails the page, too: the rest would not have run
        trace = error.__traceback__
        return "".join(traceback.format_exception(error.with_traceback(trace and trace.tb_next)))
    finally:
        sys.stdout.flush()
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
