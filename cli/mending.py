"""Changing many tasks: those with given ids, or those that are selected, batch by batch."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, partial
from typing import IO, Any, NamedTuple, TypeVar

import click

from alligator.backends.base import Backend, Capability, Mended, Moved, Record, State, waiting_last

from .errors import FAILED, CannotPrint, CliError, NotFound, PartlyDone
from .ids import given_ids
from .interrupting import held_back
from .output import Output
from .progress import Meter, Pace
from .selection import Filter, chosen_queues, chosen_states, count, nothing_in, records
from .session import Session
from .tally import Tally, summarize, tasks, were
from .types import rate

#: Tasks changed in one call of the broker.
BATCH = 500

#: How to go on after a stop.
REST = "Run it again for the rest."
REST_OF_IDS = "Run it again for the rest; those that are done are then reported as missing."

F = TypeVar("F", bound=Callable[..., Any])


class Target(NamedTuple):
    """A task to change: its id, and for one that was selected what the broker said of it."""

    task_id: str
    record: Record | None = None


#: Changes tasks; answers for each, in their order, with the id that it has now.
Act = Callable[[Sequence[Target]], list[Moved]]


@dataclass(frozen=True)
class Choice:
    """Which tasks a command changes.

    Attributes:
        ids, ids_from: those with these ids, when any are given.
        queue, all_queues, states, wanted: else those that peek would show.
    """

    ids: tuple[str, ...]
    ids_from: IO[str] | None
    queue: str | None
    all_queues: bool
    states: tuple[str, ...]
    wanted: Filter

    @property
    def by_id(self) -> bool:
        """Whether ids are given."""
        return bool(self.ids) or self.ids_from is not None

    @property
    def selects(self) -> bool:
        """Whether something is said about which tasks."""
        return bool(self.queue is not None or self.all_queues or self.states or self.wanted)


@dataclass(frozen=True)
class Manner:
    """How a command goes about it.

    Attributes:
        rate: tasks a second.
    """

    rate: float | None
    dry_run: bool
    yes: bool


def manner_options(command: F) -> F:
    """Add --rate, --dry-run and --yes."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Change nothing, only say what would be."),
        click.option("--rate", type=rate, metavar="RATE", help="No faster than this: 100/s."),
    ):
        command = option(command)
    return command


def chosen(options: dict[str, Any]) -> tuple[Choice, Manner]:
    """Return what the options of id_arguments, queue_options, filter_options and manner_options
    say."""
    wanted = Filter(options["task"], options["error"], options["older_than"])
    choice = Choice(
        options["ids"],
        options["ids_from"],
        options["queue"],
        options["all_queues"],
        options["states"],
        wanted,
    )
    return choice, Manner(options["rate"], options["dry_run"], options["yes"])


@dataclass(frozen=True)
class Verb:
    """A command's words: ("cancel", "canceled"), and what it goes for.

    Attributes:
        states: those it selects unless told.
        spares: a queue that it selects nothing from.
        removes: a task that it has changed is no longer held.
        leaves: what it answers for tasks of states that it has nothing to do for.
    """

    name: str
    past: str
    states: tuple[State, ...]
    spares: str | None = None
    removes: bool = False
    leaves: Mapping[State, Mended] = field(default_factory=lambda: {State.RUNNING: Mended.RUNNING})


def mend(
    session: Session,
    client: Backend,
    verb: Verb,
    act: Act,
    choice: Choice,
    manner: Manner,
) -> int:
    """Change the chosen tasks and print what became of them; return the exit code.

    Raises:
        UsageError: nothing is chosen, or both ids and a selection; or nobody is here to ask.
    """
    if choice.by_id and choice.selects:
        raise click.UsageError("give ids, or options that select tasks, not both")
    if not choice.by_id and not choice.selects:
        raise click.UsageError(
            f"there is nothing to {verb.name}; give ids, --ids-from FILE, or options that select "
            "tasks, such as -q QUEUE or --state failed"
        )
    if choice.by_id:
        return _by_id(session, client, verb, act, choice, manner)
    return _selected(session, client, verb, act, choice, manner)


def _by_id(
    session: Session, client: Backend, verb: Verb, act: Act, choice: Choice, manner: Manner
) -> int:
    tally = Tally()
    out: Output | None = session.out
    targets = map(Target, given_ids(choice.ids, choice.ids_from))
    tried = _tried(client, verb, act, manner)
    meter = Meter("tasks", session.out.quiet, prints=True)
    new_ids = Capability.CUSTOM_IDS not in client.capabilities
    rest = REST_OF_IDS if verb.removes or new_ids else REST
    with closing(_batches(meter, targets, tried, tally, manner, rest)) as batches:
        for changed in batches:
            if out is None:
                continue
            try:
                out.ids(changed)
                out.flush()
            except BrokenPipeError:
                out = None  # who reads the ids has seen enough; the command itself goes on
            except CannotPrint as error:
                error.hint = _so_far(tally, rest)
                raise
    if not tally.matched:
        session.out.note(f"no ids given, nothing {verb.past}")
    if waiting := tally.left_alone(Mended.WAITING):
        session.out.note(waiting)
    if not tally.failed:
        return os.EX_OK
    message = f"{tally.failed} of {tally.matched} not {verb.past}:{tally.refusals()}"
    if tally.settled:
        raise PartlyDone(message)
    raise NotFound(message) if set(tally.left) == {Mended.MISSING} else CliError(message)


def _tried(client: Backend, verb: Verb, act: Act, manner: Manner) -> Act:
    """Return the act, or in a dry run one that only looks."""
    if not manner.dry_run:
        return act

    def look(task_id: str) -> Mended:
        record = client.find(task_id)
        return Mended.MISSING if record is None else verb.leaves.get(record.state, Mended.DONE)

    return same_ids(lambda ids: [look(task_id) for task_id in ids])


def same_ids(act: Callable[[Sequence[str]], list[Mended]]) -> Act:
    """Return the Act of a verb that leaves ids as they are."""

    def answered(targets: Sequence[Target]) -> list[Moved]:
        ids = [target.task_id for target in targets]
        return [*map(Moved, act(ids), ids)]

    return answered


def _selected(
    session: Session, client: Backend, verb: Verb, act: Act, choice: Choice, manner: Manner
) -> int:
    queues = chosen_queues(client, choice.queue, choice.all_queues)
    spared = verb.spares in queues
    queues = [queue for queue in queues if queue != verb.spares]
    states = _states(client, verb, choice)

    def found() -> Iterator[Record]:
        return records(client, queues, states, 0, False, choice.wanted)

    @cache
    def matching() -> int:
        return sum(1 for _ in found()) if choice.wanted else count(client, queues, states)

    asks = not (manner.yes or manner.dry_run)
    if asks and not _agreed(session, verb, matching):
        return FAILED
    if manner.dry_run:
        act = partial(_foreseen, verb)
    # To count what a filter lets pass takes a look at all; only the question is worth it.
    total = matching if asks or not choice.wanted else None
    tally = change(session, found(), act, manner, total)
    if not tally.matched:
        session.out.note(
            f"nothing to {verb.name}: what is in queue {verb.spares!r} is there already"
            if spared and not queues
            else nothing_in(client, queues, "nothing that matches")
        )
    summary = tally.summary()
    summarize(session, {**summary, "changed": 0} if manner.dry_run else summary, verb.past)
    return os.EX_OK


def _foreseen(verb: Verb, targets: Sequence[Target]) -> list[Moved]:
    """Return what would become of selected tasks, changing none."""
    return [
        Moved(verb.leaves.get(target.record.state, Mended.DONE), target.task_id)
        for target in targets
        if target.record is not None
    ]


def _agreed(session: Session, verb: Verb, matching: Callable[[], int]) -> bool:
    """Ask a person, who is told how many tasks it is about, whether to go on.

    Raises:
        UsageError: nobody is here to ask.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{verb.name} changes every task that is selected, and nobody is here to ask; add --yes"
        )
    matched = matching()
    if not matched or click.confirm(f"{verb.name.capitalize()} {tasks(matched)}?", err=True):
        return True
    session.out.note(f"nothing was {verb.past}")
    return False


def change(
    session: Session,
    found: Iterable[Record],
    act: Act,
    manner: Manner,
    total: Callable[[], int] | None,
) -> Tally:
    """Change tasks as they are found.

    Args:
        total: tells how many there are, for the progress.
    """
    tally = Tally()
    targets = (Target(record.task_id, record) for record in found)
    meter = Meter("tasks", session.out.quiet, total=total)
    for _ in _batches(meter, targets, act, tally, manner):
        pass
    for answer in tally.left:
        session.out.note(tally.left_alone(answer))
    return tally


def _states(client: Backend, verb: Verb, choice: Choice) -> list[State]:
    known = chosen_states(client, choice.states)
    states = [state for state in known if choice.states or state in verb.states]
    if State.WAITING not in verb.leaves:
        return waiting_last(states)
    # What a retry lets wait would be found, and counted, once more among those that do.
    return sorted(states, key=lambda state: state is not State.WAITING)


def _batches(
    meter: Meter,
    targets: Iterable[Target],
    act: Act,
    tally: Tally,
    manner: Manner,
    rest: str = REST,
) -> Generator[list[str], None, None]:
    """Change batch after batch; yield the ids of those that were changed."""
    pace = Pace(manner.rate)
    source = iter(targets)
    try:
        while batch := _apart(itertools.islice(source, pace.batch(BATCH))):
            pace.wait(len(batch))
            with held_back():
                changed = tally.add([target.task_id for target in batch], act(batch))
                meter.at(tally.matched)
                yield changed  # and they are printed before anything is heeded
    except BaseException as error:
        if tally.matched:
            error.add_note(_so_far(tally, rest))
        raise
    finally:
        meter.clear()


def _so_far(tally: Tally, rest: str) -> str:
    return f"Of {tasks(tally.matched)} so far, {were(tally.changed)} changed. {rest}"


def _apart(targets: Iterable[Target]) -> list[Target]:
    """Return each task once."""
    return list({target.task_id: target for target in targets}.values())
