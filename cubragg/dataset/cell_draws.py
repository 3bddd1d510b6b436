"""Cells of the crystals of a data set: factors on lengths and angles that keep the lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cubragg import units
from cubragg.crystallography.cell import Cell, cell_of_axes
from cubragg.dataset.distributions import Choice, Constant, Distribution, OfShot, Table
from cubragg.dataset.draws import Draws
from cubragg.errors import ConfigError
from cubragg.experiment.crystal import Crystal

KEEPS = ("lattice", "shape", "none")
#: Lengths are equal within this fraction, and angles those of a lattice within this many degrees.
_SAME, _SAME_DEG = 1e-4, 1e-2
_LETTERS = ("a", "b", "c", "alpha", "beta", "gamma")


def cell_of(crystal: Crystal) -> Cell:
    """The cell of a crystal [A, deg]."""
    if crystal.cell is not None and crystal.a_matrix is None:
        a, b, c, *angles = crystal.full_cell()
        return (a, b, c, *(units.deg_from_rad(angle) for angle in angles))  # type: ignore[return-value]
    lattice = crystal.lattice()
    return cell_of_axes(lattice.a, lattice.b, lattice.c)


def tied(cell: Sequence[float]) -> list[int | None]:
    """For each number of a cell [A, deg] the first one that it equals by the lattice; ``None``: it is fixed.

    The lattice is the most symmetric one of these lengths and angles.
    """
    same_ab, same_bc = (abs(cell[i] - cell[i + 1]) <= _SAME * cell[i] for i in range(2))
    same_ac = abs(cell[0] - cell[2]) <= _SAME * cell[0]
    right = [abs(angle - 90.0) <= _SAME_DEG for angle in cell[3:]]
    hexagonal = same_ab and right[0] and right[1] and abs(cell[5] - 120.0) <= _SAME_DEG
    rhombohedral = same_ab and same_bc and max(cell[3:]) - min(cell[3:]) <= _SAME_DEG
    if rhombohedral and not all(right):
        return [0, 0, 0, 3, 3, 3]
    lengths: list[int | None] = [0, 1, 2]
    if all(right) or hexagonal:
        lengths[1] = 0 if same_ab else 1
        if all(right):
            lengths[2] = 1 if same_bc and not same_ab else 0 if same_ac else 2
    return [*lengths, *(None if right[i] or (hexagonal and i == 2) else 3 + i for i in range(3))]


def cells_of(distribution: Distribution, draws: Draws, cell: Cell) -> list[Cell]:
    """The cell in each shot [n] [A, deg].

    A distribution of a number is that of the factor on each length and angle that the lattice leaves free; a table or
    choice of six numbers is that of whole cells.

    Raises
    ------
    ConfigError
        For an unknown ``keep``, or whole cells of other than six numbers.
    """
    keep = distribution.keep or "lattice"
    if keep not in KEEPS:
        raise ConfigError(draws.name, f"got keep = {keep!r}; {', '.join(KEEPS)} are accepted")
    if isinstance(distribution, Constant | Choice | Table):
        whole = distribution.drawn(draws, 1.0)
        if whole and not isinstance(whole[0], int | float):
            return [_whole(draws.name, one) for one in whole]
    factor = replace(distribution, relative=True)
    laws: dict[str, list[int | None]] = {"lattice": tied(cell), "shape": [0, 0, 0, None, None, None],
                                         "none": [*range(6)]}
    ties = laws[keep]
    if isinstance(distribution, OfShot):
        # One function for all lengths: growth with dose. Angles keep.
        ties = [0, 0, 0, None, None, None]
    columns = [[number] * len(draws) if tie is None else
               factor.values(draws.of(f".{_LETTERS[tie]}"), number) for number, tie in zip(cell, ties, strict=True)]
    return [*zip(*columns, strict=True)]


def _whole(where: str, cell: Any) -> Cell:
    numbers = tuple(float(number) for number in cell)
    if len(numbers) != 6:
        raise ConfigError(where, f"got {len(numbers)} numbers; a cell has 6")
    return numbers


def with_cell(crystal: Crystal, cell: Cell) -> Crystal:
    """The crystal with another cell and the same orientation."""
    if crystal.a_matrix is None:
        return replace(crystal, cell=cell)
    # In the standard setting, a* along x and b* in the xy plane, the A matrix is upper triangular: QR gives U.
    q, r = np.linalg.qr(np.array(crystal.a_matrix))
    lattice = Crystal(cell=cell).lattice()
    standard = np.array((lattice.a_star, lattice.b_star, lattice.c_star)).T
    rows = (q * np.sign(np.diag(r)) @ standard).tolist()
    return replace(crystal, a_matrix=rows, cell=None)
