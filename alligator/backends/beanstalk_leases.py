"""The leases of one working connection: handing out, extending and ending them.

A lease is a job that the connection has reserved. When the connection ends, so do its leases.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import NamedTuple

from ..exceptions import BrokerUnreachable, TaskRunning
from . import beanstalk_job as jobs
from .base import Ack, Defer, Fail, Lease, Outcome, Release, Retry, Settled
from .beanstalk_job import Header, Stats
from .beanstalk_wire import Connection, Reply, refuse

RESERVE_NOW = b"reserve-with-timeout 0"

# The server says DEADLINE_SOON only when nothing is ready, and a lease of ours ends within 1 s.
_NOTHING_READY = frozenset({b"TIMED_OUT", b"DEADLINE_SOON"})

#: Bytes of bodies with which a reserve leaves it at that, though more tasks were wanted.
_ENOUGH = 4 * 2**20

_ENDED = frozenset({b"DELETED", b"RELEASED", b"BURIED"})

# The copy of a failed task is delayed until it is buried. If that is cut short, it becomes ready
# after these seconds, and whoever reserves it buries it.
_BURIAL_DELAY = 60

# Seconds before a task whose failed try could not be counted is tried again, at least.
_UNCOUNTED_DELAY = 5

# Seconds for which nobody else gets a task that was released and whose delivery is yet to count.
_COUNTING_DELAY = 1

# What becomes of a failed try where the server takes no copy.
_UNKEPT: dict[type, str] = {
    Fail: "the task failed, and is buried without the reason",
    Retry: "the task failed, and goes back with the try not counted",
}

log = logging.getLogger("alligator.beanstalk")


@dataclass(slots=True)
class _Held:
    """A reserved job.

    Attributes:
        deadline: monotonic time of a moment no later than the server's own deadline.
    """

    token: str
    deadline: float
    stats: Stats
    header: Header

    @property
    def id(self) -> bytes:
        return b"%d" % self.stats.job_id

    def overdue(self) -> bool:
        # A tenth early, for the time that the next request travels.
        return time.monotonic() > self.deadline - self.stats.ttr / 10


class _End(NamedTuple):
    """An Ack, Release or Defer, the outcome at position `at`, and the command that does it."""

    at: int
    task_id: str
    token: str
    command: bytes


@dataclass(slots=True)
class _Copy:
    """A Retry or Fail on its way: the job that takes the place of a held one.

    Attributes:
        index: of the outcome.
        data: None where header and body exceed what the server takes.
    """

    index: int
    outcome: Retry | Fail
    held: _Held
    data: bytes | None
    new_id: bytes = b""

    @property
    def task_id(self) -> str:
        return self.outcome.lease.task_id


class Leases:
    """What one connection has reserved.

    Attributes:
        shortest: seconds of the shortest lease handed out so far.
    """

    def __init__(
        self,
        connection: Connection,
        connect: Callable[[], Connection],
        shown: str,
        ttr: int,
        max_job: int,
    ) -> None:
        self.connection = connection
        self._connect = connect
        self.shortest = float(ttr)
        self._shown = shown
        self._ttr = ttr
        self._max_job = max_job
        self._held: dict[str, _Held] = {}
        self._serials = itertools.count(1)

    def settle(self, outcomes: Sequence[Outcome], queues: Sequence[str], limit: int) -> Settled:
        """Do what Backend.settle says."""
        if not any(map(_is_charged, outcomes)):
            return self._settle(outcomes, queues, limit)
        with closing(self._connect()) as other:
            accepted = self._settle(outcomes, (), 0).accepted
            ended = itertools.compress(outcomes, accepted)
            _count_deliveries(other, [one.lease.task_id for one in ended if _is_charged(one)])
        return Settled(accepted, self._reserve(queues, limit, [])[1])

    def _settle(self, outcomes: Sequence[Outcome], queues: Sequence[str], limit: int) -> Settled:
        accepted = [False] * len(outcomes)
        mine = self._mine([outcome.lease for outcome in outcomes])
        ends: list[_End] = []
        copies: list[_Copy] = []
        for index, held in mine.items():
            outcome = outcomes[index]
            if isinstance(outcome, Ack | Release | Defer):
                task_id = outcome.lease.task_id
                ends.append(_End(index, task_id, held.token, _end_command(outcome, held)))
            else:
                copies.append(_Copy(index, outcome, held, self._data(outcome, held)))
        commands = [end.command for end in ends]
        if copies:
            # One by one: a copy that is refused must not cost the acks, nor leases yet unknown.
            replies = self.connection.ask(commands)
            self._note_ends(ends, replies, accepted)
            self._replace(copies, accepted)
            return Settled(accepted, self._reserve(queues, limit, [])[1])
        replies, leases = self._reserve(queues, limit, commands)
        self._note_ends(ends, replies, accepted)
        return Settled(accepted, leases)

    def extend(self, leases: Sequence[Lease]) -> list[bool]:
        """Do what Backend.extend says."""
        held = self._ours(leases)
        sent = time.monotonic()
        replies = self.connection.ask(b"touch " + entry.id for entry in held.values())
        extended = [False] * len(leases)
        for (index, entry), reply in zip(held.items(), replies, strict=True):
            extended[index] = reply.status == b"TOUCHED"
            entry.deadline = sent + entry.stats.ttr
            if not extended[index]:
                del self._held[leases[index].task_id]
        return extended

    def claim(self, job_id: int) -> Lease | None:
        """Reserve one job, ready, delayed or buried.

        Raises:
            TaskRunning: it is reserved.
        """
        sent = time.monotonic()
        reserved, figures = self.connection.ask(
            [b"reserve-job %d" % job_id, b"stats-job %d" % job_id]
        )
        if figures.status != b"OK":
            return None
        if reserved.status != b"RESERVED":
            raise TaskRunning(f"task {job_id} is running; wait until it ends")
        header, body = jobs.unpack(reserved.data)
        return self._hold(jobs.read_stats(figures.data), header, body, sent)

    # -- handing out --------------------------------------------------------------------------

    def _reserve(
        self, queues: Sequence[str], limit: int, before: Sequence[bytes]
    ) -> tuple[list[Reply], list[Lease]]:
        """Reserve up to `limit`, with the commands `before` in the same write as the first.

        Fewer, though more are ready, where they are large: whoever wants more asks again.
        """
        if not queues or limit <= 0:
            return self.connection.ask(before), []
        answers, leases = self._take(queues[0], limit, before)
        if len(leases) < limit and _size(leases) < _ENOUGH:
            for queue, ready in self._ready(queues[1:]):
                leases += self._take(queue, min(ready, limit - len(leases)))[1]
                if len(leases) == limit or _size(leases) >= _ENOUGH:
                    break
        return answers, leases

    def _take(
        self, queue: str, wanted: int, before: Sequence[bytes] = ()
    ) -> tuple[list[Reply], list[Lease]]:
        """Reserve up to `wanted` from one queue, in steps that double until there is enough.

        One step for all of them would be gigabytes where jobs may be large: nothing tells how large
        they are before they come.
        """
        answers: list[Reply] = []
        leases: list[Lease] = []
        step = max(1, _ENOUGH // self._max_job)
        while wanted and _size(leases) < _ENOUGH:
            step = min(step, wanted)
            sent = time.monotonic()
            replies = self.connection.ask([*before, *[RESERVE_NOW] * step], watch=[queue])
            answers += replies[: len(before)]
            leases += self._hand_out(replies[len(before) :], sent)
            wanted = wanted - step if replies[-1].status == b"RESERVED" else 0
            step, before = 2 * step, ()
        return answers, leases

    def _ready(self, queues: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield the queues that have something ready, and how much.

        One look at all of them: to ask each for as much as we want, most for nothing, would keep
        both sides busy for longer than a lease where there are some hundred queues.
        """
        figures = self.connection.ask(b"stats-tube " + queue.encode("ascii") for queue in queues)
        for queue, figure in zip(queues, figures, strict=True):
            # Reading the figures costs far more than this look; NOT_FOUND is an empty queue, too.
            if figure.status == b"OK" and b"\ncurrent-jobs-ready: 0\n" not in figure.data:
                yield queue, int(jobs.read_yaml(figure.data)["current-jobs-ready"])

    def _hand_out(self, replies: Sequence[Reply], sent: float) -> list[Lease]:
        reserved = []
        for reply in replies:
            if reply.status == b"RESERVED":
                reserved.append(reply)
            elif reply.status not in _NOTHING_READY:
                self.connection.close()  # what it did reserve is ready again at once
                refuse(reply, "reserve tasks", self._shown)
        figures = self.connection.ask(b"stats-job " + reply.values[0] for reply in reserved)
        leases: list[Lease] = []
        unburied: list[bytes] = []
        for reply, figure in zip(reserved, figures, strict=True):
            if figure.status != b"OK":
                continue  # its lease was over before we could look, and another worker is done
            stats = jobs.read_stats(figure.data)
            header, body = jobs.unpack(reply.data)
            if jobs.is_unburied(stats, header):
                unburied.append(b"bury %d %d" % (stats.job_id, stats.pri))
            else:
                leases.append(self._hold(stats, header, body, sent))
        self.connection.ask(unburied)
        return leases

    def _hold(self, stats: Stats, header: Header, body: bytes, sent: float) -> Lease:
        task_id = str(stats.job_id)
        token = f"{self.connection.name}.{next(self._serials)}"
        self._held[task_id] = _Held(token, sent + stats.ttr, stats, header)
        self.shortest = min(self.shortest, stats.ttr)
        return Lease(
            queue=stats.tube,
            task_id=task_id,
            body=body,
            token=token,
            priority=jobs.to_priority(stats.pri),
            attempts=header.attempts,
            deliveries=jobs.deliveries(stats, header),
        )

    # -- ending -------------------------------------------------------------------------------

    def _ours(self, leases: Sequence[Lease]) -> dict[int, _Held]:
        """Return what is held for each index; of a lease given twice, the first counts."""
        ours: dict[int, _Held] = {}
        seen: set[str] = set()
        for index, lease in enumerate(leases):
            held = self._held.get(lease.task_id)
            if held is not None and held.token == lease.token and lease.token not in seen:
                ours[index] = held
                seen.add(lease.token)
        return ours

    def _mine(self, leases: Sequence[Lease]) -> dict[int, _Held]:
        """Return what is held and not lost by time.

        The server would delete a job whose lease ended as long as nobody else has reserved it, so
        one that may have ended is touched first.
        """
        ours = self._ours(leases)
        overdue = [index for index, held in ours.items() if held.overdue()]
        if overdue:
            extended = self.extend([leases[index] for index in overdue])
            for index, still_held in zip(overdue, extended, strict=True):
                if not still_held:
                    del ours[index]
        return ours

    def _note_ends(
        self, ends: Iterable[_End], replies: Iterable[Reply], accepted: list[bool]
    ) -> None:
        for end, reply in zip(ends, replies, strict=True):
            accepted[end.at] = reply.status in _ENDED
            # A reserve in the same write may have handed the same job to us again.
            if self._held[end.task_id].token == end.token:
                del self._held[end.task_id]

    def _data(self, outcome: Retry | Fail, held: _Held) -> bytes | None:
        attempted = charged = True
        if isinstance(outcome, Fail):
            attempted, charged = outcome.attempted, outcome.charged
        header = Header(
            attempts=held.header.attempts + attempted,
            deliveries=jobs.deliveries(held.stats, held.header) - (not charged),
            pushed_at=jobs.pushed_at(held.stats, held.header),
            failures=(*held.header.failures, outcome.failure),
            failed=isinstance(outcome, Fail),
        )
        body = outcome.body if isinstance(outcome, Retry) else outcome.lease.body
        return jobs.pack(header, body, self._max_job)

    def _replace(self, copies: Sequence[_Copy], accepted: list[bool]) -> None:
        """Put the copies, bury those that failed, and only then delete what they replace."""
        placed: list[_Copy] = []
        refused: list[_Copy] = []
        strays: list[bytes] = []
        for copy, reply in self._put(copies):
            if copy.data is None:
                accepted[copy.index] = reply.status == b"BURIED"
                del self._held[copy.task_id]
            elif reply.status == b"INSERTED":
                copy.new_id = reply.values[0]
                placed.append(copy)
            else:
                refused.append(copy)
                strays += reply.values
                log.warning(
                    "%s takes no new tasks (%s): %s",
                    *(self._shown, reply.status.decode(), _UNKEPT[type(copy.outcome)]),
                    extra={"task_id": copy.task_id, "queue": copy.outcome.lease.queue},
                )
        self._bury([copy for copy in placed if isinstance(copy.outcome, Fail)])
        deleted = self.connection.ask(b"delete " + copy.held.id for copy in placed)
        for copy, reply in zip(placed, deleted, strict=True):
            # NOT_FOUND: the lease was lost on the way, so the task is another worker's to settle.
            accepted[copy.index] = reply.status == b"DELETED"
            strays += [] if accepted[copy.index] else [copy.new_id]
            del self._held[copy.task_id]
        self.connection.ask(b"delete " + stray for stray in strays)
        self._keep_as_they_are(refused, accepted)

    def _keep_as_they_are(self, copies: Sequence[_Copy], accepted: list[bool]) -> None:
        """End leases where the server takes no copy: its disk is full, or it is in drain mode.

        To raise would have the worker wait for room, or for ever, with all that it could still do.
        """
        replies = self.connection.ask(map(_end_without_copy, copies))
        for copy, reply in zip(copies, replies, strict=True):
            accepted[copy.index] = reply.status in _ENDED
            del self._held[copy.task_id]

    def _put(self, copies: Sequence[_Copy]) -> Iterator[tuple[_Copy, Reply]]:
        ordered = sorted(copies, key=lambda copy: copy.held.stats.tube)
        for tube, group in itertools.groupby(ordered, key=lambda copy: copy.held.stats.tube):
            several = list(group)
            commands = map(self._copy_command, several)
            yield from zip(several, self.connection.ask(commands, use=tube), strict=True)

    def _copy_command(self, copy: _Copy) -> bytes:
        pri = copy.held.stats.pri
        if copy.data is None:
            # Another program's task, larger than any we push: there is no room for the reason, but
            # the task is kept.
            return b"bury %b %d" % (copy.held.id, pri)
        wanted = copy.outcome.delay if isinstance(copy.outcome, Retry) else _BURIAL_DELAY
        return put_command(copy.data, pri, jobs.to_delay(wanted), self._ttr)

    def _bury(self, copies: Sequence[_Copy]) -> None:
        commands: list[bytes] = []
        for copy in copies:
            commands.append(b"reserve-job " + copy.new_id)
            commands.append(b"bury %b %d" % (copy.new_id, copy.held.stats.pri))
        self.connection.ask(commands)


def put_command(data: bytes, pri: int, delay: int, ttr: int) -> bytes:
    """Return the command that queues a job."""
    return b"put %d %d %d %d\r\n%b" % (pri, delay, ttr, len(data), data)


def _size(leases: Iterable[Lease]) -> int:
    return sum(len(lease.body) for lease in leases)


def _end_without_copy(copy: _Copy) -> bytes:
    held, outcome = copy.held, copy.outcome
    if isinstance(outcome, Fail):
        return b"bury %b %d" % (held.id, held.stats.pri)
    # Not at once: nothing counts these tries.
    delay = max(_UNCOUNTED_DELAY, jobs.to_delay(outcome.delay))
    return b"release %b %d %d" % (held.id, held.stats.pri, delay)


def _end_command(outcome: Ack | Release | Defer, held: _Held) -> bytes:
    if isinstance(outcome, Ack):
        return b"delete " + held.id
    if isinstance(outcome, Defer):
        delay = jobs.to_delay(outcome.delay)
    else:
        delay = _COUNTING_DELAY if outcome.charged else 0
    return b"release %b %d %d" % (held.id, held.stats.pri, delay)


def _is_charged(outcome: Outcome) -> bool:
    return isinstance(outcome, Release) and outcome.charged


def _count_deliveries(other: Connection, task_ids: Iterable[str]) -> None:
    """Have the server count a delivery of released jobs, which it took off with the release: that
    of a connection that reserves them and ends. Cut short anywhere, they are ready soon."""
    with suppress(BrokerUnreachable):  # a count that is lost costs less than leases nobody knows
        other.ask(b"reserve-job " + task_id.encode("ascii") for task_id in task_ids)
        other.end()
