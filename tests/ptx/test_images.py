"""What the CUDA engine launches besides single images: the golden set, batches, panels, row bands, the search."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cubragg import Goniometer, simulate
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.culling import Culling
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.plan.make_plan import make_plan
from support.experiments import Hung, hang, random_grid, small_experiment
from support.golden_set import arguments, cases, reference
from support.image_bodies import OF_MAXIMUM_IN_LESS
from support.marks import slow_after

pytestmark = pytest.mark.requirement("AT-BAK-012")

#: Of the golden set, images of few samples: constant and listed factors, omega, polarization and thickness per sample,
#: a mask, divergence, dispersion, phi steps, interpolation.
GOLDEN = ("p027-pattern", "f-scale-adc", "f-sparse-default", "f-oversample2-omega", "f-oversample2-polar",
          "f-oversample2-thick", "f-mask", "f-div-step", "f-dispersion-range", "f-phistep", "f-interpolate-inrange")


@pytest.mark.parametrize("case_id", slow_after(1, GOLDEN))
@pytest.mark.usefixtures("elsewhere")
def test_the_golden_set(cupy, case_id):
    experiment = build(parse(tuple(arguments(cases()[case_id])))).experiment
    places, expected = reference(case_id)
    maximum, bits = expected.max(), HostEngine(make_plan(experiment)).render(1)
    for precision in PRECISIONS:
        image = simulate(experiment, backend="cuda", precision=precision).photons
        if precision == "double":
            assert image.tobytes() == bits.tobytes()
        share = np.abs(image.ravel()[places] - expected).max() / maximum
        assert share <= {"double": 1e-8, **OF_MAXIMUM_IN_LESS}[precision]
    assert cupy.executed


@pytest.mark.slow
def test_a_batch_on_panels(cupy):
    """Three images of two panels, one with a mask, more orientations than a chunk, and row bands of a row of tiles."""
    mask = np.random.default_rng(2).random((15, 13)) < 0.8
    experiment = small_experiment(
        crystal={"mosaic_spread_deg": 2.0, "mosaic_domains": 70, "shape": "gauss"}, detector={"pixel_size_mm": 1.0})
    experiment = hang(experiment, [
        Hung(13, 15, 1.0, 1.0, (0.0, 0.0, 0.0), mask=mask),
        Hung(9, 20, 1.0, 0.8, (14.0, 2.0, 1.0), fast=(1.0, 0.1, 0.0), slow=(-0.1, 1.0, 0.0), offset=(13, 0))])
    plans = [make_plan(dataclasses.replace(experiment, goniometer=Goniometer(phi))) for phi in (0.0, 20.0, 40.0)]
    engine = CudaEngine(plans[0], "double", memory_bytes=0, culling=Culling(True, (8, 8)))
    for plan, image in zip(plans, engine.images(plans), strict=True):
        assert image.tobytes() == HostEngine(plan).render(1).tobytes()
    assert len(cupy.executed) > 3 * len(experiment.detector.panels)


@pytest.mark.slow
def test_the_pixel_at_which_interpolation_stops(cupy):
    """In nanobragg semantics the first pixel with a sample outside the grid stops it: a kernel searches it."""
    plan = make_plan(small_experiment(structure_factors=vars(random_grid(np.random.default_rng(1), 4)),
                                      sampling={"interpolate": True}))
    host, engine = HostEngine(plan), CudaEngine(plan, "double")
    assert engine.render().tobytes() == host.render(1).tobytes()
    assert engine.interpolation_stopped_at == host.interpolation_stopped_at is not None
    assert {entry for _, entry in cupy.executed} == {"find_outside", "render"}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed", "single"])
def test_two_floats(cupy, precision):
    """1000 cells along an axis: offsets of indices are sums of two floats."""
    plan = make_plan(small_experiment(crystal={"cells": (1000, 900, 800)}))
    expected = HostEngine(plan).render(1)
    image = CudaEngine(plan, precision).render()
    assert "-DTWO_FLOATS=1" in cupy.executed[0][0]
    assert np.abs(image - expected).max() <= OF_MAXIMUM_IN_LESS[precision] * expected.max()
