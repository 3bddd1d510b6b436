"""Mixed and single precision of large crystals: two floats, the bound on the error, and what is rendered in double."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cubragg import Crystal, Detector, Experiment, Sampling, StructureFactors, simulate
from cubragg.crystallography.shapes import SHAPES
from cubragg.engine import kernel_params
from cubragg.engine.accuracy import double_only, error_bound, needs_two_floats
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.select import select_backend
from cubragg.engine.variant import TILE, Variant
from cubragg.plan.make_plan import make_plan
from cubragg.plan.workspace import Workspace
from support.device_functions import call
from support.experiments import small_experiment
from support.image_bodies import precisions, share_of_maximum
from support.messages import mentioned

pytestmark = pytest.mark.requirement("AT-BAK-002")

#: Largest share of the maximum with two floats: roundings of single precision, whatever N.
ROUNDING = 4e-6


def coarse(cells=(1000, 1000, 1000), **crystal) -> Experiment:
    """Pixels of 1 mm, so that a tile spans many indices and few samples come near a peak."""
    return Experiment(
        Crystal(cell=(50, 60, 70, 90, 90, 90), misset_deg=(10, 20, 30), cells=cells, **crystal),
        StructureFactors(100.0), detector=Detector(distance_mm=100, pixel_size_mm=1.0, fast_pixels=48, slow_pixels=48),
        sampling=Sampling(oversample=4))


@precisions
@pytest.mark.parametrize("shape", ["square", "round"])
@pytest.mark.parametrize("cells", [(1000,) * 3, (5000,) * 3, (200_000, 160_000, 140_000)])
def test_large_crystals_on_coarse_pixels(precision, shape, cells):
    plan = make_plan(coarse(cells, shape=shape))
    error = share_of_maximum(HostEngine(plan, precision).render(), HostEngine(plan).render())
    assert error <= ROUNDING


@precisions
def test_random_crystals_are_within_the_bound(precision):
    numbers = np.random.default_rng(14)
    for trial in range(40):
        cells = tuple(np.round(10 ** numbers.uniform(0, 3.7, 3)).astype(int).tolist())
        experiment = dataclasses.replace(
            coarse(cells, shape=("square", "round")[trial % 2]),
            detector=Detector(distance_mm=numbers.uniform(20, 250), pixel_size_mm=10 ** numbers.uniform(-1.5, 0.6),
                              fast_pixels=16, slow_pixels=16, rotx_deg=numbers.uniform(-40, 40)),
            sampling=Sampling(oversample=1))
        plan = make_plan(experiment)
        engine = HostEngine(plan, precision)
        error = share_of_maximum(engine.render(1), HostEngine(plan).render(1))
        assert error <= error_bound(plan, precision, engine.culling.tile), (trial, plan.cells)


@precisions
@pytest.mark.parametrize("shape", ["square", "round"])
def test_amplitude_of_many_cells_is_numpys(precision, shape):
    plan = make_plan(small_experiment(crystal={"shape": shape, "cells": (5000, 1200, 300), "fudge": 0.6}))
    offsets = np.random.default_rng(15).uniform(-0.5, 0.5, (3, 4000)) * np.repeat([1.0, 1e-3], 2000)
    variant = Variant(precision, shape, "constant", two_floats=True)
    params = kernel_params.params_of(plan, plan.panels[0], precision)
    value = call(variant, "amplitudes", 2, 4000, params, offsets)[0]
    value *= 1.0 if SHAPES[shape].separable else math.prod(plan.cells)
    expected = SHAPES[shape].amplitude(offsets, np.zeros_like(offsets), plan.block, Workspace(4000)).copy()
    if shape == "square":
        envelope = (1.0 / np.maximum(np.sin(np.pi * np.abs(offsets)), 1.0 / np.array(plan.cells)[:, None])).prod(axis=0)
    else:
        x_sqr = np.pi**2 * 0.6 * ((offsets * np.array(plan.cells)[:, None]) ** 2).sum(axis=0)
        envelope = math.prod(plan.cells) / np.maximum(x_sqr / 3.0, 1.0)
    assert (np.abs(np.abs(value) - np.abs(expected)) <= 3e-6 * envelope).all()


def test_nearest_node_of_two_floats():
    """C's rule, dh in (-1/2, 1/2], also where the larger float alone is at 1/2."""
    near = np.array([0.5, -0.5, 1.5, -1.5, 2.5, 17.5, 0.0, 3.0])
    index = np.concatenate([near, near + 1e-11, near - 1e-11, np.random.default_rng(16).uniform(-40, 40, 4000)])
    whole, offset, floor, fraction = call(Variant("single", "square", "tricubic", two_floats=True), "nodes", 4,
                                          index.size, index)
    assert (whole == np.ceil(index - 0.5)).all()
    assert (np.abs(offset - (index - whole)) <= 1e-13).all()
    assert (np.abs(floor + fraction - index) <= 4e-8).all()


def test_ordinary_crystals_keep_single_floats():
    fine = dataclasses.replace(coarse((100,) * 3), detector=Detector(distance_mm=200, pixel_size_mm=0.172))
    for experiment, needed in ((fine, False), (coarse((100,) * 3), True), (coarse(), True)):
        assert needs_two_floats(make_plan(experiment), "single", TILE) == needed
    assert [needs_two_floats(make_plan(coarse((cells,) * 3)), "mixed", TILE) for cells in (200, 201)] == [False, True]
    assert not needs_two_floats(make_plan(coarse()), "double", TILE)
    assert not needs_two_floats(make_plan(coarse(shape="gauss")), "mixed", TILE)


@precisions
@pytest.mark.parametrize(("crystal", "default_f", "value"), [
    ({"cells": (2_000_000, 1, 1)}, 100.0, "2e+06"), ({"cells": (5, 5, 5)}, 1e-20, "1e-20"),
    ({"cells": (5, 5, 5), "shape": "gauss"}, 1e19, "1e+19")])
def test_terms_out_of_range_are_rendered_in_double(precision, crystal, default_f, value):
    experiment = dataclasses.replace(small_experiment(crystal=crystal), structure_factors=StructureFactors(default_f))
    plan = make_plan(experiment)
    assert value in double_only(plan)
    image = simulate(experiment, backend="cpu", precision=precision, plan=plan)
    assert image.precision == "double"
    assert mentioned(image.warnings, f"precision {precision}", "", value, "double precision")
    assert np.array_equal(image.photons, HostEngine(plan).render(), equal_nan=True)


def test_long_running_products_are_rendered_in_double():
    for oversample, precision in ((5, "single"), (6, "double")):  # 25 and 36 terms of a pixel
        sampling = {"oversample": oversample, "oversample_polar": True}
        plan = make_plan(small_experiment(sampling=sampling, semantics="nanobragg"))
        assert select_backend(plan, "cpu", "single").precision == precision


@precisions
def test_in_range_is_rendered_as_requested(precision):
    selected = select_backend(make_plan(coarse((1_000_000, 1, 1))), "cpu", precision)
    assert (selected.precision, selected.double_because) == (precision, "")
