"""Base class of the commands: help anywhere on the line, errors that name the nearest option, option types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import click

from cubragg.cli.exit_errors import CommandLineError, given_twice, unknown_option

HELP_NAMES = ("-h", "-help", "--help")
#: Key in `click.Context.meta` of the whole line, a tuple of words.
WORDS = "cubragg.words"
#: Width of the first column of the help.
COLUMN = 30


class _HelpOption(click.Option):
    """Help option that is listed but not parsed: Click's parser would find ``-h`` inside ``-phi``."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Do nothing: `BaseCommand.parse_args` looks for the help options before Click parses the line."""


class BaseCommand(click.Command):
    """Command that prints its help for one of `HELP_NAMES` anywhere on the line, and for an empty line.

    Parameters
    ----------
    usage_error
        Raised for a line that cannot be parsed; its ``exit_code`` is also the status of an empty line.
    groups
        Titles of sections of the help, and the parameters that each lists; others are listed last.
    """

    def __init__(self, *args: Any, usage_error: type[click.ClickException] = CommandLineError,
                 groups: Mapping[str, Sequence[str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.usage_error, self.groups = usage_error, groups or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by group, all with the same width of the first column."""
        rows = {str(param.name): record for param in self.get_params(ctx)
                if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None}
        grouped = {name for names in self.groups.values() for name in names}
        rest = [name for name in rows if name not in grouped]
        for title, names in {**self.groups, "Other options" if self.groups else "Options": rest}.items():
            with formatter.section(title):
                formatter.write_dl([(rows[name][0].ljust(COLUMN), rows[name][1]) for name in names if name in rows],
                                   col_max=COLUMN)

    def get_help_option(self, ctx: click.Context) -> click.Option:
        """Return the help option, which is listed last."""
        return _HelpOption(HELP_NAMES, is_flag=True, expose_value=False, help="Show this message and exit.")

    def spellings(self) -> list[str]:
        """Return every spelling of the command's own options."""
        return [name for param in self.params if isinstance(param, click.Option) for name in param.opts]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help if it is requested, else parse the options with `read_line`."""
        if ctx.resilient_parsing:  # for the completion of a line in the shell
            ctx.meta[WORDS] = tuple(args)
            return super().parse_args(ctx, args)
        if not args or any(name in args for name in HELP_NAMES):
            click.echo(ctx.get_help(), err=not args, color=ctx.color)
            ctx.exit(0 if args else self.usage_error.exit_code)
        return self.read_line(ctx, args)

    def read_line(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the line with Click and return the words that are no options."""
        words = ctx.meta[WORDS] = tuple(args)  # a copy: Click consumes the list
        try:
            self._refuse_repetitions(ctx, list(words))
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            spellings = self.spellings()
            # For -lamda Click reports only -l.
            word = next((word for word in words
                         if word.startswith(error.option_name) and word.partition("=")[0] not in spellings),
                        error.option_name)
            raise self.usage_error(unknown_option(word, spellings, ctx.command_path)) from None
        except click.UsageError as error:
            raise self.usage_error(error.format_message()) from None


    def _refuse_repetitions(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse different values of one option, of which Click uses the last."""
        parser = self.make_parser(ctx)
        for option in (*parser._long_opt.values(), *parser._short_opt.values()):
            if option.action == "store":
                option.action = "append"
        values, _, _ = parser.parse_args(args)
        for param in self.params:
            given = values.get(param.name or "")
            if isinstance(param, click.Option) and not param.multiple and isinstance(given, list):
                other = next((one for one in given if one != given[0]), None)
                if other is not None:
                    texts = (" ".join(one) if isinstance(one, tuple) else str(one) for one in (given[0], other))
                    raise click.UsageError(f"{param.opts[0]}: {given_twice(*texts)}")


class PlainOption(click.Option):
    """Option whose errors have the value and what is accepted, as those of simulate's flags."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value as the type of the option."""
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter:
            accepted = _accepted(self.type)
            if not accepted:
                raise
            shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
            raise click.UsageError(f"{self.opts[0]}: got {shown!r}; {accepted}") from None


#: Decorator of options that are spelled as written.
option = partial(click.option, cls=PlainOption)


class FlagOption(PlainOption):
    """Option that is spelled with one dash or two, as simulate's flags are; help and errors show the first spelling."""

    def __init__(self, param_decls: Sequence[str], **attributes: Any) -> None:
        words = [name.lstrip("-") for name in param_decls if name.startswith("-")]
        both = [f"{dashes}{word}" for word in words if len(word) > 1 for dashes in ("-", "--")]
        super().__init__([*param_decls, *(name for name in both if name not in param_decls)], **attributes)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the line of the help, with the first spelling only."""
        record = super().get_help_record(ctx)
        return record and (f"{self.opts[0]} {self.metavar or ''}".rstrip(), record[1])

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the first spelling in quotes."""
        return repr(self.opts[0])


def _accepted(kind: click.ParamType) -> str:
    """Return what an option accepts; empty if its type has a message of its own."""
    if isinstance(kind, click.Choice):
        return f"accepted are {', '.join(map(str, kind.choices))}"
    number = "a whole number" if isinstance(kind, click.types.IntParamType) else "a number"
    if isinstance(kind, FiniteRange):
        number = "a finite number"
    if isinstance(kind, click.IntRange | click.FloatRange):
        words = (">" if kind.min_open else "from", kind.min), ("below" if kind.max_open else "to", kind.max)
        return " ".join([number, *(f"{word} {limit:g}" for word, limit in words if limit is not None), "is accepted"])
    plain = isinstance(kind, click.types.IntParamType | click.types.FloatParamType)
    return f"{number} is accepted" if plain else ""


class FiniteRange(click.FloatRange):
    """Number in a range; NaN and infinity are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
