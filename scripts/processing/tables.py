"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown with aligned columns."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def edges_of_equal_counts(values: np.ndarray, count: int) -> list[float]:
    """The edges of ``count`` classes with equal numbers of values; the last is above the largest."""
    edges = np.quantile(values, np.linspace(0.0, 1.0, count + 1))
    edges[-1] = np.nextafter(edges[-1], np.inf)
    return [float(edge) for edge in edges]
