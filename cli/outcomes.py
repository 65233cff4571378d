"""How a task ended, as a result or as an error."""

from __future__ import annotations

from alligator import body
from alligator.backends.base import Backend, Finished, FinishedState, State

from .errors import CliError, TimedOut
from .hindrances import held_back, hindrances, sentences
from .quoting import arguments


def result_of(
    client: Backend, task_id: str, finished: Finished | None, timeout: float | None
) -> str:
    """Return the result as JSON.

    Args:
        finished: None when it had not ended after `timeout` seconds.

    Raises:
        CliError: there is none, and why.
        TaskFailed: it is no JSON.
    """
    if finished is None:
        raise not_ended(client, task_id, timeout)
    if finished.state is FinishedState.FAILED:
        raise CliError(
            f"task {task_id} failed: {error_of(finished)}",
            f"It is in the failed set: gator show {arguments(task_id)}",
        )
    if finished.state is FinishedState.GONE:
        raise CliError(
            f"task {task_id} is gone without a result: it was canceled or dropped, or had been "
            "pushed without --result-ttl"
        )
    result = finished.result or b"null"
    body.load_result(task_id, result)  # raises for what another program wrote
    return result.decode()


def not_ended(client: Backend, task_id: str, timeout: float | None) -> TimedOut:
    """Return the error for a task that had not ended after `timeout` seconds, with what holds it up
    where that is a pause, a failed task that it depends on, or that nobody works."""
    record = client.find(task_id)
    hints = [f"It stays queued: gator show {arguments(task_id)}"]
    if record and record.state is State.BLOCKED:
        hints += held_back(client, record)
    if record and record.state is not State.RUNNING:
        hints += hindrances(client, [record.queue])
    message = f"task {task_id} has not ended within {timeout or 0:g} s"
    return TimedOut(message, sentences(hints))


def error_of(finished: Finished) -> str:
    """Return the error of a failed task."""
    return finished.failure.error if finished.failure else "its error is not known"
