"""gator wait: until tasks have ended."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import IO, Any

import click

from alligator.backends.base import Capability, FinishedState

from ..broker import open_client, require
from ..errors import FAILED, PARTLY
from ..ids import given_ids, id_arguments
from ..options import Command
from ..outcomes import error_of, not_ended
from ..output import Columns
from ..session import Session, pass_session
from ..types import duration

EXAMPLES = """
gator wait "$id" --timeout 5m
gator push --from calls.ndjson --print-ids | gator wait --ids-from - --json
"""

COLUMNS = Columns(names=("id", "state", "error"), long={"error": 40})


@click.command("wait", cls=Command, examples=EXAMPLES, fields=COLUMNS.names)
@id_arguments
@click.option("--timeout", type=duration, metavar="TIME", help="Wait no longer than this, in all.")
@pass_session
def command(
    session: Session, ids: tuple[str, ...], ids_from: IO[str] | None, timeout: float | None
) -> int:
    """Wait until tasks have ended.

    Prints how each of them did: success, failed, or gone. Gone is one that the broker no longer
    holds and that has left no result: it is done and was pushed without --result-ttl, or was
    canceled or dropped. The exit code is 1 when all failed, 3 when some did.
    """
    if not ids and ids_from is None:
        raise click.UsageError("there is nothing to wait for; give ids, or --ids-from FILE")
    client = open_client(session)
    require(client, "wait", Capability.RESULTS)
    deadline = None if timeout is None else time.monotonic() + timeout
    states: list[FinishedState] = []

    def ended() -> Iterator[dict[str, Any]]:
        for task_id in given_ids(ids, ids_from):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            finished = client.wait_finished(task_id, left)
            if finished is None:
                raise not_ended(client, task_id, timeout)
            states.append(finished.state)
            failed = finished.state is FinishedState.FAILED
            yield {
                "id": task_id,
                "state": finished.state.value,
                "error": error_of(finished) if failed else "",
            }

    session.out.answer(ended(), COLUMNS)
    if not states:
        session.out.note("no ids given, nothing waited for")
    failed = states.count(FinishedState.FAILED)
    if not failed:
        return os.EX_OK
    return FAILED if failed == len(states) else PARTLY
