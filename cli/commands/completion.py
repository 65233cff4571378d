"""gator completion: the script for a shell."""

from __future__ import annotations

import click

from ..completing import words
from ..options import Command
from ..scripts import SHELLS, script
from ..session import Session, pass_session
from ..types import choice

EXAMPLES = """
gator completion bash >~/.local/share/bash-completion/completions/gator
gator completion zsh >"${fpath[1]}/_gator"
gator completion fish >~/.config/fish/completions/gator.fish
"""


@click.command("completion", cls=Command, examples=EXAMPLES, surplus="One shell at a time.")
@click.argument(
    "shell", type=choice("shell", SHELLS), metavar="SHELL", shell_complete=words(SHELLS)
)
@pass_session
def command(session: Session, shell: str) -> None:
    """Print the script that has a shell complete gator's words.

    For bash, zsh or fish. It completes commands, options and their values, and from the broker the
    names of queues and the ids of tasks, if it answers at once.
    """
    session.out.line(script(shell).rstrip("\n"))
