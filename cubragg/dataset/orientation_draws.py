"""Orientations of the crystals of a data set: uniform, near a given one, or from a list."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cubragg.crystallography.orientations import misset_angles, rotation_matrices, uniform_rotations
from cubragg.crystallography.vectors import Vector
from cubragg.dataset.distributions import Choice, Constant, Distribution, Near, Table, Uniform, gaussians
from cubragg.dataset.draws import Draws
from cubragg.errors import ConfigError

#: An orientation: misset angles [deg], or an A matrix [1/A] by rows.
Orientation = Vector | tuple[Vector, Vector, Vector]


def orientations_of(distribution: Distribution, draws: Draws, misset_deg: Vector | None) -> list[Orientation]:
    """The orientation in each shot [n].

    Parameters
    ----------
    distribution
        Uniform, near, or given orientations: misset angles [deg], quaternions x, y, z, w, rotation matrices by rows, or
        A matrices [1/A] of a file of other programs.
    misset_deg
        Misset angles of the experiment [deg].

    Raises
    ------
    ConfigError
        For another distribution, or numbers that are no orientations.
    """
    if isinstance(distribution, Uniform) and distribution.low is None:
        return [*misset_angles(uniform_rotations(*(draws.uniforms(number) for number in range(3))))]
    if isinstance(distribution, Near):
        centre = rotation_matrices([distribution.misset_deg or misset_deg or (0.0, 0.0, 0.0)])[0]
        vectors = np.stack([gaussians(draws, 2 * axis) for axis in range(3)], axis=1)
        turns = [_rotation(np.radians(distribution.sigma_deg) * vector) for vector in vectors]
        return [*misset_angles(np.array(turns).reshape(-1, 3, 3) @ centre)]
    if isinstance(distribution, Constant | Choice | Table):
        return [_orientation(draws.name, row) for row in distribution.drawn(draws, 0.0)]
    raise ConfigError(draws.name, f"got {distribution.to_dict()}; uniform without limits, near, a table of "
                      "orientations, choice and constant are accepted")


def _orientation(where: str, row: Any) -> Orientation:
    """The orientation of a row of numbers: 3 angles, 4 of a quaternion, 9 of a rotation, or an A matrix."""
    numbers = np.array(row, dtype=np.float64).reshape(-1)
    if len(numbers) == 3:
        return tuple(numbers.tolist())  # type: ignore[return-value]
    if len(numbers) == 4:
        return misset_angles(numbers[None])[0]
    if len(numbers) != 9:
        raise ConfigError(where, f"got rows of {len(numbers)} numbers; 3 misset angles, 4 numbers of a quaternion "
                          "(x, y, z, w) or the 9 of a matrix are accepted")
    matrix = numbers.reshape(3, 3)
    if abs(abs(float(np.linalg.det(matrix))) - 1.0) < 1e-3:
        return misset_angles(matrix[None])[0]
    return tuple(tuple(one) for one in matrix.tolist())  # type: ignore[return-value]


def _rotation(vector: np.ndarray) -> np.ndarray:
    """Rotation matrix of a rotation vector [rad], after Rodrigues."""
    angle = math.sqrt(float(vector @ vector))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = (vector / angle).tolist()
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)
