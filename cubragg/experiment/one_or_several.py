"""Settings that are one number, or one for each axis."""

from __future__ import annotations

from cubragg import checks
from cubragg.errors import ConfigError


def several(value: float | tuple[float, ...], count: int = 3) -> tuple[float, ...]:
    """Return ``count`` numbers: a single number for all axes, or the given ones."""
    return value if isinstance(value, tuple) else (value,) * count


def checked(where: str, name: str, value: float | tuple[float, ...] | None, unit: str = "", *, length: int = 3,
            above: float | None = None, at_least: float | None = None, below: float | None = None) -> None:
    """Check an optional number, or ``length`` of them.

    Raises
    ------
    ConfigError
        If a number is not finite or out of range, or there are others than 1 or ``length`` of them.
    """
    if value is None:
        return
    if not isinstance(value, float | int):
        if not isinstance(value, tuple | list):
            raise ConfigError(where, f"got {value!r:.60}; {name} must be a number, or {length} numbers")
        if len(value) != length:
            raise ConfigError(where, f"got {len(value)} numbers; {name} needs 1 or {length}")
        checks.vector(where, name, value, unit, length=length)
    for number in several(value, length):
        checks.number(where, name, number, unit, above=above, at_least=at_least, below=below)
