"""Between a callable and its dotted path, in both directions, importing nothing until it must."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from .exceptions import (
    BrokenModuleError,
    NotImportable,
    UnknownCallableError,
    UnknownModuleError,
)

_NOT_OF_MAIN = "__main__ is another module in the worker; move it to a module"


@dataclass(frozen=True, slots=True)
class DottedPath:
    """A callable by name. Calling it imports the target first, so it stands in for the function
    wherever one is expected, on machines that do not have the code too."""

    module: str
    name: str

    @classmethod
    def parse(cls, text: str) -> DottedPath:
        """Read `package.module.function`; what follows the module may have dots of its own.

        Raises:
            NotImportable: it is no dotted path, or one that leads elsewhere in the worker.
        """
        module, dot, name = text.rpartition(".")
        if not dot or not all(part.isidentifier() for part in text.split(".")):
            raise NotImportable(
                f"{text!r} is not the dotted path of a function; write package.module.function"
            )
        if f"{module}.".startswith("__main__."):
            raise NotImportable(_no_path(text, _NOT_OF_MAIN))
        return cls(module, name)

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def __name__(self) -> str:
        """The function's own name, as the function itself has it."""
        return self.name.rpartition(".")[2]

    def resolve(self) -> Callable[..., Any]:
        """Import the target.

        Raises:
            UnknownModuleError, UnknownCallableError: it cannot be had, or cannot be called.
        """
        found = _plainly(self)
        return found if callable(found) else self.called(import_attr(self.module, self.name))

    def called(self, target: Any) -> Callable[..., Any]:
        """Return what the path led to.

        Raises:
            UnknownCallableError: it cannot be called.
        """
        if not callable(target):
            raise UnknownCallableError(
                f"{self} is of type {type(target).__name__} and cannot be called"
            )
        found: Callable[..., Any] = target
        return found

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.resolve()(*args, **kwargs)


def determine_module(func: Callable[..., Any]) -> str:
    """Return the dotted path of the module a callable comes from: `random` for random.choice.

    Raises:
        NotImportable: the object does not say where it comes from.
    """
    if isinstance(func, DottedPath):
        return func.module
    owner = getattr(func, "__self__", None)
    module = getattr(owner if isinstance(owner, type) else func, "__module__", None)
    if not isinstance(module, str):
        raise NotImportable(_no_path(func, "it does not say which module it is from"))
    return module


def determine_name(func: Callable[..., Any]) -> str:
    """Return a callable's name within its module: `choice` for random.choice, `Mail.send` for a
    static or class method.

    Raises:
        NotImportable: the object has no name.
    """
    if isinstance(func, DottedPath):
        return func.name
    owner = getattr(func, "__self__", None)
    if isinstance(owner, type):
        # The class it was taken from, which may be a child of the one that defines it.
        return f"{owner.__qualname__}.{func.__name__}"
    bound = owner is not None and not isinstance(owner, ModuleType)
    name = getattr(func, "__name__" if bound else "__qualname__", None)
    if not isinstance(name, str):
        raise NotImportable(_no_path(func, "it has no name"))
    return name


#: Functions whose paths were looked up. Each time it is made sure that the path leads there still,
#: but the rest of it costs as much as making a task.
_known: dict[FunctionType, DottedPath] = {}
_MOST_KNOWN = 1000


def dotted_path(func: Callable[..., Any]) -> DottedPath:
    """Return the path under which a worker will find `func` again.

    Raises:
        NotImportable: no such path leads to this very object; says why and what to do.
    """
    if isinstance(func, DottedPath):
        return func
    known = _known.get(func) if type(func) is FunctionType else None
    if known is not None and _plainly(known) is func:
        return known
    path = _path_to(func)
    if type(func) is FunctionType:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[func] = path
    return path


def _plainly(path: DottedPath) -> object:
    """Return what a loaded module has under a name; None for one with dots, which is no name that a
    module could be asked for."""
    module = None if "." in path.name else _loaded(path.module)
    return None if module is None else getattr(module, path.name, None)


def _path_to(func: Callable[..., Any]) -> DottedPath:
    if not callable(func):
        raise NotImportable(_not_called(func))
    path = DottedPath(determine_module(func), determine_name(func))
    if path.module == "__main__":
        raise NotImportable(_no_path(func, _NOT_OF_MAIN))
    if "<" in path.name:
        what = "a lambda" if path.name.endswith("<lambda>") else "defined inside a function"
        raise NotImportable(_no_path(func, f"it is {what}; define it at the top of a module"))
    try:
        found = import_attr(path.module, path.name)
    except (UnknownModuleError, UnknownCallableError):
        found = None
    if found != func:  # bound methods are made anew at each look, and compare equal
        raise NotImportable(
            _no_path(
                func,
                f"{path} leads elsewhere; use a module-level function, or a static or class method",
            )
        )
    return path


def import_from_here() -> None:
    """Have the current directory on the module path, as with `python -m`; and where -P, -I or
    PYTHONSAFEPATH leaves it out, too."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)


def import_module(module_name: str) -> ModuleType:
    """Import a module by its dotted path.

    Raises:
        UnknownModuleError: it is not there, or is `__main__`.
        BrokenModuleError: it raised (or exited) while it was imported.
    """
    loaded = _loaded(module_name)
    if loaded is not None:
        return loaded
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UnknownModuleError(_missing(module_name, error.name)) from error
    except (Exception, SystemExit) as error:
        raise BrokenModuleError(
            f"importing {module_name!r} raised {type(error).__name__}: {error}"
        ) from error


def _loaded(module_name: str) -> ModuleType | None:
    """Return a module that was imported to its end. importlib looks there first, too, more slowly;
    and a task's function is nearly always in such a one.

    Raises:
        UnknownModuleError: it is `__main__`, which whoever wrote its name had another one of.
    """
    if module_name == "__main__":
        raise UnknownModuleError(
            "'__main__' is the worker's own program, and not the one that was meant; move the "
            "function to a module"
        )
    loaded = sys.modules.get(module_name)
    spec = getattr(loaded, "__spec__", None)
    return None if getattr(spec, "_initializing", False) else loaded


def _missing(module_name: str, absent: str | None) -> str:
    """Say that a module, or one that it imports, is not there; and where that was looked for."""
    if f"{module_name}.".startswith(f"{absent}."):
        first = os.path.abspath(sys.path[0]) if sys.path else ""
        return (
            f"no module named {module_name!r}; is its folder on the module path? "
            f"That begins with {first!r}"
        )
    return (
        f"{module_name!r} cannot be imported: it needs {absent!r}, which is missing; mend that "
        f"import, or install it into {sys.prefix!r}"
    )


def import_attr(
    module_name: str, attr_name: str, passing: Callable[[str, object], None] | None = None
) -> Any:
    """Import a module and return an attribute of it.

    Args:
        module_name: a dotted path. It may end in classes: `app.models.Post`.
        attr_name: a name, or names with dots between.
        passing: called, before an attribute of anything is looked at, with its path and itself; it
            may raise.

    Raises:
        UnknownModuleError: see import_module.
        UnknownCallableError: the module has no such attribute.
    """
    found = _owner(module_name, passing)
    path = module_name
    for name in attr_name.split("."):
        if passing is not None:
            passing(path, found)
            path = f"{path}.{name}"
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise UnknownCallableError(
                f"{module_name!r} has no {attr_name!r}; was it renamed, or is older code running?"
            ) from error
    return found


def _owner(path: str, passing: Callable[[str, object], None] | None) -> Any:
    """Import the module at `path`, or the class there when its last part names no module."""
    try:
        return import_module(path)
    except UnknownModuleError as error:
        parent, _, last = path.rpartition(".")
        if parent and _itself_missing(error, path):
            owner = _owner(parent, passing)
            if passing is not None:
                passing(parent, owner)
            if hasattr(owner, last):
                return getattr(owner, last)
        raise


def _itself_missing(error: UnknownModuleError, path: str) -> bool:
    """Whether `path`, or a parent of it, is no module: not that one it imports is missing."""
    cause = error.__cause__
    return isinstance(cause, ModuleNotFoundError) and f"{path}.".startswith(f"{cause.name}.")


def _not_called(value: object) -> str:
    hint = "; pass the function itself" if isinstance(value, str) else ""
    return f"{value!r} is of type {type(value).__name__} and cannot be called{hint}"


def _no_path(func: object, reason: str) -> str:
    return f"{func!r} cannot be a task: {reason}"
