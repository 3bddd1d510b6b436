"""render_many: the images of simulate, orientation by orientation."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubragg import BackendUnavailable, ConfigError, CubraggError, Goniometer, StructureFactors, simulate
from cubragg.crystallography.orientations import misset_angles
from cubragg.crystallography.vectors import rotate_xyz
from cubragg.device.host_build import find_compiler
from cubragg.engine import kernel_params
from cubragg.engine.reference import factor_table as structure_factor
from cubragg.plan.make_plan import make_plan
from cubragg.run import batch
from cubragg.run.batch import render_many
from cubragg.units import rad_from_deg
from support.experiments import random_experiment, random_grid, small_experiment
from support.messages import refusal

ANGLES = st.lists(st.tuples(*[st.floats(-360.0, 360.0)] * 3), min_size=1, max_size=4)


def with_misset(experiment, misset):
    return dataclasses.replace(
        experiment, crystal=dataclasses.replace(experiment.crystal, misset_deg=misset, misset_seed=None))


def rotation(misset) -> np.ndarray:
    """The matrix of misset angles [deg], column by column."""
    angles = tuple(rad_from_deg(angle) for angle in misset)
    return np.array([rotate_xyz(axis, angles) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]).T


def assert_equal_to_simulate(experiment, angles, backend, images):
    for image, misset in zip(images, angles, strict=True):
        expected = simulate(with_misset(experiment, misset), backend=backend).photons
        assert (image.photons.dtype, image.photons.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(image.photons.view(np.uint32), expected.view(np.uint32))
        assert image.experiment.crystal.misset_deg == tuple(misset)


@pytest.mark.requirement("AT-PERF-006")
@pytest.mark.parametrize(("backend", "module"), [("numpy", structure_factor), ("cpu", kernel_params)])
def test_the_table_of_structure_factors_is_laid_once(monkeypatch, backend, module):
    if backend == "cpu":
        try:
            find_compiler()
        except CubraggError as error:
            pytest.skip(str(error))
    tables = []
    original = structure_factor.bordered
    for each in (structure_factor, kernel_params):
        monkeypatch.setattr(each, "bordered", lambda *args, each=each, **kw: (
            tables.append(each) or original(*args, **kw)))
    # A phi of 0 has a pixel rendered alone, in every image.
    experiment = dataclasses.replace(small_experiment(), goniometer=Goniometer(0.0, 2.0, phi_steps=2),
                                     structure_factors=random_grid(np.random.default_rng(1), 3))
    assert len(list(render_many(experiment, np.eye(3), backend=backend))) == 3
    assert tables == [module]


@pytest.mark.requirement("AT-BAK-006")
@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(["nanobragg", "physical"]), ANGLES)
def test_images_are_those_of_simulate(seed, semantics, angles):
    experiment = random_experiment(seed, semantics)
    assert_equal_to_simulate(experiment, angles, "numpy", render_many(experiment, angles, backend="numpy"))


@pytest.mark.requirement("AT-BAK-006")
@pytest.mark.parametrize("interpolate", [False, True])
def test_images_are_those_of_simulate_on_cpu(interpolate):
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    experiment = small_experiment(sampling={"interpolate": interpolate})
    experiment = dataclasses.replace(experiment, goniometer=Goniometer(0.0, 2.0, phi_steps=2),
                                     structure_factors=random_grid(np.random.default_rng(1), 3))
    angles = [(10.0 * number, 20.0, -5.0 * number) for number in range(4)]
    assert_equal_to_simulate(experiment, angles, "cpu", render_many(experiment, angles, backend="cpu"))


def test_sample_sizes_and_automatic_oversampling():
    """Numbers of cells and of sub-pixels hang on the turned axes' last bits."""
    angles = [(number * 7.0, number * 3.0, number) for number in range(6)]
    sized = small_experiment(crystal={"sample_size_mm": (50e-7 * 4, 3e-5, 2e-5)}, sampling={"oversample": 0})
    assert_equal_to_simulate(sized, angles, "numpy", render_many(sized, angles, backend="numpy"))
    automatic = small_experiment(sampling={"oversample": 0})
    assert_equal_to_simulate(automatic, angles, "numpy", render_many(automatic, angles, backend="numpy"))


def test_only_what_changes_is_planned_again(monkeypatch):
    planned = []
    monkeypatch.setattr(batch, "make_plan", lambda one, method: planned.append(one) or make_plan(one, method))
    assert len(list(render_many(small_experiment(), np.zeros((5, 3)), backend="numpy"))) == 5
    assert len(planned) == 1


@given(ANGLES)
def test_rotations_are_taken_apart_into_the_angles_that_make_them(angles):
    matrices = np.array([rotation(misset) for misset in angles])
    again = np.array([rotation(misset) for misset in misset_angles(matrices)])
    np.testing.assert_allclose(again, matrices, rtol=0, atol=1e-9)


@pytest.mark.parametrize("about_y", [90.0, -90.0])
def test_rotations_where_two_axes_meet(about_y):
    matrix = rotation((30.0, about_y, 50.0))
    np.testing.assert_allclose(rotation(misset_angles([matrix])[0]), matrix, rtol=0, atol=1e-12)


def test_rotations_and_angles_give_the_same_image():
    experiment = small_experiment(crystal={"misset_deg": None})
    misset = (31.0, -12.0, 77.0)
    images = [next(render_many(experiment, orientations, backend="numpy")).photons
              for orientations in ([misset], [rotation(misset)])]
    np.testing.assert_allclose(images[1], images[0], rtol=1e-6, atol=1e-9 * images[0].max())


def test_a_random_misset_is_replaced():
    experiment = small_experiment(crystal={"misset_deg": None, "misset_seed": 7})
    angles = [(1.0, 2.0, 3.0)]
    assert_equal_to_simulate(experiment, angles, "numpy", render_many(experiment, angles, backend="numpy"))


def test_nothing_to_render():
    assert list(render_many(small_experiment(), [])) == []
    assert list(render_many(small_experiment(), np.zeros((0, 3, 3)))) == []


@pytest.mark.parametrize(("orientations", "says"), [
    ([1.0, 2.0, 3.0], ("orientations", "(3,)", "misset", "shape")),
    (np.zeros((2, 5)), ("orientations", "(2, 5)", "shape")),
    (np.ones((2, 4)), ("orientations", "2", "quaternion 0", "length")),
    (np.zeros((2, 3, 4)), ("orientations", "(2, 3, 4)", "shape")),
    ([(0.0, float("nan"), 0.0)], ("orientations", "NaN", "inf")),
    ([np.eye(3), 1.01 * np.eye(3)], ("orientations", "", "matrix 1", "rotation")),
    ([np.diag([1.0, 1.0, -1.0])], ("orientations", "", "matrix 0", "rotation")),
])
def test_orientations_that_are_none(orientations, says):
    with refusal(ConfigError, *says):
        render_many(small_experiment(), orientations)


def test_what_cannot_run_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with refusal(BackendUnavailable, "backend cuda", "", "cupy"):
        render_many(small_experiment(), [(0.0, 0.0, 0.0)], backend="cuda")
    with refusal(BackendUnavailable, "on_device", "numpy", "cuda"):
        render_many(small_experiment(), [(0.0, 0.0, 0.0)], backend="numpy", on_device=True)
    with refusal(ConfigError, "threads", "0"):
        render_many(small_experiment(), [(0.0, 0.0, 0.0)], threads=0)
    with refusal(ConfigError, "backend", "gpu"):
        render_many(small_experiment(), [(0.0, 0.0, 0.0)], backend="gpu")


def test_images_can_be_kept():
    """No image is a view of a buffer that the next one is written into."""
    experiment = dataclasses.replace(small_experiment(), structure_factors=StructureFactors(100.0))
    angles = [(5.0 * number, 0.0, 0.0) for number in range(3)]
    images = list(render_many(experiment, angles, backend="numpy"))
    assert not any(np.array_equal(images[0], image) for image in images[1:])
