"""Reflection lists: the file of ``-hkl``, lines of h k l F."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.errors import FormatError
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.compression import unpacked
from cubragg.io.files.decimals import leading_columns
from cubragg.io.files.text import data_lines, number, text_of

MAX_INDEX = 2**30
_BLOCK_BYTES = 2**19
#: A box of so many points for each reflection is faster to mark than rows are to sort.
_BOX_POINTS = 64


class HklList(NamedTuple):
    """Reflections in file order.

    ``hkl`` int32 [n, 3], ``amplitudes`` float64 [n] in electrons; how many of
    them repeat earlier indices, and the first that does (``"1 0 -2"``).
    """

    hkl: np.ndarray
    amplitudes: np.ndarray
    duplicates: int
    first_duplicate: str | None


def read_hkl(path: Path | str) -> HklList:
    """Read ``h k l F`` a line; further columns (sigma, phase), blank lines and comments are skipped.

    Raises
    ------
    FormatError
        If a line has fewer columns, text for a number, an index that is not whole
        or beyond 2^30, or an amplitude that is not finite; or if there is no line.
    OSError
        If the file cannot be read.
    """
    data = unpacked(path)
    if not data.isascii() or b"\r" in data or b"\0" in data:
        data = text_of(path, data).encode("utf-8")
    tables = []
    for start, block in _blocks(data):
        table = _table_at_once(block)
        if table is None:
            table = _table_by_line(path, block.decode("utf-8"), data.count(b"\n", 0, start) + 1)
        if len(table):
            # A view would keep the table.
            tables.append((table[:, :3].astype(np.int32, order="C"), table[:, 3].copy()))
    if not tables:
        raise FormatError(f"{path}: no reflections; a list needs lines of h k l F")
    hkl, amplitudes = (np.concatenate(column) for column in zip(*tables, strict=True))
    again = _repeated(hkl)
    first = " ".join(str(index) for index in hkl[again.min()]) if again.size else None
    return HklList(hkl, amplitudes, len(again), first)


def _blocks(text: bytes) -> Iterator[tuple[int, bytes]]:
    """The text in pieces of whole lines and where they start: a wrong line need only be looked for in its piece."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + _BLOCK_BYTES) + 1 or len(text)
        yield start, text[start:end]
        start = end


def _table_at_once(text: bytes) -> np.ndarray | None:
    """h, k, l, F float64 [n, 4], or ``None`` where anything is wrong: fast readers cannot name the line."""
    table = leading_columns(text, 4)
    if table is None:
        table = _loaded(text.decode("utf-8"))
    if table is None:
        return None
    indices = table[:, :3]
    # NaN fails the first comparison.
    right = (indices == np.rint(indices)).all() and (np.abs(indices) <= MAX_INDEX).all()
    return table if right and np.isfinite(table[:, 3]).all() else None


def _loaded(text: str) -> np.ndarray | None:
    """The table with comments, exponents and the like, 5 times slower than plain decimals."""
    if not next(data_lines(text), None):
        return None
    stream = io.StringIO(text.replace(",", " ").replace("!", "#"))
    try:
        return np.loadtxt(stream, usecols=(0, 1, 2, 3), comments="#", ndmin=2)
    except ValueError:
        return None


def _table_by_line(path: Path | str, text: str, first_line: int) -> np.ndarray:
    """What `_table_at_once` gives, 50 times slower, or the error with its line."""
    return np.array([_reflection(f"{path}:{line_number}", columns)
                     for line_number, columns in data_lines(text, first_line)]).reshape(-1, 4)


def _reflection(where: str, columns: list[str]) -> tuple[float, float, float, float]:
    if len(columns) < 4:
        raise FormatError(f"{where}: got {len(columns)} columns; a reflection needs h k l F")
    h, k, l_, amplitude = (number(where, name, token) for name, token in zip("hklF", columns, strict=False))
    for name, index in zip("hkl", (h, k, l_), strict=True):
        if index != round(index):
            raise FormatError(f"{where}: got {index:g}; {name} must be a whole number")
        if abs(index) > MAX_INDEX:
            raise FormatError(f"{where}: got {index:.0f}; {name} must be {-MAX_INDEX} to {MAX_INDEX}")
    return h, k, l_, amplitude


def _repeated(hkl: np.ndarray) -> np.ndarray:
    """Places of the rows that occurred before."""
    low = [int(column.min()) for column in hkl.T]
    sides = [int(column.max()) - least + 1 for column, least in zip(hkl.T, low, strict=True)]
    if math.prod(sides) <= _BOX_POINTS * len(hkl):
        place = np.zeros(len(hkl), dtype=np.int64)
        for column, least, side in zip(hkl.T, low, sides, strict=True):
            place *= side
            place += column
            place -= least
        seen = np.zeros(math.prod(sides), dtype=np.bool_)
        seen[place] = True
        if np.count_nonzero(seen) == len(hkl):
            return np.empty(0, dtype=np.intp)
    # lexsort is stable: of equal rows the first in the file comes first.
    order = np.lexsort(hkl.T)
    ordered = hkl[order]
    return order[1:][(ordered[1:] == ordered[:-1]).all(axis=1)]


def write_hkl(path: Path | str, hkl: np.ndarray, amplitudes: np.ndarray) -> None:
    """Write indices [n, 3] and amplitudes [n] [electrons]; `read_hkl` gives back the same bits.

    Raises
    ------
    FormatError
        If the arrays do not go together, or an amplitude is not finite.
    OSError
        If the file cannot be written.
    """
    if hkl.ndim != 2 or hkl.shape[1] != 3 or hkl.dtype.kind not in "iu" or amplitudes.shape != hkl.shape[:1]:
        raise FormatError(f"{path}: got {hkl.dtype} indices of shape {hkl.shape} and amplitudes of shape "
                          f"{amplitudes.shape}; a list needs whole numbers [n, 3] and [n]")
    if not np.isfinite(amplitudes).all():
        raise FormatError(f"{path}: got NaN or inf; amplitudes must be finite")
    # str of a float is the shortest text that reads back as the same number.
    lines = [f"{h} {k} {l_} {amplitude}\n" for (h, k, l_), amplitude
             in zip(hkl.tolist(), amplitudes.astype(np.float64).tolist(), strict=True)]
    write_bytes(path, "".join(lines).encode("ascii"))
