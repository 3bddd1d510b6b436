"""Define a flag of ``simulate``: spellings, values, unit, default, help text and the settings that it sets."""

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
        One line; empty where the flag shares the line of the one before it.
    kind
        ``switch``, ``number``, ``count`` (whole number), ``file``, ``name`` or ``choice``.
    least, most
        Smallest and largest number of values.
    metavar
        Placeholder of its values in the help.
    unit
        Unit of its numbers.
    default
        As text for the help; empty where there is none.
    choices
        Values that a ``choice`` accepts.
    words
        Words accepted instead of the numbers, by their first letters (as nanoBragg's ``-misset rand``).
    fields
        The settings that each receive the value (``beam.wavelength_A``, ``crystal.cells[0]``). Sections besides
        those of an experiment: ``input``, ``output``, ``picture``, ``run``.
    value
        Value that a switch sets.
    also
        Further settings, with values, that the flag sets.
    pivot
        Pivot that the flag selects in the CUSTOM convention.
    c_program
        How a comparison with nanoBragg.c treats the flag: `HANDED_ON`, or `LEFT_OUT` because it only selects how to
        render or what to write; any other text is what to type instead of a flag that is refused.
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
        """Spelling used in help and messages."""
        return self.names[0]

    def accepted(self) -> str:
        """Describe the accepted values, as the end of an error message."""
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
    """Return a flag without a value."""
    return _flag("switch", names, help_, fields, settings)


def number(names: str, unit: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """Return a flag with a number in ``unit``."""
    defaults = {"least": 1, "most": 1, "unit": unit, "metavar": f"<{unit or 'x'}>"}
    return _flag("number", names, help_, fields, {**defaults, **settings})


def vector(names: str, unit: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """Return a flag with three numbers."""
    return number(names, unit, help_, *fields, **{"least": 3, "most": 3, "metavar": "<x y z>", **settings})


def count(names: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """Return a flag with a whole number."""
    return _flag("count", names, help_, fields, {"least": 1, "most": 1, "metavar": "<n>", **settings})


def file(names: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """Return a flag with the path of a file."""
    return _flag("file", names, help_, fields, {"least": 1, "most": 1, "metavar": "<file>", **settings})


def name(names: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """Return a flag with a name."""
    return _flag("name", names, help_, fields, {"least": 1, "most": 1, "metavar": "<name>", **settings})


def choice(names: str, choices: str, help_: str, *fields: str, **settings: Any) -> Flag:
    """Return a flag with one of ``choices``, which are separated by bars."""
    return _flag("choice", names, help_, fields, {"least": 1, "most": 1, "metavar": choices,
                                                  "choices": tuple(choices.split("|")), **settings})
