"""Parse nanoBragg's command line: flags with one dash, variable numbers of values, in their order.

Click reads single-dash long names as bundles of letters and does not keep the order of
repeated options, on which nanoBragg depends (``-N 5 -Na 3``), so `simulate` parses its
arguments here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from cubragg.cli.c_spellings import flag_within
from cubragg.cli.exit_errors import CommandLineError, given_twice, unknown_option
from cubragg.cli.flag_kinds import HANDED_ON
from cubragg.cli.flags import SPELLINGS, Flag
from cubragg.errors import ConfigError

_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_COUNT = re.compile(r"([+-]?\d+)(\.0*)?", re.ASCII)

#: Settings of the flag that may be given several times: --from.
MANY = ("input.models",)
#: Length of the longest whole number; Python converts at most 4300 digits.
_MOST_DIGITS = 40

Value = float | int | str


class Given(NamedTuple):
    """Flag as spelled on the command line, with its values."""

    flag: Flag
    spelling: str
    values: tuple[Value, ...]


def parse(args: Sequence[str], options: Collection[str] = ()) -> list[Given]:
    """Parse a command line into its flags, in their order.

    Parameters
    ----------
    args
        The words of the line.
    options
        Further options of the command, parsed elsewhere; suggestions for an unknown word include them.

    Raises
    ------
    CommandLineError
        For an unknown flag (the nearest one is named) or a value that belongs to no flag.
    ConfigError
        For a missing or malformed value; ``where`` is the flag as spelled.
    """
    given: list[Given] = []
    position = 0
    args = _with_equals_split(args)
    while position < len(args):
        token = args[position]
        position += 1
        flag = SPELLINGS.get(token) or flag_within(token)
        if flag is None:
            if token.startswith("-") and not _NUMBER.fullmatch(token):
                raise CommandLineError(unknown_option(token, [*options, *SPELLINGS], "cubragg simulate"))
            raise _unexpected(token, given[-1] if given else None)
        words = _values(flag, args, position)
        position += len(words)
        given.append(Given(flag, token, _converted(flag, token, words, args[position:position + 1])))
    _refuse_repetitions(given)
    return given


def _refuse_repetitions(given: Sequence[Given]) -> None:
    """Refuse different values of one flag that nanoBragg has not; of its own flags the last counts, as there."""
    values: dict[str, tuple[Value, ...]] = {}
    for flag, spelling, found in given:
        if flag.name.startswith("--") and flag.most and flag.c_program != HANDED_ON and flag.fields != MANY:
            first = values.setdefault(flag.name, found)
            if first != found:
                raise ConfigError(spelling, given_twice(_text(first), _text(found)))


def _text(values: Sequence[Value]) -> str:
    return " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values) or "no value"


def _with_equals_split(args: Sequence[str]) -> list[str]:
    """Split ``--flag=value`` into two arguments."""
    split: list[str] = []
    for token in args:
        name, equals, value = token.partition("=")
        if token.startswith("--") and equals and name in SPELLINGS:
            split += [name, value]
        else:
            split.append(token)
    return split


def _values(flag: Flag, args: Sequence[str], position: int) -> list[str]:
    """Return the arguments from ``position`` on that are values of ``flag``."""
    if position < len(args) and any(args[position].startswith(word[:4]) for word in flag.words):
        return [args[position]]
    words: list[str] = []
    for token in args[position:position + flag.most]:
        if token in SPELLINGS or (len(words) >= flag.least and not _NUMBER.fullmatch(token)):
            break
        words.append(token)
    return words


def _converted(flag: Flag, spelling: str, words: list[str], following: Sequence[str]) -> tuple[Value, ...]:
    if words and any(words[0].startswith(word[:4]) for word in flag.words):
        return (words[0],)
    if len(words) < flag.least:
        got = "no value" if not words else f"{len(words)} value{'s' if len(words) > 1 else ''}"
        raise ConfigError(spelling, f"got {got}; {flag.accepted()}")
    if len(words) < flag.most and following and not following[0].startswith("-"):
        raise ConfigError(spelling, f"got {following[0]!r}; {flag.accepted()}")
    return tuple(_value(flag, spelling, word) for word in words)


def _value(flag: Flag, spelling: str, word: str) -> Value:
    if flag.kind == "number" and _NUMBER.fullmatch(word):
        return float(word)
    if flag.kind == "count" and len(word) <= _MOST_DIGITS and (match := _COUNT.fullmatch(word)):
        return int(match[1])
    if (flag.kind in ("file", "name") and word) or word in flag.choices:
        return word
    raise ConfigError(spelling, f"got {word!r}; {flag.accepted()}")


def _unexpected(token: str, before: Given | None) -> CommandLineError:
    """Return the error for a word that is no flag and no value."""
    files = "a file follows the flag that reads it: -hkl reflections, --config an experiment, --from a geometry"
    if before is None:
        return CommandLineError(f"Unexpected argument {token!r}; {files}.")
    takes = {0: "no value", 1: "one value"}.get(before.flag.most, f"at most {before.flag.most} values")
    named = "." in token and Path(token).exists()
    model = f"; MODEL comes first, cubragg simulate {token}, and {files}" if named else ""
    return CommandLineError(f"Unexpected argument {token!r}; {before.spelling} before it takes {takes}{model}.")
