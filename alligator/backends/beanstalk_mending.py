"""Looking at tasks and mending queues of beanstalkd: whatever needs no lease.

Each function takes a connection that holds nothing. A task may move between a look and the deed;
the server then answers NOT_FOUND, the task counts as running, and whoever called looks again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from . import beanstalk_job as jobs
from .base import Counts, Finding, Mended, Record, State
from .beanstalk_leases import RESERVE_NOW
from .beanstalk_names import is_bell
from .beanstalk_wire import UNASKED, WINDOW_COMMANDS, Connection, Reply

# How the server counts the jobs of a tube, by its own names for their states.
_COUNTED = tuple(f"current-jobs-{name}" for name in ("ready", "delayed", "reserved", "buried"))


def examine(stats: Mapping[str, str]) -> list[Finding]:
    """Look at what the server says of its own set-up."""
    if stats["binlog-current-index"] == "0":
        persistence = Finding(
            "persistence",
            False,
            "off: a restart of the server loses every task",
            "Start beanstalkd with -b FOLDER.",
        )
    else:
        detail = "a log; unless with -f 0, a crash of the machine may lose the newest tasks"
        persistence = Finding("persistence", True, detail)
    if stats["draining"] == "true":
        taking = Finding("takes tasks", False, "the server takes no new tasks", "Start it anew.")
    else:
        taking = Finding("takes tasks", True, "the server takes new tasks")
    limit = Finding("size of a task", True, f"{stats['max-job-size']} bytes at most")
    return [persistence, taking, limit]


def queues(connection: Connection) -> list[str]:
    """Return the names of the tubes that have jobs; others exist while a connection uses them."""
    (reply,) = connection.ask([b"list-tubes"])
    names = [line[2:].strip('"') for line in reply.data.decode("ascii").splitlines()[1:]]
    tubes = [name for name in names if not is_bell(name)]
    figures = connection.ask(b"stats-tube " + tube.encode("ascii") for tube in tubes)
    return sorted(
        tube for tube, figure in zip(tubes, figures, strict=True) if any(_tube_counts(figure))
    )


def counts(connection: Connection, queue: str) -> Counts:
    """Count the jobs of one tube."""
    figures, first = connection.ask([b"stats-tube " + queue.encode("ascii"), b"peek-ready"], queue)
    waiting, delayed, running, failed = _tube_counts(figures)
    return Counts(
        queue,
        waiting=waiting,
        delayed=delayed,
        running=running,
        failed=failed,
        oldest_age=_age(connection, first),
    )


def attended(connection: Connection, queue: str) -> bool | None:
    """Whether a connection watches a tube; None for the one that each watches unasked, ours too."""
    if queue == UNASKED:
        return None
    (reply,) = connection.ask([b"stats-tube " + queue.encode("ascii")])
    return int(jobs.read_yaml(reply.data).get("current-watching", 0)) > 0


def records(connection: Connection, job_ids: Iterable[int]) -> list[Record | None]:
    """Return what is known about each job; None for one that is gone."""
    commands: list[bytes] = []
    for job_id in job_ids:
        commands += [b"stats-job %d" % job_id, b"peek %d" % job_id]
    replies = iter(connection.ask(commands))
    return [
        jobs.record(jobs.read_stats(figures.data), job.data)
        if figures.status == b"OK" and job.status == b"FOUND"
        else None
        for figures, job in zip(replies, replies, strict=True)
    ]


def records_in(
    connection: Connection, job_ids: Iterable[int], queue: str, state: State
) -> list[Record]:
    """Return what is known about those of the jobs that still are in this state."""
    known = [record for record in records(connection, job_ids) if record is not None]
    return [record for record in known if (record.queue, record.state) == (queue, state)]


def cancel(connection: Connection, job_ids: Sequence[int]) -> list[tuple[Mended, bytes]]:
    """Delete the jobs that nobody runs; return what became of each, and its body."""
    found = records(connection, job_ids)
    idle = [record for record in found if record and record.state is not State.RUNNING]
    replies = connection.ask(b"delete " + record.task_id.encode("ascii") for record in idle)
    deleted = {record.task_id for record, reply in zip(idle, replies, strict=True) if _done(reply)}
    return [
        (Mended.MISSING, b"")
        if record is None
        else (Mended.DONE, record.body)
        if record.task_id in deleted
        else (Mended.RUNNING, b"")
        for record in found
    ]


def _done(reply: Reply) -> bool:
    return reply.status == b"DELETED"


def drop(connection: Connection, queue: str, states: Collection[State]) -> int:
    """Delete a tube's jobs in these states, as many as there are now; return how many."""
    held = counts(connection, queue)  # so that it ends, however fast others push
    most = sum(getattr(held, state.value) for state in set(states))
    dropped = 0
    if State.DELAYED in states:
        dropped += _drop_first(connection, queue, b"peek-delayed", held.delayed, states)
    if State.FAILED in states:
        dropped += _drop_first(connection, queue, b"peek-buried", held.failed, states)
    if State.WAITING in states:  # last, as delayed ones become ready meanwhile
        dropped += _drop_ready(connection, queue, most - dropped)
    return dropped


def _drop_ready(connection: Connection, queue: str, most: int) -> int:
    # Reserving first takes them in large batches, and never one that a worker has. If this process
    # is killed in between, the server makes them ready again.
    dropped = 0
    while most > 0:
        wanted = min(most, WINDOW_COMMANDS)
        replies = connection.ask([RESERVE_NOW] * wanted, watch=[queue])
        reserved = [reply.values[0] for reply in replies if reply.status == b"RESERVED"]
        dropped += _deleted(connection.ask(b"delete " + job_id for job_id in reserved))
        most = most - wanted if len(reserved) == wanted else 0
    return dropped


def _drop_first(
    connection: Connection, queue: str, peek: bytes, most: int, states: Collection[State]
) -> int:
    # Nothing takes these in batches, so one round trip each: delete one, look at the next.
    dropped = 0
    commands = [peek]
    for _ in range(most):
        *done, found = connection.ask(commands, use=queue)
        dropped += _deleted(done)
        if found.status != b"FOUND":
            return dropped
        job_id = found.values[0]
        header, _ = jobs.unpack(found.data)
        if header.failed and State.FAILED not in states:
            # A failed task whose burial was cut short stands among the delayed ones.
            commands = [b"reserve-job " + job_id, b"bury %b %d" % (job_id, 0), peek]
        else:
            commands = [b"delete " + job_id, peek]
    return dropped + _deleted(connection.ask(commands[:-1]))


def _deleted(replies: Iterable[Reply]) -> int:
    return sum(map(_done, replies))


def _tube_counts(reply: Reply) -> list[int]:
    figures = jobs.read_yaml(reply.data)
    return [int(figures.get(name, 0)) for name in _COUNTED]


def _age(connection: Connection, first: Reply) -> float | None:
    if first.status != b"FOUND":
        return None
    header, _ = jobs.unpack(first.data)
    (figures,) = connection.ask([b"stats-job " + first.values[0]])
    if figures.status != b"OK":
        return None
    return jobs.age(jobs.read_stats(figures.data), header)
