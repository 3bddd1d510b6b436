"""The laboratory frame of DIALS (imgCIF), in which files describe an experiment to other programs.

There the beam runs along -z and the spindle points as near to +x as it can. Conventions of nanoBragg have their
own laboratory frames; a proper rotation leads from each, so the sense of every rotation is kept. A frame that
mirrored instead would still give the right cell, and the wrong orientation.
"""

from __future__ import annotations

from cubragg.crystallography.vectors import Matrix, Vector, apply_matrix, combine, cross, dot, norm, scale, unit

#: A spindle with less than this across the beam gives no direction.
_ALONG_BEAM = 1e-6


def dials_rotation(beam: Vector, *directions: Vector) -> Matrix:
    """The proper rotation from a laboratory with this beam into the frame of DIALS, row by row.

    Its rows are the axes of that frame: z against the beam, x along the first of ``directions`` that is not along the
    beam, as far as it is perpendicular to it, y completing them. Usual directions are the spindle, then the
    polarization, then the detector's fast and slow axes.
    """
    z = scale(unit(beam), -1.0)
    for direction in directions:
        across = combine((1.0, direction), (-dot(direction, z), z))
        if norm(across) > _ALONG_BEAM * norm(direction):
            break
    # Once more: what rounding left along the beam is a thousand times larger where the spindle nearly lies in it.
    x = unit(across)
    x = unit(combine((1.0, x), (-dot(x, z), z)))
    y = cross(z, x)
    return (*_without_minus_zero(x), *_without_minus_zero(y), *_without_minus_zero(z))


def to_frame(rotation: Matrix, vector: Vector) -> Vector:
    """A laboratory vector in the frame that ``rotation`` leads to."""
    return _without_minus_zero(apply_matrix(rotation, vector))


def _without_minus_zero(x: Vector) -> Vector:
    return (x[0] + 0.0, x[1] + 0.0, x[2] + 0.0)
