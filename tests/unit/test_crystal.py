"""Cells, orientations and sizes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cubragg import Beam, ConfigError, Crystal, Experiment, StructureFactors
from cubragg.plan.make_plan import make_plan
from support.messages import refusal, states

LENGTHS, ANGLES = st.floats(3.0, 500.0), st.floats(40.0, 140.0)


def vectors(lattice):
    return np.array([lattice.a, lattice.b, lattice.c]), np.array([lattice.a_star, lattice.b_star, lattice.c_star])


@pytest.mark.requirement("AT-CELL-001")
@given(LENGTHS, LENGTHS, LENGTHS, ANGLES, ANGLES, ANGLES, st.tuples(*[st.floats(-180, 180)] * 3))
def test_lattice_has_the_cell_it_was_given(a, b, c, alpha, beta, gamma, misset):
    try:
        crystal = Crystal(cell=(a, b, c, alpha, beta, gamma), misset_deg=misset)
    except ConfigError as error:
        states(str(error), "crystal.cell", "", "angle")
        return
    lattice = crystal.lattice()
    assume(lattice.volume > 0.05 * a * b * c)  # a flat cell amplifies rounding
    real, reciprocal = vectors(lattice)
    np.testing.assert_allclose(real @ reciprocal.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(real, axis=1), (a, b, c), rtol=1e-9)
    cosines = [real[1] @ real[2] / (b * c), real[2] @ real[0] / (c * a), real[0] @ real[1] / (a * b)]
    np.testing.assert_allclose(cosines, np.cos(np.radians([alpha, beta, gamma])), atol=1e-9)
    assert lattice.volume == pytest.approx(abs(np.linalg.det(real)), rel=1e-9)


@pytest.mark.requirement("AT-CELL-002")
def test_nanobragg_makes_oblique_cells_with_other_angles():
    # Printed by the C program for -cell 60 60 60 70 70 70: "Unit Cell: 60 60 60 69.4671 69.4671 69.7251",
    # and its vectors to eight digits.
    crystal = Crystal(cell=(60.0, 60.0, 60.0, 70.0, 70.0, 70.0))
    real, reciprocal = vectors(crystal.lattice("nanobragg"))
    np.testing.assert_allclose(real, [[54.33288641, 14.31984192, 21.04470436], [0.0, 56.18825872, 21.04470436],
                                      [0.0, 0.0, 60.0]], atol=5e-9)
    assert crystal.angle_error_deg(crystal.lattice("nanobragg")) == pytest.approx(70.0 - 69.4671, abs=1e-4)
    assert crystal.angle_error_deg(crystal.lattice()) < 1e-9
    np.testing.assert_allclose(reciprocal, [[0.01827908, 0.0, 0.0], [-0.00465851, 0.01767549, 0.0],
                                            [-0.00477735, -0.00619959, 0.01655258]], atol=5e-9)


@pytest.mark.requirement("AT-CELL-001")
def test_standard_setting():
    _, reciprocal = vectors(Crystal(cell=(70.0, 80.0, 90.0, 75.0, 85.0, 95.0)).lattice())
    np.testing.assert_allclose([reciprocal[0, 1], reciprocal[0, 2], reciprocal[1, 2]], 0.0, atol=1e-18)


@pytest.mark.requirement("AT-CELL-004")
@pytest.mark.parametrize("kind", [tuple, np.array])
def test_a_matrix(kind):
    """Columns a*, b*, c* of A = U B, in 1/A: real axes are the rows of its inverse."""
    matrix = np.array([[0.01, 0.002, 0.0], [0.0, 0.005, 0.001], [0.0, 0.0, 0.0025]])
    crystal = Crystal(a_matrix=kind(tuple(map(tuple, matrix.tolist()))))
    real, reciprocal = vectors(crystal.lattice())
    np.testing.assert_allclose(real, np.linalg.inv(matrix), rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(reciprocal.T, matrix, rtol=1e-14, atol=1e-17)
    assert crystal == Crystal(a_matrix=matrix)


@pytest.mark.requirement("AT-CELL-004")
def test_a_wavelength_scan_keeps_the_cell():
    experiment = Experiment(Crystal(a_matrix=np.diag([0.01, 0.01, 0.01])), StructureFactors(1.0))
    for wavelength in (1.0, 1.05, 0.7):
        scanned = dataclasses.replace(experiment, beam=Beam(wavelength_A=wavelength))
        np.testing.assert_allclose(np.linalg.norm(make_plan(scanned).cell_axes[0, 0], axis=1), 100e-10, rtol=1e-14)


@pytest.mark.requirement("AT-CELL-004")
def test_cell_gives_the_lengths_and_matrix_the_directions():
    matrix = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))  # a* along y, b* along z, c* along x
    real, _ = vectors(Crystal(cell=(50.0, 60.0, 70.0, 90.0, 90.0, 90.0), a_matrix=matrix).lattice())
    np.testing.assert_allclose(real, [[0, 50, 0], [0, 0, 60], [70, 0, 0]], atol=1e-12)


@pytest.mark.requirement("AT-CELL-003")
def test_missing_lengths_and_angles():
    assert Crystal(cell=(60.0, 0.0, -1.0, 0.0, 0.0, 120.0)).full_cell() == (
        60.0, 60.0, 60.0, math.pi / 2, math.pi / 2, 120.0 / (180.0 / math.pi))


@pytest.mark.requirement("AT-CELL-007")
def test_sizes_in_mm_overrule_cells():
    crystal = Crystal(cell=(100.0,) * 3 + (90.0,) * 3, cells=(2, 0, 7), sample_size_mm=(0.0, 0.0, 1e-4))
    lattice = crystal.lattice()
    assert crystal.cell_counts(lattice, (0.0, 0.0, 1.01e-7)) == (2.0, 1.0, 11.0)


@pytest.mark.requirement("AT-MOS-001")
@pytest.mark.parametrize(("spread", "domains", "count"), [
    (None, None, 1), (0.0, None, 1), (0.5, None, 10), (None, 7, 1), (0.0, 7, 1), (0.5, 7, 7), (0.5, 0, 10)])
def test_number_of_domains(spread, domains, count):
    mosaic = Crystal(cell=(100.0,) * 3 + (90.0,) * 3, mosaic_spread_deg=spread, mosaic_domains=domains).mosaic()
    assert len(mosaic.rotations) == count
    assert mosaic.rotations[0] == (1, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.requirement("AT-CELL-003")
@pytest.mark.parametrize(("settings", "says"), [
    ({}, ("crystal.cell", "", "unit cell", "-cell", "-mat")),
    ({"cell": (-5.0, 0, 0, 0, 0, 0)}, ("crystal.cell", "a = -5 A", "length")),
    ({"cell": (50, 50, 50, 30, 30, 90)}, ("crystal.cell", "30, 30, 90 deg", "180 deg", "360 deg")),
    ({"cell": (50, 50, 50, 90, 90, math.nan)}, ("crystal.cell", "nan", "finite")),
    ({"a_matrix": (1.0,) * 9}, ("crystal.a_matrix", f"{(1.0,) * 9}", "3 rows")),
    ({"cell": (50,) * 3 + (90,) * 3, "cells": (5, -1, 5)},
     ("crystal.cells", "-1", "unit cell")),
    ({"cell": (50,) * 3 + (90,) * 3, "shape": "cube"},
     ("crystal.shape", "cube", "square", "gauss", "gauss_star", "round", "tophat")),
    ({"cell": (50,) * 3 + (90,) * 3, "misset_deg": (0.0, 0.0, 0.0), "misset_seed": 3},
     ("crystal.misset_seed", "", "angle", "seed")),
])
def test_bad_values(settings, says):
    with refusal(ConfigError, *says):
        Crystal(**settings)


@pytest.mark.requirement("AT-CELL-004")
@pytest.mark.parametrize("cell", [None, (50.0,) * 3 + (90.0,) * 3])
def test_a_flat_matrix(cell):
    with refusal(ConfigError, "crystal.a_matrix", "", "plane"):
        Crystal(cell=cell, a_matrix=((1.0, 2.0, 3.0), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0))).lattice()
