"""Offline tasks for Python: push a call here, run it there.

    gator = Gator("sqlite:///queue.db")
    gator.task(send_email, 42)

Any importable function is a task. `Worker(gator).run_forever()`, or `gator worker` in a shell, runs
what was pushed.
"""

from .constants import ALL, CANCELED, DELAYED, FAILED, RETRYING, SUCCESS, WAITING
from .gator import Gator, Options
from .tasks import Task
from .version import __version__, version
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
