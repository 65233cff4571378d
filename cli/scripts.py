"""The completion scripts, as click makes them."""

from __future__ import annotations

SHELLS = ("bash", "zsh", "fish")

#: Their names under completions/, which are those that each shell looks for.
FILES = {"bash": "gator.bash", "zsh": "_gator", "fish": "gator.fish"}


def script(shell: str) -> str:
    """Return the script for a shell."""
    from click.shell_completion import get_completion_class

    from .app import COMPLETE, app

    found = get_completion_class(shell)
    assert found is not None  # these three are click's own
    complete = found(app, {}, "gator", COMPLETE)
    # Not source(): for bash that first starts one, to look at its version.
    return complete.source_template % complete.source_vars()
