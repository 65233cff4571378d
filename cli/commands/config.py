"""gator config: the settings in force."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from alligator.dsn import redact
from alligator.redaction import redacted

from ..broker import dsn_in_force, dsn_source
from ..options import Command
from ..output import Columns
from ..session import Session

EXAMPLES = """
gator config
gator config --json | jq -r 'select(.name == "dsn").value'
"""

COLUMNS = Columns(names=("name", "value", "source"), key="value", long={"value": 40})

#: Variables that are read and not by click for an option; docs/variables.md says what for.
OTHERS = (
    "GATOR_DSN",
    "ALLIGATOR_DSN",
    "GATOR_DSN_FILE",
    "GATOR_SECRET_FILE",
    "GATOR_ALLOW",
    "GATOR_COMPLETION_TIMEOUT",
)

#: What the name of a variable has in it whose value is a secret.
SECRET = ("SECRET", "PASSWORD", "TOKEN")


@click.command("config", cls=Command, examples=EXAMPLES, fields=COLUMNS.names)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show which settings are in force, and where they come from.

    The broker, and every GATOR_ variable that is set, also one that gator knows nothing of. No
    password is shown, and no broker asked.
    """
    session = ctx.ensure_object(Session)
    session.out.rows(_settings(session, variables(ctx.find_root())), COLUMNS)


def _settings(session: Session, known: set[str]) -> Iterator[dict[str, str]]:
    dsn, source = redact(dsn_in_force(session)), dsn_source(session.settings)
    yield {"name": "dsn", "value": dsn, "source": source}
    for name in sorted(os.environ):
        if name.startswith(("GATOR_", "ALLIGATOR_")):
            source = "environment" if name in known else "environment, unknown to gator"
            yield {"name": name, "value": _shown(name, session.secrets), "source": source}


def _shown(name: str, secrets: tuple[str, ...]) -> str:
    """Return a variable's value as anybody may see it."""
    value = os.environ[name]
    if value and not name.endswith("_FILE") and any(word in name for word in SECRET):
        return "***"
    if name.endswith("_DSN") or "://" in value:
        # Taken for one DSN, whose password may have blanks in it.
        value = redact(value)
    return redacted(value, secrets)


def variables(root: click.Context) -> set[str]:
    """Return the names of all variables that gator reads."""
    found = set(OTHERS)
    for param in root.command.params:
        if isinstance(param, click.Option) and param.allow_from_autoenv:
            found.add(f"{root.auto_envvar_prefix}_{param.name}".upper())
    group = root.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(root):
        command = group.get_command(root, name)
        params = command.params if command else []
        found |= {str(param.envvar) for param in params if param.envvar}
    return found
