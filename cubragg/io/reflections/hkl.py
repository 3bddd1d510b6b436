"""Reads and writes text lists of reflections, lines of h k l F (``-hkl``)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.symmetry import IndexBox
from cubragg.errors import FormatError
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.compression import unpacked
from cubragg.io.files.text import text_of
from cubragg.io.reflections.reflection_lines import reflection_rows

#: Rows that are written at once; their Python objects take ten times the memory of their text.
_BLOCK_ROWS = 1 << 17
#: Up to this number of box points per reflection, marking the box is faster than sorting the rows.
_BOX_POINTS = 64


class HklList(NamedTuple):
    """Reflections in file order.

    ``hkl`` int32 [n, 3], ``amplitudes`` float64 [n] [electrons]; ``duplicates`` is the number of rows
    that repeat earlier indices, ``first_duplicate`` the first of these (``"1 0 -2"``).
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
        If the file is not text, or a line is malformed (`reflection_rows`).
    OSError
        If the file cannot be read.
    """
    hkl, values = reflection_rows(path, text_of(path, unpacked(path)), ("F",))
    again = _repeated(hkl)
    first = " ".join(str(index) for index in hkl[again.min()]) if again.size else None
    return HklList(hkl, values[:, 0], len(again), first)


def _repeated(hkl: np.ndarray) -> np.ndarray:
    """Numbers of the rows whose indices occur in an earlier row."""
    box = IndexBox.of(hkl)
    if box.size <= _BOX_POINTS * len(hkl):
        seen = np.zeros(box.size, dtype=np.bool_)
        seen[box.keys(hkl)] = True
        if np.count_nonzero(seen) == len(hkl):
            return np.empty(0, dtype=np.intp)
    # lexsort is stable: of equal rows the first in the file comes first.
    order = np.lexsort(hkl.T)
    ordered = hkl[order]
    return order[1:][(ordered[1:] == ordered[:-1]).all(axis=1)]


def write_hkl(path: Path | str, hkl: np.ndarray, amplitudes: np.ndarray) -> None:
    """Write indices [n, 3] and amplitudes [n] [electrons]; `read_hkl` returns the same bits.

    Raises
    ------
    FormatError
        If the shapes of the arrays do not match, or an amplitude is not finite.
    OSError
        If the file cannot be written.
    """
    if hkl.ndim != 2 or hkl.shape[1] != 3 or hkl.dtype.kind not in "iu" or amplitudes.shape != hkl.shape[:1]:
        raise FormatError(f"{path}: got {hkl.dtype} indices of shape {hkl.shape} and amplitudes of shape "
                          f"{amplitudes.shape}; a list needs whole numbers [n, 3] and [n]")
    if not np.isfinite(amplitudes).all():
        raise FormatError(f"{path}: got NaN or inf; amplitudes must be finite")
    write_bytes(path, *(_lines(hkl[start:start + _BLOCK_ROWS], amplitudes[start:start + _BLOCK_ROWS])
                        for start in range(0, len(hkl), _BLOCK_ROWS)))


def _lines(hkl: np.ndarray, amplitudes: np.ndarray) -> bytes:
    # str of a float is the shortest text that reads back as the same number.
    return "".join([f"{h} {k} {l_} {amplitude}\n" for (h, k, l_), amplitude
                    in zip(hkl.tolist(), amplitudes.astype(np.float64).tolist(), strict=True)]).encode("ascii")
