"""`python -m alligator` is gator."""

import importlib

if __name__ == "__main__":
    # By name: the library does not depend on the command line that is installed beside it.
    importlib.import_module("alligator_cli.main").run()
