"""A task whose module is imported anew for each try, and kills the process at that when told to."""

from __future__ import annotations

import sys

from . import mortal

mortal.reach("import")


def work(evidence: str, name: str) -> None:
    """Work, and be forgotten by this process."""
    sys.modules.pop(__name__, None)
    mortal.work(evidence, name)
