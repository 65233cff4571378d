"""The names that programs import, and what they stand for."""

from __future__ import annotations

import importlib.metadata
import inspect
import re

import alligator
from alligator import constants, exceptions


def test_the_package_exports_its_names_and_no_others() -> None:
    assert set(alligator.__all__) == {
        *("Gator", "Options", "Task", "Worker", "ALL", "__version__", "version"),
        *("WAITING", "SUCCESS", "FAILED", "DELAYED", "RETRYING", "CANCELED"),
    }
    for name in alligator.__all__:
        assert hasattr(alligator, name)


def test_the_constants_have_the_documented_values() -> None:
    names = ("WAITING", "SUCCESS", "FAILED", "DELAYED", "RETRYING", "CANCELED")
    assert [getattr(constants, name) for name in names] == [0, 1, 2, 3, 4, 5]
    assert [getattr(alligator, name) for name in names] == [0, 1, 2, 3, 4, 5]
    assert alligator.ALL == constants.ALL == "all"
    assert tuple(name.lower() for name in names) == constants.STATUS_NAMES


def test_the_version_is_told_in_one_voice() -> None:
    assert alligator.version() == alligator.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?", alligator.version())
    assert importlib.metadata.version("alligator") == alligator.version()


def test_the_documented_modules_hold_the_classes() -> None:
    assert alligator.gator.Gator is alligator.Gator
    assert alligator.gator.Options is alligator.Options
    assert alligator.tasks.Task is alligator.Task
    assert alligator.workers.Worker is alligator.Worker


def names_and_defaults(func: object) -> dict[str, object]:
    parameters = inspect.signature(func).parameters.values()  # type: ignore[arg-type]
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }


def test_the_signatures_are_the_documented_ones() -> None:
    empty = inspect.Parameter.empty
    assert names_and_defaults(alligator.Gator) == {
        "conn_string": empty,
        "queue_name": "all",
        "task_class": alligator.Task,
        "backend_class": None,
    }
    assert names_and_defaults(alligator.Worker) == {
        "gator": empty,
        "max_tasks": 0,
        "to_consume": "all",
        "nap_time": 0.1,
    }
    assert names_and_defaults(alligator.Task) == {
        "task_id": None,
        "retries": 0,
        "is_async": True,
        "on_start": None,
        "on_success": None,
        "on_error": None,
        "depends_on": None,
        "delay_by": None,
        "delay_until": None,
    }


def test_what_subclasses_override_has_the_documented_signatures() -> None:
    worker = alligator.Worker
    assert [*names_and_defaults(worker.result)] == ["self", "result"]
    for method in (worker.ident, worker.starting, worker.stopping, worker.interrupt):
        assert [*names_and_defaults(method)] == ["self"]
    assert [*names_and_defaults(alligator.Task.run)] == ["self"]


def test_every_error_is_an_alligator_exception() -> None:
    errors = [value for value in vars(exceptions).values() if inspect.isclass(value)]
    assert len(errors) > 10
    assert all(issubclass(error, exceptions.AlligatorException) for error in errors)


def test_every_public_thing_says_what_it_is_for() -> None:
    things = [getattr(alligator, name) for name in alligator.__all__]
    classes = [thing for thing in things if inspect.isclass(thing)]
    methods = [
        method
        for thing in classes
        for name, method in inspect.getmembers(thing, inspect.isfunction)
        if not name.startswith("_")
    ]
    silent = [thing for thing in classes + methods if not inspect.getdoc(thing)]
    assert silent == []
