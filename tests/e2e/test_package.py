"""What a user installs: the wheel, in an environment that has nothing else of this repository."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..sources import ROOT, copy_sources
from ..wheels import once, wheels


@pytest.fixture(scope="session")
def built(shared_folder: Path) -> Path:
    """A folder with the wheel and an environment that it is installed in."""

    def make(folder: Path) -> None:
        build(folder)
        install(folder, wheels(shared_folder))

    return once(shared_folder / "package", make)


@pytest.fixture
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture
def installed(built: Path) -> Path:
    """The bin folder of an environment with the wheel and what it needs, and no driver."""
    return built / "installed" / "bin"


def build(folder: Path) -> None:
    copy = folder / "source"
    copy.mkdir()
    copy_sources(copy)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(copy))


def install(folder: Path, others: Path) -> None:
    target = folder / "installed"
    venv.create(target, symlinks=True)
    (wheel,) = folder.glob("*.whl")
    found = ("--no-index", "--find-links", str(others), str(wheel))
    pip("install", *found, into=target / "bin" / "python")


def pip(*arguments: str, into: Path | None = None) -> None:
    """Run this environment's pip, for another one with `into`."""
    target = ["--python", str(into)] if into else []
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *target]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A project with one module of tasks."""
    (tmp_path / "jobs.py").write_text(
        "def note(path, line):\n    with open(path, 'a') as file:\n        file.write(line)\n"
    )
    return tmp_path


def run(program: Path, *arguments: str, folder: Path) -> str:
    """Run an installed program in a folder, with nothing of this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        env=kept | {"GATOR_DSN": f"sqlite:///{folder / 'queue.db'}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_library_and_nothing_named_cli(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if ".d" not in name} == {"alligator", "alligator_cli"}
    for part in ("alligator/py.typed", "alligator/backends/sqlite_schema_2.sql"):
        assert part in names
    scripts = ROOT / "alligator" / "backends" / "redis_scripts"
    for script in scripts.glob("*.lua"):
        assert f"alligator/backends/redis_scripts/{script.name}" in names


def test_man_pages_and_completions_are_where_the_shells_look(installed: Path) -> None:
    share = installed.parent / "share"
    for path in (
        *("man/man1/gator.1", "man/man1/gator-push.1", "zsh/site-functions/_gator"),
        "bash-completion/completions/gator.bash",
        "fish/vendor_completions.d/gator.fish",
    ):
        assert (share / path).is_file()


def test_every_module_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for source, target in (("alligator", "alligator"), ("cli", "alligator_cli")):
        for module in (ROOT / source).rglob("*.py"):
            assert f"{target}/{module.relative_to(ROOT / source)}" in names


def test_a_call_is_pushed_and_run_from_the_shell(installed: Path, folder: Path) -> None:
    notes = folder / "notes"
    pushed = run(
        installed / "gator", "push", "jobs.note", "--args", f'["{notes}", "done"]', folder=folder
    )
    assert len(pushed.split()) == 1
    assert not notes.exists()

    run(installed / "gator", "worker", "--burst", folder=folder)

    assert notes.read_text() == "done"


def test_the_installed_library_is_the_one_that_was_built(installed: Path, folder: Path) -> None:
    code = "import alligator, importlib.util as u; print(alligator.__file__, u.find_spec('cli'))"
    path, cli = run(installed / "python", "-c", code, folder=folder).split()
    assert path.startswith(str(installed.parent))
    assert cli == "None"


def test_the_version_is_the_installed_one(installed: Path, folder: Path) -> None:
    told = run(installed / "gator", "--version", folder=folder)
    assert importlib.metadata.version("alligator") in told


def test_the_module_runs_as_gator(installed: Path, folder: Path) -> None:
    told = run(installed / "python", "-m", "alligator", "--help", folder=folder)
    assert "push" in told


def test_latergator_is_installed_as_a_script(installed: Path, folder: Path) -> None:
    done = subprocess.run([installed / "latergator.py"], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: latergator.py DSN")


def test_a_missing_driver_says_what_to_install(installed: Path, folder: Path) -> None:
    code = (
        "import alligator, sys\n"
        "for dsn in ('redis://127.0.0.1:1/0', 'beanstalk://127.0.0.1:1'):\n"
        "    try:\n"
        "        alligator.Gator(dsn).len()\n"
        "    except alligator.exceptions.MissingDriver as error:\n"
        "        print(error)\n"
    )
    told = run(installed / "python", "-c", code, folder=folder)
    assert "alligator[redis]" in told
    assert "alligator[beanstalk]" in told


def test_a_missing_extra_says_what_to_install(installed: Path, folder: Path) -> None:
    done = subprocess.run([installed / "gator", "top"], capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: gator top needs the textual package: pip install 'alligator[top]'\n"
    )
