"""The JSON of a task's body."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alligator import body
from alligator.backends.base import MAX_BODY
from alligator.exceptions import UndecodableTask, UnserialisableTask

from ..tasks import Unprintable

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


class Colour(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


def payload(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"args": list(args), "kwargs": kwargs}


def nested(levels: int) -> list[Any]:
    """`levels` lists, one in the other."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@given(st.lists(_json, max_size=4), st.dictionaries(st.sampled_from("abc"), _json))
def test_what_json_can_say_comes_back_equal(args: list[Any], kwargs: dict[str, Any]) -> None:
    written = body.dump(payload(*args, **kwargs))
    assert body.load(written) == payload(*args, **kwargs)
    assert body.load(written.encode()) == payload(*args, **kwargs)


@given(
    st.recursive(
        _scalars | st.just(math.nan) | st.just(math.inf) | st.just("\ud800") | st.just({1: 2}),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_what_is_written_comes_back_equal_and_the_rest_is_refused(value: Any) -> None:
    try:
        written = body.dump(payload(value))
    except UnserialisableTask:
        return
    assert body.load(written) == payload(value)


@pytest.mark.parametrize(
    "value",
    [Colour.RED, collections.OrderedDict(a=1), True, 10**4000, -0.0, "\0", "\U0001f40a"],
    ids=lambda value: type(value).__name__,
)
def test_what_is_equal_to_what_comes_back_is_taken(value: Any) -> None:
    assert body.load(body.dump(payload(value)))["args"] == [value]


@pytest.mark.parametrize("value", [(1, 2), {"a": ((), (1,))}, Point(1, 2)])
def test_tuples_arrive_as_lists(value: Any) -> None:
    (arrived,) = body.load(body.dump(payload(value)))["args"]
    assert arrived == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, r"args\[0\] is nan \(float\)"),
        (math.inf, r"args\[0\] is inf \(float\)"),
        (-math.inf, r"args\[0\] is -inf \(float\)"),
        ({1: 2}, r"args\[0\] has the key 1 \(int\)"),
        ({None: 2}, r"args\[0\] has the key None"),
        ({(1, 2): 3}, r"args\[0\] has the key \(1, 2\) \(tuple\)"),
        ({1: 2, "1": 3}, r"args\[0\] has the key 1 \(int\)"),
        ("\ud800", r"args\[0\] is '\\ud800' \(str\), which has half of a surrogate pair"),
        ({"\udc00": 1}, r"a key of args\[0\] is '\\udc00'"),
        ([{"a": [b"x"]}], r"args\[0\]\[0\]\['a'\]\[0\] is b'x' \(bytes\)"),
        ({1, 2}, r"args\[0\] is \{1, 2\} \(set\)"),
        (decimal.Decimal("1.5"), r"args\[0\] is Decimal\('1\.5'\)"),
        (datetime.date(2020, 1, 2), r"args\[0\] is datetime\.date\(2020, 1, 2\)"),
        pytest.param(10**5000, r"args\[0\] is a value of type int", id="long integer"),
        (Unprintable(), r"args\[0\] is a value of type Unprintable"),
        ("x" * 100 + "\ud800", r"args\[0\] is 'x{56}\.\.\. \(str\)"),
        ([(1, math.nan)], r"args\[0\]\[0\]\[1\] is nan"),
    ],
)
def test_what_would_not_come_back_equal_is_named_with_the_remedy(value: Any, shown: str) -> None:
    with pytest.raises(UnserialisableTask, match=f"^{shown}.*; pass only text, numbers, true"):
        body.dump(payload(value))


def test_a_bad_keyword_argument_is_named() -> None:
    with pytest.raises(UnserialisableTask, match=r"^kwargs\['when'\] is nan"):
        body.dump(payload(when=math.nan))


def test_another_part_that_json_cannot_say_is_named_too() -> None:
    with pytest.raises(UnserialisableTask, match=r"^task_id is '\\ud800'"):
        body.dump({"task_id": "\ud800", **payload()})


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UnserialisableTask, match="holds itself"):
        body.dump(payload(endless))


@pytest.mark.parametrize("levels", [*range(1, 40, 13), body.MAX_DEPTH])
def test_nesting_is_taken_to_a_depth(levels: int) -> None:
    assert body.load(body.dump(payload(nested(levels))))["args"] == [nested(levels)]


# Near the interpreter's recursion limit json writes what it then cannot read or compare.
@pytest.mark.parametrize("levels", [body.MAX_DEPTH + 1, 500, *range(950, 1010), 100_000])
def test_deeper_nesting_is_refused(levels: int) -> None:
    with pytest.raises(UnserialisableTask, match="args nests deeper than 200 levels"):
        body.dump(payload(nested(levels)))


def test_many_shallow_lists_are_not_deep() -> None:
    wide = [{"a": []} for _ in range(1000)]
    assert body.load(body.dump(payload(wide)))["args"] == [wide]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"\x80", "no JSON"),
        (b"{", "no JSON"),
        pytest.param(b"[" * 100_000, "nests deeper than 202 levels", id="deep list"),
        pytest.param(b'{"a": ' * 100_000, "nests deeper than 202 levels", id="deep object"),
        pytest.param(b"1" * 5000, "no JSON: a number has more than 4300 digits", id="long integer"),
        (b'{"a": NaN}', "no JSON: NaN is no number"),
        (b'{"a": -Infinity}', "no JSON: -Infinity is no number"),
        pytest.param('{"a": 1}'.encode("utf-16"), "no JSON", id="UTF-16"),
        ('"\ud800"', "no JSON"),
        (b"[]", "JSON list, not an object"),
        (b"null", "JSON NoneType, not an object"),
        ('"text"', "JSON str, not an object"),
    ],
)
def test_what_is_no_payload_is_one_error(data: str | bytes, reason: str) -> None:
    with pytest.raises(UndecodableTask, match=reason):
        body.load(data)


def test_of_a_result_that_is_too_large_its_size_is_kept() -> None:
    largest = "x" * (MAX_BODY - 2)
    assert body.load_result("id", body.dump_result(largest)) == largest
    assert body.load_result("id", body.dump_result(largest + "x")) == (
        f"a result of {MAX_BODY + 1} bytes; {MAX_BODY} is the most"
    )


@pytest.mark.parametrize("levels", [body.MAX_DEPTH + 3, 100_000])
@pytest.mark.parametrize("before", ['"]"', r'"\"]"', r'"\\"', r'"\\\"]"', '"]", "]"', '"", "]"'])
def test_depth_is_counted_whatever_strings_hold(before: str, levels: int) -> None:
    text = f'{{"a": [{", ".join([before] * 100)}, {"[" * levels}{"]" * levels}]}}'
    with pytest.raises(UndecodableTask, match="nests deeper than 202 levels"):
        body.load(text)


@pytest.mark.parametrize("text", ["[" * 300, r"\"" + "[{" * 300, "\\" * 301 + "[", '"["' * 3])
def test_brackets_in_text_are_no_nesting(text: str) -> None:
    written = body.dump(payload(*[text] * 100))
    assert body.load(written)["args"] == [text] * 100


@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", ",", "1", "a"]), max_size=60))
def test_depth_is_that_of_what_json_reads(parts: list[str]) -> None:
    text = json.dumps({"a": ["".join(parts), [[["".join(parts[::2])]], {}]]})
    assert body._depth(text.encode()) == 5


def test_limits_that_a_task_has_lifted_do_not_count() -> None:
    """Without ones of our own the first of these would crash the process, the second stop it."""
    code = """
import sys
from alligator import body
from alligator.exceptions import UndecodableTask
sys.setrecursionlimit(10**9)
sys.set_int_max_str_digits(0)
for data in (b"[" * 10**7, b'{"a":' * 10**6, b"1" * 10**7, b'{"a": -' + b"1" * 5000 + b"}"):
    try:
        body.load(data)
    except UndecodableTask as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert [line.split()[2] for line in run.stdout.splitlines()] == ["nests", "nests", "is", "is"]


def test_more_bytes_than_a_body_may_have_are_refused() -> None:
    body.check_size(b" " * MAX_BODY)
    with pytest.raises(UndecodableTask, match=f"has {MAX_BODY + 1} bytes; {MAX_BODY} is the most"):
        body.check_size(b" " * (MAX_BODY + 1))


@pytest.mark.parametrize("value", [None, 1, "text", [1, {"a": None}], {"a": 1.5}])
def test_a_result_is_kept_as_json(value: Any) -> None:
    assert json.loads(body.dump_result(value)) == value


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"x", "b'x'"),
        (math.nan, "nan"),
        ("\ud800", r"'\ud800'"),
        (Unprintable(), "a value of type Unprintable"),
        (nested(100_000), "a value of type list"),
    ],
)
def test_a_result_json_cannot_say_is_kept_as_its_repr(value: Any, kept: str) -> None:
    assert json.loads(body.dump_result(value)) == kept
