"""push --from and load: from a file of lines to a summary."""

from __future__ import annotations

import os
import shlex
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import click

from alligator.backends.base import Capability
from alligator.dsn import redact
from alligator.exceptions import UnsupportedByBroker
from alligator.gator import Gator
from alligator.tasks import new_id

from .absent import Absent
from .batches import LINES, Batch, Preparer
from .checkpoint import Checkpoint, Note, Progress
from .errors import PARTLY, CannotPrint
from .lines import BadLine
from .output import read_or_not
from .progress import Meter, Pace
from .reading import lines, opened, size
from .sending import Sender, send_all
from .session import Session
from .tally import tasks

#: Bad lines told one by one.
TOLD = 10


class Source(NamedTuple):
    """What is pushed, and how.

    Attributes:
        path: the file of lines; - is standard input.
        skip_invalid: go on after a bad line.
        checkpoint: the file that says how far this has come.
        rate: tasks a second.
        restore: the lines are a dump: bring back what they say of the past, too.
    """

    path: str
    skip_invalid: bool
    checkpoint: str | None
    rate: float | None
    print_ids: bool
    dry_run: bool
    restore: bool = False


def push_lines(session: Session, gator: Gator, source: Source) -> int:
    """Push the task of each line and write a summary; return the exit code."""
    note = Note(new_load(), f"queue {gator.queue_name!r} of {redact(gator.conn_string)}")
    if source.checkpoint is None or source.dry_run:
        return _push(session, gator, source, note, None)
    if Capability.CUSTOM_IDS not in gator.client.capabilities:
        raise UnsupportedByBroker(
            f"{gator.client.broker} cannot keep a checkpoint's marks, which need ids of our own; "
            "leave --checkpoint out"
        )
    with closing(Checkpoint(source.checkpoint)) as checkpoint:
        note = checkpoint.open(note.load, note.target)
        return _push(session, gator, source, note, checkpoint)


def new_load() -> str:
    """Return what the ids of one load begin with: they are UUIDs of version 7 that end in the
    number of the line, so that making them costs nothing and the broker finds them side by side."""
    return new_id()[:-9]


def _push(
    session: Session, gator: Gator, source: Source, note: Note, checkpoint: Checkpoint | None
) -> int:
    file = opened(source.path)
    meter = Meter("lines", session.out.quiet, prints=source.print_ids, total=lambda: size(file))
    refusals = _Refusals(session, meter, source.skip_invalid)
    pace = Pace(source.rate)
    absent = Absent(gator.client) if source.restore else None
    print_to = session.out if source.print_ids else None
    sender = Sender(gator, note, checkpoint, print_to, meter, absent)
    if note.done.lines:
        session.out.note(f"going on after line {note.done.lines}, as {source.checkpoint} says")
    done = (note.done.lines, note.done.crc)
    preparer = Preparer(gator, note.load, pace.batch(LINES), refusals.add, done, source.restore)
    try:
        batches = preparer.batches(_after(lines(file), note, source, meter), note.sending)
        if source.dry_run:
            for batch in filter(None, batches):
                note.done = _checked(note.done, batch)
                meter.at(batch.last, batch.read)
        else:
            send_all(_same(batches, note, source), sender, pace)
    except BadLine as error:
        error.hint = _once_mended(source, sender, error.number)
        raise
    except BaseException as error:
        error.add_note(_how_to_go_on(source, sender))
        raise
    finally:
        meter.clear()
        if said := str(absent or ""):
            session.out.note(said)
        if source.path != "-":
            file.close()
    try:
        return _summary(session, source, sender.done)
    except CannotPrint as error:
        error.hint = _all_done(source, sender.done)
        raise


def _after(
    chunks: Iterator[list[bytes]], note: Note, source: Source, meter: Meter
) -> Iterator[list[bytes]]:
    """Leave out the lines that are done, having made sure that they are the same."""
    left, crc = note.done.lines, 0
    for chunk in chunks:
        if left:
            for line in chunk[:left]:
                crc = zlib.crc32(line, crc)
                meter.past += len(line) + 1
            chunk, left = chunk[left:], max(0, left - len(chunk))
            if left:
                continue
            _compare(crc, note.done.crc, note.done.lines, source)
        yield chunk
    if left:
        raise _another(note.done.lines, source)


def _same(batches: Iterator[Batch | None], note: Note, source: Source) -> Iterator[Batch | None]:
    """Make sure that a batch in doubt is the one that an earlier run made."""
    doubtful, crc = note.sending, note.sending_crc
    for batch in batches:
        if doubtful and batch is not None:
            if batch.last != doubtful:
                raise _another(doubtful, source)
            _compare(batch.crc, crc, doubtful, source)
            doubtful = 0
        yield batch


def _compare(crc: int, known: int, upto: int, source: Source) -> None:
    if crc != known:
        raise _another(upto, source)


def _another(upto: int, source: Source) -> click.UsageError:
    return click.UsageError(
        f"the first {upto} lines are not those that checkpoint {source.checkpoint!r} was written "
        "for; give the same input, or delete the checkpoint to begin anew"
    )


class _Refusals:
    """Bad lines: the first one ends it, or they are told and counted."""

    def __init__(self, session: Session, meter: Meter, go_on: bool) -> None:
        self._session = session
        self._meter = meter
        self._go_on = go_on
        self._count = 0

    def add(self, error: BadLine) -> None:
        if not self._go_on:
            raise error
        self._count += 1
        if self._count <= TOLD:
            self._meter.clear()
            self._session.out.note(f"skipped: {error.message}")
        if self._count == TOLD:
            self._session.out.note("what else is skipped is only counted")


def _checked(done: Progress, batch: Batch) -> Progress:
    return Progress(lines=batch.last, crc=batch.crc, invalid=done.invalid + batch.invalid)


def _how_to_go_on(source: Source, sender: Sender) -> str:
    if source.dry_run:
        return ""
    done, so_far = sender.done, _so_far(source, sender)
    if not done.lines and source.checkpoint is None:
        goes_on = " The same command goes on with the rest." if _dealt_with(done) else ""
        return so_far + goes_on
    if source.checkpoint is not None:
        return f"{so_far} The same command goes on from there."
    if source.path == "-":
        return f"{so_far} Go on with what comes after them, or use --checkpoint."
    return f"{so_far} Go on, with the same options: {_rest(source, done)}"


def _once_mended(source: Source, sender: Sender, number: int) -> str:
    """Say how to go on after a bad line."""
    mend = f"Mend line {number}"
    skip = "--skip-invalid passes over bad lines."
    if source.dry_run:
        return f"{mend}; {skip}"
    done, so_far = sender.done, _so_far(source, sender)
    if source.checkpoint is not None or not done.lines:
        return f"{so_far} {mend}, and the same command goes on from there; {skip}"
    if source.path == "-":
        return f"{so_far} {mend}, and go on with what comes after them; {skip}"
    go_on = f"and go on, with the same options: {_rest(source, done)}"
    return f"{so_far} {mend}, {go_on}\n{skip}"


def _so_far(source: Source, sender: Sender) -> str:
    done = sender.done
    if done.lines:
        said = f"The tasks of lines 1 to {done.lines} are queued."
    elif _dealt_with(done):
        # A load keeps back the first line, and sends others before it.
        said = f"{tasks(_dealt_with(done))} queued so far."
    else:
        said = "" if sender.unsure else "None is queued."
    return f"{said} {_doubt(source, sender)}".strip() if sender.unsure else said


def _doubt(source: Source, sender: Sender) -> str:
    """Say that more may be queued than is known, and what it comes to when that is pushed again."""
    maybe = (
        "Some of the next lines may be queued too" if sender.done.lines else "Some may be queued"
    )
    if source.checkpoint is not None:
        return f"{maybe}."
    if not sender.own_ids:
        return f"{maybe}: pushed again, they are there twice."
    none = "" if source.restore else "; with --checkpoint there are none"
    return f"{maybe}: pushed again, those without an id of their own make doubles{none}."


def _dealt_with(done: Progress) -> int:
    return done.queued + done.already


def _rest(source: Source, done: Progress) -> str:
    """Return the command that pushes what comes after the lines that are done."""
    command = "load -" if source.restore else "push --from -"
    path = shlex.quote(source.path)
    return f"tail -n +{done.lines + 1} {path} | gator {command}"


def _all_done(source: Source, done: Progress) -> str:
    """Say what a summary would have said, could it have been printed."""
    name = "standard input" if source.path == "-" else repr(source.path)
    if source.dry_run:
        return f"All {done.lines} lines of {name} were checked: {done.invalid} invalid."
    return (
        f"All {done.lines} lines of {name} are dealt with: {done.queued} queued, "
        f"{done.already} already, {done.invalid} invalid. There is nothing to go on with."
    )


def _summary(session: Session, source: Source, done: Progress) -> int:
    counts = {
        "lines": done.lines,
        "queued": done.queued,
        "already": done.already,
        "invalid": done.invalid,
    }
    if source.print_ids:
        read = "1 line" if done.lines == 1 else f"{done.lines} lines"
        session.out.note(
            f"{read}, {done.queued} queued, {done.already} already, {done.invalid} invalid"
        )
    else:
        with read_or_not():
            session.out.record(counts, unasked="json")
            session.out.flush()
    return PARTLY if done.invalid else os.EX_OK
