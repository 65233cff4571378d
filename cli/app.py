"""The group of all commands: found by name, imported one at a time."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from . import guard, starting
from .options import global_options, without_variable, write_examples, write_options
from .output import tell
from .session import Session
from .suggest import did_you_mean

#: Each command and what it does, in the order of the help. The sentences stand here as well as in
#: the commands, and a test compares them: help that imported every command would be slow.
COMMANDS = {
    "push": "Queue a call of a function.",
    "worker": "Run workers until stopped.",
    "peek": "List tasks.",
    "show": "Show everything known about a task.",
    "run-task": "Run one task here, now.",
    "wait": "Wait until tasks have ended.",
    "result": "Print what a task returned.",
    "retry": "Have failed tasks run once more.",
    "cancel": "Take tasks off their queue.",
    "drop": "Remove a queue's tasks.",
    "move": "Put tasks into another queue.",
    "dump": "Write tasks as JSON, one a line.",
    "load": "Bring back tasks that dump, or drop --backup, wrote.",
    "queues": "List the queues and how many tasks are in which state.",
    "stats": "Show how the queues are doing.",
    "top": "Watch queues, workers and tasks, and mend them.",
    "pause": "Have no worker take tasks from a queue.",
    "resume": "Have workers take tasks from a paused queue again.",
    "drain": "Wait until a queue is empty.",
    "workers": "List the workers and what they run.",
    "health": "Say whether all is well, by the exit code: 0 or 1.",
    "doctor": "Say what is wrong with this set-up, and how to mend it.",
    "bench": "Measure this broker, in a queue of its own that is removed at the end.",
    "ping": "Ask the broker whether it answers.",
    "config": "Show which settings are in force, and where they come from.",
    "completion": "Print the script that has a shell complete gator's words.",
    "help": "Show the help of a command.",
}

#: By it a shell that asks for completions says which one it is.
COMPLETE = "_GATOR_COMPLETE"

ALIASES = {"enqueue": "push", "ls": "peek", "requeue": "retry", "purge": "drop", "info": "stats"}

#: What other queues call it, where the spelling leads nowhere.
ELSEWHERE = {
    "redrive": "retry",
    "rerun": "retry",
    "list": "peek",
    "inspect": "show",
    "status": "stats",
    "delete": "cancel",
    "remove": "cancel",
    "revoke": "cancel",
    "clear": "drop",
    "empty": "drop",
    "flush": "drop",
    "start": "worker",
    "run": "worker",
}

EXAMPLES = """
gator push app.tasks.report --args '[1, "weekly"]' --delay 5m
gator worker -q mail -q all -c 4
gator peek --state failed
"""


class App(click.Group):
    """gator itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__package__}.commands.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = ALIASES.get(args[0], args[0])
        if name not in COMMANDS and not name.startswith("-"):
            near = did_you_mean(ELSEWHERE.get(name, name), (*COMMANDS, *ALIASES))
            ctx.fail(f"there is no command {name!r}.{near}")
        if name == "worker":
            starting.heed_signals()
        return super().resolve_command(ctx, [name, *args[1:]])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem[str]]:
        """Offer options, or commands, none of which is imported for it; aliases once there is
        something that they begin with."""
        from click.shell_completion import CompletionItem

        texts = {
            **COMMANDS,
            **({name: COMMANDS[of] for name, of in ALIASES.items()} if incomplete else {}),
        }
        found = [
            CompletionItem(name, help=text)
            for name, text in texts.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return without_variable(super().get_help_option(ctx))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        write_examples(EXAMPLES, formatter)
        self.format_help_text(ctx, formatter)
        names = {command: [a for a, of in ALIASES.items() if of == command] for command in COMMANDS}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(", ".join((name, *names[name])), text) for name, text in COMMANDS.items()]
            )
        write_options("Global options", self.get_params(ctx), ctx, formatter)
        self.format_epilog(ctx, formatter)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run gator and exit; click's own main has other exit codes than ours."""
        if shell := os.environ.get(COMPLETE):
            from .shells import answer  # no command needs it

            click.echo(answer(self, shell, sys.argv[1:]))
            raise SystemExit(os.EX_OK)
        raise SystemExit(guard.run(self, *args, **kwargs))


def _version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        package = importlib.import_module("alligator.version")  # and with it the library: slow
        click.echo(f"gator {package.version()}")
        ctx.exit()


@click.command(
    "gator",
    cls=App,
    params=[
        *global_options(of_group=True),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            allow_from_autoenv=False,  # others have a variable of that name
            expose_value=False,
            callback=_version,
            help="The version.",
        ),
    ],
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "GATOR",
        "max_content_width": 100,
    },
    epilog="Options may stand before the command or after it. Each has a variable: GATOR_JSON, "
    "GATOR_PUSH_QUEUE. Without a DSN, gator uses an SQLite file of your own.",
)
@click.pass_context
def app(ctx: click.Context) -> int:
    """Queue calls of Python functions, look after them, and run workers."""
    ctx.ensure_object(Session)
    if ctx.invoked_subcommand is None:
        tell(ctx.get_help())
        return 2
    return os.EX_OK
