"""Orientations: uniform ones, and the forms in which users give them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cubragg import ConfigError, random_orientations
from cubragg.crystallography.orientations import misset_angles
from cubragg.crystallography.vectors import rotate_xyz
from support.messages import refusal


def matrices_of(angles) -> np.ndarray:
    return np.array([[rotate_xyz(axis, tuple(map(math.radians, misset))) for axis in np.eye(3).tolist()]
                     for misset in angles]).transpose(0, 2, 1)


def largest_gap(sample: np.ndarray, cumulative) -> float:
    """Kolmogorov and Smirnov's distance of a sample from a distribution, times the root of its size."""
    ordered = np.sort(sample)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    expected = cumulative(ordered)
    return math.sqrt(len(ordered)) * max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max())


#: P(distance * sqrt(n) > 1.95) = 0.001.
KS_LIMIT = 1.95


def test_they_are_rotations():
    matrices = random_orientations(1000, 3)
    assert (matrices.shape, matrices.dtype) == ((1000, 3, 3), np.float64)
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (1000, 3, 3)),
                               atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0, rtol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_they_are_uniform(seed):
    """Of Haar's measure: the angle has the density (1 - cos t) / pi, and so after any fixed rotation; each image of a
    vector is uniform on the sphere."""
    matrices = random_orientations(20000, seed)
    for fixed in (np.eye(3), *random_orientations(2, 99)):
        angle = np.arccos(np.clip((np.trace(fixed @ matrices, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0))
        assert largest_gap(angle, lambda t: (t - np.sin(t)) / math.pi) < KS_LIMIT
    for column in range(3):
        for row in range(3):
            assert largest_gap(matrices[:, row, column], lambda z: (z + 1.0) / 2.0) < KS_LIMIT


def test_the_first_ones_do_not_depend_on_how_many():
    np.testing.assert_array_equal(random_orientations(7, 5), random_orientations(100, 5)[:7])
    assert not np.array_equal(random_orientations(7, 5), random_orientations(7, 6))
    assert random_orientations(0).shape == (0, 3, 3)


def test_matrices_quaternions_and_scipy_give_the_same_angles():
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    matrices = random_orientations(50, 1)
    expected = matrices_of(misset_angles(matrices))
    np.testing.assert_allclose(expected, matrices, atol=1e-12)
    scipys = rotation.from_matrix(matrices)
    for form in (scipys, scipys.as_quat(), -scipys.as_quat(), list(scipys.as_quat())):
        np.testing.assert_allclose(matrices_of(misset_angles(form)), matrices, atol=1e-12)
    np.testing.assert_allclose(matrices_of(misset_angles(scipys[3])), matrices[3:4], atol=1e-12)


@pytest.mark.parametrize(("n", "seed", "where"), [(-1, 0, "n"), (2.5, 0, "n"), (3, -1, "seed")])
def test_bad_numbers(n, seed, where):
    with refusal(ConfigError, where, f"{seed if where == 'seed' else n}", "whole number"):
        random_orientations(n, seed)
