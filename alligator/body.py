"""The JSON of a task's body: written only when it would come back equal, read with every failure
turned into one error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from json import encoder
from typing import Any, NoReturn

from .backends.base import MAX_BODY
from .exceptions import TaskFailed, UndecodableTask, UnserialisableTask

_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)


def _kept(encode: Callable[[Any], str]) -> Callable[[Any], str]:
    """Return `encode`, or quicker, where the interpreter has it: with the encoder in C that
    json makes anew at each call, made once."""
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return encode
    chunks = make(
        None, _encoder.default, encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return lambda value: "".join(chunks(value, 0))


_encode = _kept(_encoder.encode)

#: Types that JSON brings back equal, where it takes a value of them at all.
_PLAIN = frozenset({str, int, float, bool, type(None)})
_TEXT = frozenset({str})
_HOLDERS = frozenset({list, dict})

#: How deep arguments may nest. json itself stops near the recursion limit of the reading process,
#: which may be another one.
MAX_DEPTH = 200

#: How deep a whole body may nest: arguments stand inside the payload, and a list or object of it.
_DEEPEST = MAX_DEPTH + 2

#: Digits an integer may have. The interpreter's own limit, but a task may have lifted that for its
#: process, and the time that reading takes grows with the square of the digits.
_MOST_DIGITS = 4300

#: How far a bracket leads in or out, by its code; and what says nothing about nesting.
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_STRINGS = re.compile(rb'"[^"]*"?')
_FILLING = bytes(set(range(256)) - {*b'[]{}"'})


def dump(payload: dict[str, Any]) -> str:
    """Serialize a task's payload.

    Raises:
        UnserialisableTask: a part would not come back equal; names the part.
    """
    try:
        text = _encode(payload)
        text.encode()  # a lone surrogate has no UTF-8
        if _are_plain(payload.values()):
            return text
        equal = json.loads(text) == payload and not _too_deep(payload, text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnserialisableTask(_explain(payload) or str(error)) from error
    if not equal and (reason := _explain(payload)):
        raise UnserialisableTask(reason)
    return text


def _are_plain(values: Iterable[Any]) -> bool:
    """Whether each is of a type in _PLAIN, or a list, or a dict with keys of text, that holds
    nothing else. Most are, and need not be read back to be compared."""
    for value in values:
        kind = type(value)
        if kind in _PLAIN or (not value and kind in _HOLDERS):
            continue
        if kind is list:
            held = value
        elif kind is dict and _TEXT.issuperset(map(type, value)):
            held = value.values()
        else:
            return False
        if not _PLAIN.issuperset(map(type, held)):
            return False
    return True


def dump_read(payload: dict[str, Any]) -> str:
    """Serialize a payload whose values were read from JSON: the looking back is left out, since
    they can but come back equal. 1e999, which was read as infinity, is found by the encoder.

    Raises:
        As `dump`.
    """
    try:
        text = _encode(payload)
        text.encode()
        if not _too_deep(payload, text):
            return text
    except (ValueError, RecursionError):
        pass
    return dump(payload)  # it says what is wrong


def dump_result(value: Any) -> bytes:
    """Serialize what a task returned; what JSON cannot express is kept as its repr(), or as the
    name of its type when that fails too. Of more bytes than a body may have only that is kept."""
    try:
        data = _encode(value).encode()
    except Exception:  # a class may raise anything while it is iterated or printed
        data = _encode(_described(value)).encode()
    if len(data) > MAX_BODY:
        data = _encode(f"a result of {len(data)} bytes; {MAX_BODY} is the most").encode()
    return data


def load_result(task_id: str, data: bytes) -> Any:
    """Read what dump_result wrote.

    Raises:
        TaskFailed: another program wrote it.
    """
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise TaskFailed(
            f"task {task_id} has ended, but its result as the broker keeps it is no JSON: {error}; "
            "another program writes there"
        ) from error


def _described(value: Any) -> str:
    try:
        return ascii(value)
    except Exception:
        return f"a value of type {type(value).__name__}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has more than {_MOST_DIGITS} digits")
    return int(digits)


def quick(decoder: json.JSONDecoder) -> Callable[[str], Any]:
    """Return the decoder's `decode`, a third faster for text with no space around it."""
    scan = decoder.scan_once  # type: ignore[attr-defined]

    def decode(text: str) -> Any:
        try:
            value, end = scan(text, 0)
        except StopIteration:
            end = -1
        return value if end == len(text) else decoder.decode(text)

    return decode


_decode = quick(json.JSONDecoder(parse_constant=_no_constant))
_decode_long = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer).decode


def check_size(data: bytes) -> None:
    """Raise UndecodableTask for more bytes than a body may have, before anything reads them."""
    if len(data) > MAX_BODY:
        raise UndecodableTask(f"the body has {len(data)} bytes; {MAX_BODY} is the most")


def load(data: str | bytes) -> dict[str, Any]:
    """Read a payload.

    Raises:
        UndecodableTask: it is no JSON object, nests too deep or has a number that is too long.
    """
    try:
        raw = data.encode() if isinstance(data, str) else data
        # Not left to json: a task may have moved the limits that keep it from crashing the process.
        # Each level takes two characters; most bodies are too short, or have too few brackets.
        if (
            len(raw) > 2 * _DEEPEST
            and raw.count(b"[") + raw.count(b"{") > _DEEPEST
            and _depth(raw) > _DEEPEST
        ):
            raise UndecodableTask(f"the body nests deeper than {_DEEPEST} levels")
        decode = _decode if len(raw) <= _MOST_DIGITS else _decode_long
        payload = decode(raw.decode())
    except (ValueError, RecursionError) as error:
        raise UndecodableTask(f"the body is no JSON: {error}") from error
    if not isinstance(payload, dict):
        raise UndecodableTask(f"the body is a JSON {type(payload).__name__}, not an object")
    return payload


def call_name(payload: dict[str, Any]) -> str:
    """Return the dotted path of the call, or of a hook, in what was read; "" when there is none."""
    module, name = payload.get("module"), payload.get("callable")
    return f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else ""


def _depth(raw: bytes) -> int:
    """Return how deep a JSON text nests, in time that is linear in its length."""
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    # Where a quote meets the next one, an empty string ends or two strings become one: which
    # brackets are inside strings stays the same.
    shape = unescaped.translate(None, _FILLING).replace(b'""', b"")
    return max(accumulate(map(_STEPS.__getitem__, _STRINGS.sub(b"", shape))), default=0)


def _too_deep(payload: dict[str, Any], text: str) -> bool:
    """Whether the payload nests deeper than MAX_DEPTH below one of its values."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # far quicker, and true of nearly all
        return False
    level: list[Any] = [payload]
    for _ in range(MAX_DEPTH + 2):
        held = [one.values() if isinstance(one, dict) else one for one in level]
        level = [part for one in held for part in one if isinstance(part, dict | list | tuple)]
    return bool(level)


def _explain(payload: dict[str, Any]) -> str | None:
    """Say which part of a payload JSON would change; None where only tuples became lists."""
    for name, value in payload.items():
        if reason := _unequal(value, name, 0):
            return f"{reason}; pass only text, numbers, true, false, null, lists and dicts"
    return None


def _unequal(value: Any, where: str, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"{where.split('[')[0]} nests deeper than {MAX_DEPTH} levels, or holds itself"
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return f"{where} has the key {_shown(key)}; JSON keys are text"
        parts = [(f"{where}[{key!r}]", part) for key, part in value.items()]
        parts += [(f"a key of {where}", key) for key in value]
    elif isinstance(value, list | tuple):
        parts = [(f"{where}[{number}]", part) for number, part in enumerate(value)]
    else:
        return _unequal_scalar(value, where)
    found = (_unequal(part, place, depth + 1) for place, part in parts)
    return next(filter(None, found), None)


def _unequal_scalar(value: Any, where: str) -> str | None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{where} is {_shown(value)}, which has half of a surrogate pair"
        return None
    try:
        if value is None or json.loads(_encode(value)) == value:
            return None
    except (TypeError, ValueError):
        pass
    return f"{where} is {_shown(value)}"


def _shown(value: Any) -> str:
    """A value for a message: short, with its type, whatever its repr does."""
    try:
        text = repr(value)
    except Exception:  # an integer too long to print, or somebody's __repr__
        return f"a value of type {type(value).__name__}"
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
