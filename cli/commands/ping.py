"""gator ping: whether the broker answers, who it is and how fast."""

from __future__ import annotations

import time

import click

from alligator.dsn import redact

from ..broker import open_gator
from ..options import Command
from ..session import Session, pass_session

EXAMPLES = """
gator ping
gator ping --dsn redis://localhost:6379/0 --json
"""


@click.command("ping", cls=Command, examples=EXAMPLES, fields=("dsn", "broker", "latency"))
@pass_session
def command(session: Session) -> None:
    """Ask the broker whether it answers.

    The latency, in seconds, is that of the second question: the first one connects.
    """
    gator = open_gator(session)
    broker = gator.client.ping()
    began = time.perf_counter()
    gator.client.ping()
    latency = time.perf_counter() - began
    session.out.record({"dsn": redact(gator.conn_string), "broker": broker, "latency": latency})
