"""Unit cells: parameters from cell axes, and reciprocal axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cubragg import units
from cubragg.bounds import CELL_ANGLE_DEG, CELL_EDGE_A
from cubragg.crystallography.vectors import Vector, cross, dot, norm, scale
from cubragg.errors import FormatError

if TYPE_CHECKING:
    import gemmi

#: Smallest volume of a cell, relative to the product of its edges.
_FLAT = 1e-6
#: a, b, c [A], alpha, beta, gamma [deg].
Cell = tuple[float, float, float, float, float, float]


def cell_of_axes(a: Vector, b: Vector, c: Vector) -> Cell:
    """Cell parameters: lengths in the unit of the axes, and angles [deg]."""
    angles = (units.deg_from_rad(math.atan2(norm(cross(x, y)), dot(x, y))) for x, y in ((b, c), (c, a), (a, b)))
    return (norm(a), norm(b), norm(c), *angles)  # type: ignore[return-value]


def dual_axes(a: Vector, b: Vector, c: Vector) -> tuple[Vector, Vector, Vector]:
    """Reciprocal axes of real axes ``a, b, c``, or real axes of reciprocal ones."""
    per_volume = 1.0 / dot(a, cross(b, c))
    return scale(cross(b, c), per_volume), scale(cross(c, a), per_volume), scale(cross(a, b), per_volume)


def checked_cell(where: Path | str, cell: gemmi.UnitCell | Sequence[float]) -> Cell:
    """The parameters of a gemmi cell, or six numbers; ``where`` is the file for errors.

    Raises
    ------
    FormatError
        If there is no cell, or no crystal has it.
    """
    if not isinstance(cell, Sequence) and not cell.is_crystal():
        raise FormatError(f"{where}: contains no unit cell")
    numbers = [float(x) for x in (cell if isinstance(cell, Sequence) else cell.parameters)]
    if len(numbers) != 6:
        raise FormatError(f"{where}: got a cell of {len(numbers)} numbers; three edges and three angles are accepted")
    a, b, c, alpha, beta, gamma = numbers
    cosines = [math.cos(units.rad_from_deg(angle)) if angle in CELL_ANGLE_DEG else math.nan
               for angle in (alpha, beta, gamma)]
    volume_squared = 1.0 - sum(x * x for x in cosines) + 2.0 * math.prod(cosines)  # of edges of length 1
    # NaN is in no range, and not larger.
    if not all(edge in CELL_EDGE_A for edge in (a, b, c)) or not volume_squared > _FLAT * _FLAT:
        raise FormatError(f"{where}: got the cell {a:g} {b:g} {c:g} {alpha:g} {beta:g} {gamma:g}; edges of "
                          f"{CELL_EDGE_A} A and angles that form a cell are accepted")
    return a, b, c, alpha, beta, gamma
