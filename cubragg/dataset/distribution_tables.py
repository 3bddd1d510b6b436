"""Distributions in TOML tables, and in the words of a command line."""

from __future__ import annotations

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
#: Form of a distribution on the command line.
FORMS = ("normal:SIGMA, normal:MEAN,SIGMA, uniform:LOW,HIGH, lognormal:MEDIAN,SIGMA, gamma:MODES,MEAN, poisson:MEAN, "
         "choice:A,B, constant:X, of_shot:FORMULA, column:FILE:NAME, near:SIGMA, uniform, "
         "sase:BANDWIDTH,SPIKES,SPIKE; with :relative at the end")


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
        raise ConfigError(where, f"got {dict(table)!r:.80}; {names[0]} has other arguments, see specs/data-sets.md"
                          ) from None


def distribution_from_words(where: str, text: str) -> Distribution:
    """The distribution of a text such as ``normal:1.3,0.002`` or ``gamma:4:relative``.

    Raises
    ------
    ConfigError
        If the text describes none; ``where`` begins the message.
    """
    name, _, rest = text.partition(":")
    more: dict[str, Any] = {}
    if rest.endswith(":relative") or rest == "relative":
        rest, more["relative"] = rest.removesuffix("relative").removesuffix(":"), True
    words = [word for word in rest.split(",") if word]
    if name not in _LAWS or (not words and name not in ("uniform", "near")):
        raise ConfigError(where, f"got {text!r}; accepted are {FORMS}")
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
        return distribution_of(where, {name: given, **more})
    except ConfigError as error:
        raise ConfigError(where, f"got {text!r}; {error.what}") from None


def _number(word: str) -> Any:
    try:
        return int(word)
    except ValueError:
        try:
            return float(word)
        except ValueError:
            return word
