"""gator load: bring back what dump wrote."""

from __future__ import annotations

import click

from ..broker import open_gator
from ..bulk_push import Source, push_lines
from ..completing import queue_names
from ..fields import LINES, of_lines
from ..options import Command
from ..session import Session, pass_session
from ..types import queue_name, rate

EXAMPLES = """
gator load tasks.ndjson
gator drop -q mail --backup mail.ndjson --yes && gator load mail.ndjson
gator dump -q mail | gator load - --dsn sqlite:///copy.db
"""


@click.command(
    "load",
    cls=Command,
    examples=EXAMPLES,
    fields=LINES,
    fields_with=of_lines,
    surplus="One file at a time.",
)
@click.argument("path", metavar="FILE", type=click.Path(allow_dash=True))
@click.option(
    "-q",
    "--queue",
    type=queue_name,
    metavar="QUEUE",
    help="That of lines which name none; 'all' when left out.",
    shell_complete=queue_names,
)
@click.option("--skip-invalid", is_flag=True, help="Go on after a bad line.")
@click.option("--rate", type=rate, metavar="RATE", help="100/s, 6000/m.")
@click.option("--print-ids", is_flag=True, help="The ids instead of a summary.")
@click.option("--dry-run", is_flag=True, help="Check all lines, and queue none.")
@pass_session
def command(
    session: Session,
    path: str,
    queue: str | None,
    skip_invalid: bool,
    rate: float | None,
    print_ids: bool,
    dry_run: bool,
) -> int:
    """Bring back tasks that dump, or drop --backup, wrote.

    With their ids, due times, priorities, unique keys and dependencies; they count as pushed now.
    Failed ones go to the failed set with their failures and without a unique key, which they do not
    hold; retrying and running ones are tried anew, with no attempt counted. A task that is held
    already stays as it is. - is standard input.
    """
    source = Source(path, skip_invalid, None, rate, print_ids, dry_run, restore=True)
    return push_lines(session, open_gator(session, queue), source)
