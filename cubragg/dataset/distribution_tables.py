"""Distributions in TOML tables, and in the words of a command line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from cubragg.dataset import distributions as laws
from cubragg.dataset.distribution_functions import near, sase, table
from cubragg.dataset.distributions import Distribution
from cubragg.errors import ConfigError

#: Name of a distribution -> function of what its table gives and of the rest of the table.
_LAWS: dict[str, Callable[[Any, dict[str, Any]], Distribution]] = {
    "constant": lambda given, rest: laws.Constant(_tuple(given), **rest),
    "uniform": lambda given, rest: laws.Uniform(*([] if given is True else given), **rest),
    "normal": lambda given, rest: laws.Normal(*(reversed(given) if isinstance(given, list) else [given]), **rest),
    "lognormal": lambda given, rest: laws.LogNormal(*given, **rest),
    "gamma": lambda given, rest: laws.Gamma(**given, **rest),
    "choice": lambda given, rest: laws.Choice(tuple(map(_tuple, given)), _tuple(rest.pop("weights", None)), **rest),
    "poisson": lambda given, rest: laws.Poisson(given, **rest),
    "of_shot": lambda given, rest: laws.OfShot(given, **rest),
    "column": lambda given, rest: table(given, **rest),
    "sase": lambda given, rest: sase(**given, **rest),
    "near": lambda given, rest: near(None if given is True else given, **rest),
}
#: Forms of each distribution in TOML, and on the command line.
_FORMS = {
    "constant": ("{constant = 1}", "constant:X"),
    "uniform": ("{uniform = [0, 1]} or {uniform = true}", "uniform:LOW,HIGH or uniform"),
    "normal": ("{normal = 0.002} or {normal = [1.3, 0.002]}", "normal:SIGMA or normal:MEAN,SIGMA"),
    "lognormal": ("{lognormal = [0.005, 0.5]}", "lognormal:MEDIAN,SIGMA"),
    "gamma": ("{gamma = {modes = 4, mean = 1e24}}", "gamma:MODES or gamma:MODES,MEAN"),
    "choice": ("{choice = [1, 2], weights = [3, 1]}", "choice:A,B"),
    "poisson": ("{poisson = 1.2}", "poisson:MEAN"),
    "of_shot": ('{of_shot = "exp(-0.001 * i)"}', "of_shot:FORMULA"),
    "column": ('{column = "FILE.csv:NAME"}', "column:FILE:NAME"),
    "sase": ("{sase = {bandwidth = 0.002, spikes = 15, spike = 2e-4}}", "sase:BANDWIDTH,SPIKES,SPIKE"),
    "near": ("{near = true, sigma_deg = 2}", "near:SIGMA"),
}


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def distribution_of(where: str, table: Any) -> Distribution:
    """The distribution of a TOML table such as ``{normal = [1.3, 0.002]}``.

    Raises
    ------
    ConfigError
        If the table describes none; ``where`` begins the message.
    """
    names = [name for name in table if name in _LAWS] if isinstance(table, Mapping) else []
    if len(names) != 1:
        raise ConfigError(where, f"got {table!r:.80}; a table with one of {', '.join(_LAWS)} is accepted")
    rest = {key: value for key, value in table.items() if key != names[0]}
    try:
        return _LAWS[names[0]](table[names[0]], rest)
    except ConfigError as error:
        raise ConfigError(where, f"{error.where}: {error.what}") from None
    except TypeError:
        raise ConfigError(where, f"got {dict(table)!r:.80}; {_FORMS[names[0]][0]} is accepted") from None


def distribution_from_words(where: str, text: str, other: str = "") -> Distribution:
    """The distribution of a text such as ``normal:1.3,0.002`` or ``gamma:4:relative``.

    Raises
    ------
    ConfigError
        If the text describes none; ``where`` begins the message, which names what ``other`` than distributions is
        accepted.
    """
    name, _, rest = text.partition(":")
    more: dict[str, Any] = {}
    if rest.endswith(":relative") or rest == "relative":
        rest, more["relative"] = rest.removesuffix("relative").removesuffix(":"), True
    words = [word for word in rest.split(",") if word]
    if name not in _LAWS:
        near = difflib.get_close_matches(name, _LAWS, n=1)
        accepted = ", ".join(form for _, form in _FORMS.values())
        raise ConfigError(where, f"got {text!r}; " + (f"did you mean {_FORMS[near[0]][1]}?" if near else
                                                      f"accepted are {other}{accepted}; with :relative at the end"))
    if not words and name not in ("uniform", "near"):
        raise ConfigError(where, f"got {text!r}; {_FORMS[name][1]} is accepted")
    values: list[Any] = [_number(word) for word in words]
    given: Any
    if name in ("of_shot", "column"):
        given = rest
    elif name == "gamma":
        given = dict(zip(("modes", "mean"), values, strict=False))
    elif name == "sase":
        given = dict(zip(("bandwidth", "spikes", "spike", "areas"), values, strict=False))
    elif name == "near":
        given, more["sigma_deg"] = (values[1:] or True), values[0] if values else None
    elif name in ("uniform", "choice", "lognormal"):
        given = values or True
    else:
        given = values[0] if len(values) == 1 else values
    try:
        return _LAWS[name](given, more)
    except ConfigError as error:
        raise ConfigError(where, f"got {text!r}; {error.where}: {error.what}") from None
    except TypeError:
        raise ConfigError(where, f"got {text!r}; {_FORMS[name][1]} is accepted") from None


def _number(word: str) -> Any:
    try:
        return int(word)
    except ValueError:
        try:
            return float(word)
        except ValueError:
            return word
