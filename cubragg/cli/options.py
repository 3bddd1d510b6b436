"""Options of the commands beside simulate: as data, read in any order beside simulate's flags, and printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from cubragg.errors import ConfigError

_HELP_NAMES = ("-h", "-help", "--help")


class Option(NamedTuple):
    """An option of the command itself: how many values, of which kind, their names in the help, and what it does."""

    values: int
    convert: Callable[[str], Any]
    metavar: str
    help: str


def positive(word: str) -> float:
    """A number above 0."""
    value = float(word)
    if not 0.0 < value < float("inf"):
        raise ValueError
    return value


def coefficient(word: str) -> float:
    """A number from -1 to 1."""
    value = float(word)
    if not -1.0 <= value <= 1.0:
        raise ValueError
    return value


def pixels(word: str) -> int:
    """A whole number above 0."""
    value = int(word)
    if value < 1:
        raise ValueError
    return value


_ACCEPTED = {str: "a name", coefficient: "a number from -1 to 1", int: "a whole number",
             pixels: "a whole number > 0", positive: "a number > 0", float: "a number"}


def split(args: Sequence[str], options: dict[str, Option]) -> tuple[dict[str, Any], list[str]]:
    """The command's own options with their values, and the rest of the line in its order.

    Raises
    ------
    ConfigError
        For a missing or malformed value.
    """
    found: dict[str, Any] = {}
    rest: list[str] = []
    place = 0
    while place < len(args):
        name, equals, attached = args[place].partition("=")
        place += 1
        option = options.get(name)
        if option is None or (equals and option.values != 1):
            rest.append(args[place - 1])
            continue
        words = [attached] if equals else list(args[place:place + option.values])
        place += 0 if equals else option.values
        if len(words) < option.values:
            raise ConfigError(name, f"got {len(words)} of {option.values} values; {option.metavar} is accepted")
        values = [_converted(name, option, word) for word in words]
        found[name] = values if option.values > 1 else values[0] if values else True
    return found, rest


def _converted(name: str, option: Option, word: str) -> Any:
    try:
        return option.convert(word)
    except ValueError:
        raise ConfigError(name, f"got {word!r}; {_ACCEPTED[option.convert]} is accepted") from None


class RequestCommand(click.Command):
    """A command that reads its line by a function of its own in place of Click's parser.

    Attributes
    ----------
    parse
        From the words of the line to the request, the callback's one argument.
    usage, intro, options, notes
        What its help says.
    fault
        Exit status of a line without words.
    """

    def __init__(self, *args: Any, parse: Callable[[Sequence[str]], Any], usage: str, intro: str,
                 options: dict[str, Option], notes: Sequence[str], fault: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parse, self._usage, self._fault = parse, usage, fault
        self._intro, self._options, self._notes = intro, options, notes

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Everything on the line goes into one parameter; help wins over faults."""
        if not args or any(name in args for name in _HELP_NAMES):
            click.echo(ctx.get_help(), err=not args, color=ctx.color)
            ctx.exit(0 if args else self._fault)
        ctx.params["request"] = self._parse(args)
        ctx.args = []
        return []

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Usage, options, notes."""
        formatter.write_usage(ctx.command_path, self._usage)
        formatter.write_paragraph()
        formatter.write_text(self._intro)
        with formatter.section("Options"):
            formatter.write_dl([(f"{name} {option.metavar}".rstrip(), option.help)
                                for name, option in self._options.items()])
        with formatter.section("Notes"):
            for note in self._notes:
                formatter.write_text(note)
