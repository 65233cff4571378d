"""Bodies that nobody in their right mind would push: what `Task` writes, mutated from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from alligator import Task
from alligator.backends.base import Entry
from alligator.exceptions import BadSignature, UndecodableTask
from alligator.trust import Trust

QUEUE = "all"

#: What a valid body may call. A mutation that names anything else has to fail.
HARMLESS = ("tests.tasks.nothing", "tests.tasks.echo", "tests.tasks.add")

#: Paths that lead nowhere, or to nothing that can be called.
DEAD_ENDS = (
    *("no.such.module", "tests.tasks.no_such", "tests.tasks.NUMBER", "math.pi", "os.sep"),
    *("tests.tasks", "tests", "sys.modules", "a..b", ".a", "a.", " ", "../../x", "1.2", "\0.\0"),
    *("tests.tasks.nothing.", "tests.tasks.Mail.gone", "é.ü", "x" * 5000, "a." * 3000 + "b"),
    *("sys.path.nothing", "builtins.None", "tests.tasks.nothing.__wrapped__", "\ud800.x"),
)

#: Values that a key was not meant to have.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, -1e308, 1e-320, 2**31, 2**63, 2**64, -(2**63)),
    *(10**400, -(10**400), "", "x", "1", "\0", "\ud800", "é" * 300, "x" * 30_000, "all", "None"),
    *([], {}, [[]], [{}], {"": ""}, [None], [1, "a", None], [""], {"module": "x"}, {"module": 1}),
    *({"module": "tests.tasks", "callable": "NUMBER"}, {"exponential": 0}, {"exponential": 1e308}),
    *({"exponential": "x", "cap": []}, {"module": None, "callable": None}, [0] * 1000, [[[[]]]]),
)

#: JSON as text that no value of Python's is written as.
STRANGE = (
    *("NaN", "Infinity", "-Infinity", "1" * 10_000, "-" + "9" * 4301, "1e999", "1e-999", "0x10"),
    *("[" * 100_000, '{"a":' * 50_000, "[" * 203 + "]" * 203, "[" * 30_000 + "]" * 30_000),
    *("01", "+1", ".5", "'x'", '"\\ud800"', '"\\u0000"', '"\\x"', '"', "/* */", "nul", "tru e"),
    *("1" * 4300, "0." + "1" * 20_000, "1" + "0" * 4000 + ".5", '"' + "\\" * 9999 + '"'),
)

#: What could be taken for something else: envelopes, headers of jobs, other encodings.
PREFIXES = (
    *(b"signed-1 ", b"signed-1 " + b"0" * 64 + b"\n", b"signed-1 " + b"z" * 64 + b"\n", b"gator1 "),
    *(b"gator1 {}\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\x1f\x8b", b"x\x9c", b"\x80\x04"),
    *(b"{}", b"[]", b"null", b" " * 5000, b"\n", b"\r\n", b"\\", b'"'),
)


def bodies(number: int, seed: int, trust: Trust, retries: int) -> Iterator[Entry]:
    """Yield entries with fuzzed bodies, the same for the same arguments.

    Args:
        retries: how many a task may have that a worker can read.
    """
    chance = random.Random(seed)
    while number:
        task_id = f"fuzz-{number}"
        data = mutated(chance, trust.seal(QUEUE, task_id, honest(chance, task_id)))
        # A task that asks for many retries, or late ones, gets them: that is no fault to look for.
        task = read(trust, task_id, data)
        if task is None or (task.retries <= retries and (not task.retries or task.backoff == 0)):
            yield Entry(task_id, data)
            number -= 1


def read(trust: Trust, task_id: str, data: bytes) -> Task | None:
    """Return the task that a worker is to see in a body; None when it is to see none."""
    try:
        return Task.deserialize(trust.unseal(QUEUE, task_id, data))
    except (BadSignature, UndecodableTask):
        return None


def honest(chance: random.Random, task_id: str) -> bytes:
    """Return the body of a call, most of the time one that can be made."""
    path = chance.choice(HARMLESS) if chance.random() < 0.7 else chance.choice(DEAD_ENDS)
    module, _, name = path.rpartition(".")
    payload: dict[str, Any] = {
        "task_id": task_id,
        "retries": chance.choice((0, 0, 0, 1)),
        chance.choice(("async", "is_async")): True,
        "module": module,
        "callable": name,
        "args": chance.choice(([], [1, 2], ["a", {"b": [None, 1.5]}])),
        "kwargs": chance.choice(({}, {}, {"a": 1, "b": 2})),
        "options": {},
    }
    for hook in ("on_start", "on_success", "on_error"):
        if chance.random() < 0.1:
            module, _, name = chance.choice((*DEAD_ENDS, "tests.tasks.nothing")).rpartition(".")
            payload["options"][hook] = {"module": module, "callable": name}
    for option in ("timeout", "backoff", "result_ttl", "delay_until", "depends_on"):
        if chance.random() < 0.1:
            payload["options"][option] = chance.choice(ODD)
    return changed(chance, payload)


def changed(chance: random.Random, payload: dict[str, Any]) -> bytes:
    """Return a payload as JSON, some of the time with what it should not have, or without a key."""
    place = payload["options"] if chance.random() < 0.3 and payload["options"] else payload
    key = chance.choice(list(place))
    what = chance.random()
    if what < 0.15:
        place[key] = chance.choice(ODD)
    elif what < 0.25:
        del place[key]
    elif what < 0.35:
        place[key] = "@strange@"
    text = json.dumps(payload, ensure_ascii=chance.random() < 0.5)
    text = text.replace('"@strange@"', chance.choice(STRANGE))
    if what > 0.95:  # the key twice
        text = f"{text[:-1]}, {json.dumps(key)}: {json.dumps(chance.choice(ODD))}}}"
    return text.encode(errors="surrogatepass")


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return the body with its bytes changed, or as it is."""
    return chance.choice(MUTATIONS)(chance, data)[:60_000]


def _flipped(chance: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        bit = chance.randrange(len(found) * 8)
        found[bit // 8] ^= 1 << bit % 8
    return bytes(found)


def _cut(chance: random.Random, data: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return chance.choice((data[:end], data[start:], data[:start] + data[end:]))


def _spliced(chance: random.Random, data: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    to = chance.randrange(len(data) + 1)
    return data[:to] + data[start:end] * chance.choice((1, 2, 50)) + data[to:]


def _filled(chance: random.Random, data: bytes) -> bytes:
    to = chance.randrange(len(data) + 1)
    filling = chance.choice((b"\0", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b'"', b"{", b"]", b","))
    return data[:to] + filling * chance.choice((1, 3, 1000)) + data[to:]


def _prefixed(chance: random.Random, data: bytes) -> bytes:
    return chance.choice(PREFIXES) + data


def _random(chance: random.Random, _data: bytes) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 10, 1000)))


def _as_it_is(_chance: random.Random, data: bytes) -> bytes:
    return data


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_as_it_is,) * 6,
    *(_flipped,) * 3,
    *(_cut, _cut, _spliced, _filled, _prefixed, _random),
)
