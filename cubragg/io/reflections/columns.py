"""Which column of a reflection file holds the amplitudes, and what a reader makes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.cell import Cell
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import FormatError

_CALCULATED = re.compile(r"f?calc|fmodel|fc($|all)")
#: Those with the bulk solvent in them, of Refmac and Phenix; beside them FC and FCALC are of the atoms alone.
_WITH_SOLVENT = re.compile(r"fcall|fmodel")
#: Coefficients of maps are no amplitudes of the crystal.
_MAPS = re.compile(r"wt$|2?fofc|del|^fan|anom|diff")


class Column(NamedTuple):
    """A column of amplitudes or intensities, or a pair of them for h and -h."""

    names: tuple[str, ...]
    intensities: bool

    @property
    def rank(self) -> tuple[int, bool, bool, bool]:
        """Order of preference, the lowest first.

        Calculated values are complete and on the absolute scale, and best of all with the bulk solvent; pairs keep
        Bijvoet differences.
        """
        name = re.sub("[^a-z0-9]", "", self.names[0].lower())
        calculated = bool(_CALCULATED.search(name)) and not self.intensities
        return (0 if calculated else 2 if _MAPS.search(name) else 1, calculated and not _WITH_SOLVENT.search(name),
                self.intensities, len(self.names) == 1)

    def __str__(self) -> str:
        return ", ".join(self.names)


class Listed(NamedTuple):
    """A reflection file as it stands.

    ``hkl`` int32 [n, 3] and ``values`` float64 [n], amplitudes or ``intensities``, what the column ``column`` holds;
    rows without a value are left out and values for -h stand as rows of their own. ``others``: further columns that
    would do. ``notices``: what else was taken.
    """

    hkl: np.ndarray
    values: np.ndarray
    intensities: bool
    column: Column
    others: tuple[str, ...]
    cell: Cell
    symmetry: Symmetry
    notices: tuple[str, ...] = ()


def choose(path: Path | str, offered: Sequence[Column], wanted: str | None) -> tuple[Column, tuple[str, ...]]:
    """The column that is wanted, else the best, and the names of the others.

    Raises
    ------
    FormatError
        If the one that is wanted is not there, and the message names those that are; or if there is none.
    """
    if not offered:
        raise FormatError(f"{path}: no column of amplitudes or intensities")
    names = [name for column in offered for name in column.names]
    if wanted is None:
        chosen = min(offered, key=lambda column: column.rank)
    else:
        found = [column for column in offered if wanted in column.names]
        if not found:
            raise FormatError(f"--column: got {wanted!r}; {path} has {', '.join(names)}")
        chosen = found[0]
    return chosen, tuple(name for name in names if name not in chosen.names)


def signed_rows(hkl: np.ndarray, values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a value, of one column or of a pair whose second is for -h: indices int32 and values float64."""
    both = np.concatenate([hkl if place == 0 else -hkl for place in range(len(values))]).astype(np.int32)
    numbers = np.concatenate(values).astype(np.float64)
    known = np.isfinite(numbers)
    return both[known], numbers[known]
