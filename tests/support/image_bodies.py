"""Bodies of image tests that the kernels on the CPU and on a GPU share.

A test module imports them with ``import *`` and gives the fixtures ``renderer``, which makes a renderer of a plan
and a precision, and ``backend``, its name.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cubragg import ConfigError
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.plan.make_plan import make_plan
from support.experiments import large, random_experiment, random_grid
from support.golden_set import arguments, cases, reference
from support.marks import slow_after
from support.renders import rendered

#: Double: share of a pixel's value, share of the maximum, and share of the value above a tenth of the maximum.
VALUE, OF_MAXIMUM, STRONG = 1e-6, 1e-8, 2e-7
#: Mixed and single, share of the maximum, of the images of these tests; `accuracy.error_bound` is that of any image.
OF_MAXIMUM_IN_LESS = {"mixed": 5e-6, "single": 5e-5}
#: Random experiments that in less than double precision are not the same, and why.
NAMED = {
    ("mixed", 199): "a sample in the direct beam of a round crystal, pi N dh = 1e-8, where the closed form that double "
                    "precision shares with NumPy and the C program cancels to 0; the series does not",
    ("single", 199): "the same",
}
SEEDS, CHUNKS = 500, 25

precisions = pytest.mark.parametrize("precision", ["mixed", "single"])


def assert_double(got, expected, name):
    """The bounds of double precision, overflow to inf included."""
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite], equal_nan=True), name
    got, expected = got[finite].astype(float), expected[finite].astype(float)
    error, size = np.abs(got - expected), np.abs(expected)
    maximum = size.max(initial=0.0)
    assert (error <= np.maximum(VALUE * size, OF_MAXIMUM * maximum)).all(), name
    assert (error <= STRONG * size)[size > 0.1 * maximum].all(), name


def share_of_maximum(got, expected) -> float:
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite], equal_nan=True)
    got, expected = got[finite].astype(float), expected[finite].astype(float)
    return np.abs(got - expected).max(initial=0.0) / (np.abs(expected).max(initial=0.0) or 1.0)


def experiments(chunk):
    """Seeds and plans of a share of the random experiments, of both semantics."""
    for seed in range(chunk, SEEDS, CHUNKS):
        try:
            yield seed, make_plan(random_experiment(seed, ("nanobragg", "physical")[seed % 2]))
        except ConfigError:
            continue


# The golden set


@pytest.mark.requirement("AT-BAK-002")
@precisions
@pytest.mark.parametrize("case_id", cases())
def test_golden_in_less(backend, case_id, precision):
    places, expected = reference(case_id)
    _, image = rendered(tuple(arguments(cases()[case_id])), backend, precision)
    assert share_of_maximum(image.photons.ravel()[places], expected) <= OF_MAXIMUM_IN_LESS[precision]


# Random experiments


@pytest.mark.requirement("AT-BAK-001")
@pytest.mark.parametrize("chunk", slow_after(4, range(CHUNKS)))
def test_random_double(renderer, chunk):
    for seed, plan in experiments(chunk):
        numpys, ours = NumpyEngine(plan), renderer(plan, "double")
        assert_double(ours.render(2), numpys.render(1), f"seed {seed}")
        assert ours.interpolation_stopped_at == numpys.interpolation_stopped_at, f"seed {seed}"


@pytest.mark.requirement("AT-BAK-002")
@precisions
@pytest.mark.parametrize("chunk", slow_after(4, range(CHUNKS)))
def test_random_in_less(renderer, chunk, precision):
    for seed, plan in experiments(chunk):
        error = share_of_maximum(renderer(plan, precision).render(2), renderer(plan, "double").render(2))
        assert error <= OF_MAXIMUM_IN_LESS[precision] or (precision, seed) in NAMED, f"seed {seed}: {error}"


# Many tiles


MANY = {
    "plain": {},
    "region": {"sampling": {"roi": (17, 101, 5, 66)}},
    "carry-over": {"goniometer": {"phi_deg": 0.0, "osc_deg": 4.0, "phi_steps": 3}},
    "dmin": {"sampling": {"dmin_A": 4.0, "roi": (3, 140, 0, 69)}, "goniometer": {"osc_deg": 4.0}},
    "running": {"sampling": {"oversample": 2, "oversample_omega": True, "oversample_polar": True}},
}


@pytest.mark.parametrize("name", MANY)
def test_many_tiles(renderer, name):
    plan = make_plan(large(**MANY[name]))
    assert_double(renderer(plan, "double").render(2), NumpyEngine(plan).render(1), name)


@pytest.mark.parametrize("reach", [3, 5, 12])
def test_interpolation_stops_at_the_same_pixel(renderer, reach):
    factors = random_grid(np.random.default_rng(8), reach)
    experiment = dataclasses.replace(large(sampling={"interpolate": True}, detector={"distance_mm": 150.0}),
                                     structure_factors=factors)
    plan = make_plan(experiment)
    numpys, ours = NumpyEngine(plan), renderer(plan, "double")
    assert_double(ours.render(2), numpys.render(1), reach)
    assert ours.interpolation_stopped_at == numpys.interpolation_stopped_at


def test_masked_tiles(renderer):
    mask = np.zeros((70, 150), dtype=bool)
    mask[3:50, 40:44] = True
    plan = make_plan(large(sampling={"mask": mask}))
    image = renderer(plan, "double").render(2)
    assert_double(image, NumpyEngine(plan).render(1), "mask")
    assert not image[~mask].any()
