"""gator result: what a task returned."""

from __future__ import annotations

import click

from alligator.backends.base import Capability, FinishedState

from ..broker import open_client, require
from ..completing import task_ids
from ..errors import CliError, NotFound
from ..options import Command
from ..outcomes import result_of
from ..session import Session, pass_session
from ..types import duration, given_id

EXAMPLES = """
gator result 6f1c2a52-6f0e-4c8e-9df1-0a44f7a1b8a0
gator result "$id" --timeout 1m | jq .total
"""


@click.command("result", cls=Command, examples=EXAMPLES, surplus="One id at a time.")
@click.argument("task_id", type=given_id, metavar="ID", shell_complete=task_ids)
@click.option("--timeout", type=duration, metavar="TIME", help="Wait so long for its end.")
@pass_session
def command(session: Session, task_id: str, timeout: float | None) -> None:
    """Print what a task returned.

    As JSON. The task has to have been pushed with --result-ttl, which says how long its result is
    kept. The exit code is 1 when it failed or, without --timeout, has not ended.
    """
    client = open_client(session)
    require(client, "result", Capability.RESULTS)
    finished = client.wait_finished(task_id, timeout or 0.0)
    if finished is None and timeout is None:
        record = client.find(task_id)
        state = f" (it is {record.state.value})" if record else ""
        raise CliError(f"task {task_id} has not ended{state}", "Wait for it with --timeout.")
    if finished is not None and finished.state is FinishedState.GONE:
        raise NotFound(
            f"there is no task {task_id!r} and no result of it: it was canceled or dropped, is "
            "done and was pushed without --result-ttl, or never was"
        )
    session.out.line(result_of(client, task_id, finished, timeout))
