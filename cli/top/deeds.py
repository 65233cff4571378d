"""What the keys of gator top do to tasks and queues, each told in a sentence."""

from __future__ import annotations

from alligator.backends.base import Backend, Mended, State

from ..commands import cancel, retry
from ..mending import Verb
from ..tally import REASONS, tasks


def retry_one(client: Backend, task_id: str) -> str:
    """Have a task run once more."""
    ((mended, new_id),) = client.requeued([task_id])
    as_another = "" if new_id == task_id else f", as {new_id}"
    return _told(retry.VERB, task_id, mended) + as_another


def cancel_one(client: Backend, task_id: str) -> str:
    """Take a task off its queue."""
    (mended,) = client.cancel_many([task_id])
    return _told(cancel.VERB, task_id, mended)


def _told(verb: Verb, task_id: str, mended: Mended) -> str:
    if mended is Mended.DONE:
        return f"task {task_id} {verb.past}"
    return f"task {task_id} not {verb.past}: {REASONS[mended]}"


def drop_all(client: Backend, queue: str, state: State) -> str:
    """Remove all tasks of a queue that are in a state."""
    return f"{tasks(client.drop(queue, [state]))} of queue {queue!r} removed"


def toggle_pause(client: Backend, queue: str) -> str:
    """Pause a queue, or resume one that is paused.

    Raises:
        UnsupportedByBroker: it has no pauses.
    """
    if queue in client.paused():
        client.resume(queue)
        return f"queue {queue!r} is resumed"
    client.pause(queue)
    return f"queue {queue!r} is paused"
