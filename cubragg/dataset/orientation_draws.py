"""Orientations of the crystals of a data set: uniform, near a given one, or from a list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cubragg.crystallography.cell import Cell
from cubragg.crystallography.orientations import misset_angles, rotation_matrices, uniform_rotations
from cubragg.crystallography.vectors import Matrix, Vector
from cubragg.dataset.distributions import Choice, Constant, CrystalTable, Distribution, Near, Table, Uniform, gaussians
from cubragg.dataset.draws import Draws
from cubragg.errors import ConfigError

#: Largest relative difference of lengths, and of angles, of cells of the same lattice.
_SAME_LENGTH, _SAME_ANGLE_DEG = 0.1, 5.0
#: An orientation: misset angles [deg], or an A matrix [1/A] by rows.
Orientation = Vector | tuple[Vector, Vector, Vector]


def orientations_of(distribution: Distribution, draws: Draws, misset_deg: Vector | None,
                    to_dials: Callable[[], Matrix] | None = None) -> list[Orientation]:
    """The orientation in each shot [n].

    Parameters
    ----------
    distribution
        Uniform, near, or given orientations: misset angles [deg], quaternions x, y, z, w, rotation matrices by rows, or
        A matrices [1/A] of a file of other programs.
    misset_deg
        Misset angles of the experiment [deg].
    to_dials
        Returns the rotation from the laboratory to the frame of DIALS, in which files of crystals are.

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
    if isinstance(distribution, CrystalTable):
        assert to_dials is not None
        rotation = np.array(to_dials()).reshape(3, 3)
        matrices = rotation.T @ np.array(distribution.drawn(draws, 0.0)).reshape(-1, 3, 3)
        return [(tuple(x), tuple(y), tuple(z)) for x, y, z in matrices.tolist()]
    if isinstance(distribution, Constant | Choice | Table):
        return [_orientation(draws.name, row) for row in distribution.drawn(draws, 0.0)]
    raise ConfigError(draws.name, f"got {distribution.to_dict()}; uniform without limits, near, a table of "
                      "orientations, choice and constant are accepted")


def check_lattices(where: str, crystals: CrystalTable, cell: Cell) -> None:
    """Check that crystals of a file have the lattice of the experiment, whose indices the structure factors have.

    Raises
    ------
    ConfigError
        If the cell of one is of another size or shape; ``where`` begins the message.
    """
    axes = np.linalg.inv(crystals.column.reshape(-1, 3, 3))  # a, b, c in rows
    lengths = np.linalg.norm(axes, axis=2)
    units = axes / lengths[:, :, None]
    angles = np.degrees(np.arccos(np.clip(np.stack([(units[:, i] * units[:, j]).sum(axis=1)
                                                    for i, j in ((1, 2), (0, 2), (0, 1))], axis=1), -1.0, 1.0)))
    other = (np.abs(lengths / cell[:3] - 1.0) > _SAME_LENGTH) | (np.abs(angles - cell[3:]) > _SAME_ANGLE_DEG)
    if (other := other.any(axis=1)).any():
        number = int(np.argmax(other))
        shown, expected = (" ".join(f"{one:.4g}" for one in numbers)
                           for numbers in ((*lengths[number], *angles[number]), cell))
        raise ConfigError(where, f"got crystal {number + 1} of {crystals.source} with the cell {shown}, and an "
                          f"experiment with {expected}; crystals of the same lattice, indexed alike, are accepted")


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
