"""A program with a Worker of its own, which ends when nothing is ready."""

from __future__ import annotations

import sys

from alligator import Gator, Worker


def main(dsn: str) -> None:
    with Gator(dsn) as gator:
        worker = Worker(gator)
        while worker.check_and_run_task():
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
