"""Running the user's code in this process: its module path, and its output kept off stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from alligator.utils import import_from_here


@contextmanager
def users_code() -> Iterator[None]:
    """Import and run the user's code in the body of the `with`.

    The current directory is on the module path, as with `python -m`. What the code prints goes to
    stderr, since stdout carries records; so does the output of programs it starts, hence the file
    descriptor.
    """
    import_from_here()
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
