"""What `gator worker` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from .constants import ALL
from .crashes import MAX_DEATHS

#: Seconds that running tasks have after the first SIGTERM; a container's grace is usually 10.
DRAIN_TIMEOUT = 8.0

#: `async def` functions at once on the loop of each child.
COROUTINES = 100


@dataclass(frozen=True)
class WorkerSettings:
    """What `gator worker` is asked to do.

    Attributes:
        dsn: the broker.
        queues: names in order of preference.
        processes: how many children.
        threads: how many plain functions run at once in each child; 1 is its main thread.
        coroutines: how many `async def` functions run at once on the loop of each child.
        burst: end when nothing is ready any more.
        max_tasks: tasks a child runs before a fresh one takes its place; 0 is no limit.
        max_memory: bytes of resident memory after which a fresh child takes its place, between
            tasks; 0 is no limit.
        time_limit: seconds a try may take at most, whatever its task says; None is no limit.
        drain_timeout: seconds that running tasks have after the first SIGTERM or SIGINT.
        max_deaths: deaths of its worker after which a task goes to the failed set.
        reload: replace the children whenever a source file changes.
        imports: modules a child imports before its first task.
        log_format, log_level: see `logs`.
        allow: patterns of what may run; empty leaves it to the environment. See `trust`.
        secret_file: where the secrets are; None leaves it to the environment.
        heartbeat_file: touched every few seconds while the loop goes round; "" is none.
    """

    dsn: str
    queues: tuple[str, ...] = (ALL,)
    processes: int = 1
    threads: int = 1
    coroutines: int = COROUTINES
    burst: bool = False
    max_tasks: int = 0
    max_memory: int = 0
    time_limit: float | None = None
    drain_timeout: float = DRAIN_TIMEOUT
    max_deaths: int = MAX_DEATHS
    reload: bool = False
    imports: tuple[str, ...] = ()
    log_format: str = "text"
    log_level: str = "info"
    allow: tuple[str, ...] = ()
    secret_file: str | None = None
    heartbeat_file: str = ""
