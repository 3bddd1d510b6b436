"""Parses JSON and TOML from files of others: trees that are too deep and numbers that are too long are errors."""

from __future__ import annotations

import json
import tomllib
from typing import Any

#: Deepest nesting of lists and tables; real files have less than 20 levels.
MAX_DEPTH = 100
#: Whole numbers of more digits are read as floating-point numbers.
_INTEGER_DIGITS = 18
_TOML_INTEGERS = range(-2**63, 2**63)


def json_document(text: str) -> Any:
    """Return the tree of a JSON text.

    Raises
    ------
    ValueError
        If it is not JSON (`json.JSONDecodeError`), or is nested too deeply.
    """
    try:
        tree = json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check(tree)
    return tree


def toml_document(text: str) -> dict[str, Any]:
    """Return the tree of a TOML text.

    Raises
    ------
    ValueError
        If it is not TOML, is nested too deeply, or has a whole number beyond 64 bits.
    """
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's limit on the digits of a whole number
        raise ValueError("a whole number is outside of 64 bits") from None
    _check(tree)
    return tree


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)


def _too_deep() -> str:
    return f"lists and tables are nested more than {MAX_DEPTH} deep"


def _check(tree: Any) -> None:
    """Check depth and whole numbers, without recursion."""
    level, depth = [tree], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(_too_deep())
        below: list[Any] = []
        for node in level:
            if isinstance(node, int) and node not in _TOML_INTEGERS:
                raise ValueError(f"the whole number {node} is outside of 64 bits")
            if isinstance(node, dict):
                below += node.values()
            elif isinstance(node, list):
                below += node
        level, depth = below, depth + 1
