"""gator help: the help of a command."""

from __future__ import annotations

import click

from ..completing import words
from ..options import Command

EXAMPLES = """
gator help
gator help push
"""


def _commands(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    from ..app import ALIASES, COMMANDS

    return words((*COMMANDS, *ALIASES) if begun else COMMANDS)(ctx, param, begun)


@click.command("help", cls=Command, examples=EXAMPLES, surplus="One command at a time.")
@click.argument("name", required=False, metavar="[COMMAND]", shell_complete=_commands)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of a command."""
    root = ctx.find_root()
    if name is None:
        click.echo(root.get_help())
        return
    app = root.command
    assert isinstance(app, click.Group)
    found_name, found, _ = app.resolve_command(root, [name])
    assert found is not None  # else resolve_command has raised
    with found.make_context(found_name, [], parent=root, resilient_parsing=True) as its:
        click.echo(found.get_help(its))
