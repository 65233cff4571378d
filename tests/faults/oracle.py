"""What the evidence proves: which acknowledged tasks are lost, which ran twice, how soon each ran
again. Pure functions over what processes noted and over who was killed when."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Event(NamedTuple):
    """One line of evidence: a task `started`, `finished` or `failed`, in a child of a supervisor.

    Attributes:
        at: monotonic nanoseconds, the same clock in all processes.
    """

    word: str
    name: str
    pid: int
    supervisor: int
    at: int

    @classmethod
    def read(cls, line: str) -> Event:
        word, name, *numbers = line.split(" ")
        return cls(word, name, *map(int, numbers))


class Kill(NamedTuple):
    """One kill.

    Attributes:
        kind: what was killed, or the point it died at.
        pids: the processes that ran tasks and ended with it.
        in_flight: at most so many tasks had begun, or ended, without the broker's knowing.
        at: when it was asked for, as Event.at.
        gone: a time at which the processes had ended: a supervisor's children outlive it by ms.
        supervisor: its process id, where it was killed. What its children ended may not have been
            settled, even what those ended that died just before.
    """

    kind: str
    pids: tuple[int, ...]
    in_flight: int
    at: int
    gone: int
    supervisor: int | None = None


class Recovery(NamedTuple):
    """From the kill of a process that ran a task to that task's next start."""

    seconds: float
    kind: str
    name: str


@dataclass
class Verdict:
    """What came of one broker's trial.

    Attributes:
        executed: names of tasks that finished.
        duplicates: how many times a task finished that had finished before.
        unexplained: tasks that finished twice though they were not in flight when a process that
            ran them was killed. A worker that got no processor for as long as a lease lasts may
            account for one, so this is told but is no failure.
        in_flight: what `duplicates` may not exceed.
        lost: acknowledged, and now neither finished nor failed nor queued.
        recoveries: see `recoveries`.
        problems: whatever else should not have been.
    """

    kills: int
    acknowledged: int
    executed: int
    duplicates: int
    unexplained: list[str]
    in_flight: int
    lost: list[str]
    recoveries: list[Recovery]
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.lost and not self.problems

    def row(self) -> list[str]:
        """The report's line, without the broker's name."""
        return [
            *map(str, (self.kills, self.acknowledged, self.executed, self.duplicates)),
            str(len(self.lost)),
            *(seconds(percentile(self.recoveries, share)) for share in (0.5, 0.99)),
        ]

    def by_kind(self) -> dict[str, list[Recovery]]:
        """The recoveries of each kind of kill."""
        kinds: dict[str, list[Recovery]] = defaultdict(list)
        for one in self.recoveries:
            kinds[one.kind].append(one)
        return kinds


def judge(
    acknowledged: Collection[str],
    events: Sequence[Event],
    kills: Sequence[Kill],
    failed: Collection[str],
    queued: Collection[str],
) -> Verdict:
    """Weigh the evidence.

    Args:
        acknowledged: names whose push returned.
        events: every line of evidence.
        failed, queued: names in the failed set, and in any other state.
    """
    finishes = Counter(event.name for event in events if event.word == "finished")
    in_flight = sum(kill.in_flight for kill in kills)
    verdict = Verdict(
        kills=len(kills),
        acknowledged=len(acknowledged),
        executed=len(finishes),
        duplicates=finishes.total() - len(finishes),
        unexplained=_unexplained(finishes, events, kills),
        in_flight=in_flight,
        lost=sorted(set(acknowledged) - finishes.keys() - set(failed) - set(queued)),
        recoveries=recoveries(events, kills),
    )
    if verdict.duplicates > in_flight:
        verdict.problems.append(
            f"{verdict.duplicates} duplicates, and only {in_flight} tasks were in flight at a kill"
        )
    if queued:
        shown = ", ".join(sorted(queued)[:5])
        verdict.problems.append(f"{len(queued)} tasks are queued or running at the end: {shown}")
    return verdict


def _unexplained(
    finishes: Counter[str], events: Iterable[Event], kills: Iterable[Kill]
) -> list[str]:
    by_pid: dict[int, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.at):
        by_pid[event.pid].append(event)
    excused = {name for kill in kills for name in _in_doubt(by_pid, kill)}
    return sorted(name for name, times in finishes.items() if times > 1 and name not in excused)


def _in_doubt(by_pid: Mapping[int, list[Event]], kill: Kill) -> set[str]:
    """The tasks that may run again on account of a kill: those that its processes had not ended,
    and the last ones that they had: the last that finished and the last that failed, since a
    settle of beanstalkd's ends what finished before what failed, whichever came first."""
    names: set[str] = set()
    for pid, events in by_pid.items():
        its = pid in kill.pids or events[0].supervisor == kill.supervisor
        if its and kill.in_flight:
            before = [event for event in events if event.at <= kill.gone]
            last = {event.name: event.word for event in before}
            names.update(name for name, word in last.items() if word == "started")
            for word in ("finished", "failed"):
                ended = [event.name for event in before if event.word == word]
                names.update(ended[-kill.in_flight :])
    return names


def recoveries(events: Sequence[Event], kills: Iterable[Kill]) -> list[Recovery]:
    """Return how soon after each kill the tasks that it cut short started again, quickest first; a
    task that never did (its third death put it into the failed set) has none."""
    by_pid: dict[int, list[Event]] = defaultdict(list)
    starts: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.at):
        by_pid[event.pid].append(event)
        if event.word == "started":
            starts[event.name].append(event)
    found = []
    for kill in kills:
        for cut in _running(by_pid, kill):
            again = (one for one in starts[cut.name] if one.at > max(cut.at, kill.at))
            if (start := next(again, None)) is not None:
                found.append(Recovery((start.at - kill.at) / 1e9, kill.kind, cut.name))
    return sorted(found)


def _running(by_pid: dict[int, list[Event]], kill: Kill) -> Iterable[Event]:
    """Yield the last start of each task that had not ended when its process did."""
    for pid in kill.pids:
        # Later events of this number are those of another process that was given it.
        until = bisect_right(by_pid[pid], kill.gone, key=lambda event: event.at)
        last = {event.name: event for event in by_pid[pid][:until]}
        yield from (event for event in last.values() if event.word == "started")


def percentile(recoveries: Sequence[Recovery], share: float) -> float | None:
    """Return the seconds that `share` of the sorted recoveries do not exceed; None of none."""
    if not recoveries:
        return None
    return recoveries[min(len(recoveries) - 1, int(share * len(recoveries)))].seconds


def seconds(measured: float | None) -> str:
    """Return a time as the report has it, "-" where there was nothing to measure."""
    return "-" if measured is None else f"{measured:.3f}"
