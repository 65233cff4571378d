"""Writes what is made from the commands themselves: docs/commands.md, man/*.1 and completions/*.

Run `python docs/generate.py` after a change of an option; a test, and the documentation's build,
fail while a file differs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from alligator_cli.app import ALIASES, COMMANDS, app
from alligator_cli.options import Command
from alligator_cli.scripts import FILES, script

ROOT = Path(__file__).resolve().parents[1]


def files() -> dict[Path, str]:
    """Return the text of each generated file, by its path."""
    made = {ROOT / "docs" / "commands.md": _reference()}
    made[ROOT / "man" / "gator.1"] = _page_of_gator()
    for name in COMMANDS:
        made[ROOT / "man" / f"gator-{name}.1"] = _page(name)
    for shell, file in FILES.items():
        made[ROOT / "completions" / file] = script(shell).rstrip("\n") + "\n"
    return made


def stale() -> list[str]:
    """Return the names of the files that differ from what they should be."""
    return [
        str(path.relative_to(ROOT))
        for path, text in files().items()
        if not path.exists() or path.read_text() != text
    ]


def _context(name: str) -> tuple[Command, click.Context]:
    root = click.Context(app, info_name="gator", help_option_names=["-h", "--help"])
    command = app.get_command(root, name)
    assert isinstance(command, Command)
    return command, click.Context(
        command, info_name=name, parent=root, help_option_names=["-h", "--help"]
    )


def _options(command: Command, context: click.Context) -> list[tuple[str, str]]:
    own = [param for param in command.params if isinstance(param, click.Option)]
    records = [(option, option.get_help_record(context)) for option in own]
    rows = []
    for option, record in records:
        if record is not None:
            rows.append((record[0], f"{record[1]}  Variable: {option.envvar}."))
    return rows


def _globals() -> list[tuple[str, str]]:
    context = click.Context(app, info_name="gator", **app.context_settings)
    options = [param for param in app.get_params(context) if isinstance(param, click.Option)]
    return [record for option in options if (record := option.get_help_record(context))]


def _usage(command: Command, context: click.Context) -> str:
    return " ".join([context.command_path, *command.collect_usage_pieces(context)])


def _paragraphs(command: Command) -> list[str]:
    return [" ".join(part.split()) for part in (command.help or "").split("\n\n")]


# -- Markdown -----------------------------------------------------------------------------------


def _reference() -> str:
    parts = [
        "# Commands\n",
        "Every command with its options, generated from the commands themselves. The rules that "
        "they share, exit codes and output formats are in [the command line](cli.md).\n",
        "Options of every command, but for `--version`, which is that of `gator` itself:\n",
        _table(_globals()),
    ]
    for name in COMMANDS:
        command, context = _context(name)
        aliases = [f"`{alias}`" for alias, of in ALIASES.items() if of == name]
        parts.append(f"## {name}\n")
        parts.append(f"```text\n{_usage(command, context)}\n```\n")
        parts += [f"{_marked(text)}\n" for text in _paragraphs(command)]
        if aliases:
            parts.append(f"Also called {', '.join(aliases)}.\n")
        parts.append(f"```sh\n{command.examples.strip()}\n```\n")
        if rows := _options(command, context):
            parts.append(_table(rows))
        if command.fields:
            parts.append(f"Fields: {', '.join(f'`{field}`' for field in command.fields)}.\n")
    return "\n".join(parts)


def _table(rows: list[tuple[str, str]]) -> str:
    cells = [f"| `{_cell(names)}` | {_cell(_marked(text))} |" for names, text in rows]
    return "\n".join(["| option | |", "|---|---|", *cells]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _marked(text: str) -> str:
    return text.replace("*", "\\*").replace("<", "\\<").replace("_", "\\_")


# -- roff ---------------------------------------------------------------------------------------


def _page_of_gator() -> str:
    lines = [
        '.TH GATOR 1 "" "Alligator" "User commands"',
        ".SH NAME",
        r"gator \- queue calls of Python functions, look after them, and run workers",
        ".SH SYNOPSIS",
        r"\fBgator\fR [\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGS\fR]...",
        ".SH COMMANDS",
    ]
    for name, text in COMMANDS.items():
        lines += [".TP", rf"\fBgator-{_roff(name)}\fR(1)", _roff(text)]
    lines.append(".SH OPTIONS")
    lines += _roff_options(_globals())
    others = ", ".join(rf"\fBgator-{_roff(name)}\fR(1)" for name in COMMANDS)
    return "\n".join([*lines, ".SH SEE ALSO", others]) + "\n"


def _page(name: str) -> str:
    command, context = _context(name)
    first, *more = _paragraphs(command)
    lines = [
        f'.TH "GATOR-{name.upper()}" 1 "" "Alligator" "User commands"',
        ".SH NAME",
        rf"gator-{_roff(name)} \- {_roff(first.rstrip('.'))}",
        ".SH SYNOPSIS",
        rf"\fB{_roff(_usage(command, context))}\fR",
        ".SH DESCRIPTION",
        _roff(first),
    ]
    if aliases := [alias for alias, of in ALIASES.items() if of == name]:
        more.append(f"Also called {', '.join(aliases)}.")
    for text in more:
        lines += [".PP", _roff(text)]
    if rows := _options(command, context):
        lines.append(".SH OPTIONS")
        lines += _roff_options(rows)
    if command.fields:
        lines += [".SH FIELDS", _roff(", ".join(command.fields))]
    lines += [".SH EXAMPLES", ".nf", _roff(command.examples.strip()), ".fi"]
    return "\n".join([*lines, ".SH SEE ALSO", r"\fBgator\fR(1)"]) + "\n"


def _roff_options(rows: list[tuple[str, str]]) -> list[str]:
    return [
        line
        for names, text in rows
        for line in (".TP", rf"\fB{_roff(names)}\fR", _roff(" ".join(text.split())))
    ]


def _roff(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    sys.exit(0)
