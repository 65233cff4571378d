"""The page of error messages has them as the code writes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()


def written(node: ast.AST) -> Iterator[str]:
    """The texts below a node, with … for what is put into them."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.sub(r"%[sdg]", "…", node.value)
    for child in ast.iter_child_nodes(node):
        yield from written(child)


WRITTEN = "\n".join(
    text
    for folder in ("alligator", "cli")
    for path in (ROOT / folder).rglob("*.py")
    for text in written(ast.parse(path.read_text()))
)

MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_code_has_the_message(message: str) -> None:
    assert message in WRITTEN


def test_no_row_of_the_page_is_missed() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    headers = [line for line in rows if line.startswith("| message |")]
    assert len(MESSAGES) == len(rows) - len(headers) > 50
