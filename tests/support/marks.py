"""Marks on some of the values of a parametrization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_after(quick: int, values: Iterable[Any]) -> list[Any]:
    """Return the values as parameters, those after the first ``quick`` with the mark slow."""
    return [value if place < quick else pytest.param(value, marks=pytest.mark.slow)
            for place, value in enumerate(values)]
