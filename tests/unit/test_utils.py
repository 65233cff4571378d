"""Between a callable and its dotted path."""

from __future__ import annotations

import functools
import json
import os.path
import random
import string
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from alligator.exceptions import NotImportable, UnknownCallableError, UnknownModuleError
from alligator.utils import (
    DottedPath,
    determine_module,
    determine_name,
    dotted_path,
    import_attr,
    import_module,
)

from .. import tasks
from ..servers import eventually

PATHS = [
    (tasks.add, "tests.tasks", "add"),
    (random.choice, "random", "choice"),
    (len, "builtins", "len"),
    (json.dumps, "json", "dumps"),
    (os.path.join, "posixpath", "join"),
    (tasks.Mail, "tests.tasks", "Mail"),
    (tasks.Mail.send, "tests.tasks", "Mail.send"),
    (tasks.Mail().send, "tests.tasks", "Mail.send"),
    (tasks.Mail.kind, "tests.tasks", "Mail.kind"),
    (tasks.Letter.kind, "tests.tasks", "Letter.kind"),
    (DottedPath("far.away", "job"), "far.away", "job"),
]


@pytest.mark.parametrize(("func", "module", "name"), PATHS)
def test_a_callable_says_where_it_comes_from(
    func: Callable[..., Any], module: str, name: str
) -> None:
    assert determine_module(func) == module
    assert determine_name(func) == name
    assert dotted_path(func) == DottedPath(module, name)


@pytest.mark.parametrize(("func", "module", "name"), PATHS[:-1])
def test_its_path_leads_back_to_it(func: Callable[..., Any], module: str, name: str) -> None:
    assert import_attr(module, name) == func


def test_a_class_method_of_a_child_class_stays_the_childs() -> None:
    assert dotted_path(tasks.Letter.kind)() == "Letter"


def _renamed() -> None:
    """Not found under its own name any more: see below."""


renamed, _renamed = _renamed, tasks.nothing


def _nested() -> Callable[[], None]:
    def inner() -> None:
        pass

    return inner


@pytest.mark.parametrize(
    ("func", "reason"),
    [
        (lambda: None, "a lambda"),
        (_nested(), "defined inside a function"),
        (tasks.Mail().reply, "leads elsewhere"),
        (renamed, "leads elsewhere"),
        (functools.partial(tasks.add, 1), "it has no name"),
        ("abc".upper, "which module"),
        (string.Template("x").substitute, "leads elsewhere"),
    ],
)
def test_what_no_path_leads_to_is_refused(func: Callable[..., Any], reason: str) -> None:
    with pytest.raises(NotImportable, match=reason) as caught:
        dotted_path(func)
    assert repr(func) in str(caught.value)


def test_what_belongs_to_main_is_refused() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def job(): pass", namespace)
    with pytest.raises(NotImportable, match="move it to a module"):
        dotted_path(namespace["job"])


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(NotImportable, match="5 is of type int and cannot be called"):
        dotted_path(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "job", ".job", "app.", "app..job", "app.2", "app job.x", "a-b.c"]
)
def test_a_text_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(NotImportable, match=r"write package\.module\.function"):
        DottedPath.parse(text)


@pytest.mark.parametrize("text", ["__main__.job", "__main__.Mail.send"])
def test_a_text_that_leads_into_main_is_refused(text: str) -> None:
    with pytest.raises(NotImportable, match=f"'{text}' cannot be a task: __main__ is another"):
        DottedPath.parse(text)


def test_a_module_may_be_called_main_within_a_package() -> None:
    assert DottedPath.parse("app.__main__.job") == DottedPath("app.__main__", "job")


@pytest.mark.parametrize(
    ("module", "name"), [("__main__", "job"), ("__main__", "Mail.send"), ("__main__.Mail", "send")]
)
def test_a_path_of_another_programs_main_is_not_looked_for_here(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "job", tasks.nothing, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "Mail", tasks.Mail, raising=False)
    with pytest.raises(UnknownModuleError, match="'__main__' is the worker's own program"):
        DottedPath(module, name)()


def test_a_path_is_read_and_shown_without_importing() -> None:
    path = DottedPath.parse("no.such.package.job")
    assert path == DottedPath("no.such.package", "job")
    assert str(path) == "no.such.package.job"


def test_a_path_has_the_name_of_its_function() -> None:
    assert DottedPath("tests.tasks", "Mail.send").__name__ == tasks.Mail.send.__name__
    assert DottedPath.__name__ == "DottedPath"


def test_calling_a_path_calls_its_target() -> None:
    assert DottedPath.parse("tests.tasks.add")(1, b=2) == 3
    assert DottedPath.parse("tests.tasks.Mail.send")("Ann") == "sent to Ann"


def test_a_path_passes_any_keyword_on() -> None:
    assert DottedPath.parse("tests.tasks.echo")(self=1, module=2) == [[], {"self": 1, "module": 2}]


def test_a_path_to_something_not_callable_says_what_it_is() -> None:
    with pytest.raises(UnknownCallableError, match=r"tests\.tasks\.NUMBER is of type int"):
        DottedPath.parse("tests.tasks.NUMBER")()


def test_a_path_leads_to_what_the_module_has_now(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("made_here")
    made.__dict__.update(job=lambda: "first")
    monkeypatch.setitem(sys.modules, "made_here", made)
    path = DottedPath("made_here", "job")
    assert path() == "first"
    made.__dict__.update(job=lambda: "second")
    assert path() == "second"
    made.__dict__.update(job="no function")
    with pytest.raises(UnknownCallableError, match=r"made_here\.job is of type str"):
        path()
    del made.__dict__["job"]
    with pytest.raises(UnknownCallableError, match="'made_here' has no 'job'"):
        path()
    monkeypatch.delitem(sys.modules, "made_here")
    with pytest.raises(UnknownModuleError, match="no module named 'made_here'"):
        path()


def test_a_path_waits_for_a_module_that_another_thread_imports(
    module: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = ModuleType("gate_of_imports")
    begun, go = threading.Event(), threading.Event()
    gate.__dict__.update(begun=begun, go=go)
    monkeypatch.setitem(sys.modules, "gate_of_imports", gate)
    name = module(
        "alligator_test_slow",
        "import gate_of_imports as gate\n"
        "def job(): return late\n"
        "gate.begun.set()\n"
        "assert gate.go.wait(20)\n"
        "late = 'whole'\n",
    )
    answers: list[str] = []
    importing = threading.Thread(target=import_module, args=(name,))
    calling = threading.Thread(target=lambda: answers.append(DottedPath(name, "job")()))
    importing.start()
    assert begun.wait(20)
    calling.start()
    eventually(lambda: not calling.is_alive() or _waits_for_import(calling), "it waits, or is over")
    go.set()
    importing.join()
    calling.join()
    assert answers == ["whole"]


def _waits_for_import(thread: threading.Thread) -> bool:
    assert thread.ident is not None
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and "importlib" in frame.f_code.co_filename


def test_a_module_is_imported() -> None:
    assert import_module("json") is json


def test_a_module_that_is_not_there_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownModuleError) as caught:
        import_module("no_such_module")
    assert str(caught.value) == (
        "no module named 'no_such_module'; is its folder on the module path? "
        f"That begins with '{tmp_path}'"
    )


def test_a_module_that_lacks_another_says_which_and_where_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacks_another.py").write_text("import no_such_package.part\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownModuleError) as caught:
        import_module("lacks_another")
    assert str(caught.value) == (
        "'lacks_another' cannot be imported: it needs 'no_such_package', which is missing; "
        f"mend that import, or install it into '{sys.prefix}'"
    )


@pytest.mark.parametrize("name", ["no_such_module", "json.no_such_module", "", ".json", "json..x"])
def test_a_module_that_is_not_there_is_unknown(name: str) -> None:
    with pytest.raises(UnknownModuleError, match="json" if "json" in name else name or "Empty"):
        import_module(name)


@pytest.mark.parametrize("name", ["no_such_thing", "dumps.no_such_thing", "no.such"])
def test_an_attribute_that_is_not_there_is_unknown(name: str) -> None:
    with pytest.raises(UnknownCallableError, match=f"'json' has no '{name}'"):
        import_attr("json", name)


def test_an_attribute_of_an_unknown_module_is_an_unknown_module() -> None:
    with pytest.raises(UnknownModuleError, match="no_such_module"):
        import_attr("no_such_module", "job")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """A function that writes an importable module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("alligator_test_raises", "1 / 0", "ZeroDivisionError: division by zero"),
        ("alligator_test_exits", "raise SystemExit(3)", "SystemExit: 3"),
        ("alligator_test_syntax", "def", "SyntaxError"),
    ],
)
def test_a_module_that_fails_on_import_says_how(
    module: Callable[[str, str], str], name: str, code: str, message: str
) -> None:
    with pytest.raises(UnknownModuleError, match=message) as caught:
        import_module(module(name, code))
    assert caught.value.__cause__ is not None
    assert name in str(caught.value)


def test_a_module_that_makes_up_its_names_is_asked_for_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mail:
        @staticmethod
        def send() -> str:
            return "sent"

    def make_up(name: str) -> object:
        assert "." not in name
        raise AttributeError(name)

    made = ModuleType("made_up")
    made.__dict__.update(Mail=Mail, __getattr__=make_up)
    monkeypatch.setitem(sys.modules, "made_up", made)
    Mail.send.__module__, Mail.send.__qualname__ = "made_up", "Mail.send"

    assert DottedPath("made_up", "Mail.send")() == "sent"
    for _ in range(2):  # the second one is known
        assert dotted_path(Mail.send) == DottedPath("made_up", "Mail.send")
