"""A worker that is killed at a named point of its talk with the broker.

The broker's client is a subclass that kills the process right before or after the verb of the
point. It changes nothing else, and notes first what the worker holds at that moment.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from alligator import Gator, Task, Worker
from alligator.backends.base import Ack, Backend, Lease, Outcome, Release, Settled
from alligator.backends.registry import client_class
from alligator.settings import WorkerSettings
from alligator.supervisor import Supervisor

from .deeds import lines, note


class Point(NamedTuple):
    """When to die.

    Attributes:
        verb: of the contract.
        after: whether the broker has done it.
        about: an outcome that the settle has to have; None stands for new leases.
        times: how many such calls.
        late: only those while the long task runs count.
    """

    verb: str
    after: bool
    about: type[Outcome] | None = None
    times: int = 1
    late: bool = False


POINTS = {
    "after reserve": Point("settle", True, None, 3),
    "before ack": Point("settle", False, Ack, 3),
    "after ack": Point("settle", True, Ack, 3),
    "before hand-back": Point("settle", False, Release, late=True),
    "after hand-back": Point("settle", True, Release, late=True),
    "before extension": Point("extend", False, late=True),
    "after extension": Point("extend", True, late=True),
}

#: The name of the task that runs long.
LONG = "long"


def doomed(kind: Callable[[str], Backend], dsn: str, point: Point, evidence: str) -> Backend:
    """Return a client of this kind that kills its process at the point."""

    class Doomed(kind):  # type: ignore[misc, valid-type]
        def __init__(self, dsn: str) -> None:
            super().__init__(dsn)
            self.lease_seconds = 1.0  # how often to extend, on a broker without timed leases too
            self._handed_out: dict[tuple[str, str], Lease] = {}
            self._calls_left = point.times

        def settle(
            self, outcomes: Sequence[Outcome], queues: Sequence[str] = (), limit: int = 0
        ) -> Settled:
            outcomes = list(outcomes)
            if point.about is not None and any(isinstance(o, point.about) for o in outcomes):
                self._reach("settle", after=False)
            settled: Settled = super().settle(outcomes, queues, limit)
            for outcome in outcomes:
                self._handed_out.pop(key(outcome.lease), None)
            self._handed_out.update((key(lease), lease) for lease in settled.leases)
            if point.about is None and settled.leases:
                self._reach("settle", after=True)
            if point.about is not None and any(isinstance(o, point.about) for o in outcomes):
                self._reach("settle", after=True)
            return settled

        def extend(self, leases: Sequence[Lease]) -> list[bool]:
            self._reach("extend", after=False)
            kept: list[bool] = super().extend(leases)
            self._reach("extend", after=True)
            return kept

        def _reach(self, verb: str, after: bool) -> None:
            if (verb, after) != point[:2]:
                return
            if point.late and f"run {LONG}" not in lines(evidence):
                return
            self._calls_left -= 1
            if self._calls_left == 0:
                for lease in self._handed_out.values():
                    note(evidence, f"held {name_of(lease.body)}")
                os.kill(os.getpid(), signal.SIGKILL)

    return Doomed(dsn)


def key(lease: Lease) -> tuple[str, str]:
    return lease.token, lease.task_id


def name_of(body: bytes) -> str:
    """Return the name that a task of ours was given."""
    name: str = json.loads(body)["args"][1]
    return name


class Undecodable(Task):
    """Kills the process that reads the third body."""

    read = 0

    @classmethod
    def deserialize(cls, data: str | bytes) -> Self:
        Undecodable.read += 1
        if Undecodable.read == 3:
            body: Any = data
            note(json.loads(body)["args"][0], f"held {name_of(body)}")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().deserialize(data)


def main(dsn: str, point: str, evidence: str) -> int:
    """Run the worker that the point is about until it dies."""
    if point == "while decoding":
        # The one place where a body is read by somebody's own code is a Worker of one's own.
        return Worker(Gator(dsn, task_class=Undecodable)).run_forever()
    client = doomed(client_class(dsn), dsn, POINTS[point], evidence)
    return Supervisor(WorkerSettings(dsn, log_level="error"), client).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
