"""gator doctor: what is wrong with this set-up, and how to mend it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator

import click

from alligator.backends.base import Backend, Counts
from alligator.dsn import redact
from alligator.exceptions import (
    AlligatorException,
    BrokerError,
    BrokerUnreachable,
    InvalidSetting,
    MissingDriver,
)
from alligator.gator import Gator
from alligator.utils import import_module

from ..broker import dsn_in_force, dsn_source, open_gator
from ..checks import COLUMNS, Check, report
from ..errors import FAILED, redacted
from ..foreground import users_code
from ..options import Command
from ..quoting import arguments
from ..session import Session, pass_session
from ..stuck import stuck_in
from ..tally import tasks

EXAMPLES = """
gator doctor
gator doctor --import app.tasks
"""

#: Tasks that are named in one check.
NAMED = 5


@click.command("doctor", cls=Command, examples=EXAMPLES, fields=COLUMNS.names)
@click.option(
    "--import",
    "imports",
    multiple=True,
    metavar="MODULE",
    help="See whether it can be imported here; may be repeated.",
)
@pass_session
def command(session: Session, imports: tuple[str, ...]) -> int:
    """Say what is wrong with this set-up, and how to mend it.

    The exit code is 1 when anything is.
    """

    def checks() -> Iterator[Check]:
        yield from _broker(session)
        yield Check("module path", True, f"{os.getcwd()}, then that of {sys.executable}")
        for name in imports:
            yield _module(name)

    return os.EX_OK if report(session, checks()) else FAILED


def _broker(session: Session) -> Iterator[Check]:
    dsn = dsn_in_force(session)
    readable = Check("dsn", True, f"{redact(dsn)} ({dsn_source(session.settings)})")
    try:
        gator = open_gator(session)
    except InvalidSetting as error:
        yield from (readable, Check("secret", False, str(error), "Mend the file of secrets."))
        return
    except MissingDriver as error:
        yield from (readable, Check("driver", False, str(error), "Install what is missing."))
        return
    except BrokerError as error:
        yield Check("dsn", False, redacted(str(error), session.secrets), "Mend the DSN.")
        return
    yield readable
    try:
        # It refuses what would lose tasks by itself: an eviction policy, a network file system.
        yield Check("broker", True, gator.client.ping())
        yield from gator.client.examine()
        yield _trust(gator)
        yield from _queues(gator.client)
    except BrokerError as error:
        yield Check("broker", False, redacted(str(error), session.secrets), _remedy(error))


def _remedy(error: BrokerError) -> str:
    if isinstance(error, BrokerUnreachable):
        return "Is the server running, at this address and port, and let through by firewalls?"
    # The last part of a refusal says what to do about it; see redis_driver.REMEDIES.
    _, found, remedy = str(error).rpartition("; ")
    return remedy if found else "The broker's answer says what it wants."


def _trust(gator: Gator) -> Check:
    try:
        trust = gator.trust
    except InvalidSetting as error:
        return Check("trust", False, str(error), "Mend the variable, or the file that it names.")
    signed = "only signed tasks run" if trust.keys else "tasks need no signature"
    allowed = "those that GATOR_ALLOW has" if trust.allow else "of anything importable"
    return Check("trust", True, f"{signed}, {allowed}")


def _queues(client: Backend) -> Iterator[Check]:
    for name in client.queues(empty=True):
        counts = client.counts(name)
        if counts.paused:
            remedy = f"gator resume {arguments(name)}"
            yield Check(f"queue {name}", False, "it is paused", remedy)
        elif counts.waiting:
            yield from _attendance(client, counts)
        yield from _stuck(client, counts)


def _attendance(client: Backend, counts: Counts) -> Iterator[Check]:
    name = counts.queue
    attended = client.attended(name)
    if attended:
        yield Check(f"queue {name}", True, f"{counts.waiting} waiting, and workers for it")
    elif attended is not None:
        detail = f"{counts.waiting} waiting, and no worker takes from it"
        yield Check(f"queue {name}", False, detail, f"gator worker -q {shlex.quote(name)}")


def _stuck(client: Backend, counts: Counts) -> Iterator[Check]:
    stuck = stuck_in(client, counts)
    check = f"blocked in {counts.queue}"
    all_seen = stuck.looked_at >= counts.blocked
    bound = "" if all_seen else f", of the oldest {stuck.looked_at} looked at"
    if stuck.failed:
        yield _waiting_for_failed(f"failed before {counts.queue}", stuck.failed, bound)
    if not stuck.tasks:
        if bound:
            yield Check(check, True, f"none for ever{bound}")
        return
    some, more, again = _named(stuck.tasks, "by")
    what = f"{tasks(len(stuck.tasks))} blocked for ever by what was canceled or dropped{bound}"
    ids = arguments(*list(stuck.tasks)[:NAMED])
    remedy = f"gator retry {ids} to run them all the same, gator cancel {ids} to remove them{again}"
    yield Check(check, False, f"{what}: {some}{more}", remedy)


def _waiting_for_failed(check: str, held: dict[str, list[str]], bound: str) -> Check:
    some, more, again = _named(held, "for")
    what = f"{tasks(len(held))} that wait for failed ones{bound}"
    named = list(held)[:NAMED]
    failed = arguments(*dict.fromkeys(one for task_id in named for one in held[task_id]))
    remedy = (
        f"gator retry {failed} to have them follow when that succeeds, "
        f"gator cancel {arguments(*named)} to remove them{again}"
    )
    return Check(check, False, f"{what}: {some}{more}", remedy)


def _named(held: dict[str, list[str]], word: str) -> tuple[str, str, str]:
    """Return the first of the tasks with what holds each, how many more there are, and what to do
    about these."""
    some = "; ".join(f"{one} {word} {', '.join(held[one])}" for one in list(held)[:NAMED])
    if len(held) <= NAMED:
        return some, "", ""
    return some, f"; and {len(held) - NAMED} more", "; then gator doctor again for the others"


def _module(name: str) -> Check:
    try:
        with users_code():
            import_module(name)
    except AlligatorException as error:
        return Check(f"module {name}", False, str(error), "Start gator where the module is.")
    return Check(f"module {name}", True, "can be imported")
