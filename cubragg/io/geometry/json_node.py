"""Objects of a JSON file, whose values are read with their path in the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cubragg.bounds import LARGEST
from cubragg.crystallography.vectors import Vector
from cubragg.errors import FormatError


class JsonNode:
    """An object of a file, and its path for messages; wrong values are a `FormatError`."""

    def __init__(self, where: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where}: got {_short(value)}; it must be an object")
        self.where, self._table = where, value

    def __contains__(self, key: str) -> bool:
        return self._table.get(key) is not None

    def get(self, key: str) -> Any:
        if key not in self:
            raise FormatError(f"{self.where}: there is no {key}")
        return self._table[key]

    def node(self, key: str) -> JsonNode:
        return JsonNode(f"{self.where}.{key}", self.get(key))

    def nodes(self, key: str) -> list[JsonNode]:
        return [JsonNode(f"{self.where}.{key}[{i}]", entry) for i, entry in enumerate(listed(self.where, key,
                                                                                          self.get(key)))]

    def numbers(self, key: str, count: int | None = None, largest: float = LARGEST) -> tuple[float, ...]:
        values = listed(self.where, key, self.get(key))
        return _numbers(f"{self.where}.{key}", values, count, largest)

    def vector(self, key: str) -> Vector:
        x, y, z = self.numbers(key, 3)
        return (x, y, z)

    def number(self, key: str, default: float | None = None) -> float:
        if default is not None and key not in self:
            return default
        return _numbers(f"{self.where}.{key}", [self.get(key)], 1)[0]

    def rows(self, key: str, count: int) -> list[tuple[float, ...]]:
        """Return the lists of ``count`` numbers of a key; empty if there is no such key."""
        if key not in self:
            return []
        return [_numbers(f"{self.where}.{key}[{i}]", listed(f"{self.where}.{key}", str(i), row), count)
                for i, row in enumerate(listed(self.where, key, self.get(key)))]

    def text(self, key: str) -> str:
        return str(self._table.get(key) or "")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def listed(where: str, key: str, value: Any) -> list[Any]:
    """Return a value that must be a list; ``where`` and ``key`` name it in the message."""
    if not isinstance(value, list):
        raise FormatError(f"{where}.{key}: got {_short(value)}; it must be a list")
    return value


def _numbers(where: str, values: Sequence[Any], count: int | None, largest: float = LARGEST) -> tuple[float, ...]:
    if count is not None and len(values) != count:
        raise FormatError(f"{where}: got {len(values)} numbers; it needs {count}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= largest:
            raise FormatError(f"{where}: got {_short(value)}; it must be a finite number of a magnitude up to "
                              f"{largest:g}")
    return tuple(float(value) for value in values)
