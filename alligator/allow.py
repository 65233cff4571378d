"""The allow list: which functions a body may name, decided before anything is imported.

A body is written by whoever can write to the broker. It names a function by a dotted path, and a
path can lead through what a module merely imports: `app.tasks.os.system`. So a path has to pass
twice: as it is written, before its module is imported; and by the place where what it led to was
defined, before that is called.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .exceptions import (
    InvalidSetting,
    NotAllowed,
    NotImportable,
    UnknownCallableError,
    UnknownModuleError,
)
from .tasks import HOOKS, Task
from .utils import DottedPath, dotted_path, import_attr

_SEPARATORS = re.compile(r"[\s,]+")
_SEGMENT = re.compile(r"[\w*]+")


class AllowList:
    """Patterns of dotted paths.

    `app.tasks.send` is that function and nothing else. `app.tasks.*`, with a star as its last part,
    is everything below app.tasks, at any depth; not app.tasks itself, nor app.tasks_old. Elsewhere
    a star stands for any characters within one part: `app.*.tasks.send_*`.
    """

    def __init__(self, patterns: str | Iterable[str], source: str = "allow") -> None:
        """Read patterns; one text may hold several, with spaces or commas between.

        Args:
            source: where they come from, for messages.

        Raises:
            InvalidSetting: there is none, or one is no pattern.
        """
        texts = [patterns] if isinstance(patterns, str) else list(patterns)
        for text in texts:
            if not isinstance(text, str):
                raise InvalidSetting(f"{source}: {text!r} is no text; write it like 'app.tasks.*'")
        words = [word for text in texts for word in _SEPARATORS.split(text) if word]
        if not words:
            # Not the same as no list: a variable that came out empty must not open the door.
            raise InvalidSetting(
                f"{source} is empty, so nothing could run; name what may, like 'app.tasks.*', or "
                "leave it out to allow everything"
            )
        self.patterns = tuple(dict.fromkeys(words))
        self._matches = re.compile("|".join(_expression(word, source) for word in self.patterns))

    def __str__(self) -> str:
        return ", ".join(self.patterns)

    def __contains__(self, path: str) -> bool:
        return self._matches.fullmatch(path) is not None

    def admit(self, task: Task) -> None:
        """Hold the call of a task and its hooks to this list; imports nothing.

        Raises:
            NotAllowed: one of them is not in it.
        """
        for name in ("func", *HOOKS):
            target = getattr(task, name)
            if target is not None:
                setattr(task, name, self._held(target))

    def admit_hooks(self, task: Task) -> None:
        """Hold the places where an admitted task's hooks lead to this list, before any of it runs:
        one that is refused after the call would come too late. Imports them.

        Raises:
            NotAllowed: one was defined in a place that is not in the list.
        """
        for name in HOOKS:
            target = getattr(task, name)
            if isinstance(target, AllowedPath):
                # One that cannot be had is told of where it is called, as without a list.
                with suppress(UnknownModuleError, UnknownCallableError):
                    target.resolve()

    def _held(self, target: Callable[..., Any]) -> AllowedPath:
        try:
            path = dotted_path(target)
        except NotImportable as error:  # from a task class with a reader of its own
            raise NotAllowed(f"not allowed: {error}") from error
        if not all(map(str.isidentifier, str(path).split("."))):
            raise NotAllowed(f"not allowed: {str(path)!r} is no dotted path")
        if "__" in (part[:2] for part in str(path).split(".")):
            raise NotAllowed(f"not allowed: {path}; no pattern covers names that begin with __")
        if str(path) not in self:
            raise NotAllowed(f"not allowed: {path}; allowed here: {self}")
        return AllowedPath(path.module, path.name, self)


@dataclass(frozen=True, slots=True)
class AllowedPath(DottedPath):
    """A path that is in the list as it is written; resolving it looks at where it leads."""

    allow: AllowList = field(repr=False, compare=False)

    def resolve(self) -> Callable[..., Any]:
        """Import the target.

        Raises:
            NotAllowed: it was defined in a place that is not in the list.
            UnknownModuleError, UnknownCallableError: it cannot be had, or cannot be called.
        """
        target = import_attr(self.module, self.name, self._pass)
        home = _home(target)
        if home not in self.allow:
            raise NotAllowed(
                f"not allowed: {self} is {home}, defined elsewhere; if that may run, allow it as "
                f"well. Allowed here: {self.allow}"
            )
        for part in _constructors(target):
            # Who allows a class means what it does when called.
            if part not in self.allow and part.rpartition(".")[0] not in self.allow:
                raise NotAllowed(
                    f"not allowed: {self} runs {part}, defined elsewhere; if that may run, allow "
                    f"it as well. Allowed here: {self.allow}"
                )
        return self.called(target)

    def _pass(self, path: str, found: object) -> None:
        """Go through modules by their own paths and through classes; through nothing else, since
        any other object's attributes are whatever its own code makes of their names."""
        if isinstance(found, type) or (isinstance(found, ModuleType) and found.__name__ == path):
            return
        if isinstance(found, ModuleType):
            rest = str(self).removeprefix(path)
            raise NotAllowed(
                f"not allowed: {self} leads through the module {found.__name__}, which {path} only "
                f"stands for; if that may run, push and allow {found.__name__}{rest}"
            )
        raise NotAllowed(
            f"not allowed: {self} leads through {path}, which is neither a module nor a class; "
            "write a function that does it, and push that"
        )


def _home(target: object) -> str:
    """Return the path of the place where an object was defined; of its type when it has none, as
    partial objects and methods of built-in types."""
    named: Any = target if _has_path(target) else type(target)
    return f"{named.__module__}.{named.__qualname__}"


def _constructors(target: object) -> Iterator[str]:
    """Yield the paths of what a call of a class, or of an object that is not a function itself,
    runs: a class of ours can have another's constructor. What Python's own types do is left out."""
    origin = getattr(target, "__origin__", None)  # of an object like Popen[str], which calls it
    if isinstance(origin, type) and not isinstance(target, type):
        target = origin
    if isinstance(target, type):
        parts = [(type(target), "__call__"), (target, "__new__"), (target, "__init__")]
    elif _has_path(target):
        return
    else:
        parts = [(type(target), "__call__")]
    for kind, name in parts:
        owner = next((one for one in kind.__mro__ if name in vars(one)), object)
        if getattr(builtins, owner.__name__, None) is owner:
            continue
        found = vars(owner)[name]
        function = getattr(found, "__func__", found)  # __new__ is a static method
        # namedtuple has its __new__ in a namespace that is not in any module.
        if _has_path(function) and function.__module__ != f"namedtuple_{owner.__name__}":
            yield _home(function)
        else:
            yield f"{_home(owner)}.{name}"


def _has_path(target: object) -> bool:
    names = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    return all(isinstance(name, str) for name in names)


def _expression(pattern: str, source: str) -> str:
    *parents, last = pattern.split(".")
    for part in (*parents, last):
        if not _SEGMENT.fullmatch(part):
            raise InvalidSetting(
                f"{source}: {pattern!r} is no pattern of dotted paths; write it like 'app.tasks.*' "
                "or 'app.tasks.send'"
            )
    return r"\.".join([*map(_part, parents), ".+" if last == "*" else _part(last)])


def _part(text: str) -> str:
    return re.escape(text).replace(r"\*", r"[^.]*")
