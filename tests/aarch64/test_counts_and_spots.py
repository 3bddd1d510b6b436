"""Counts, deviates and spots in closed form as compiled for aarch64, whose vectors are shorter, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from aarch64.emulated import emulate
from cubragg.detect.counting import draw_counts
from cubragg.detect.normal_deviates import normal_image, normals
from cubragg.engine.analytic.analytic_engine import AnalyticEngine
from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
from cubragg.philox import Effect
from cubragg.plan.make_plan import make_plan
from support.analytic_experiments import VARIANTS, experiment

pytestmark = [pytest.mark.aarch64, pytest.mark.slow, pytest.mark.requirement("AT-BAK-013")]


@pytest.fixture(autouse=True)
def _on_aarch64(monkeypatch):
    """Kernels for the CPU, executed under emulation."""
    emulate(monkeypatch)


@pytest.mark.parametrize("mean", [0.02, 3.0, 40.0, 1e5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_are_numpys(mean, dtype):
    means = np.random.default_rng(1).gamma(0.5, 2.0 * mean, (37, 301)).astype(dtype)
    np.testing.assert_array_equal(draw_counts(means, seed=7, shot=2, roi=(3, 299, 1, 36), backend="cpu"),
                                  draw_counts(means, seed=7, shot=2, roi=(3, 299, 1, 36), backend="numpy"))


def test_deviates_are_numpys():
    found = normal_image((70, 301), 2**40 + 7, 3, Effect.READOUT, 5)
    np.testing.assert_array_equal(found.ravel(), normals(2**40 + 7, 3, Effect.READOUT, np.arange(found.size), 5))


@pytest.mark.parametrize("name", ["rotation", "spectrum", "sensor", "whole crystal"])
def test_spots_are_numpys(name):
    """The list of the spots and their photons."""
    plan = make_plan(experiment(**VARIANTS[name]), "analytic")
    expected = AnalyticEngine(plan).render(1)
    brightest = float(expected.max())
    assert brightest > 0.0
    assert AnalyticHostEngine(plan).render(1) == pytest.approx(expected, rel=1e-6, abs=1e-12 * brightest)
    assert np.abs(AnalyticHostEngine(plan, "single").render(1) - expected).max() < 1e-5 * brightest
