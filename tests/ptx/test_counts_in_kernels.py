"""Kernels that render counts, from NVRTC's PTX: those of the CPU's photons in double precision, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cubragg as cb
from cubragg.engine.cuda import device_maps
from support.experiments import Hung, hang, small_experiment
from support.marks import slow_after

pytestmark = pytest.mark.requirement("AT-BAK-012")

#: Entry points that compute the spots of an image, before kernels that render or count.
_SPOT_LIST = {"bound_spots", "fill_spots"}


@pytest.fixture(autouse=True)
def _fresh():
    """No map from a test before."""
    device_maps._UPLOADED.clear()


def experiment(**changed: object) -> cb.Experiment:
    """45 x 25 pixels, whose last tiles are cut, with all that an epilogue does.

    Two maps and a beam stop, a mask, factors of the shot, the panel and the pixel, small and large means, a cutoff.
    """
    shot = small_experiment(
        crystal={"cell": (50.0, 60.0, 70.0, 90.0, 95.0, 90.0), "misset_deg": (12.0, 34.0, 56.0), "cells": (20, 18, 15),
                 "shape": "gauss"},
        structure_factors={"default_F": 6e8}, beam={"fluence": 2.5e12, "beamsize_mm": 2.0, "direct_fraction": 3e-4},
        detector={"distance_mm": 80.0, "pixel_size_mm": 0.8, "fast_pixels": 45, "slow_pixels": 25},
        sampling={"oversample": 1, "mask": np.random.default_rng(0).random((25, 45)) < 0.8}, semantics="physical")
    return replace(shot, **{
        "background": cb.Background(water_um=50.0), "beamstop": cb.BeamStop(size_mm=1.0, distance_mm=60.0),
        "response": cb.Response(flicker=0.1, charge_cloud_um=20.0, efficiency_sigma=0.2, count_cutoff=100), **changed})


@pytest.mark.parametrize("method", ["sampled", "analytic"])
def test_the_counts_of_the_photons(cupy, method):
    shot = experiment()
    if method == "analytic":
        shot = replace(shot, crystal=replace(shot.crystal, mosaicity_deg=0.3), goniometer=cb.Goniometer(0.0, 0.5))
    expected = cb.simulate(shot, backend="cpu", method=method).counts(5)
    found = cb.simulate_counts(shot, 5, backend="cuda", precision="double", method=method)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 5
    if method == "sampled":
        assert expected.max() == 100
    assert {entry for _, entry in cupy.executed} == (
        {"count"} if method == "sampled" else {*_SPOT_LIST, "count_spots", "count_background"})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sampled", "analytic"])
def test_panels(cupy, method):
    panels = [Hung(20, 15, 0.8, 0.8, (0.0, 0.0, 0.0)), Hung(12, 17, 0.8, 0.4, (20.0, 0.0, 0.0), offset=(22, 5))]
    shot = hang(replace(experiment(beamstop=None), sampling=cb.Sampling(oversample=1)), panels)
    expected = cb.simulate(shot, backend="cpu", method=method).counts(5)
    np.testing.assert_array_equal(
        cb.simulate_counts(shot, 5, backend="cuda", precision="double", method=method), expected)
    assert cupy.executed


@pytest.mark.slow
@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("order", ["noisify", "integrating"])
def test_factors_of_other_orders(order):
    response = (cb.Response(order="noisify", flicker=0.3, flat_field_sigma=0.5) if order == "noisify" else
                cb.Response("integrating", efficiency_sigma=0.3, readout_sigma=0.5, gain=3.0))
    shot = experiment(response=response)
    np.testing.assert_array_equal(cb.simulate_counts(shot, 5, backend="cuda", precision="double"),
                                  cb.simulate(shot, backend="cpu").counts(5))


@pytest.mark.parametrize("method", slow_after(1, ["analytic", "sampled"]))
def test_means_that_are_too_large(cupy, method):
    """Several threads of several blocks raise the flag."""
    shot = experiment(background=cb.Background(constant=3e9))
    expected = cb.simulate(shot, backend="cpu", method=method).counts(5)
    cupy.executed.clear()
    found = cb.simulate_counts(shot, 5, backend="cuda", precision="double", method=method)
    np.testing.assert_array_equal(found, expected)
    entries = [entry for _, entry in cupy.executed if entry not in _SPOT_LIST]
    assert entries[0].startswith("count")
    assert entries[-1].startswith("render")
