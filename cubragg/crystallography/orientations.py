"""Orientations of a crystal: random ones, and conversion of all accepted forms to misset angles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

#: Largest deviation of an accepted matrix from a rotation, and of a quaternion's length from 1.
_ROTATION_ERROR = 1e-6
#: Below this cosine of the angle about y, the angles about x and z are equivalent, and z is set to 0.
_GIMBAL_LOCK = 1e-12


class Rotations(Protocol):
    """The interface of `scipy.spatial.transform.Rotation` that is used here."""

    def as_matrix(self) -> np.ndarray:
        """Rotation matrices [3, 3] or [n, 3, 3]."""


#: Misset angles about x, then y, then z [n, 3] [deg]; unit quaternions x, y, z, w [n, 4]; rotation matrices [n, 3, 3];
#: or SciPy's Rotation.
Orientations: TypeAlias = "npt.ArrayLike | Rotations"


def random_orientations(n: int, seed: int = 0) -> np.ndarray:
    """Random rotation matrices, uniform on SO(3), float64 [n, 3, 3].

    A larger n keeps the first matrices. Source: K. Shoemake, "Uniform random rotations", Graphics Gems III, 1992.

    Parameters
    ----------
    n
        Number of matrices, >= 0.
    seed
        Seed of the random numbers, >= 0 (Philox 4x64).

    Raises
    ------
    ConfigError
        For a negative or fractional number.
    """
    for name, value in (("n", n), ("seed", seed)):
        if not isinstance(value, int | np.integer) or value < 0:
            raise ConfigError(name, f"got {value!r}; a whole number >= 0 is accepted")
    return uniform_rotations(*np.random.Generator(np.random.Philox(int(seed))).random((int(n), 3)).T)


def uniform_rotations(u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The rotation matrices [n, 3, 3], uniform on SO(3), of uniform deviates [n] in 0 to 1; after Shoemake."""
    inner, outer, first, second = np.sqrt(1.0 - u), np.sqrt(u), 2.0 * math.pi * v, 2.0 * math.pi * w
    return _matrices_of_quaternions(np.stack([inner * np.sin(first), inner * np.cos(first), outer * np.sin(second),
                                              outer * np.cos(second)], axis=1))


def _matrices_of_quaternions(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices [n, 3, 3] of unit quaternions x, y, z, w [n, 4]."""
    x, y, z, w = quaternions.T
    rows = ((1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)),
            (2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)),
            (2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)))
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def rotation_matrices(misset_deg: npt.ArrayLike) -> np.ndarray:
    """Rotation matrices [n, 3, 3] of misset angles about x, then y, then z [n, 3] [deg]."""
    about = np.array([[units.rad_from_deg(angle) for angle in row] for row in np.asarray(misset_deg).tolist()])
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(angle), np.sin(angle)) for angle in about.reshape(-1, 3).T)
    rows = ((cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz),
            (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz), (-sy, sx * cy, cx * cy))
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def misset_angles(orientations: Orientations) -> list[Vector]:
    """Misset angles about x, then y, then z [deg] of orientations in any form of `Orientations`.

    Raises
    ------
    ConfigError
        For another shape, numbers that are not finite, and matrices or quaternions that are not rotations.
    """
    given = orientations.as_matrix() if hasattr(orientations, "as_matrix") else orientations
    array = np.asarray(given, dtype=np.float64)
    if array.shape == (3, 3) and hasattr(orientations, "as_matrix"):
        array = array[None]
    if array.shape == (0,):
        return []
    if array.shape[1:] not in ((3,), (4,), (3, 3)):
        raise ConfigError("orientations", f"got an array of shape {array.shape}; accepted are misset angles [n, 3] "
                          "[deg], quaternions x y z w [n, 4], rotation matrices [n, 3, 3], and SciPy's Rotation")
    if not np.isfinite(array).all():
        raise ConfigError("orientations", "got NaN or inf; orientations must be finite")
    if array.shape[1:] == (3,):
        return [tuple(row) for row in array.tolist()]
    if array.shape[1:] == (4,):
        length = np.linalg.norm(array, axis=1)
        wrong = np.flatnonzero(np.abs(length - 1.0) > _ROTATION_ERROR)
        if wrong.size:
            raise ConfigError("orientations", f"quaternion {wrong[0]} has length {length[wrong[0]]:g}; it must be 1")
        array = _matrices_of_quaternions(array / length[:, None])
    error = np.abs(array @ array.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0.0)
    wrong = np.flatnonzero((error > _ROTATION_ERROR) | (np.linalg.det(array) < 0.0))
    if wrong.size:
        raise ConfigError("orientations", f"matrix {wrong[0]} is not a rotation; its rows must be orthogonal unit "
                          "vectors, and its determinant 1")
    return [_angles(matrix) for matrix in array]


def _angles(m: np.ndarray) -> Vector:
    """Angles about x, then y, then z [deg] of a rotation matrix m = Rz Ry Rx."""
    cosine = np.hypot(m[0, 0], m[1, 0])
    about_y = np.arctan2(-m[2, 0], cosine)
    if cosine > _GIMBAL_LOCK:
        about_x, about_z = np.arctan2(m[2, 1], m[2, 2]), np.arctan2(m[1, 0], m[0, 0])
    else:
        about_x, about_z = np.arctan2(-m[1, 2], m[1, 1]), 0.0
    return tuple(units.deg_from_rad(float(angle)) for angle in (about_x, about_y, about_z))  # type: ignore[return-value]
