"""gator worker: processes that run tasks until stopped."""

from __future__ import annotations

import os
import sys

import click
from click.core import ParameterSource

from alligator.allow import AllowList
from alligator.constants import ALL
from alligator.crashes import MAX_DEATHS
from alligator.logs import configure, worker_log
from alligator.settings import COROUTINES, DRAIN_TIMEOUT, WorkerSettings
from alligator.supervisor import Supervisor

from ..broker import open_gator
from ..completing import files, queue_names, words
from ..foreground import users_code
from ..hindrances import held_up
from ..options import Command
from ..output import wants_color
from ..selection import misspelt
from ..session import Session, pass_session
from ..types import choice, duration, memory, queue_name, some_text

EXAMPLES = """
gator worker
gator worker -q mail -q all -c 4 --import app.tasks
gator worker -c 2 --threads 20
gator worker --allow 'app.tasks.*'
gator worker --burst --log-format json
"""

#: As in alligator.logs; a test compares them.
LEVELS = ("debug", "info", "warning", "error")


def patterns(
    ctx: click.Context, param: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the patterns of what may run, None when nobody gave any.

    Raises:
        InvalidSetting: one is no pattern, or a variable holds none.
    """
    typed = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
    # A variable that came out empty must not mean that everything may run; click drops it.
    if not typed and str(param.envvar) not in os.environ:
        return None
    AllowList(given, "--allow" if typed else f"{param.envvar} (--allow)")
    return given


@click.command(
    "worker",
    cls=Command,
    examples=EXAMPLES,
    surplus="Name queues with -q.",
    elsewhere={
        "--concurrency": "--processes",
        "--workers": "--processes",
        "--max-tasks-per-child": "--max-tasks",
        "--verbose": "--log-level",
    },
)
@click.option(
    "-q",
    "--queue",
    "queues",
    type=queue_name,
    multiple=True,
    default=(ALL,),
    show_default=True,
    metavar="QUEUE",
    shell_complete=queue_names,
    help="May be repeated; a queue is looked at when the ones before it have nothing ready.",
)
@click.option(
    "-c",
    "--processes",
    "processes",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many processes run tasks at once.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many plain functions run at once in each process.",
)
@click.option(
    "--coroutines",
    type=click.IntRange(1, 10000),
    default=COROUTINES,
    show_default=True,
    help="How many async functions run at once in each process, beside those.",
)
@click.option("--burst", is_flag=True, help="End when nothing is ready any more.")
@click.option(
    "--max-tasks",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Replace a process after so many tasks, and go on; 0 is never.",
)
@click.option(
    "--max-memory",
    type=memory,
    default=0,
    metavar="SIZE",
    help="Replace a process between tasks once it is larger than this: 300M.",
)
@click.option(
    "--max-deaths",
    type=click.IntRange(min=1),
    default=MAX_DEATHS,
    show_default=True,
    help="Put a task into the failed set once its worker died with it so often.",
)
@click.option(
    "--time-limit",
    type=duration,
    metavar="TIME",
    help="A try may take no longer, whatever its task says: TaskTimeout is raised in it, and 2 s "
    "later its process is ended.",
)
@click.option(
    "--drain-timeout",
    type=duration,
    default=DRAIN_TIMEOUT,
    show_default=f"{DRAIN_TIMEOUT:g}s",
    metavar="TIME",
    help="How long running tasks have after the first SIGTERM or Ctrl-C.",
)
@click.option(
    "--import",
    "imports",
    type=some_text,
    multiple=True,
    metavar="MODULE",
    help="Import it before the first task; may be repeated.",
)
@click.option(
    "--allow",
    multiple=True,
    callback=patterns,
    metavar="PATTERN",
    help="Run only tasks, and hooks, whose dotted path matches: 'app.tasks.*'. May be repeated; "
    "without it GATOR_ALLOW has the patterns, and without both everything importable runs.",
)
@click.option(
    "--reload",
    is_flag=True,
    help="Replace the processes whenever a .py file changes, as SIGHUP does; for development.",
)
@click.option(
    "--log-format",
    type=choice("log format", ("text", "json")),
    show_default="text, or json with --json",
    metavar="FORMAT",
    shell_complete=words(("text", "json")),
    help="text or json.",
)
@click.option(
    "--log-level",
    type=choice("log level", LEVELS),
    show_default="info, or warning with --quiet",
    metavar="LEVEL",
    shell_complete=words(LEVELS),
    help=f"{', '.join(LEVELS)}.",
)
@click.option(
    "--heartbeat-file",
    default="",
    metavar="FILE",
    help="Touch it every 5 s, for gator health --live; systemd's watchdog is served by itself.",
    shell_complete=files,
)
@pass_session
def command(
    session: Session,
    queues: tuple[str, ...],
    processes: int,
    threads: int,
    coroutines: int,
    burst: bool,
    max_tasks: int,
    max_memory: int,
    max_deaths: int,
    time_limit: float | None,
    drain_timeout: float,
    imports: tuple[str, ...],
    allow: tuple[str, ...] | None,
    reload: bool,
    log_format: str | None,
    log_level: str | None,
    heartbeat_file: str,
) -> int:
    """Run workers until stopped.

    The current directory is on the module path, as with `python -m`. SIGTERM or Ctrl-C lets the
    running tasks end and hands back the rest; a second one hands back the running ones too. SIGHUP
    replaces the processes by fresh ones, with new code, as they end what they run; so does the
    closing of its terminal, which sends SIGHUP: the worker lives on. The log and what tasks print
    go to stderr.
    """
    gator = open_gator(session, allow=allow)
    _ = gator.trust  # what is wrong with it is said here and not by every process
    log_format = log_format or ("json" if session.out.format == "json" else "text")
    log_level = log_level or ("warning" if session.out.quiet else "info")
    colored = log_format == "text" and wants_color(sys.stderr, session.out.color)
    settings = WorkerSettings(
        dsn=gator.conn_string,
        queues=tuple(dict.fromkeys(queues)),
        processes=processes,
        threads=threads,
        coroutines=coroutines,
        burst=burst,
        max_tasks=max_tasks,
        max_memory=max_memory,
        max_deaths=max_deaths,
        time_limit=time_limit or None,
        drain_timeout=drain_timeout,
        imports=imports,
        reload=reload,
        log_format="colored" if colored else log_format,
        log_level=log_level,
        allow=allow or (),
        secret_file=session.settings.secret_file,
        heartbeat_file=heartbeat_file,
    )
    configure(log_format, log_level)
    for text in (misspelt, held_up):
        for note in text(gator.client, settings.queues):
            worker_log.warning("%s", note)
    with users_code():
        return Supervisor(settings, gator.client).run()
