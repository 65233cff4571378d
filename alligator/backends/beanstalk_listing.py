"""Listing a beanstalkd queue, which the server cannot do: every job id is asked for its state.

The ids to ask begin at the job that the server would show first and end at the newest, and only if
jobs are then still missing do the older ids follow. Live jobs are mostly close together, so a
short queue costs a few round trips; a job that is much older than its queue's first costs about
7 s for each million of ids in between.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from .base import State
from .beanstalk_job import Stats, read_stats, read_yaml
from .beanstalk_wire import WINDOW_COMMANDS, Connection, refuse

# A tube of our own, so that the job that is put to learn the newest id disturbs nobody.
_PROBE_TUBE = "gator.probe"

# The server's name for each state that it can list, the figure that counts it, and the command
# that shows its first job where there is one.
_SERVER_STATES: dict[State, tuple[str, str, bytes | None]] = {
    State.WAITING: ("ready", "current-jobs-ready", b"peek-ready"),
    State.DELAYED: ("delayed", "current-jobs-delayed", b"peek-delayed"),
    State.RUNNING: ("reserved", "current-jobs-reserved", None),
    State.FAILED: ("buried", "current-jobs-buried", b"peek-buried"),
}

# What comes before the id in the order of each state.
_RANK: dict[State, Callable[[Stats], int]] = {
    State.WAITING: lambda stats: stats.pri,
    State.DELAYED: lambda stats: stats.time_left,
    State.RUNNING: lambda stats: stats.time_left,
    State.FAILED: lambda stats: 0,  # its job is put when a task fails
}


@dataclass(frozen=True, slots=True)
class Listing:
    """The ids of a queue's jobs in one state, in order, as they were at one moment.

    Paging through one is cheap and skips nothing; the records are read page by page. It holds all
    ids, however many there are, as a command that changes tasks must not leave any out unseen: 8
    bytes each.
    """

    serial: int
    queue: str
    state: State
    ids: array[int]

    def page(self, offset: int, size: int, reverse: bool) -> array[int]:
        """Return some ids, counted from the end that `reverse` says."""
        if not reverse:
            return self.ids[offset : offset + size]
        end = len(self.ids) - offset
        return self.ids[max(0, end - size) : end][::-1]


def list_jobs(connection: Connection, shown: str, serial: int, queue: str, state: State) -> Listing:
    """Find the jobs of one queue in one state.

    Args:
        serial: tells this listing from others of the same client.

    Raises:
        BrokerRefused: the server is in drain mode, in which it does not tell its newest id.
    """
    listing = Listing(serial, queue, state, array("Q"))
    if state not in _SERVER_STATES:
        return listing
    _, figure, peek_first = _SERVER_STATES[state]
    target = _count(connection, queue, figure)
    first = _first(connection, queue, peek_first)
    if target == 1 and first is not None:
        listing.ids.append(first)
    elif target:
        ranks = _scan(connection, queue, state, target, first, _newest(connection, shown))
        listing.ids.extend(_in_order(ranks, first))
    return listing


def first_job(connection: Connection, queue: str, state: State) -> tuple[int | None, bool]:
    """Return the first job in one state, where the server shows it by itself, and whether there
    are more. This costs nothing, however long the queue is."""
    _, figure, peek_first = _SERVER_STATES.get(state, ("", "", None))
    if peek_first is None:
        return None, True
    return _first(connection, queue, peek_first), _count(connection, queue, figure) > 1


def _scan(
    connection: Connection, queue: str, state: State, target: int, first: int | None, newest: int
) -> dict[int, array[int]]:
    """Return the ids of the jobs in one state by their rank."""
    name, figure, _ = _SERVER_STATES[state]
    rank = _RANK[state]
    ranks: dict[int, array[int]] = defaultdict(lambda: array("Q"))
    found = 0
    in_tube = f"\ntube: {queue}\n".encode("ascii")
    quoted = f'\ntube: "{queue}"\n'.encode("ascii")
    for window in _windows(first, newest):
        for reply in connection.ask(b"stats-job %d" % job_id for job_id in window):
            # Reading the figures costs far more than this look, and most jobs may be elsewhere.
            if in_tube in reply.data or quoted in reply.data:
                stats = read_stats(reply.data)
                if stats.state == name:
                    ranks[rank(stats)].append(stats.job_id)
                    found += 1
        # Some may have left meanwhile. Of those that were found, maybe: so that ends the search
        # among the older ids only, not before the newest jobs are seen.
        if first is None or window.start < first:
            target = min(target, _count(connection, queue, figure))
        if found >= target:
            break
    return ranks


def _in_order(ranks: dict[int, array[int]], first: int | None) -> Iterator[int]:
    # The figures are whole seconds: of equal ones the first is the one that the server shows,
    # since a page of one task has shown that already.
    if first is not None and any(first in ids for ids in ranks.values()):
        yield first
    for rank in sorted(ranks):
        ids = ranks[rank]
        rising = all(one < other for one, other in pairwise(ids))
        yield from (job_id for job_id in (ids if rising else sorted(ids)) if job_id != first)


def _windows(first: int | None, newest: int) -> Iterator[range]:
    # Running tasks have no first; they are mostly among the newest.
    start = newest + 1 if first is None else first
    for low in range(start, newest + 1, WINDOW_COMMANDS):
        yield range(low, min(low + WINDOW_COMMANDS, newest + 1))
    for high in range(start, 1, -WINDOW_COMMANDS):
        yield range(max(1, high - WINDOW_COMMANDS), high)


def _count(connection: Connection, queue: str, figure: str) -> int:
    (reply,) = connection.ask([b"stats-tube " + queue.encode("ascii")])
    return int(read_yaml(reply.data)[figure]) if reply.status == b"OK" else 0


def _first(connection: Connection, queue: str, command: bytes | None) -> int | None:
    if command is None:
        return None
    (reply,) = connection.ask([command], use=queue)
    return int(reply.values[0]) if reply.status == b"FOUND" else None


def _newest(connection: Connection, shown: str) -> int:
    (reply,) = connection.ask([b"put 0 4294967295 1 0\r\n"], use=_PROBE_TUBE)
    if reply.status != b"INSERTED":
        refuse(reply, "list tasks", shown)
    connection.ask([b"delete " + reply.values[0]])
    return int(reply.values[0]) - 1
