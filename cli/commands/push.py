"""gator push: queue one call, or one a line of a file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from alligator.backends.base import (
    MAX_PRIORITY,
    MIN_PRIORITY,
    Backend,
    Capability,
)
from alligator.exceptions import (
    BrokerError,
    BrokerUnreachable,
    NotImportable,
)
from alligator.execution import encode
from alligator.gator import Gator
from alligator.tasks import Task
from alligator.utils import DottedPath

from ..binding import check
from ..broker import open_gator, require
from ..completing import files, queue_names, task_ids
from ..errors import CannotPrint
from ..fields import PUSHED, of_push
from ..lines import backoff
from ..options import Command
from ..outcomes import result_of
from ..quoting import arguments
from ..session import Session, pass_session
from ..types import duration, given_id, json_array, json_object, queue_name, rate, when

EXAMPLES = """
gator push app.tasks.report --args '[1, "weekly"]'
gator push app.mail.send --kwargs '{"to": 42}' -q mail --retries 3 --backoff 30s
gator push app.mail.send --args '[42]' --retries 8 --backoff exp:1s..10m
gator push app.tasks.report --delay 5m --unique report
jq -c '[.id]' row.json | gator push app.tasks.load --args - --wait --wait-timeout 1m
jq -c '{task: "app.mail", args: [.id]}' rows.ndjson | gator push --from - --checkpoint mail.ck
"""

#: Seconds a result is kept for whoever waits, at least: `gator result` may want it once more.
RESULT_TTL = 3600.0


#: The options that go with --from.
FROM = ("path", "skip_invalid", "checkpoint", "rate", "print_ids")


#: What does for many lines as an option that is no field of a line does for one task.
_AFTERWARDS = "gator push --from FILE --print-ids | gator wait --ids-from -"
INSTEAD = {
    "--wait": f"wait for all of them: {_AFTERWARDS}",
    "--wait-timeout": f"wait for all of them: {_AFTERWARDS} --timeout TIME",
    "--check": "it is for one task; --dry-run checks all lines, without importing anything",
}

#: What a broker may lack for an option.
NEEDS = {
    "task_id": Capability.CUSTOM_IDS,
    "unique": Capability.UNIQUE,
    "depends_on": Capability.DEPENDENCIES,
    "wait": Capability.RESULTS,
    "result_ttl": Capability.RESULTS,
}


class Manner(NamedTuple):
    """How the command goes about the push; what is pushed is the Task's business."""

    check: bool
    dry_run: bool
    wait: bool
    wait_timeout: float | None


def dotted_path(text: str) -> DottedPath:
    """Read package.module.function."""
    try:
        return DottedPath.parse(text)
    except NotImportable as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    "push",
    cls=Command,
    examples=EXAMPLES,
    fields=PUSHED,
    fields_with=of_push,
    surplus="The function's arguments go into --args: --args '[1, \"x\"]'.",
)
@click.argument("func", type=dotted_path, metavar="[TASK]", required=False)
@click.option(
    "--args", type=json_array, metavar="JSON", help="A JSON array; @FILE, or - for stdin."
)
@click.option("--kwargs", type=json_object, metavar="JSON", help="A JSON object, likewise.")
@click.option(
    "-q",
    "--queue",
    type=queue_name,
    metavar="QUEUE",
    help="The queue; 'all' when left out.",
    shell_complete=queue_names,
)
@click.option("--delay", type=duration, metavar="TIME", help="Run it after 30, 30s, 5m, 1h30m, 1d.")
@click.option(
    "--at", type=when, metavar="TIME", help="Run it then: 2030-01-31T08:00:00Z, Unix time."
)
@click.option("--retries", type=click.IntRange(min=0), metavar="N", help="More tries if it fails.")
@click.option(
    "--backoff",
    type=backoff,
    metavar="TIME",
    help="Between a failed try and the next: 30s; 1s,10s,1m for the first, the second and all "
    "others; exp:1s..10m doubles from 1s to 10m, each drawn at random from 0 up to that.",
)
@click.option(
    "--priority",
    type=click.IntRange(MIN_PRIORITY, MAX_PRIORITY),
    metavar="N",
    help=f"{MIN_PRIORITY} to {MAX_PRIORITY}, higher first; 0 when left out.",
)
@click.option("--id", "task_id", metavar="ID", help="Its id; one that exists is not queued again.")
@click.option("--unique", metavar="KEY", help="Not while a task with this key waits or runs.")
@click.option(
    "--depends-on",
    type=given_id,
    multiple=True,
    shell_complete=task_ids,
    metavar="ID",
    help="Not before this task has succeeded; may be repeated.",
)
@click.option("--timeout", type=duration, metavar="TIME", help="A try may take so long.")
@click.option("--result-ttl", type=duration, metavar="TIME", help="Keep the result so long.")
@click.option(
    "--on-start", type=dotted_path, metavar="PATH", help="Called as f(task) before each try."
)
@click.option(
    "--on-success",
    type=dotted_path,
    metavar="PATH",
    help="Called as f(task, result) when it has succeeded.",
)
@click.option(
    "--on-error",
    type=dotted_path,
    metavar="PATH",
    help="Called as f(task, exception) at each failed try.",
)
@click.option("--check", is_flag=True, help="Import it here first, and see that the arguments fit.")
@click.option("--dry-run", is_flag=True, help="Print what would be queued, and queue nothing.")
@click.option("--wait", is_flag=True, help="Wait for the end, and print the result.")
@click.option("--wait-timeout", type=duration, metavar="TIME", help="Wait no longer than this.")
@click.option(
    "--from",
    "path",
    metavar="FILE",
    shell_complete=files,
    help='Push the task of each line, such as {"task": "app.mail", "args": [1]}; - is stdin. The '
    "fields are called as the options are, with _ for -.",
)
@click.option("--skip-invalid", is_flag=True, help="With --from: go on after a bad line.")
@click.option(
    "--checkpoint",
    metavar="FILE",
    shell_complete=files,
    help="With --from: note there how far it has come; the same command then goes on from there.",
)
@click.option("--rate", type=rate, metavar="RATE", help="With --from: 100/s, 6000/m.")
@click.option("--print-ids", is_flag=True, help="With --from: the ids instead of a summary.")
@pass_session
def command(
    session: Session,
    /,
    func: DottedPath | None,
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
    queue: str | None,
    **options: Any,
) -> int:
    """Queue a call of a function.

    TASK is its dotted path. Prints the id of the queued call. The function is not imported, so the
    code need not be on this machine; --check imports it, with the current directory on the module
    path. With --wait, stdout has the result as JSON instead, and the exit code is 0 only when the
    task succeeded. With --from, stdout has how many lines were queued, were held already (by id or
    unique key) and are invalid.
    """
    lines = {name: options.pop(name) for name in FROM}
    if lines["path"] is not None:
        return _push_from(
            session, queue, lines, {"func": func, "args": args, "kwargs": kwargs, **options}
        )
    if func is None:
        raise click.UsageError("Missing argument 'TASK', or --from FILE for a file of lines.")
    for name, value in lines.items():
        if value:
            raise click.UsageError(f"{_option(name)} needs --from")
    manner = Manner(*(options.pop(name) for name in Manner._fields))
    task = _task(options, manner).to_call(func, *(args or ()), **(kwargs or {}))
    if manner.check:
        check(task)
    gator = open_gator(session, queue)
    _require(gator.client, {**options, "wait": manner.wait})
    if Capability.DEPENDENCIES in gator.client.capabilities:
        _note_done(session, gator.client, task)
    if manner.dry_run:
        _show_body(session, gator, task)
    elif manner.wait:
        _push_and_wait(session, gator, task, manner.wait_timeout)
    else:
        _push(session, gator, task)
    return os.EX_OK


def _push_from(
    session: Session, queue: str | None, lines: dict[str, Any], one: dict[str, Any]
) -> int:
    """Push the lines of a file.

    Args:
        one: the options of a single task, which must not be given.
    """
    from ..bulk_push import Source, push_lines  # a push of one should not wait for its imports

    dry_run = one.pop("dry_run")
    given = [name for name, value in one.items() if value not in (None, False, ())]
    if given:
        name = "TASK" if given[0] == "func" else _option(given[0])
        raise click.UsageError(f"{name} and --from: {INSTEAD.get(name, 'put it into the lines')}")
    return push_lines(session, open_gator(session, queue), Source(dry_run=dry_run, **lines))


def _option(name: str) -> str:
    return "--id" if name == "task_id" else f"--{name.replace('_', '-')}"


def _task(options: dict[str, Any], manner: Manner) -> Task:
    """Return a task with the options that were given."""
    if options["delay"] is not None and options["at"] is not None:
        raise click.UsageError("--delay and --at: give one of the two")
    if manner.wait_timeout is not None and not manner.wait:
        raise click.UsageError("--wait-timeout needs --wait")
    words = {"delay": "delay_by", "at": "delay_until"}
    given = {words.get(name, name): value for name, value in options.items() if value is not None}
    if manner.wait:
        given["result_ttl"] = max(given.get("result_ttl") or RESULT_TTL, manner.wait_timeout or 0.0)
    return Task(**given)


def _require(client: Backend, options: Mapping[str, Any]) -> None:
    """Refuse the first of the options that this broker has nothing for.

    Raises:
        UnsupportedByBroker: it says which.
    """
    for name, capability in NEEDS.items():
        if options[name]:
            require(client, _option(name), capability, "leave it out, or ")


def _note_done(session: Session, client: Backend, task: Task) -> None:
    """Say which of the tasks that this one depends on cannot hold it back: a mistyped id runs it
    at once."""
    for task_id in task.depends_on:
        if client.find(task_id) is None:
            session.out.note(f"{task_id} is not queued: taken as done")


def _show_body(session: Session, gator: Gator, task: Task) -> None:
    """Print what would be queued, once the broker's rules have passed it."""
    gator.client.check(gator.queue_name, [gator.entry(task)])
    session.out.line(encode(task).decode())


def _queue(gator: Gator, task: Task) -> None:
    """Push the task; when nobody knows whether that was done, say how to repeat it."""
    try:
        gator.push_many([task])
    except BrokerUnreachable as error:
        if error.maybe_done and Capability.CUSTOM_IDS in gator.client.capabilities:
            name = shlex.quote(task.task_id)
            error.add_note(
                f"The task's id is {name}: the same command with --id {name} makes no double while "
                "the broker holds it."
            )
        raise


def _push(session: Session, gator: Gator, task: Task) -> None:
    _queue(gator, task)
    _note_when_held(session, task)
    try:
        if session.out.format is None and not session.out.fields:
            session.out.line(task.task_id)
        else:
            row = {"id": task.task_id, "queue": gator.queue_name, "queued": task.queued}
            session.out.record(row)
        session.out.flush()
    except CannotPrint as error:
        error.hint = f"The task is queued all the same, as {task.task_id}."
        raise


def _note_when_held(session: Session, task: Task) -> None:
    if not task.queued:
        session.out.note(f"already queued as {task.task_id}; nothing was added")


def _push_and_wait(session: Session, gator: Gator, task: Task, timeout: float | None) -> None:
    _queue(gator, task)
    _note_when_held(session, task)
    try:
        finished = gator.client.wait_finished(task.task_id, timeout)
        result = result_of(gator.client, task.task_id, finished, timeout)
    except (KeyboardInterrupt, BrokerError) as error:
        error.add_note(f"No longer waiting; task {task.task_id} stays queued.")
        raise
    try:
        session.out.line(result)
        session.out.flush()
    except CannotPrint as error:
        error.hint = f"The task has succeeded all the same: gator result {arguments(task.task_id)}"
        raise
