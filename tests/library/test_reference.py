"""The reference has every public name, and the drawings and tables name what there is."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sphinx.util.inventory import InventoryFile

import alligator
from alligator import constants
from alligator_cli.options import global_options

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: What users and authors of backends import.
MODULES = (
    "alligator.exceptions",
    "alligator.utils",
    "alligator.backends.base",
    "alligator.backends.roster",
)

SOURCES = {
    path: path.read_text()
    for folder in ("alligator", "cli")
    for path in (ROOT / folder).rglob("*.py")
}


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every Python name that the two pages of the reference describe, as Sphinx has it."""
    folder = tmp_path_factory.mktemp("reference")
    source, target = folder / "source", folder / "html"
    source.mkdir()
    for name in ("reference.md", "contract.md"):
        (source / name).write_text((DOCS / name).read_text())
    (source / "index.md").write_text("# Index\n\n```{toctree}\nreference\ncontract\n```\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", str(DOCS)]
    # Links to the pages that are left out here are no matter.
    quiet = ["-D", "suppress_warnings=myst.xref_missing", "-D", "html_static_path="]
    done = subprocess.run(
        [*command, *quiet, str(source), str(target)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with (target / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    return {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}


def public(module: ModuleType) -> Iterator[str]:
    """The names that a module defines for others, and those of its classes."""
    for name, found in vars(module).items():
        own = getattr(found, "__module__", None) == module.__name__
        if (
            not name.startswith("_")
            and own
            and (inspect.isclass(found) or inspect.isfunction(found))
        ):
            yield f"{module.__name__}.{name}"
            if inspect.isclass(found):
                yield from (f"{module.__name__}.{name}.{method}" for method in methods(found))


def methods(owner: type) -> Iterator[str]:
    for name, found in vars(owner).items():
        function = getattr(found, "__func__", found)  # of a static or class method
        documentable = inspect.isfunction(function) or isinstance(found, property)
        if not name.startswith("_") and documentable:
            yield name


def test_every_name_of_the_library_is_in_the_reference(documented: set[str]) -> None:
    wanted = {f"alligator.{name}" for name in alligator.__all__ if not hasattr(constants, name)}
    for owner in (alligator.Gator, alligator.Options, alligator.Task, alligator.Worker):
        wanted |= {f"alligator.{owner.__name__}.{name}" for name in methods(owner)}
    assert wanted - documented == set()


@pytest.mark.parametrize("name", MODULES)
def test_every_name_of_a_public_module_is_in_the_reference(name: str, documented: set[str]) -> None:
    assert set(public(importlib.import_module(name))) - documented == set()


def test_every_constant_is_in_the_reference() -> None:
    page = (DOCS / "reference.md").read_text()
    for name in alligator.__all__:
        if hasattr(constants, name):
            value = str(getattr(constants, name)).replace("all", '`"all"`')
            assert f"| `{name}` | {value} |" in page


def test_every_variable_is_documented() -> None:
    read = {
        name
        for text in SOURCES.values()
        for name in re.findall(r"\b(?:GATOR|ALLIGATOR)_[A-Z_]+\b", text)
    }
    # Those of a command's options are in the generated page, which a test compares.
    commands = (DOCS / "commands.md").read_text().replace("\\", "")
    own = {
        f"GATOR_{str(option.name).upper()}"
        for option in global_options(of_group=True)
        if option.allow_from_autoenv
    }
    page = (DOCS / "variables.md").read_text()
    for name in sorted(read | own):
        assert f"`{name}" in page or f"Variable: {name}." in commands


def test_every_option_of_a_dsn_is_documented() -> None:
    page = (DOCS / "dsn.md").read_text()
    options: set[str] = set()
    for path, text in SOURCES.items():
        if path.parent.name == "backends":
            for given in re.findall(r"expect_options\(([^)]*)\)", text):
                options |= set(re.findall(r'"(\w+)"', given))
            for given in re.findall(r"^(?:TLS|SENTINEL)_OPTIONS = \(([^)]*)\)", text, re.M):
                options |= set(re.findall(r'"(\w+)"', given))
    assert {"lease", "timeout", "prefix", "ssl_ca_certs", "sentinel_username"} <= options
    missing = [option for option in sorted(options) if f"`{option}`" not in page]
    assert missing == []


@pytest.mark.parametrize(
    "name", ["architecture.md", "path-of-a-task.svg", "howto/custom-backend.md"]
)
def test_the_files_that_are_named_are_there(name: str) -> None:
    known = {str(path.relative_to(ROOT)) for path in SOURCES}
    named = set(re.findall(r"(?<![\w*/])[\w/]*\w\.py\b", (DOCS / name).read_text()))
    assert named
    own = {"folder_queue.py", "greet.py", "audited.py", "test_conformance.py"}
    for file in named:
        tail = file.rpartition("/")[2]
        assert tail in own or any(f"/{one}".endswith(f"/{file}") for one in known), file
