"""Results: kept with an ack, waited for, forgotten in time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from alligator.backends.base import Ack, Backend, Capability, Fail, Finished, FinishedState
from alligator.exceptions import UnsupportedByBroker

from ..servers import eventually
from .verbs import LATER, MakeClient, failure, push, reserve, retry, settle


def keeps_results(client: Backend) -> bool:
    """Whether results are kept; where they are not, asking for one must say so."""
    if Capability.RESULTS in client.capabilities:
        return True
    task_id = push(client)
    with pytest.raises(UnsupportedByBroker, match="store results"):
        client.result(task_id)
    with pytest.raises(UnsupportedByBroker, match="store results"):
        client.wait_finished(task_id, 0.0)
    return False


def test_a_result_is_kept_with_its_ack(make_client: MakeClient) -> None:
    client = make_client()
    if not keeps_results(client):
        return
    task_id = push(client)
    assert client.result(task_id) is None

    settle(client, Ack(reserve(client), b'{"n": "\xc3\xa9"}', result_ttl=LATER))

    assert make_client().result(task_id) == b'{"n": "\xc3\xa9"}'
    assert client.find(task_id) is None
    assert client.queues() == []


def test_no_result_is_kept_without_a_time_to_live(client: Backend) -> None:
    if not keeps_results(client):
        return
    task_id = push(client)

    settle(client, Ack(reserve(client), b"1"))

    assert client.result(task_id) is None


def test_a_new_task_of_the_same_id_has_no_result_yet(client: Backend) -> None:
    if not (keeps_results(client) and Capability.CUSTOM_IDS in client.capabilities):
        return
    other = push(client, task_id="other")
    task_id = push(client, task_id="again")
    for _ in range(2):
        settle(client, Ack(reserve(client), b"1", result_ttl=LATER))

    push(client, task_id=task_id)

    assert (client.result(task_id), client.result(other)) == (None, b"1")
    client.cancel(task_id)
    assert client.finished(task_id) == Finished(FinishedState.GONE)


def test_a_result_is_forgotten_after_its_time(client: Backend) -> None:
    if not keeps_results(client):
        return
    task_id = push(client)

    settle(client, Ack(reserve(client), b"1", result_ttl=0.1))

    eventually(lambda: client.result(task_id) is None, "the result outlives its time")


def test_an_unfinished_task_is_not_finished(client: Backend) -> None:
    if not keeps_results(client):
        return
    task_id = push(client)
    assert client.finished(task_id) is None
    settle(client, retry(reserve(client)))
    assert client.finished(task_id) is None
    reserve(client)
    assert client.finished(task_id) is None
    assert client.wait_finished(task_id, timeout=0.01) is None


def test_how_a_task_ended_is_told(client: Backend) -> None:
    if not keeps_results(client):
        return
    why = failure()
    done, silent, failed, canceled = (push(client) for _ in range(4))
    leases = client.reserve(["all"], 3)
    settle(client, Ack(leases[0], b"null", LATER), Ack(leases[1]), Fail(leases[2], why))
    client.cancel(canceled)

    assert client.finished(done) == Finished(FinishedState.SUCCESS, result=b"null")
    assert client.finished(silent) == Finished(FinishedState.GONE)
    assert client.finished(failed) == Finished(FinishedState.FAILED, failure=why)
    assert client.finished(canceled) == Finished(FinishedState.GONE)
    assert client.finished("unknown") == Finished(FinishedState.GONE)


@pytest.mark.parametrize("how", ["ack", "fail", "cancel", "drop"])
def test_waiting_for_a_task_ends_when_it_does(make_client: MakeClient, how: str) -> None:
    client, waiter = make_client(), make_client()
    if not keeps_results(client):
        return
    task_id = push(client)
    finished: list[Finished | None] = []
    ends: dict[str, Callable[[], object]] = {
        "ack": lambda: settle(client, Ack(reserve(client), b"7", LATER)),
        "fail": lambda: settle(client, Fail(reserve(client), failure())),
        "cancel": lambda: client.cancel(task_id),
        "drop": lambda: client.drop_all("all"),
    }

    def wait() -> None:
        with waiter.watching(task_id) as wait_for:
            watched.set()
            while waiter.finished(task_id) is None:
                wait_for(LATER)
        finished.append(waiter.wait_finished(task_id))

    watched = threading.Event()
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert watched.wait(20)

    ends[how]()

    eventually(lambda: finished, "the wait does not end")
    thread.join()
    assert finished[0] is not None
    states = {"ack": FinishedState.SUCCESS, "fail": FinishedState.FAILED}
    assert finished[0].state == states.get(how, FinishedState.GONE)


def test_a_later_task_of_the_same_id_has_not_finished_with_the_earlier_one(
    client: Backend,
) -> None:
    if not keeps_results(client):
        return
    for result in (b"1", b"2"):
        push(client, task_id="nightly")
        assert client.finished("nightly") is None
        settle(client, Ack(reserve(client), result, LATER))
        assert client.result("nightly") == result
