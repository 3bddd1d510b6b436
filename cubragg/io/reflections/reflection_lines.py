"""Parses text with one reflection a line: h k l and numbers, as in ``-hkl`` lists and XDS files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cubragg.bounds import LARGEST
from cubragg.errors import FormatError
from cubragg.io.files.text import data_lines, number

MAX_INDEX = 2**30
#: Characters that are parsed at once; only a block with an error is parsed again line by line.
_BLOCK_CHARACTERS = 2**19


def reflection_rows(path: Path | str, text: str, values: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Indices int32 [n, 3] and the numbers float64 [n, c] that follow them, of every line that is not blank.

    Columns are separated by blanks or commas; ``#`` and ``!`` start a comment.

    Parameters
    ----------
    path
        Name of the file for errors.
    values
        Names of the c columns after h k l; further columns are skipped.

    Raises
    ------
    FormatError
        If a line has too few columns, text instead of a number, an index that is not whole or beyond 2^30, or a
        number that is not finite; or if there is no reflection.
    """
    names = ("h", "k", "l", *values)
    indices, numbers = [np.empty((0, 3), np.int32)], [np.empty((0, len(values)))]
    for start, block in _blocks(text):
        table = _table_at_once(block, len(names))
        if table is None:
            table = _table_by_line(path, block, text.count("\n", 0, start) + 1, names)
        indices.append(table[:, :3].astype(np.int32))
        # A view would keep the whole table in memory.
        numbers.append(table[:, 3:].copy())
    hkl = np.concatenate(indices)
    if not len(hkl):
        raise FormatError(f"{path}: contains no reflections; lines of {' '.join(names)} are accepted")
    return hkl, np.concatenate(numbers)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Blocks of whole lines, each with the position of its first character."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK_CHARACTERS) + 1 or len(text)
        yield start, text[start:end]
        start = end


def _table_at_once(block: str, columns: int) -> np.ndarray | None:
    """Table float64 [n, columns], or ``None`` if any line is malformed.

    NumPy's errors do not count lines without data, so the line number is found by `_table_by_line`.
    """
    if next(data_lines(block), None) is None:
        return np.empty((0, columns))
    try:
        table = np.loadtxt(block.replace(",", " ").replace("!", "#").split("\n"), usecols=range(columns), ndmin=2)
    except ValueError:
        return None
    indices = table[:, :3]
    # NaN fails the first comparison.
    right = (indices == np.rint(indices)).all() and (np.abs(indices) <= MAX_INDEX).all()
    return table if right and (np.abs(table[:, 3:]) <= LARGEST).all() else None


def _table_by_line(path: Path | str, block: str, first_line: int, names: Sequence[str]) -> np.ndarray:
    """The table of `_table_at_once`, read 50 times slower; raises an error with its line number."""
    return np.array([_reflection(f"{path}:{line_number}", names, words)
                     for line_number, words in data_lines(block, first_line)]).reshape(-1, len(names))


def _reflection(where: str, names: Sequence[str], words: Sequence[str]) -> list[float]:
    if len(words) < len(names):
        raise FormatError(f"{where}: got {len(words)} column{'s' * (len(words) != 1)}; a reflection needs "
                          f"{' '.join(names)}")
    numbers = [number(where, name, word) for name, word in zip(names, words, strict=False)]
    for name, index in zip("hkl", numbers, strict=False):
        if index != round(index):
            raise FormatError(f"{where}: got {index:g}; {name} must be a whole number")
        if abs(index) > MAX_INDEX:
            raise FormatError(f"{where}: got {index:.0f}; {name} must be {-MAX_INDEX} to {MAX_INDEX}")
    return numbers
