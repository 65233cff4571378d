"""The lines of `push --from`, `dump` and `load`: one JSON object is one task."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any

import click

from alligator import body
from alligator.exceptions import AlligatorException, NotImportable, UnsupportedByBroker
from alligator.retries import AnyBackoff, exponential, from_wire
from alligator.tasks import Task
from alligator.utils import DottedPath

from .errors import USAGE, CliError
from .suggest import did_you_mean
from .types import duration, pointed_at, when

#: Dotted paths read so far; a load has few of them, and reading one costs as much as the rest.
_KNOWN_PATHS = 10_000

#: What a dump says besides, which a push has no use for.
OF_A_DUMP = frozenset(
    ("state", "attempts", "deliveries", "pushed_at", "failures", "signed", "worker", "lease_until")
)


class BadLine(CliError):
    """A line that is no task.

    Attributes:
        number: of the line, counted from 1.
    """

    exit_code = USAGE

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class _Read(Task):
    """A task whose arguments have come from JSON."""

    _dump = staticmethod(body.dump_read)


class _BadField(Exception):
    """A field is no good: its value, or there is none of its name."""

    def __init__(self, name: str, message: str, unknown: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.unknown = unknown


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON; leave it out, or pass null or text")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
_decode = body.quick(_decoder)
_paths: dict[str, DottedPath] = {}


def read_line(line: bytes, number: int) -> dict[str, Any]:
    """Read the JSON object of a line.

    Raises:
        BadLine: there is none, with the column where it breaks.
    """
    try:
        text = line.decode()
        fields = _decode(text)
    except UnicodeDecodeError as error:
        raise BadLine(number, f"line {number} is not UTF-8 text, at byte {error.start}") from error
    except json.JSONDecodeError as error:
        if not text.lstrip().startswith("{"):  # CSV, say: where it is no JSON tells nothing
            raise BadLine(number, f"{_no_object(number)}\n{pointed_at(text, 0)}") from error
        raise _pointing(number, error.doc, error.pos, error.msg) from error
    except (ValueError, RecursionError) as error:
        reason = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise BadLine(number, f"line {number} cannot be read: {reason}") from error
    if not isinstance(fields, dict):
        raise BadLine(number, _no_object(number))
    return fields


def _no_object(number: int) -> str:
    example = '{"task": "app.tasks.report", "args": [1]}'
    return f"line {number} is no JSON object; write it like {example}"


def task_of(fields: dict[str, Any], line: bytes, number: int, task_id: str) -> Task:
    """Make the task that a line's fields describe; `queue` is the caller's.

    Args:
        line: the text they were read from, to point at.
        task_id: for a line that has none.

    Raises:
        BadLine: a field is no good; says which, and points at it.
    """
    try:
        return _task(fields, task_id)
    except _BadField as error:
        text = line.decode()
        place = place_of(text, error.name, of_value=not error.unknown)
        raise _pointing(number, text, place, str(error)) from (error.__cause__ or error)


def _pointing(number: int, text: str, place: int, reason: str) -> BadLine:
    message = f"line {number}, column {place + 1}: {reason}\n{pointed_at(text, place)}"
    return BadLine(number, message)


def _task(fields: dict[str, Any], task_id: str) -> Task:
    call: dict[str, Any] = {"task_id": task_id}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    path: DottedPath | None = None
    for name, value in fields.items():
        if name == "task":
            path = _paths.get(value) if isinstance(value, str) else None
            path = path or _path(name, value)
        elif name == "args":
            if not isinstance(value, list):
                raise _BadField(name, "args is not an array; write it like [1]")
            args = value
        elif name == "kwargs":
            if not isinstance(value, dict):
                raise _BadField(name, 'kwargs is not an object; write it like {"name": 1}')
            kwargs = value
        elif name == "queue" or name in OF_A_DUMP:
            pass
        elif name not in OPTIONS:
            near = did_you_mean(name, FIELDS)
            raise _BadField(name, f"there is no field {name!r}.{near}", unknown=True)
        elif value is not None:
            word, read = OPTIONS[name]
            call[word] = read(name, value)
    if path is None:
        raise _BadField("task", 'there is no task; name the function: "task": "app.tasks.x"')
    if "delay_by" in call and "delay_until" in call:
        raise _BadField("at", "delay and at: give one of the two")
    try:
        task = _Read(**call)
    except (AlligatorException, TypeError, ValueError) as error:
        raise _blamed(call, error) from error
    if task.task_id in task.depends_on:
        itself = f"task {task.task_id!r} depends on itself, and could never run; leave that out"
        raise _BadField("depends_on", itself)
    return task.to_call(path, *args, **kwargs)


def _blamed(call: Mapping[str, Any], error: Exception) -> _BadField:
    """Find the option that Task refuses, by offering it each alone."""
    words = {word: name for name, (word, _) in OPTIONS.items()}
    for word, value in call.items():
        try:
            Task(**{word: value})
        except (AlligatorException, TypeError, ValueError) as alone:
            return _BadField(words[word], str(alone))
    return _BadField("task", str(error))


def _path(name: str, value: Any) -> DottedPath:
    try:
        path = DottedPath.parse(_text(name, value))
    except NotImportable as error:
        raise _BadField(name, str(error)) from error
    if len(_paths) >= _KNOWN_PATHS:
        _paths.clear()
    _paths[value] = path
    return path


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _BadField(name, f"{name} {json.dumps(value)[:40]} is not text")
    return value


def _ids(name: str, value: Any) -> Any:
    if not isinstance(value, str | list):
        raise _BadField(name, f'{name} is neither an id nor an array of ids; write it like ["a"]')
    return value


def _as_it_is(_name: str, value: Any) -> Any:
    return value


def _worded(read: Callable[[str], float]) -> Callable[[str, Any], Any]:
    """Take text as the option does, and a number as it is."""

    def either(name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return read(value)
        except click.BadParameter as error:
            raise _BadField(name, error.message) from error

    return either


def backoff(text: str) -> AnyBackoff:
    """Read 30s, 1s,10s,1m or exp:1s..10m."""
    kind, colon, span = text.partition(":")
    if not colon:
        seconds = tuple(map(duration, text.split(",")))
        return seconds if len(seconds) > 1 else seconds[0]
    first, dots, cap = span.partition("..")
    if kind != "exp" or not dots:
        raise click.BadParameter(f"{text!r} is no backoff; write 30s, 1s,10s,1m or exp:1s..10m")
    try:
        return exponential(duration(first), duration(cap))
    except AlligatorException as error:
        raise click.BadParameter(str(error)) from error


def _backoff(name: str, value: Any) -> AnyBackoff:
    try:
        return backoff(value) if isinstance(value, str) else from_wire(value)
    except click.BadParameter as error:
        raise _BadField(name, error.message) from error
    except AlligatorException as error:
        raise _BadField(name, str(error)) from error


#: Fields that are options of a task: what Task calls each, and how its value is read.
OPTIONS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "id": ("task_id", _text),
    "delay": ("delay_by", _worded(duration)),
    "at": ("delay_until", _worded(when)),
    "retries": ("retries", _as_it_is),
    "backoff": ("backoff", _backoff),
    "priority": ("priority", _as_it_is),
    "unique": ("unique", _text),
    "depends_on": ("depends_on", _ids),
    "timeout": ("timeout", _worded(duration)),
    "result_ttl": ("result_ttl", _worded(duration)),
    "on_start": ("on_start", _path),
    "on_success": ("on_success", _path),
    "on_error": ("on_error", _path),
}

FIELDS = ("task", "args", "kwargs", "queue", *OPTIONS)


def place_of(text: str, name: str, of_value: bool = True) -> int:
    """Return where a field's value, or else its name, begins in the text of an object; 0 where
    there is none."""
    at: int = text.find("{") + 1
    skip = " \t\r\n,:"
    while True:
        while text[at : at + 1] and text[at] in skip:
            at += 1
        if text[at : at + 1] != '"':
            return 0
        begins = at
        found, at = scanstring(text, at + 1, True)
        while text[at] in skip:
            at += 1
        if found == name:
            return at if of_value else begins
        _, at = _decoder.raw_decode(text, at)


def unsupported(error: UnsupportedByBroker, number: int) -> UnsupportedByBroker:
    """Return the error with the line that asked for it."""
    return UnsupportedByBroker(f"line {number}: {error}")
