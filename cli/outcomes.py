"""How a task ended, as a result or as an error."""

from __future__ import annotations

from alligator import body
from alligator.backends.base import Finished, FinishedState

from .errors import CliError, TimedOut
from .shell import arguments


def result_of(task_id: str, finished: Finished | None, timeout: float | None) -> str:
    """Return the result as JSON.

    Args:
        finished: None when it had not ended after `timeout` seconds.

    Raises:
        CliError: there is none, and why.
        TaskFailed: it is no JSON.
    """
    if finished is None:
        raise TimedOut(
            f"task {task_id} has not ended within {timeout or 0:g} s",
            f"It stays queued: gator show {arguments(task_id)}",
        )
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


def error_of(finished: Finished) -> str:
    """Return the error of a failed task."""
    return finished.failure.error if finished.failure else "its error is not known"
