"""Push one call for each number on stdin, each through a whole `gator push`, in this one process.

Starting a thousand Python processes would take most of the suite's time and show nothing that a
hundred do not.
"""

from __future__ import annotations

import json
import sys

from alligator_cli.app import app
from alligator_cli.guard import run

for number in map(str.strip, sys.stdin):
    arguments = json.dumps([sys.argv[2], f"call {number}"])
    if code := run(app, ["push", sys.argv[1], "--args", arguments]):
        sys.exit(code)
