"""The version, in one place."""

__version__ = "2.0.0a1"


def version() -> str:
    """Return the version of Alligator, as in `2.0.0`."""
    return __version__
