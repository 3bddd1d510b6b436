"""Rotations to the laboratory frame of DIALS (imgCIF), which is used in files for other programs.

In this frame the beam is along -z, and the spindle is as close to +x as possible. nanoBragg's conventions have other
laboratory frames, each related by a proper rotation, which keeps the sense of every rotation. An improper one would
give the right cell with the wrong orientation.
"""

from __future__ import annotations

from cubragg.crystallography.vectors import Matrix, Vector, apply_matrix, combine, cross, dot, norm, scale, unit

#: Smallest component perpendicular to the beam, relative to the length, of a vector that defines x.
_ALONG_BEAM = 1e-6


def dials_rotation(beam: Vector, *directions: Vector) -> Matrix:
    """The proper rotation from a laboratory frame with this beam to the frame of DIALS, row by row.

    Its rows are the axes of the frame of DIALS: z is antiparallel to the beam, x is the component perpendicular to the
    beam of the first of ``directions`` that is not parallel to it, and y = z x x. Usual directions are the spindle, the
    polarization, and the detector's fast and slow axes.
    """
    z = scale(unit(beam), -1.0)
    for direction in directions:
        across = combine((1.0, direction), (-dot(direction, z), z))
        if norm(across) > _ALONG_BEAM * norm(direction):
            break
    # Orthogonalized twice, because rounding errors are a thousand times larger for a spindle nearly along the beam.
    x = unit(across)
    x = unit(combine((1.0, x), (-dot(x, z), z)))
    y = cross(z, x)
    return (*_without_minus_zero(x), *_without_minus_zero(y), *_without_minus_zero(z))


def to_frame(rotation: Matrix, vector: Vector) -> Vector:
    """The rotated vector, without negative zeros."""
    return _without_minus_zero(apply_matrix(rotation, vector))


def _without_minus_zero(x: Vector) -> Vector:
    return (x[0] + 0.0, x[1] + 0.0, x[2] + 0.0)
