"""Unit cells: parameters from cell axes, and reciprocal axes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from cubragg import units
from cubragg.crystallography.vectors import Vector, cross, dot, norm, scale
from cubragg.errors import FormatError

if TYPE_CHECKING:
    import gemmi

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
        If the volume of the cell is not positive.
    """
    if not cell.is_crystal() or not cell.volume > 0.0:
        raise FormatError(f"{where}: contains no unit cell")
    return tuple(float(number) for number in cell.parameters)  # type: ignore[return-value]
