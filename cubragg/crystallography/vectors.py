"""Vectors of three Python floats, computed in the order of operations of nanoBragg.c.

Set-up uses these instead of NumPy arrays, because Python's sines and square roots
are those of the C library, and thus have the same bits as in the C program.
"""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
Matrix = tuple[float, float, float, float, float, float, float, float, float]  #: row by row


def dot(x: Vector, y: Vector) -> float:
    """Scalar product of two vectors."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


def cross(x: Vector, y: Vector) -> Vector:
    """Vector product of two vectors."""
    return (x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0])


def norm(x: Vector) -> float:
    """Length of a vector."""
    return math.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])


def scale(x: Vector, factor: float) -> Vector:
    """``factor`` times the vector."""
    return (factor * x[0], factor * x[1], factor * x[2])


def rescale(x: Vector, length: float) -> Vector:
    """The vector scaled to ``length``; a zero vector is unchanged."""
    old = norm(x)
    return scale(x, length / (old if old > 0.0 else 1.0))


def unit(x: Vector) -> Vector:
    """The vector scaled to length 1; a zero vector is unchanged."""
    length = norm(x)
    return (x[0] / length, x[1] / length, x[2] / length) if length != 0.0 else (0.0, 0.0, 0.0)


def combine(*terms: tuple[float, Vector]) -> Vector:
    """Sum of vectors multiplied by factors, added from left to right."""
    result = scale(terms[0][1], terms[0][0])
    for factor, x in terms[1:]:
        result = (result[0] + factor * x[0], result[1] + factor * x[1], result[2] + factor * x[2])
    return result


def rotate_xyz(x: Vector, angles: Vector) -> Vector:
    """The vector rotated about the x axis, then y, then z, right-handed, by ``angles`` [rad]."""
    vx, vy, vz = x
    about_x, about_y, about_z = angles
    if about_x != 0.0:
        c, s = math.cos(about_x), math.sin(about_x)
        vy, vz = vy * c + vz * -s, vy * s + vz * c
    if about_y != 0.0:
        c, s = math.cos(about_y), math.sin(about_y)
        vx, vz = vx * c + vy * 0.0 + vz * s, vx * -s + vy * 0.0 + vz * c
    if about_z != 0.0:
        c, s = math.cos(about_z), math.sin(about_z)
        vx, vy = vx * c + vy * -s, vx * s + vy * c
    return (vx, vy, vz)


def rotate_axis(x: Vector, axis: Vector, angle: float) -> Vector:
    """The vector rotated about the unit vector ``axis``, right-handed, by ``angle`` [rad] (Rodrigues' formula)."""
    s, c = math.sin(angle), math.cos(angle)
    along = dot(axis, x) * (1.0 - c)
    return (
        axis[0] * along + x[0] * c + (-axis[2] * x[1] + axis[1] * x[2]) * s,
        axis[1] * along + x[1] * c + (axis[2] * x[0] - axis[0] * x[2]) * s,
        axis[2] * along + x[2] * c + (-axis[1] * x[0] + axis[0] * x[1]) * s,
    )


def transposed(matrix: Matrix) -> Matrix:
    """The transpose of a matrix, the inverse of a rotation."""
    m = matrix
    return (m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8])


def apply_matrix(matrix: Matrix, x: Vector) -> Vector:
    """Product of a matrix and a column vector."""
    m = matrix
    return (
        m[0] * x[0] + m[1] * x[1] + m[2] * x[2],
        m[3] * x[0] + m[4] * x[1] + m[5] * x[2],
        m[6] * x[0] + m[7] * x[1] + m[8] * x[2],
    )
