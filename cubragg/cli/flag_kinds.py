"""What a flag of ``simulate`` is: spellings, values, unit, default, help and the setting it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Values of `Flag.c_program`.
HANDED_ON, LEFT_OUT = "handed on", "left out"


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes
    ----------
    names
        Spellings; the first is the one that help and messages use. Each is also read with one more dash.
    group
        Heading in the help.
    help
        One line; empty where the flag goes with the one before it.
    kind
        ``switch``, ``number``, ``count`` (whole number), ``file``, ``name`` or ``choice``.
    least, most
        How many values it takes.
    metavar
        Its values in the help.
    unit
        Unit of its numbers.
    default
        In words, for the help; empty where there is none.
    choices
        What a ``choice`` accepts.
    words
        Words accepted in place of the numbers, by their beginning (nanoBragg's ``-misset rand``).
    fields
        The settings that each receive the value (``beam.wavelength_A``, ``crystal.cells[0]``). Sections besides
        those of an experiment: ``input``, ``output``, ``picture``, ``run``.
    value
        What a switch sets.
    also
        Further settings that come with it.
    pivot
        The pivot that goes with it under the CUSTOM convention.
    c_program
        What a comparison with nanoBragg.c does with the flag: `HANDED_ON`, or `LEFT_OUT` because it only says how to
        render or what to write; any other text is what to type instead of a flag that it refuses.
    """

    names: tuple[str, ...]
    group: str
    help: str
    kind: str = "switch"
    least: int = 0
    most: int = 0
    metavar: str = ""
    unit: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    value: object = True
    also: tuple[tuple[str, object], ...] = ()
    pivot: str = ""
    c_program: str = ""

    @property
    def name(self) -> str:
        """The spelling that help and messages use."""
        return self.names[0]

    def accepted(self) -> str:
        """What it takes, as the end of an error message."""
        noun = {"number": "number", "count": "whole number", "file": "file name", "name": "name"}.get(self.kind, "")
        unit = f" of {self.unit}" if self.unit and "," not in self.unit else f" ({self.unit})" if self.unit else ""
        if self.kind == "choice":
            *others, last = self.choices
            return f"{', '.join(others)} or {last} is accepted"
        if self.most == 1:
            return f"a {noun}{unit} is accepted"
        amount = f"{self.most}" if self.least == self.most else f"{self.least} to {self.most}"
        words = "".join(f" or {word!r}" for word in self.words)
        return f"{amount} {noun}s{unit}{words} are accepted"


def _flag(kind: str, names: str, help_: str, fields: tuple[str, ...], settings: dict[str, Any]) -> Flag:
    return Flag(tuple(names.split()), "", help_, kind, fields=fields, **settings)


def switch(names: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """A flag without a value."""
    return _flag("switch", names, help_, fields, settings)


def number(names: str, unit: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """A flag with a number of ``unit``."""
    defaults = {"least": 1, "most": 1, "unit": unit, "metavar": f"<{unit or 'x'}>"}
    return _flag("number", names, help_, fields, {**defaults, **settings})


def vector(names: str, unit: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """A flag with three numbers."""
    return number(names, unit, help_, *fields, **{"least": 3, "most": 3, "metavar": "<x y z>", **settings})


def count(names: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """A flag with a whole number."""
    return _flag("count", names, help_, fields, {"least": 1, "most": 1, "metavar": "<n>", **settings})


def file(names: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """A flag with the path of a file."""
    return _flag("file", names, help_, fields, {"least": 1, "most": 1, "metavar": "<file>", **settings})


def name(names: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """A flag with a name."""
    return _flag("name", names, help_, fields, {"least": 1, "most": 1, "metavar": "<name>", **settings})


def choice(names: str, choices: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """A flag with one of ``choices``, which are separated by bars."""
    return _flag("choice", names, help_, fields, {"least": 1, "most": 1, "metavar": choices,
                                                  "choices": tuple(choices.split("|")), **settings})
