"""What a shell offers for queue names, ids and words: from the broker at once, or nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from .session import Session
from .types import FORMATS

if TYPE_CHECKING:  # imported when a shell, or a broker, is asked
    from click.shell_completion import CompletionItem

    from alligator.backends.base import Backend

#: Seconds that a broker may take, its driver's import included; GATOR_COMPLETION_TIMEOUT overrides.
#: Starting takes the rest of the quarter second that a person puts up with.
PATIENCE = 0.19

#: How many are offered at most.
MOST = 50

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def words(names: Iterable[str]) -> Completer:
    """Return a completer that offers these."""

    def complete(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
        return [name for name in names if name.startswith(begun)]

    return complete


def formats(ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Offer the formats that a command's output can have."""
    from tabulate import tabulate_formats  # slow to import

    own = getattr(ctx.command, "formats", ())
    return words(dict.fromkeys((*FORMATS, *own, *tabulate_formats)))(ctx, _param, begun)


def fields(ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Offer the last one of the names of fields."""
    before, comma, last = begun.rpartition(",")
    given = before.split(",")
    fields_of = getattr(ctx.command, "fields_of", None)
    known = fields_of(ctx) if fields_of else ()
    names = [name for name in known if name not in given]
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def files(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Have the shell offer files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type="file")]


def queue_names(ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Offer the names of queues."""
    return _asked(ctx, begun, lambda client: client.queues(empty=True))


def task_ids(ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Offer the ids of tasks."""
    return _asked(ctx, begun, _ids)


def _ids(client: Backend) -> Iterator[str]:
    from .selection import Filter, chosen_states, records

    states = chosen_states(client, ())
    found = records(client, client.queues(), states, 0, False, Filter())
    return (record.task_id for record in found)


def _asked(ctx: click.Context, begun: str, ask: Callable[[Backend], Iterable[str]]) -> list[str]:
    """Ask the broker from a thread that is left behind when it takes too long.

    Whatever goes wrong offers nothing: a message would land in the middle of what is being typed.
    """
    found: list[str] = []

    def collect() -> None:
        try:
            client = _client(ctx.ensure_object(Session))
            if client is not None:
                matching = (name for name in ask(client) if name.startswith(begun))
                found.extend(islice(matching, MOST))
        except Exception:
            pass

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(_patience())
    return list(found)


def _patience() -> float:
    try:
        return float(os.environ.get("GATOR_COMPLETION_TIMEOUT", PATIENCE))
    except ValueError:
        return PATIENCE


def _client(session: Session) -> Backend | None:
    """Return the client of the broker in force; None for a file that there is not, since pressing
    a key should make none."""
    from alligator.backends.base import Capability
    from alligator.dsn import parse
    from alligator.gator import Gator

    from .broker import find_dsn

    dsn = find_dsn(session.settings)
    parts = parse(dsn)
    if parts.scheme == "sqlite" and not os.path.exists(parts.path[1:]):
        return None
    client = Gator(dsn).client
    return client if Capability.SHARED in client.capabilities else None
