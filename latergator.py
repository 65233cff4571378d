#!/usr/bin/env python
"""A worker on the queue `all`: latergator.py DSN."""

import os
import sys

from alligator import Gator, Worker
from alligator.exceptions import AlligatorException


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(
            "Usage: latergator.py DSN, as in latergator.py redis://localhost:6379/0",
            file=sys.stderr,
        )
        return 0 if arguments in (["-h"], ["--help"]) else 2
    sys.path.insert(0, os.getcwd())  # tasks of the project one stands in, as python -m has it
    try:
        return Worker(Gator(arguments[0])).run_forever()
    except AlligatorException as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
