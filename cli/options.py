"""The options that all commands share, and the command class that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from .completing import fields, files, formats
from .errors import called
from .session import Session
from .types import WholeNumber, field_names, output_format


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Put a given value into the session, so that `gator --json peek` and `gator peek --json` are
    one; what stands after the command comes last and wins."""
    if value is None or value == ():
        return
    name = str(param.name)
    settings = ctx.ensure_object(Session).settings
    if name == "json":
        settings.json = value
        name, value = "format", "json" if value else None
    # click looks at variables after options: GATOR_FORMAT has to yield to --json.
    variable = ctx.get_parameter_source(str(param.name)) is ParameterSource.ENVIRONMENT
    if not (variable and getattr(settings, name)):
        setattr(settings, name, value)
        settings.called[name] = called(ctx, param)


def global_options(of_group: bool) -> list[click.Option]:
    """Return the options that stand before and after a command alike.

    Args:
        of_group: read GATOR_JSON and its like. Only the group does: a variable has to yield to an
            option before the command, and the command's own copy is looked at after that.
    """

    def option(*names: str, env: bool = True, **attributes: Any) -> click.Option:
        return click.Option(
            names,
            default=None,
            expose_value=False,
            callback=_keep,
            allow_from_autoenv=env and of_group,
            **attributes,
        )

    return [
        # These two have their variables read in `session`: a file named by an option goes before
        # a DSN in the environment, which click's own order could not say.
        option("--dsn", env=False, metavar="DSN", help="The broker; GATOR_DSN has it otherwise."),
        option(
            "--dsn-file",
            env=False,
            metavar="FILE",
            shell_complete=files,
            help="A file with the DSN in it.",
        ),
        # Read by the library, which tasks that push others use as well.
        option(
            "--secret-file",
            env=False,
            metavar="FILE",
            shell_complete=files,
            help="Secrets that sign and verify tasks, one a line; GATOR_SECRET_FILE names it "
            "otherwise.",
        ),
        option("--json", is_flag=True, help="One JSON object a line; errors too."),
        option(
            "--format",
            type=output_format,
            metavar="FORMAT",
            shell_complete=formats,
            help="json, tsv, csv, table, or any format that tabulate knows.",
        ),
        option(
            "--fields",
            type=field_names,
            metavar="A,B",
            shell_complete=fields,
            help="Only these, in this order.",
        ),
        option("--quiet", is_flag=True, help="Only ids, and no messages but errors."),
        option("--color/--no-color", help="Colours, whatever the terminal."),
        option("--debug", is_flag=True, help="A traceback with an error."),
    ]


def _name_variable(command: str, option: click.Option) -> None:
    """Have an option's variable named as the option is. Click would go by the parameter's name in
    the code, and then GATOR_WORKER_QUEUE would be no more than a word in the environment."""
    long = next(name for name in option.opts if name.startswith("--"))
    option.envvar = f"GATOR_{command}_{long[2:]}".replace("-", "_").upper()
    option.allow_from_autoenv = False


def without_variable(option: click.Option | None) -> click.Option | None:
    """Have no variable turn every command into a request for help."""
    if option is not None:
        option.allow_from_autoenv = False
    return option


class Command(click.Command):
    """A command with the global options, whose help opens with examples."""

    #: So that click leaves it to `parse_args` to refuse them with a hint.
    allow_extra_args = True

    def __init__(
        self,
        *args: Any,
        examples: str = "",
        fields: Sequence[str] = (),
        fields_with: Callable[[Mapping[str, Any]], Sequence[str]] | None = None,
        formats: Sequence[str] = (),
        surplus: str = "",
        elsewhere: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Make a command; what is not named here is click's.

        Args:
            fields: what --fields takes; () where the output has none.
            fields_with: what it takes instead, by the values of the options.
            formats: what --format takes here and elsewhere does not.
            surplus: what to do instead of giving one argument too many.
            elsewhere: options that other queues have, and what they are called here.
        """
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.fields = fields
        self.fields_with = fields_with
        self.formats = formats
        self.surplus = surplus
        self.elsewhere = elsewhere or {}
        self.globals = global_options(of_group=False)
        for param in self.params:
            if isinstance(param, click.Option):
                _name_variable(str(self.name), param)
            if isinstance(param.type, click.IntRange):
                param.type = WholeNumber.of(param.type)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            self._refuse_second_queue(ctx, args)
            left = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            wrong = error.option_name
            if wrong not in self.elsewhere:
                raise
            message = f"No such option {wrong!r}. Did you mean {self.elsewhere[wrong]!r}?"
            raise click.UsageError(message, ctx) from error
        except click.BadOptionUsage as error:
            error.ctx = (
                error.ctx or ctx
            )  # click's parser leaves it out: which command's help helps?
            raise
        if left and not ctx.resilient_parsing:
            ctx.fail(f"unexpected argument {left[0]!r}. {self.surplus}".rstrip())
        return left

    def _refuse_second_queue(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse a second -q where there can be one: click would go by the last without a word."""
        if ctx.resilient_parsing:
            return
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for param in self.params:
            if "-q" in param.opts and not param.multiple and given.count(param) > 1:
                every = any("--all-queues" in other.opts for other in self.params)
                instead = ", or use --all-queues" if every else ""
                ctx.fail(f"-q is given twice; name one queue at a time{instead}")

    def fields_of(self, ctx: click.Context) -> Sequence[str]:
        """Return what --fields takes beside the other options that were given."""
        return self.fields_with(ctx.params) if self.fields_with else self.fields

    def invoke(self, ctx: click.Context) -> Any:
        # Found only when something is printed, a wrong field would be told with the work done.
        ctx.invoke(ctx.ensure_object(Session).out.check, self.fields_of(ctx), self.formats)
        return super().invoke(ctx)

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem[str]]:
        """Offer options, and behind the letter of one, as in -qma, its values."""
        letter, begun = incomplete[:2], incomplete[2:]
        for param in self.get_params(ctx):
            if begun and letter in param.opts and not getattr(param, "is_flag", False):
                found = param.shell_complete(ctx, begun)
                return [type(item)(letter + item.value) for item in found if item.type == "plain"]
        return super().shell_complete(ctx, incomplete)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *self.globals]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return without_variable(super().get_help_option(ctx))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        write_examples(self.examples, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options("Options", super().get_params(ctx), ctx, formatter)
        if self.fields:
            with formatter.section("Fields"):
                formatter.write_text(", ".join(self.fields))
        write_options("Global options", self.globals, ctx, formatter)


def write_examples(examples: str, formatter: click.HelpFormatter) -> None:
    """Write example command lines as they are, without wrapping."""
    with formatter.section("Examples"):
        for line in examples.strip().splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


def write_options(
    title: str,
    params: Sequence[click.Parameter],
    ctx: click.Context,
    formatter: click.HelpFormatter,
) -> None:
    """Write a section of options, unless it has none."""
    # Newer clicks have a help record for arguments too, an empty one.
    options = [param for param in params if isinstance(param, click.Option)]
    rows = [row for param in options if (row := param.get_help_record(ctx)) is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)
