"""Noticing that source files change, for `gator worker --reload`."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .exceptions import MissingExtra


def folders(modules: Iterable[str], here: str | None = None) -> list[str]:
    """Return the folders to watch: `here` (the current one), and those of modules outside of it.

    Only the first name of each dotted path is looked up, which runs none of its code.
    """
    found = [Path(here or os.getcwd()).resolve()]
    for module in modules:
        try:
            spec = importlib.util.find_spec(module.partition(".")[0])
        except (ImportError, ValueError):
            spec = None  # the children say what is wrong with it
        if spec is None:
            continue
        places = spec.submodule_search_locations or [os.path.dirname(spec.origin or "")]
        found += [Path(place).resolve() for place in places if place]
    return [
        str(folder)
        for folder in dict.fromkeys(found)
        if folder.is_dir() and not any(other in folder.parents for other in found)
    ]


@contextmanager
def watching(modules: Iterable[str], changed: Callable[[], None]) -> Iterator[None]:
    """Call `changed`, from a thread, when Python files change in the current folder or in that of a
    module, for the body of the `with`.

    Raises:
        MissingExtra: watchfiles is not installed.
    """
    try:
        import watchfiles  # the lazy import of an extra
    except ImportError as error:
        raise MissingExtra(
            'watching files needs the watchfiles package: pip install "alligator[reload]"'
        ) from error
    over = threading.Event()

    def watch() -> None:
        for _changes in watchfiles.watch(
            *folders(modules),
            watch_filter=watchfiles.PythonFilter(),
            stop_event=over,
            raise_interrupt=False,
            debounce=200,
            rust_timeout=500,
        ):
            changed()

    thread = threading.Thread(target=watch, name="alligator-reload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
