"""Listing a beanstalkd queue, which the server cannot do: job after job is asked for its state.

Waiting tasks run by priority, then by id, and the server shows the first one. So those that follow
it are the next ids with its priority: a page is found in a few round trips, however long the queue
is, as long as it lies within NEAR ids of the first and the tasks on it have one priority.

Otherwise every id is asked for. The ids begin at the job that the server would show first and end
at the newest, and only if jobs are then still missing do the older ids follow. That costs about
14 s for each million of jobs, and 7 s for each million of ids in between that are gone.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from threading import Lock

from .base import State
from .beanstalk_job import Stats, read_stats, read_yaml
from .beanstalk_wire import WINDOW_COMMANDS, Connection, Reply, refuse

# A tube of our own, so that the job that is put to learn the newest id disturbs nobody.
_PROBE_TUBE = "gator.probe"

#: How many ids, from the first job's on, are looked through before all are. Who reads further reads
#: on, and asking this many costs 30 ms.
NEAR = 4_000

# The fewest ids to ask for at once: a round trip costs as much as asking for a few.
_FEWEST = 32

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


@dataclass(slots=True)
class Listing:
    """The ids of a queue's jobs in one state, in order, as far as pages of them were asked for.

    Paging through one skips nothing and repeats nothing; the records are read page by page. It only
    ever grows at its end. Once whole it holds all ids, however many there are, as a command that
    changes tasks must not leave any out unseen: 8 bytes each.

    Attributes:
        serial: tells it from others of the same client.
        newest: no job with a higher id belongs to it. A task that is tried again gets such a one,
            and would be shown twice.
        total: how many jobs it was about when it began.
        ids: of the jobs that are known, from the first one on.
        whole: these are all.
    """

    serial: int
    queue: str
    state: State
    newest: int = 0
    total: int = 0
    ids: array[int] = field(default_factory=lambda: array("Q"))
    whole: bool = False
    # The priority of the first job, and the ids that may follow it and were not looked at yet.
    _pri: int = 0
    _near: range | None = None
    _growing: Lock = field(default_factory=Lock)

    def page(self, offset: int, size: int, reverse: bool) -> array[int]:
        """Return some of the ids that are known, counted from the end that `reverse` says."""
        if not reverse:
            return self.ids[offset : offset + size]
        end = max(0, len(self.ids) - offset)
        return self.ids[max(0, end - size) : end][::-1]

    def reach(self, connection: Connection, shown: str, most: int | None) -> None:
        """Find the first `most` ids, or all there are; None is all.

        Raises:
            BrokerRefused: as `list_jobs`.
        """
        with self._growing:
            if most is not None and not self.whole and self.state is State.WAITING:
                self._look_near(connection, most)
            if not self.whole and (most is None or len(self.ids) < most):
                known = frozenset(self.ids)
                self.ids.extend(
                    job_id
                    for job_id in _list_all(connection, shown, self.queue, self.state)
                    if job_id <= self.newest and job_id not in known
                )
                self.whole = True

    def _look_near(self, connection: Connection, most: int) -> None:
        if self._near is None:
            self._pri, self._near = self._start(connection, most)
        size = max(_FEWEST, most - len(self.ids))
        while len(self.ids) < most and self._near:
            size = min(size, WINDOW_COMMANDS)
            window, rest = self._near[:size], self._near[size:]
            following = [
                stats.job_id
                for stats in _stats(connection, self.queue, window)
                if (stats.state, stats.pri) == ("ready", self._pri)
            ]
            self.ids.extend(following)
            self._near = rest
            size *= 2

    def _start(self, connection: Connection, most: int) -> tuple[int, range]:
        """Return the first job's priority, and the ids among which to look for `most`."""
        # Too few jobs is no proof that all are found, so the near look would be for nothing.
        if self.total >= most:
            first = _first(connection, self.queue, b"peek-ready")
            if first is not None:
                for stats in _stats(connection, self.queue, [first]):
                    # It may run by now: those that follow have its priority all the same.
                    return stats.pri, range(first, min(first + NEAR, self.newest + 1))
        return 0, range(0)


def list_jobs(connection: Connection, shown: str, serial: int, queue: str, state: State) -> Listing:
    """Begin to list the jobs of one queue in one state, as there are now.

    Raises:
        BrokerRefused: the server is in drain mode, in which it does not tell its newest id.
    """
    listing = Listing(serial, queue, state)
    if state in _SERVER_STATES:
        _, figure, peek_first = _SERVER_STATES[state]
        listing.total = _count(connection, queue, figure)
        first = _first(connection, queue, peek_first) if listing.total == 1 else None
        if first is not None:
            listing.ids.append(first)
        elif listing.total:
            listing.newest, listing.total = _newest(connection, shown, queue, figure)
    listing.whole = not listing.newest
    return listing


def _list_all(connection: Connection, shown: str, queue: str, state: State) -> Iterator[int]:
    """Return the ids of all jobs in one state, in order."""
    _, figure, peek_first = _SERVER_STATES[state]
    newest, target = _newest(connection, shown, queue, figure)
    first = _first(connection, queue, peek_first)
    ranks = _scan(connection, queue, state, target, first, newest) if target else {}
    return _in_order(ranks, first)


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
    name, figure, peek_first = _SERVER_STATES[state]
    rank = _RANK[state]
    ranks: dict[int, array[int]] = defaultdict(lambda: array("Q"))
    found = 0
    if peek_first is None:
        windows = _windows_of_running(_first(connection, queue, b"peek-ready"), newest)
    else:
        windows = _windows(first, newest)
    for window in windows:
        for stats in _stats(connection, queue, window):
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


def _stats(connection: Connection, queue: str, job_ids: Iterable[int]) -> Iterator[Stats]:
    """Yield the figures of those of the jobs that are in this queue."""
    in_tube = f"\ntube: {queue}\n".encode("ascii")
    quoted = f'\ntube: "{queue}"\n'.encode("ascii")
    for reply in connection.ask(b"stats-job %d" % job_id for job_id in job_ids):
        # Reading the figures costs far more than this look, and most jobs may be elsewhere.
        if in_tube in reply.data or quoted in reply.data:
            yield read_stats(reply.data)


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
    start = newest + 1 if first is None else first
    for low in range(start, newest + 1, WINDOW_COMMANDS):
        yield range(low, min(low + WINDOW_COMMANDS, newest + 1))
    yield from _downwards(start, 1)


def _windows_of_running(ready: int | None, newest: int) -> Iterator[range]:
    # Running tasks stood before the first that waits, or came last and have a higher priority: so
    # the ids below the one and below the other, by turns.
    start = 1 if ready is None else min(ready, newest + 1)
    for pair in zip_longest(_downwards(start, 1), _downwards(newest + 1, start)):
        yield from (window for window in pair if window is not None)


def _downwards(end: int, low: int) -> Iterator[range]:
    for high in range(end, low, -WINDOW_COMMANDS):
        yield range(max(low, high - WINDOW_COMMANDS), high)


def _count(connection: Connection, queue: str, figure: str) -> int:
    (reply,) = connection.ask([b"stats-tube " + queue.encode("ascii")])
    return _figure(reply, figure)


def _figure(reply: Reply, figure: str) -> int:
    return int(read_yaml(reply.data)[figure]) if reply.status == b"OK" else 0


def _first(connection: Connection, queue: str, command: bytes | None) -> int | None:
    if command is None:
        return None
    (reply,) = connection.ask([command], use=queue)
    return int(reply.values[0]) if reply.status == b"FOUND" else None


def _newest(connection: Connection, shown: str, queue: str, figure: str) -> tuple[int, int]:
    """Return the newest id, and how many jobs one of the queue's figures says there are.

    It is counted after the newest id is known. A push in between makes it too many, and then older
    ids are looked at for nothing; too few would end a search before all are found.
    """
    put, stats_tube = b"put 0 4294967295 1 0\r\n", b"stats-tube " + queue.encode("ascii")
    reply, counted = connection.ask([put, stats_tube], use=_PROBE_TUBE)
    if reply.status != b"INSERTED":
        refuse(reply, "list tasks", shown)
    connection.ask([b"delete " + reply.values[0]])
    return int(reply.values[0]) - 1, _figure(counted, figure)
