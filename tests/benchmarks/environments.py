"""The virtual environments of the queues: one each, so that none holds another's libraries back."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from ..sources import ROOT, SOURCES, copy_sources

PINS = Path(__file__).parent / "pins"


class Environments:
    """Makes environments when they are first asked for, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bin(self, name: str) -> Path:
        """The folder of the programs of an environment, made and filled as pins/NAME.txt says."""
        place = self._folder / name
        made_from = place / "made-from"
        wanted = _fingerprint(name)
        if not made_from.exists() or made_from.read_text() != wanted:
            print(f"making the environment {name}", file=sys.stderr)
            shutil.rmtree(place, ignore_errors=True)
            venv.create(place, with_pip=True)
            _pip(place, "-r", str(PINS / f"{name}.txt"))
            if name == "alligator":
                _install_alligator(place)
            made_from.write_text(wanted)
        return place / "bin"


class Here:
    """The environment that this program runs in, for all: Alligator's own development one."""

    def bin(self, _name: str) -> Path:
        """The folder of the programs of this environment."""
        return Path(sys.executable).parent


def _fingerprint(name: str) -> str:
    """Change when the pins do, the place, or (for Alligator) the sources."""
    digest = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    digest.update((PINS / f"{name}.txt").read_bytes())
    if name == "alligator":
        for source in SOURCES:
            files = sorted((ROOT / source).rglob("*")) or [ROOT / source]
            for file in files:
                if file.is_file() and file.suffix != ".pyc":
                    digest.update(f"{file} ".encode() + file.read_bytes())
    return digest.hexdigest()


def _install_alligator(place: Path) -> None:
    """Install it as a user does: an editable one would start slower."""
    with tempfile.TemporaryDirectory() as copies:
        copy_sources(Path(copies))
        _pip(place, "--no-deps", copies)


def _pip(place: Path, *arguments: str) -> None:
    command = [place / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "-q", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_NO_INPUT": "1"},
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"pip could not install {' '.join(arguments)}:\n{done.stderr.strip()}")
