"""Completion, in the real shells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alligator_cli.app import COMMANDS
from alligator_cli.scripts import FILES, SHELLS, script

from .conftest import Cli, Given

FOLDER = Path(__file__).parents[2] / "completions"

#: Each prints what is offered for a command line, one a line.
ASK = {
    "bash": """
        source {script}
        COMP_WORDS=({line}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _gator_completion gator
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "fish": "source {script}; complete -C {quoted}",
    # zsh completes at a prompt only: it gets one, and a function that prints instead of inserting.
    "zsh": """
        compdef() {{ : }}
        source {script}
        _describe() {{
            local list=$2
            [[ $1 == -V ]] && list=$3
            print -rl -- ${{${{(P)list}}%%:*}}
        }}
        compadd() {{ local list=$@[-1]; print -rl -- "${{(P@)list}}" }}
        words=({line}) CURRENT=${{#words}}
        _gator_completion
    """,
}


@pytest.fixture(params=SHELLS)
def offered(request: pytest.FixtureRequest, cli: Cli) -> Callable[..., list[str]]:
    """Return what a shell offers for words, the last of which is being typed."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; sh tests/run installs it")

    def ask(*words: str, **env: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        text = ASK[shell].format(
            script=FOLDER / FILES[shell], line=line, quoted=f"'{' '.join(words)}'"
        )
        path = Path(sys.executable).parent
        surroundings = {**cli.environment(), "GATOR_COMPLETION_TIMEOUT": "20", **env}
        done = subprocess.run(
            [shell, *(("-f",) if shell == "zsh" else ()), "-c", text],
            env={**surroundings, "PATH": f"{path}:{surroundings['PATH']}"},
            cwd=cli.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == ""
        return [row.partition("\t")[0] for row in done.stdout.splitlines() if row]

    return ask


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_in_the_repository_are_what_gator_prints(cli: Cli, shell: str) -> None:
    printed = cli.ok("completion", shell)
    assert printed == (FOLDER / FILES[shell]).read_text(), f"gator completion {shell} has changed"
    assert printed.rstrip("\n") == script(shell).rstrip("\n")


def test_another_shell_is_exit_2(cli: Cli) -> None:
    result = cli("completion", "fsh")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Did you mean 'fish'?" in result.stderr


def test_commands_options_and_their_values(offered: Callable[..., list[str]]) -> None:
    assert set(offered("gator", "pe")) == {"peek"}
    assert set(offered("gator", "")) >= set(COMMANDS)
    assert set(offered("gator", "peek", "--st")) == {"--state"}
    assert set(offered("gator", "peek", "--state", "f")) == {"failed"}
    assert set(offered("gator", "help", "que")) == {"queues"}


def test_queues_and_ids_come_from_the_broker(
    offered: Callable[..., list[str]], given: Given
) -> None:
    given.task("shop.add", queue="mail", task_id="mail-1")
    given.task("shop.add", queue="post", task_id="post-1")
    assert offered("gator", "peek", "-q", "") == ["mail", "post"]
    assert offered("gator", "worker", "-q", "m") == ["mail"]
    assert offered("gator", "show", "p") == ["post-1"]
    assert offered("gator", "cancel", "mail-1", "po") == ["post-1"]


def test_a_broker_that_is_away_or_wrong_offers_nothing(offered: Callable[..., list[str]]) -> None:
    for dsn in ("nosuch://x", "locmem://", "sqlite:///nosuch.db"):
        assert offered("gator", "peek", "-q", "m", GATOR_DSN=dsn) == []
    # An address that swallows what is sent to it.
    away = {"GATOR_DSN": "redis://192.0.2.1:6379/0", "GATOR_COMPLETION_TIMEOUT": "0.1"}
    assert offered("gator", "peek", "-q", "m", **away) == []


def test_pressing_a_key_makes_no_queue_file(offered: Callable[..., list[str]], cli: Cli) -> None:
    assert offered("gator", "peek", "-q", "") == []
    assert not (cli.folder / "queue.db").exists()
