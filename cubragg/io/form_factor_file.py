"""Reads and writes tables of two columns: sin(theta)/lambda [1/A] and the structure factor of a molecule."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np

from cubragg.bounds import Range
from cubragg.errors import FormatError
from cubragg.io.files.atomic import atomic_path
from cubragg.io.files.text import data_lines, number, read_text

#: Quantity of the first column: sin(theta)/lambda, four times that, or Q = 4 pi sin(theta)/lambda.
Abscissa = Literal["stol", "4stol", "Q"]
_SCALES: dict[Abscissa, float] = {"stol": 1.0, "4stol": 0.25, "Q": 1.0 / (4.0 * math.pi)}
#: Accepted abscissae, of any definition, and the difference [1/A] of two that are the same.
_STOL, _SAME = Range(0.0, 1e4), 1e-9
_HUGE = 1e6


def read_form_factor(path: Path | str, abscissa: Abscissa = "stol", quantity: str = "F") -> np.ndarray:
    """Return rows of sin(theta)/lambda [1/A] and F, float64 [n, 2], sorted by the first column.

    Columns after the second are ignored, as in nonBragg. ``quantity`` names the second column in messages.

    Raises
    ------
    FormatError
        If there are less than two lines, a line is not two numbers, or two lines have the same abscissa.
    OSError
        If the file cannot be read.
    """
    rows = []
    for line_number, columns in data_lines(read_text(path)):
        where = f"{path}:{line_number}"
        if len(columns) < 2:
            raise FormatError(f"{where}: got {len(columns)} column; sin(theta)/lambda and {quantity} are accepted")
        stol, factor = (number(where, name, token) for name, token in zip(("sin(theta)/lambda", quantity), columns,
                                                                          strict=False))
        if stol not in _STOL or abs(factor) > _HUGE:
            raise FormatError(f"{where}: got {columns[0]} {columns[1]}; sin(theta)/lambda must be {_STOL} and "
                              f"{quantity} at most {_HUGE:g} in magnitude")
        rows.append((stol * _SCALES[abscissa], factor))
    if len(rows) < 2:
        raise FormatError(f"{path}: got {len(rows)} lines; a table needs at least two lines of sin(theta)/lambda "
                          f"and {quantity}")
    table = np.array(sorted(rows))
    same = np.flatnonzero(np.diff(table[:, 0]) <= _SAME)
    if len(same):
        raise FormatError(f"{path}: got {table[same[0], 0]:g} twice; each sin(theta)/lambda must be there once")
    return table


def write_form_factor(path: Path | str, columns: dict[str, np.ndarray], comments: tuple[str, ...]) -> None:
    """Write columns of numbers below comments and a line with their names; the file is written whole or not at all."""
    lines = [f"# {comment}" for comment in (*comments, " ".join(columns))]
    lines += [" ".join(f"{value:.8g}" for value in row) for row in zip(*columns.values(), strict=True)]
    with atomic_path(path) as temporary:
        Path(temporary).write_text("\n".join(lines) + "\n", encoding="utf-8")
