"""What a page finds that installs something: a checkout, an environment, and nothing to fetch.

`pip` is given wheels of what is installed here, and no index. `apt-get` is told of no source, so it
knows what this machine has and can add nothing to it.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from ..wheels import wheels
from .pages import ROOT

_INSTALLS = re.compile(r"\bpip install\b|-m build\b")
_MAKES_ITS_OWN = re.compile(r"-m venv \.venv\b")
_APT_GET = re.compile(r"\bapt-get\b")

_APT_CONFIG = """\
Dir::State "{folder}";
Dir::State::Status "/var/lib/dpkg/status";
Dir::Cache "{folder}";
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "/dev/null";
Debug::NoLocking "true";
"""

#: The pip that is found as long as a page has told of no environment.
_NO_PIP = """\
#!/bin/sh
echo "Error: the page has to make or to enter a virtual environment before pip install" >&2
exit 1
"""

_LEFT_THERE = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis", ".coverage*", "__pycache__", "_build"),
    *("build", "dist", "*.egg-info", "*.sqlite3", "queue.db*"),
)


def copy_checkout(target: Path) -> None:
    """Copy this repository, without what working in it leaves there, to an existing folder."""
    shutil.copytree(ROOT, target, ignore=_LEFT_THERE, dirs_exist_ok=True)


def set_up(folder: Path, aside: Path, shared: Path, text: str) -> dict[str, str]:
    """Give a page its environment.

    Args:
        folder: the page's; it gets an environment in `.venv`, unless the page makes one.
        aside: where files may lie that the page does not see.
        shared: where files may lie that further pages use, too.
        text: the page's.

    Returns:
        The variables that keep what it installs inside.
    """
    if not _INSTALLS.search(text):
        (folder / ".venv").symlink_to(sys.prefix)
        return {"PATH": _path(folder / ".venv" / "bin")} | _apt(aside)
    own: dict[str, str] = {}
    if _MAKES_ITS_OWN.search(text):
        first = aside / "bin"
        first.mkdir()
        (first / "pip").write_text(_NO_PIP)
        (first / "pip").chmod(0o755)
    else:
        first = folder / ".venv" / "bin"
        _make_layer(folder / ".venv")
        # Setuptools is below, and need not be installed for each build. (To pip, 0 means yes.)
        own = {"PIP_NO_BUILD_ISOLATION": "0"}
    return {
        "PATH": _path(first, Path(sys.executable).parent),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(wheels(shared)),
        "PIP_NO_INDEX": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **own,
        **_apt(aside),
    }


def without_apt(code: str) -> str:
    """Leave apt-get out of a snippet where there is none, and so nothing that it could tell."""
    return code if shutil.which("apt-get") else _APT_GET.sub(":", code)


def _apt(aside: Path) -> dict[str, str]:
    folder = aside / "apt"
    folder.mkdir()
    config = aside / "apt.conf"
    config.write_text(_APT_CONFIG.format(folder=folder))
    return {"APT_CONFIG": str(config)}


def _path(*first: Path) -> str:
    return ":".join([*map(str, first), "/usr/local/bin:/usr/bin:/bin"])


def _make_layer(target: Path) -> None:
    """Make an environment that has what this one has, and whose own packages go first."""
    venv.create(target, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(target)}))
    below = sysconfig.get_path("purelib")
    (site / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    for program in Path(sys.prefix, "bin").iterdir():
        there = target / "bin" / program.name
        if there.exists() or not program.is_file():
            continue
        content = program.read_bytes()
        if content.startswith(b"#!"):
            _, _, rest = content.partition(b"\n")
            there.write_bytes(f"#!{target}/bin/python\n".encode() + rest)
            there.chmod(0o755)
        else:
            there.symlink_to(program)
