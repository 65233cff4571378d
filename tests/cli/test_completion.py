"""Completion, in the real shells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alligator_cli.app import ALIASES, COMMANDS
from alligator_cli.scripts import FILES, SHELLS, script

from ..docs.terminal import Terminal
from ..servers import eventually
from .conftest import Cli, Given

FOLDER = Path(__file__).parents[2] / "completions"

#: Each prints what is offered for a command line, one a line.
ASK = {
    "bash": """
        source {script}
        COMP_LINE={quoted} COMP_POINT=${{#COMP_LINE}}
        _gator_completion gator
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "fish": "source {script}; complete -C {quoted}",
    # zsh completes at a prompt only: it gets functions that print instead of inserting.
    "zsh": """
        compdef() {{ : }}
        source {script}
        _describe() {{ print -rl -- ${{${{(P@)@[-1]}}%%:*}} }}
        compadd() {{ print -rl -- "${{(P@)@[-1]}}" }}
        words=({line}) CURRENT=${{#words}} PREFIX=$words[-1]
        _gator
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


def test_aliases_are_offered_once_something_is_typed(offered: Callable[..., list[str]]) -> None:
    assert set(offered("gator", "enq")) == {"enqueue"}
    assert not set(offered("gator", "")) & set(ALIASES)
    assert set(offered("gator", "help", "enq")) == {"enqueue"}
    assert set(offered("gator", "ls", "--state", "f")) == {"failed"}


def test_fields_are_offered_one_after_another(offered: Callable[..., list[str]]) -> None:
    assert offered("gator", "queues", "--fields", "que") == ["queue"]
    assert offered("gator", "queues", "--fields", "queue,wait") == ["queue,waiting"]
    assert offered("gator", "queues", "--fields", "queue,que") == []
    assert set(offered("gator", "stats", "--fields", "ra")) == {"rate"}
    assert offered("gator", "stats", "--by", "task", "--fields", "task,wa") == ["task,waiting"]
    assert offered("gator", "stats", "--by", "task", "--fields", "ra") == []


def test_formats_and_groupings_are_those_of_the_command(offered: Callable[..., list[str]]) -> None:
    assert set(offered("gator", "peek", "--format", "j")) == {"json", "jira"}
    assert offered("gator", "peek", "--format", "ts") == ["tsv"]
    assert offered("gator", "peek", "--format", "gi") == ["github"]
    assert offered("gator", "peek", "--format", "prom") == []
    assert offered("gator", "stats", "--format", "prom") == ["prometheus"]
    assert offered("gator", "stats", "--by", "t") == ["task"]


def test_what_makes_no_sense_is_offered_nothing(offered: Callable[..., list[str]]) -> None:
    assert offered("gator", "nosuch", "--st") == []
    assert offered("gator", "peek", "--state", "nosuch", "--state", "nos") == []


def test_queues_and_ids_come_from_the_broker(
    offered: Callable[..., list[str]], given: Given
) -> None:
    given.task("shop.add", queue="mail", task_id="mail-1")
    given.task("shop.add", queue="post", task_id="post-1")
    assert offered("gator", "peek", "-q", "") == ["mail", "post"]
    assert offered("gator", "worker", "-q", "m") == ["mail"]
    assert offered("gator", "worker", "-qpost", "-qm") == ["-qmail"]
    assert offered("gator", "worker", "-cm") == []
    assert offered("gator", "worker", "-hm") == []
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


#: Each makes Tab complete as at a prompt, and Ctrl-G write the line into a file.
PROMPT = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        """
        source {script}; tell() {{ printf %s "$READLINE_LINE" >line.new; mv line.new line; }}
        bind -x '"\\C-g": tell'
        """,
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        """
        autoload -Uz compinit; compinit -D -u; source {script}
        tell() {{ print -rn -- "$BUFFER" >line.new; mv line.new line }}
        zle -N tell; bindkey '^I' complete-word; bindkey '^G' tell
        """,
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        """source {script}
        bind \\cg 'commandline >line.new; mv line.new line'
        """,
    ),
}


@pytest.fixture(params=SHELLS)
def prompt(request: pytest.FixtureRequest, cli: Cli) -> Iterator[Callable[[str], list[str]]]:
    """Return what types at a prompt, presses Tab, and returns the words of the line then."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; sh tests/run installs it")
    command, setup = PROMPT[shell]
    (cli.folder / "setup").write_text(setup.format(script=FOLDER / FILES[shell]))
    path = Path(sys.executable).parent
    env = {**cli.environment(), "GATOR_COMPLETION_TIMEOUT": "20", "LC_ALL": "C.UTF-8"}
    env["PATH"] = f"{path}:{env['PATH']}"
    line = cli.folder / "line"
    with Terminal(command, cli.folder, env, typed=True) as terminal:
        terminal.type("source ./setup; echo read''y\n")
        eventually(lambda: "ready" in terminal.shown, "a prompt")

        def press(typed: str) -> list[str]:
            line.unlink(missing_ok=True)
            terminal.type(f"\x15{typed}\t\x07")
            eventually(line.exists, f"{shell} completes {typed!r}")
            # Read by the shell itself: what it takes for one word is one.
            told = subprocess.run(
                [command[0], "-c", f"printf '%s\\n' {line.read_text()}"],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            return told.stdout.splitlines()

        yield press


def test_tab_inserts_what_the_shell_reads_as_one_word(
    prompt: Callable[[str], list[str]], given: Given
) -> None:
    for task_id in ("a blank", "it's", 'say "so"', "$HOME;`x`", "na:m=e", "日本 語", "b\\s"):
        given.task("shop.add", queue=f"q{task_id}", task_id=task_id)
    assert prompt("gator peek --state=fa") == ["gator", "peek", "--state=failed"]
    for typed, task_id in (
        ("a", "a blank"),
        ("a\\ b", "a blank"),
        ("'a b", "a blank"),
        ('"a b', "a blank"),
        ("it", "it's"),
        ('"it', "it's"),
        ("say", 'say "so"'),
        ("'say", 'say "so"'),
        ("'$H", "$HOME;`x`"),
        ("na:m", "na:m=e"),
        ("日", "日本 語"),
        ("b", "b\\s"),
    ):
        assert prompt(f"gator show {typed}") == ["gator", "show", task_id], typed
    assert prompt("gator peek --queue=qa") == ["gator", "peek", "--queue=qa blank"]
    assert prompt("gator peek --queue='qa") == ["gator", "peek", "--queue=qa blank"]
    assert prompt("gator peek --queue=qna:m") == ["gator", "peek", "--queue=qna:m=e"]
    assert prompt("gator peek -qqa") == ["gator", "peek", "-qqa blank"]
    assert prompt("gator peek -q'qa") == ["gator", "peek", "-qqa blank"]
    assert prompt("gator queues --fields=queue,wai")[-1] == "--fields=queue,waiting"
    assert prompt("gator health --format=githu")[-1] == "--format=github"


def test_tab_completes_files(prompt: Callable[[str], list[str]], cli: Cli) -> None:
    (cli.folder / "tasks of today").touch()
    assert prompt("gator load tas")[-1] == "tasks of today"
    assert prompt("gator push --from=tas")[-1] == "--from=tasks of today"
    assert prompt("gator --dsn-file=tas")[-1] == "--dsn-file=tasks of today"
