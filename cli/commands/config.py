"""gator config: the settings in force."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from alligator.dsn import redact

from ..broker import dsn_in_force, dsn_source
from ..options import Command
from ..output import Columns
from ..session import Session, pass_session

EXAMPLES = """
gator config
gator config --json | jq -r 'select(.name == "dsn").value'
"""

COLUMNS = Columns(names=("name", "value", "source"), key="value", long={"value": 40})


@click.command("config", cls=Command, examples=EXAMPLES, fields=COLUMNS.names)
@pass_session
def command(session: Session) -> None:
    """Show which settings are in force, and where they come from.

    The broker, and every GATOR_ variable that is set. No password is shown, and no broker asked.
    """
    session.out.rows(_settings(session), COLUMNS)


def _settings(session: Session) -> Iterator[dict[str, str]]:
    dsn, source = redact(dsn_in_force(session)), dsn_source(session.settings)
    yield {"name": "dsn", "value": dsn, "source": source}
    for name in sorted(os.environ):
        if name.startswith(("GATOR_", "ALLIGATOR_")):
            value = os.environ[name]
            shown = redact(value) if name.endswith("_DSN") else value
            yield {"name": name, "value": shown, "source": "environment"}
