"""push --check: a task's call and its hooks imported, and their arguments bound to them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from alligator.exceptions import UnknownCallableError
from alligator.tasks import Task
from alligator.utils import DottedPath

from .foreground import users_code
from .suggest import did_you_mean

#: What is wrong with a call.
UNFIT = "does not take these arguments"


def check(task: Task) -> None:
    """Import the call and its hooks, and bind their arguments.

    Raises:
        UnknownModuleError, UnknownCallableError: one of them is not there.
        UsageError: one of them does not take its arguments.
    """
    hooks = (
        (task.on_start, (task,), "f(task)"),
        (task.on_success, (task, None), "f(task, result)"),
        (task.on_error, (task, Exception()), "f(task, exception)"),
    )
    with users_code():
        _bind(task.func, UNFIT, *task.func_args, **task.func_kwargs)
        for hook, args, form in hooks:
            if hook is not None:
                _bind(hook, f"is called as {form}", *args)


def _bind(path: Callable[..., Any] | None, why: str, /, *args: Any, **kwargs: Any) -> None:
    assert isinstance(path, DottedPath)
    try:
        target = path.resolve()
    except UnknownCallableError as error:
        names = vars(sys.modules[path.module]) if path.module in sys.modules else ()
        near = "" if path.name in names else did_you_mean(path.name, names)
        raise UnknownCallableError(f"{error}{near}") from error
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # some built-in functions have none
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        which = (why == UNFIT and _odd_one(signature, args, kwargs)) or error
        raise click.UsageError(f"{path}{signature} {why}: {which}") from error


def _odd_one(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Say which argument is the first that a call has no place for; "" when none is."""
    for number, value in enumerate(args):
        try:
            signature.bind_partial(*args[: number + 1])
        except TypeError:
            return f"args[{number}], {value!r:.40}, is one too many"
    for name in kwargs:
        try:
            signature.bind_partial(**{name: None})
        except TypeError:
            if name in signature.parameters:
                return ""  # not one to be named
            near = did_you_mean(name, signature.parameters)
            return f"there is no argument {name!r}.{near}"
    return ""
