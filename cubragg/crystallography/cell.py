"""Unit cells: parameters from cell axes, and reciprocal axes."""

from __future__ import annotations

import math
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


def checked_cell(where: Path | str, cell: gemmi.UnitCell) -> Cell:
    """The parameters of a gemmi cell; ``where`` is the file for errors.

    Raises
    ------
    FormatError
        If there is no cell, or no crystal has it.
    """
    if not cell.is_crystal():
        raise FormatError(f"{where}: contains no unit cell")
    parameters = tuple(float(number) for number in cell.parameters)
    # NaN is in no range.
    if not (all(edge in CELL_EDGE_A for edge in parameters[:3]) and all(angle in CELL_ANGLE_DEG for angle in
                                                                       parameters[3:])
            and cell.volume > _FLAT * math.prod(parameters[:3])):
        raise FormatError(f"{where}: got the cell {' '.join(f'{number:g}' for number in parameters)}; edges of "
                          f"{CELL_EDGE_A} A and angles that form a cell are accepted")
    return parameters  # type: ignore[return-value]
