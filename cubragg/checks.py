"""Validates values of settings; each function returns the converted value or raises `ConfigError`."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from cubragg.bounds import LARGEST, SMALLEST, Range
from cubragg.errors import ConfigError

_INT64 = Range(-2**63, 2**63 - 1)


def _got(value: object, unit: str) -> str:
    shown = f"{value:g}" if isinstance(value, float) else f"{value}"
    return f"got {shown} {unit}".rstrip()


def number(where: str, name: str, value: object, unit: str = "", *, optional: bool = False,
           above: float | None = None, at_least: float | None = None, below: float | None = None,
           within: Range | None = None) -> float | None:
    """``value`` as a finite float, checked to be > ``above``, >= ``at_least``, < ``below`` and ``within`` a range.

    Its magnitude is at most `bounds.LARGEST`, and at least `bounds.SMALLEST` if it must be > 0.
    """
    if value is None and optional:
        return None
    try:
        # float() takes the text of a number, and true as 1.
        result = None if isinstance(value, str | bytes | bool) else float(value)  # type: ignore[arg-type]
    except OverflowError:
        result = math.inf
    except (TypeError, ValueError):
        result = None
    if result is None:
        raise ConfigError(where, f"got {value!r:.60}; {name} must be a number")
    if not math.isfinite(result):
        raise ConfigError(where, f"{_got(result, unit)}; {name} must be a finite number")
    if above is not None and not result > above:
        raise ConfigError(where, f"{_got(result, unit)}; {name} must be > {above:g} {unit}".rstrip())
    if at_least is not None and not result >= at_least:
        raise ConfigError(where, f"{_got(result, unit)}; {name} must be >= {at_least:g} {unit}".rstrip())
    if below is not None and not result < below:
        raise ConfigError(where, f"{_got(result, unit)}; {name} must be < {below:g} {unit}".rstrip())
    if within is not None and result not in within:
        raise ConfigError(where, f"{_got(result, unit)}; {name} must be {within} {unit}".rstrip())
    if abs(result) > LARGEST or (above == 0.0 and result < SMALLEST):
        raise ConfigError(where, f"{_got(result, unit)}; {name} must be of a magnitude "
                          f"{f'{SMALLEST:g} to ' if above == 0.0 else 'up to '}{LARGEST:g} {unit}".rstrip())
    return result


def integer(where: str, name: str, value: object, *, optional: bool = False, at_least: int | None = None,
            at_most: int | None = None) -> int | None:
    """``value`` as an int, checked to be >= ``at_least`` and <= ``at_most``."""
    if value is None and optional:
        return None
    try:
        result = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        result = None
    if result is None:
        raise ConfigError(where, f"got {value!r:.60}; {name} must be a whole number")
    if result not in _INT64:
        raise ConfigError(where, f"got a number of {result.bit_length()} bits; {name} must have at most 64")
    if at_least is not None and result < at_least:
        raise ConfigError(where, f"got {result}; {name} must be >= {at_least}")
    if at_most is not None and result > at_most:
        raise ConfigError(where, f"got {result}; {name} must be <= {at_most}")
    return result


def vector(where: str, name: str, value: Sequence[float] | None, unit: str = "", *, length: int = 3,
           optional: bool = False, nonzero: bool = False, within: Range | None = None) -> tuple[float, ...] | None:
    """``value`` as a tuple of ``length`` finite floats, each ``within`` a range."""
    if value is None and optional:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigError(where, f"got {value!r:.60}; {name} needs {length} numbers")
    values = tuple(value)
    if len(values) != length:
        raise ConfigError(where, f"got {len(values)} numbers; {name} needs {length}")
    result = tuple(number(where, name, component, unit, within=within) for component in values)
    if nonzero and not any(result):
        raise ConfigError(where, f"got a zero vector; {name} must have a direction")
    return result  # type: ignore[return-value]


def matrix(where: str, name: str, value: Sequence[Sequence[float]], unit: str = ""
           ) -> tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]:
    """``value`` as a 3 x 3 matrix of finite floats, row by row."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3 or not all(
            isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 3 for row in value):
        raise ConfigError(where, f"got {value!r:.60}; {name} needs 3 rows of 3 numbers")
    return tuple(vector(where, name, row, unit) for row in value)  # type: ignore[return-value]


def choice(where: str, name: str, value: str, accepted: Sequence[str]) -> str:
    """``value`` if it is one of the ``accepted`` words."""
    if value not in accepted:
        raise ConfigError(where, f"got {value!r:.60}; {name} must be one of {', '.join(accepted)}")
    return value


def switch(where: str, value: object, *, optional: bool = False) -> None:
    """Check that ``value`` is True or False: a text such as 'no' would count as True."""
    if not isinstance(value, bool) and not (value is None and optional):
        raise ConfigError(where, f"got {value!r:.60}; True or False is accepted")


def instances(where: str, value: object, kind: type) -> None:
    """Check that ``value`` is a tuple of objects of a public class."""
    if not isinstance(value, tuple) or not all(isinstance(one, kind) for one in value):
        raise ConfigError(where, f"got {value!r:.60}; a list of cubragg.{kind.__name__} is accepted")


def plain_fields(instance: object, arrays: tuple[str, ...] = ()) -> None:
    """Replace NumPy arrays, NumPy scalars and lists in the fields of a dataclass by tuples and Python numbers.

    So a cell given as an array compares, hashes and is written to TOML like one given as a tuple. Fields named in
    ``arrays`` stay as they are.
    """
    for name, value in list(vars(instance).items()):
        if name not in arrays:
            plain = _plain(value)
            if plain is not value:
                object.__setattr__(instance, name, plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if type(value) not in (list, tuple):
        return value
    parts = tuple(_plain(part) for part in value)
    same = type(value) is tuple and all(a is b for a, b in zip(parts, value, strict=True))
    return value if same else parts


def known(table: Mapping[str, Any], accepted: Sequence[str], prefix: str) -> None:
    """Check that a table has no other settings than those that are accepted; ``prefix`` precedes their names, after the
    file (``a.toml: beam.``) if there is one."""
    for key in table:
        if key not in accepted:
            near = difflib.get_close_matches(key, accepted, n=1)
            within = prefix.rpartition(": ")[2]
            hint = f"did you mean {within}{near[0]}?" if near else f"accepted are {', '.join(accepted)}"
            raise ConfigError(f"{prefix}{key}", f"no such setting; {hint}")
