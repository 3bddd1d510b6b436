"""Spots in closed form and counts on a real device, against NumPy and the counts of images of photons."""

from __future__ import annotations

import numpy as np
import pytest

from cubragg import (
    Background,
    Beam,
    BeamStop,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Response,
    Sampling,
    StructureFactors,
    simulate,
    simulate_counts,
)
from cubragg.detect.counting import draw_counts
from cubragg.engine.analytic.analytic_engine import AnalyticEngine
from cubragg.engine.cuda.analytic_cuda_engine import AnalyticCudaEngine
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.plan.make_plan import make_plan
from support.analytic_experiments import VARIANTS, experiment
from support.experiments import Hung, hang
from support.image_bodies import share_of_maximum

#: Share of the maximum of an image in closed form.
OF_MAXIMUM = {"double": 2e-7, "single": 1e-5}
MASK = np.random.default_rng(0).random((90, 100)) < 0.8
RESPONSES = {
    "counting": Response(count_cutoff=1000, flicker=0.1, charge_cloud_um=20.0, efficiency_sigma=0.2),
    "integrating": Response("integrating", readout_sigma=0.5, efficiency_sigma=0.1),
    "noisify": Response(order="noisify", flicker=0.1, flat_field_sigma=0.1)}

every_precision = pytest.mark.parametrize("precision", OF_MAXIMUM)


# Spots in closed form


@pytest.mark.requirement("AT-ANA-008")
@every_precision
@pytest.mark.parametrize("name", VARIANTS)
def test_spots(name, precision):
    plan = make_plan(experiment(**VARIANTS[name]), "analytic")
    engine = AnalyticCudaEngine(plan, precision)
    image = engine.render()
    assert image.any()
    assert share_of_maximum(image, AnalyticEngine(plan).render(1)) <= OF_MAXIMUM[precision]
    assert engine.render().tobytes() == image.tobytes()


@every_precision
def test_spots_of_a_part(precision):
    """Of a region with masked pixels, in double precision to the bit of the whole image, and of two panels."""
    settings = {"method": "analytic", "backend": "cuda", "precision": precision}
    whole = simulate(experiment(), **settings).photons
    part = simulate(experiment(sampling={"mask": MASK, "roi": (10, 80, 5, 70)}), **settings).photons
    inside = np.zeros_like(MASK)
    inside[5:71, 10:81] = True
    expected = np.where(inside & MASK, whole, np.float32(0.0))
    assert share_of_maximum(part, expected) <= (0.0 if precision == "double" else OF_MAXIMUM[precision])
    panels = [Hung(50, 90, 0.2, 0.2, (0.2 * first, 0.0, 0.0), offset=(first, 0)) for first in (0, 50)]
    assert share_of_maximum(simulate(hang(experiment(), panels), **settings).photons, whole) <= OF_MAXIMUM[precision]


# Counts


@pytest.mark.requirement("AT-NOISE-008")
@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize(("method", "precision"), [
    ("sampled", "double"), ("sampled", "mixed"), ("sampled", "single"), ("analytic", "double"), ("analytic", "single")])
def test_counts_of_kernels_that_render(method, precision, response, monkeypatch):
    """To the bit those of the image of photons, which is not made for them."""
    shot = Experiment(
        Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0), cells=(20, 18, 15),
                shape="gauss"),
        StructureFactors(3.5e8), Beam(1.0, fluence=2.5e12, beamsize_mm=2.0, direct_fraction=3e-4),
        Detector(distance_mm=60.0, pixel_size_mm=0.4, fast_pixels=100, slow_pixels=90),
        Goniometer(0.0, 0.5, phi_steps=3), Sampling(oversample=1, mask=MASK),
        background=Background(water_um=50.0, air_mm=(0.0, 20.0)), beamstop=BeamStop(size_mm=1.0, distance_mm=50.0),
        response=RESPONSES[response], semantics="physical")
    settings = {"method": method, "backend": "cuda", "precision": precision}
    expected = simulate(shot, **settings).counts(5)
    for engine in (AnalyticCudaEngine, CudaEngine):
        monkeypatch.setattr(engine, "render", None)
    assert expected.max() > 10
    np.testing.assert_array_equal(simulate_counts(shot, 5, **settings), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mean", [0.02, 3.0, 40.0, 1e5])
def test_counts_of_an_array(mean, dtype):
    import cupy

    means = np.random.default_rng(1).gamma(0.5, 2.0 * mean, (130, 301)).astype(dtype)
    drawn = draw_counts(cupy.asarray(means), seed=7, shot=2, roi=(3, 299, 1, 128)).get()
    np.testing.assert_array_equal(drawn, draw_counts(means, seed=7, shot=2, roi=(3, 299, 1, 128), backend="numpy"))
