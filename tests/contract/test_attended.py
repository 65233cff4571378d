"""Whether a worker takes from a queue, as far as the broker can tell."""

from __future__ import annotations

from alligator.backends.base import Capability
from alligator.backends.roster import WorkerRecord

from ..servers import eventually
from .verbs import LATER, MakeClient, push


def test_a_queue_is_attended_while_a_worker_takes_from_it(make_client: MakeClient) -> None:
    worker, looker = make_client(), make_client()
    push(looker, "mail")
    assert looker.attended("mail") is False

    listed = Capability.WORKERS in worker.capabilities
    if listed:
        worker.beat(WorkerRecord("h:1", "h", 1, ("mail",), 1, 1.7e9), LATER)
    worker.reserve(["mail"], 1)

    assert looker.attended("mail") is True
    assert looker.attended("other") is False
    if listed:
        worker.leave("h:1")
    worker.close()
    eventually(lambda: looker.attended("mail") is False, "the worker has left")


def test_a_look_or_a_push_is_no_worker(make_client: MakeClient) -> None:
    client = make_client()
    push(client, "mail")
    client.counts("mail")

    assert client.attended("mail") is False


def test_a_queue_that_never_was_is_not_attended(make_client: MakeClient) -> None:
    assert make_client().attended("never") is False
