"""Selects the column of amplitudes or intensities of a reflection file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.cell import Cell
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import FormatError
from cubragg.io.reflections.reflection_lines import MAX_INDEX

_CALCULATED = re.compile(r"f?calc|fmodel|fc($|all)")
#: Refmac's and Phenix's amplitudes that include bulk solvent; their FC and FCALC are of the atoms only.
_WITH_SOLVENT = re.compile(r"fcall|fmodel")
#: Map coefficients, which are not amplitudes of the crystal.
_MAPS = re.compile(r"wt$|2?fofc|del|^fan|anom|diff")


class Column(NamedTuple):
    """A column of amplitudes or intensities, or a pair of them for h and -h."""

    names: tuple[str, ...]
    intensities: bool

    @property
    def rank(self) -> tuple[int, bool, bool, bool]:
        """Order of preference, the lowest first.

        Calculated amplitudes come first, since they are complete and on the absolute scale, those with bulk solvent
        before those without; pairs are preferred to means because they keep Bijvoet differences.
        """
        name = re.sub("[^a-z0-9]", "", self.names[0].lower())
        calculated = bool(_CALCULATED.search(name)) and not self.intensities
        return (0 if calculated else 2 if _MAPS.search(name) else 1, calculated and not _WITH_SOLVENT.search(name),
                self.intensities, len(self.names) == 1)

    def __str__(self) -> str:
        return ", ".join(self.names)


class Listed(NamedTuple):
    """The reflections of a file before merging.

    ``hkl`` int32 [n, 3] and ``values`` float64 [n] of ``column``, which are intensities if ``intensities`` is true;
    rows without a value are left out and values for -h are rows of their own. ``others``: other columns that can be
    selected. ``warnings``: sentences about how the file was read.
    """

    hkl: np.ndarray
    values: np.ndarray
    intensities: bool
    column: Column
    others: tuple[str, ...]
    cell: Cell
    symmetry: Symmetry
    warnings: tuple[str, ...] = ()


def select_column(path: Path | str, offered: Sequence[Column], wanted: str | None) -> tuple[Column, tuple[str, ...]]:
    """Select the column ``wanted``, or the preferred one for ``None``; returns it and the names of the others.

    Raises
    ------
    FormatError
        If the file has no column ``wanted`` (the message lists the accepted ones), or none of any name.
    """
    if not offered:
        raise FormatError(f"{path}: contains no column of amplitudes or intensities")
    names = [name for column in offered for name in column.names]
    if wanted is None:
        selected = min(offered, key=lambda column: column.rank)
    else:
        found = [column for column in offered if wanted in column.names]
        if not found:
            raise FormatError(f"--column: got {wanted!r}; {path} contains {', '.join(names)}")
        selected = found[0]
    return selected, tuple(name for name in names if name not in selected.names)


def without_misfits(values: np.ndarray, sigmas: np.ndarray | None) -> tuple[np.ndarray, int]:
    """Values float64 [n] with NaN where the sigma is negative, and the number of such values.

    XDS marks misfits in this way, and scalepack values that were not measured.
    """
    if sigmas is None:
        return values, 0
    misfits = np.isfinite(values) & (sigmas < 0.0)
    return np.where(misfits, np.nan, values), int(np.count_nonzero(misfits))


def left_out(count: int, reason: str) -> tuple[str, ...]:
    """The sentence that values were left out, or nothing for none."""
    return (f"{count} value{'s' * (count > 1)} {'are' if count > 1 else 'is'} left out: {reason}",) if count else ()


NEGATIVE_SIGMA = "the sigma is negative, which marks misfits"


def whole_indices(where: Path | str, rows: np.ndarray) -> np.ndarray:
    """Indices float64 [n, 3] as int32.

    Raises
    ------
    FormatError
        If one is not a whole number, or is beyond `MAX_INDEX`.
    """
    if not (rows == np.rint(rows)).all() or not (np.abs(rows) <= MAX_INDEX).all():  # NaN is neither
        raise FormatError(f"{where}: got an index that is not a whole number, or beyond {MAX_INDEX}; the file is "
                          "damaged")
    return rows.astype(np.int32)


def signed_rows(hkl: np.ndarray, values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Indices int32 [m, 3] and values float64 [m] of the rows with a value.

    ``values`` is one column [n], or a pair of columns for h and -h.
    """
    both = np.concatenate([hkl if number == 0 else -hkl for number in range(len(values))]).astype(np.int32)
    numbers = np.concatenate(values).astype(np.float64)
    known = np.isfinite(numbers)
    return both[known], numbers[known]
