"""gator top: queues, workers and tasks on the whole screen, live, with keys that mend them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from alligator.dsn import redact

from ..broker import open_gator
from ..completing import queue_names
from ..errors import INTERRUPTED, TERMINATED, CliError
from ..options import Command
from ..output import is_terminal, wants_color
from ..session import Session, pass_session
from ..types import interval, queue_name

if TYPE_CHECKING:  # Textual is an extra, and slow to import
    from ..top.screen import Top

EXAMPLES = """
gator top
gator top -q mail --every 5s
"""


@click.command("top", cls=Command, examples=EXAMPLES, surplus="Name the queue with -q.")
@click.option(
    "-q",
    "--queue",
    type=queue_name,
    metavar="QUEUE",
    shell_complete=queue_names,
    help="The queue whose tasks are in sight first; that with most failed tasks when left out.",
)
@click.option(
    "--every",
    type=interval,
    default=2.0,
    show_default="2s",
    metavar="TIME",
    help="How often to look.",
)
@pass_session
def command(session: Session, queue: str | None, every: float) -> int:
    """Watch queues, workers and tasks, and mend them.

    The whole screen, looked at again and again: failed tasks with their errors, or those in another
    state. Keys show a task's record, retry, cancel and drop tasks, pause a queue; ? tells them all.
    Needs alligator[top].
    """
    try:
        from ..top.screen import Top  # the lazy import of an extra
    except ImportError as error:
        raise CliError(
            "gator top needs the textual package: pip install 'alligator[top]'"
        ) from error
    # Textual draws on standard error.
    if not all(map(is_terminal, (sys.stdin, sys.stdout, sys.stderr))):
        raise click.UsageError(
            "gator top needs a terminal, and here is none; gator stats --watch does not"
        )
    gator = open_gator(session, closes=False)
    colored = wants_color(sys.stdout, session.out.color)
    # The one way to tell Textual.
    os.environ.pop("NO_COLOR", None)
    if not colored:
        os.environ["NO_COLOR"] = "1"
    where = redact(gator.conn_string)
    screen = Top(gator, where=where, every=every, queue=queue, secrets=session.secrets)
    try:
        code = asyncio.run(_run(screen))
    finally:
        screen.close()
    if screen.return_value is not None:
        raise screen.return_value
    return code


async def _run(screen: Top) -> int:
    """Run the screen until somebody ends it; return the exit code."""
    loop = asyncio.get_running_loop()
    for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)):
        loop.add_signal_handler(number, screen.exit, None, code)
    # A mouse that Textual has taken selects no text to copy.
    await screen.run_async(mouse=False)
    return screen.return_code or 0
