"""Offline tasks for Python: push a call here, run it there.

    gator = Gator("sqlite:///queue.db")
    gator.task(send_email, 42)

Any importable function is a task. `Worker(gator).run_forever()`, or `gator worker` in a shell, runs
what was pushed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .constants import ALL, CANCELED, DELAYED, FAILED, RETRYING, SUCCESS, WAITING
from .gator import Gator, Options
from .tasks import Task
from .version import __version__, version

if TYPE_CHECKING:
    from .workers import Worker

__all__ = [
    "ALL",
    "CANCELED",
    "DELAYED",
    "FAILED",
    "RETRYING",
    "SUCCESS",
    "WAITING",
    "Gator",
    "Options",
    "Task",
    "Worker",
    "__version__",
    "version",
]


def __getattr__(name: str) -> Any:
    # Worker comes with sockets and logging: a program that only pushes starts without them.
    if name in ("Worker", "workers"):
        workers = import_module(".workers", __name__)
        return workers if name == "workers" else workers.Worker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
