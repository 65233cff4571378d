"""Which dotted paths an allow list has, as written and by where they lead."""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from os import system
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pytest

from alligator import Task, execution
from alligator.allow import AllowedPath, AllowList
from alligator.backends.base import Ack, Fail, Lease
from alligator.exceptions import InvalidSetting, NotAllowed, UnknownCallableError
from alligator.trust import Trust
from alligator.utils import DottedPath

from .. import tasks

HERE = __name__

T = TypeVar("T")


def fine() -> str:
    return "ran"


def undecorated(func: object) -> object:
    def inner() -> object:
        return func

    return inner


@functools.wraps(system)
def in_disguise() -> None:
    raise AssertionError("it ran")


@functools.cache
def cached() -> str:
    return "ran"


class Mail(tasks.Mail):
    shell = staticmethod(system)

    @staticmethod
    def own() -> str:
        return "ran"

    @classmethod
    def of_class(cls) -> str:
        return "ran"

    class Inner:
        @staticmethod
        def deep() -> str:
            return "ran"


class Name(str):
    pass


class Callable_:
    def __call__(self) -> str:
        return "ran"


class Process(subprocess.Popen[bytes]):
    """Its constructor is another's."""


Subscripted = Process[bytes]


class Borrowed:
    __init__ = subprocess.Popen.__init__


class Meta(type):
    def __call__(cls) -> str:  # type: ignore[override]
        return "ran"


class OfMeta(subprocess.Popen[bytes], metaclass=Meta):
    pass


class Bare:
    pass


class Wrong(ValueError):
    pass


class Shape(abc.ABC):  # noqa: B024 - its metaclass is what matters
    def __init__(self, side: int = 1) -> None:
        self.side = side


@dataclasses.dataclass(frozen=True)
class Letter(Generic[T]):
    to: str = ""


class Colour(enum.Enum):
    RED = 1


class Partial(functools.partial[int]):
    pass


class Point(NamedTuple):
    x: int = 0


class Lazy:
    """What a proxy does: any name leads somewhere."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was looked at")


wrapped = undecorated(None)
registry: dict[str, str] = {}
instance = Mail()
lazy = Lazy()
partial = functools.partial(system, "true")
own_partial = Partial(system, "true")
own_callable = Callable_()
Open = open
shorthand = os.path


def admitted(path: str, *patterns: str) -> bool:
    module, _, name = path.rpartition(".")
    try:
        AllowList(patterns).admit(Task().to_call(DottedPath(module, name)))
    except NotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("app.tasks.send", "app.tasks.send"),
        ("app.tasks.*", "app.tasks.send"),
        ("app.tasks.*", "app.tasks.mail.send"),
        ("app.tasks.*", "app.tasks.a.b.c.Mail.send"),
        ("app.*.send", "app.tasks.send"),
        ("app.*.send_*", "app.tasks.send_all"),
        ("app.*_tasks.*", "app.mail_tasks.Mail.send"),
        ("*.tasks.*", "app.tasks.send"),
        ("*", "app.send"),
        ("a.b, app.tasks.*", "app.tasks.send"),
        (" a.b\n\tapp.tasks.send ", "app.tasks.send"),
        ("äpp.*", "äpp.send"),
    ],
)
def test_a_pattern_has(pattern: str, path: str) -> None:
    assert admitted(path, pattern)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("app.tasks.send", "app.tasks.send_all"),
        ("app.tasks.send", "app.tasks.send.more"),
        ("app.tasks.send", "app.tasks.resend"),
        ("app.tasks.send", "other.app.tasks.send"),
        ("app.tasks.send", "app_tasks.send"),
        ("app.tasks.send", "appXtasks.send"),
        ("app.tasks", "app.tasks.send"),
        ("app.tasks.*", "app.tasks"),
        ("app.tasks.*", "app.tasks_evil.x"),
        ("app.tasks.*", "app.x"),
        ("app.tasks.*", "my.app.tasks.x"),
        ("app.*.send", "app.a.b.send"),
        ("app.*.send", "app.send"),
        ("app.send_*", "app.send_all.more"),
        ("App.*", "app.send"),
        ("*.tasks.*", "a.b.tasks.send"),
    ],
)
def test_a_pattern_has_not(pattern: str, path: str) -> None:
    assert not admitted(path, pattern)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("app", ""),
        ("", "app.x"),
        ("app.", "x"),
        (".app", "x"),
        ("app..tasks", "x"),
        ("app", "x y"),
        ("app", "x\n"),
        ("app", "x\0"),
        ("app", "a/b"),
        ("app", "x;import os"),
        ("app", "1"),
        ("app", "\ud800"),
        ("app", "__class__"),
        ("app.f", "__globals__.get"),
        ("app", "Mail.__subclasses__"),
        ("app.__main__", "x"),
        ("app", "__init__.x"),
    ],
)
def test_what_is_no_plain_path_is_never_allowed(module: str, name: str) -> None:
    with pytest.raises(NotAllowed, match=r"^not allowed: "):
        AllowList("*").admit(Task().to_call(DottedPath(module, name)))


@pytest.mark.parametrize(
    "pattern", ["app.", ".app", "app..x", "app.tasks/*", "app.[ab]", "app.?", "app-x.*", "a:b"]
)
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^allow: .* write it like 'app\.tasks\.\*'"):
        AllowList(["fine.*", pattern])


@pytest.mark.parametrize("patterns", ["", " , ", [], [""], ["", " "]])
def test_an_empty_list_is_not_taken_for_no_list(patterns: list[str]) -> None:
    with pytest.raises(InvalidSetting, match=r"^GATOR_ALLOW is empty.*leave it out to allow every"):
        AllowList(patterns, "GATOR_ALLOW")


def test_the_message_says_what_and_what_else() -> None:
    with pytest.raises(NotAllowed) as caught:
        AllowList("app.tasks.*, shop.*").admit(Task().to_call(DottedPath("os", "system")))
    assert str(caught.value) == "not allowed: os.system; allowed here: app.tasks.*, shop.*"


@pytest.mark.parametrize("hook", ["on_start", "on_success", "on_error"])
def test_hooks_are_held_to_it(hook: str) -> None:
    task = Task(**{hook: DottedPath("os", "system")}).to_call(tasks.nothing)
    with pytest.raises(NotAllowed, match=r"^not allowed: os\.system"):
        AllowList("tests.*").admit(task)


# -- where a path leads ---------------------------------------------------------------------------


def lead(name: str, *patterns: str) -> object:
    task = Task().to_call(DottedPath(HERE, name))
    AllowList(patterns or f"{HERE}.*").admit(task)
    assert isinstance(task.func, AllowedPath)
    return task.func.resolve()


@pytest.mark.parametrize(
    "name",
    ["fine", "cached", "own_callable", "Mail.own", "Mail.of_class", "Mail.Inner.deep"],
)
def test_what_is_defined_in_an_allowed_place_runs(name: str) -> None:
    found = lead(name)
    assert callable(found)
    assert found() == "ran"


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("system", "posix.system"),
        ("in_disguise", "posix.system"),
        ("partial", "functools.partial"),
        ("Open", f"{open.__module__}.open"),
        ("Mail.shell", "posix.system"),
        ("Mail.send", "tests.tasks.Mail.send"),
        ("Mail.kind", "tests.tasks.Mail.kind"),
        ("Mail.mro", "builtins.builtin_function_or_method"),
        ("Name.format", "builtins.method_descriptor"),
        ("Path", f"{Path.__module__}.Path"),
        ("Path.touch", f"{Path.__module__}.Path.touch"),
        ("Point._make", "collections.Point._make"),
        ("AllowList.admit", "alligator.allow.AllowList.admit"),
    ],
)
def test_what_was_defined_elsewhere_is_refused_unless_that_is_allowed_too(
    name: str, home: str
) -> None:
    with pytest.raises(NotAllowed) as caught:
        lead(name)
    said = str(caught.value)
    if name != "Point._make":  # its home differs among versions of Python
        assert f"{HERE}.{name} is {home}, defined elsewhere; if that may run, allow it" in said
        assert callable(lead(name, f"{HERE}.*", home))


@pytest.mark.parametrize("name", ["Bare", "Wrong", "Name", "Shape", "Letter", "Point"])
def test_a_class_with_a_constructor_of_its_own_or_of_pythons_own_types_runs(name: str) -> None:
    assert lead(name)() is not None


@pytest.mark.parametrize(
    ("name", "part", "also"),
    [
        ("Process", "subprocess.Popen.__init__", "subprocess.Popen.__init__"),
        ("Borrowed", "subprocess.Popen.__init__", "subprocess.*"),
        ("Subscripted", "subprocess.Popen.__init__", "subprocess.*"),
        ("OfMeta", "subprocess.Popen.__init__", "subprocess.Popen"),
        ("Colour", "enum.EnumType.__call__", "enum.*"),
        ("own_partial", "functools.partial.__call__", "functools.partial"),
    ],
)
def test_a_class_does_not_run_a_constructor_that_is_not_allowed(
    name: str, part: str, also: str
) -> None:
    part = part.replace("EnumType", enum.EnumType.__name__)
    with pytest.raises(NotAllowed) as caught:
        lead(name)
    assert str(caught.value) == (
        f"not allowed: {HERE}.{name} runs {part}, defined elsewhere; if that may run, allow it as "
        f"well. Allowed here: {HERE}.*"
    )
    assert callable(lead(name, f"{HERE}.*", also))


def test_a_metaclass_of_another_place_is_refused() -> None:
    with pytest.raises(NotAllowed, match=rf"runs {HERE}\.Meta\.__call__, defined elsewhere"):
        lead("OfMeta", f"{HERE}.OfMeta", "subprocess.Popen")


@pytest.mark.parametrize(
    ("name", "through"),
    [
        ("os.system", "the module os, which"),
        ("os.path.exists", "the module os, which"),
        ("shorthand.exists", "the module posixpath"),
        ("subprocess.Popen", "the module subprocess"),
        ("tasks.add", "the module tests.tasks"),
        ("registry.clear", f"{HERE}.registry, which is neither"),
        ("instance.own", f"{HERE}.instance, which is neither"),
        ("fine.func_globals", f"{HERE}.fine, which is neither"),
        ("lazy.anything", f"{HERE}.lazy, which is neither"),
        ("partial.func", f"{HERE}.partial, which is neither"),
    ],
)
def test_a_path_leads_through_modules_of_that_name_and_classes_alone(
    name: str, through: str
) -> None:
    with pytest.raises(NotAllowed, match=rf"leads through {through}"):
        lead(name)


def test_the_way_to_allow_what_a_module_stands_for_works() -> None:
    with pytest.raises(NotAllowed, match=r"push and allow posixpath\.exists$"):
        lead("shorthand.exists")
    task = Task().to_call(DottedPath("posixpath", "exists"))
    AllowList("genericpath.exists posixpath.exists").admit(task)
    assert isinstance(task.func, AllowedPath)
    assert task.func.resolve() is os.path.exists


def test_what_is_not_there_or_cannot_be_called_is_said_as_ever() -> None:
    with pytest.raises(UnknownCallableError, match="has no 'gone'"):
        lead("gone")
    number = AllowedPath("tests.tasks", "NUMBER", AllowList("tests.tasks.*, builtins.int"))
    with pytest.raises(UnknownCallableError, match="is of type int and cannot be called"):
        number.resolve()


# -- nothing is imported --------------------------------------------------------------------------


@pytest.fixture
def telltale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that exists once the module `telltale_pkg.side` was imported, which has an `os`."""
    package = tmp_path / "telltale_pkg"
    package.mkdir()
    proof = tmp_path / "imported"
    code = f"import os\nopen({str(proof)!r}, 'w').close()\ndef job(*_): return 'ran'\n"
    (package / "__init__.py").touch()
    (package / "side.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield proof
    for name in ("telltale_pkg", "telltale_pkg.side"):
        sys.modules.pop(name, None)


def outcome(task: Task, *patterns: str) -> object:
    lease = Lease("all", "id", execution.encode(task), "t")
    trust = Trust(allow=AllowList(patterns)) if patterns else Trust()
    return execution.run(execution.prepare(Task, lease, "host:1", trust=trust)).outcome


def test_a_call_that_is_not_allowed_fails_with_nothing_imported(telltale: Path) -> None:
    task = Task(retries=3).to_call(DottedPath("telltale_pkg.side", "job"))
    failed = outcome(task, "app.*")
    assert isinstance(failed, Fail)
    assert failed.failure.error == (
        "NotAllowed: not allowed: telltale_pkg.side.job; allowed here: app.*"
    )
    assert not telltale.exists()
    assert isinstance(outcome(task), Ack)
    assert telltale.exists()


@pytest.mark.parametrize("hook", ["on_start", "on_success", "on_error"])
def test_with_a_hook_that_is_not_allowed_nothing_runs(
    telltale: Path, tmp_path: Path, hook: str
) -> None:
    notes = tmp_path / "notes"
    task = Task(**{hook: DottedPath("telltale_pkg.side", "job")})
    failed = outcome(task.to_call(tasks.append, str(notes), "ran"), "tests.tasks.*")
    assert isinstance(failed, Fail)
    assert not telltale.exists()
    assert not notes.exists()


@pytest.mark.parametrize("hook", ["on_start", "on_success", "on_error"])
def test_with_a_hook_that_was_defined_elsewhere_nothing_runs(tmp_path: Path, hook: str) -> None:
    notes = tmp_path / "notes"
    task = Task(retries=3, **{hook: DottedPath(HERE, "system")})
    failed = outcome(task.to_call(tasks.append, str(notes), "ran"), "tests.*")
    assert isinstance(failed, Fail)
    assert failed.failure.error.startswith(
        f"NotAllowed: not allowed: {HERE}.system is posix.system"
    )
    assert not notes.exists()


def test_a_hook_that_is_nowhere_is_told_of_as_without_a_list(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    task = Task(on_success=DottedPath("tests.tasks", "no_such"))
    failed = outcome(task.to_call(tasks.append, str(notes), "ran"), "tests.*")
    assert isinstance(failed, Fail)
    assert failed.failure.error.startswith("UnknownCallableError: ")
    assert notes.exists()


def test_what_leads_elsewhere_is_not_retried_and_not_called(tmp_path: Path) -> None:
    made = tmp_path / "made"
    task = Task(retries=3).to_call(DottedPath(f"{HERE}.Path", "touch"), str(made))
    failed = outcome(task, f"{HERE}.*")
    assert isinstance(failed, Fail)
    assert failed.failure.error.startswith(f"NotAllowed: not allowed: {HERE}.Path.touch is pathlib")
    assert not made.exists()


def test_a_retry_of_an_allowed_call_keeps_its_path() -> None:
    task = Task(retries=1, on_error=tasks.raise_in_hook).to_call(tasks.fail)
    again = outcome(task, "tests.tasks.*")
    assert type(again).__name__ == "Retry"
    assert Task.deserialize(again.body).name == "tests.tasks.fail"  # type: ignore[attr-defined]


def test_a_class_with_a_reader_of_its_own_is_held_to_it_too() -> None:
    task = Task().to_call(subprocess.run)
    with pytest.raises(NotAllowed, match=r"subprocess\.run"):
        AllowList("tests.*").admit(task)
    with pytest.raises(NotAllowed, match="lambda"):
        AllowList("tests.*").admit(Task().to_call(lambda: None))
