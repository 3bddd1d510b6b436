"""By what factor an image in nanobragg semantics is off, as its warnings say: measured against the textbook."""

from __future__ import annotations

import re

import pytest

from cubragg import Beam, Crystal, Detector, Experiment, Sampling, Source, StructureFactors, simulate

DETECTOR = {"fast_pixels": 8, "slow_pixels": 8, "pixel_size_mm": 0.2, "distance_mm": 500.0}


def image(semantics, detector=None, sampling=None, sources=()):
    """Photons at small angles, where a single cell scatters evenly: by its F000."""
    F = 1e-9 if sampling else 100.0
    factors = StructureFactors(F, F000=F if semantics == "physical" else None)
    return simulate(Experiment(
        Crystal(cell=(5.0, 5.0, 5.0, 90.0, 90.0, 90.0)), factors,
        Beam(fluence=1e24, kahn_factor=0.0, sources=sources), Detector(**DETECTOR, **(detector or {})),
        sampling=Sampling(oversample=2, **(sampling or {})), semantics=semantics))


def factor_of(nanobragg, words):
    """The number before "times" in the warning with these words."""
    warning, = (warning for warning in nanobragg.warnings if words in warning)
    assert "--semantics physical" in warning
    return float(re.search(r"([\d.e+-]+) times", warning)[1])


@pytest.mark.parametrize("steps", [2, 5])
def test_sensor(steps):
    sensor = {"thickness_um": 450.0, "attenuation_um": 300.0, "thick_steps": steps}
    nanobragg, physical = (image(semantics, sensor) for semantics in ("nanobragg", "physical"))
    factor = float(nanobragg.photons.sum() / physical.photons.sum())
    assert factor_of(nanobragg, "450 um") == pytest.approx(factor, rel=5e-3)


def test_water():
    nanobragg, physical = (image(semantics, sampling={"water_um": 10.0}) for semantics in ("nanobragg", "physical"))
    factor = float(nanobragg.photons.sum(dtype=float) / physical.photons.sum(dtype=float))
    assert factor_of(nanobragg, "water") == pytest.approx(factor, rel=5e-3)


def test_source_weights():
    sources = tuple(Source((-10.0, 0.0, 0.0), weight, 1e-10) for weight in (1.0, 3.0))
    warning, = (warning for warning in image("nanobragg", sources=sources).warnings if "weights" in warning)
    assert "0.667 to 2" in warning
    assert "--semantics physical" in warning


def test_source_weights_near_zero():
    sources = tuple(Source((-10.0, 0.0, 0.0), weight, 1e-10) for weight in (1e-320, 1.0))
    warning, = (warning for warning in image("nanobragg", sources=sources).warnings if "weights" in warning)
    assert "0.5 to inf" in warning
