"""Figures that a user can check by hand, and whether spots will be seen."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cubragg import (
    Background,
    Beam,
    ConfigError,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Sampling,
    StructureFactors,
    simulate,
)
from cubragg.plan.brightest import brightest
from cubragg.plan.make_plan import make_plan
from cubragg.run.visibility import background_at

CELL = (60.0, 60.0, 60.0, 90.0, 90.0, 90.0)
THETA = math.asin(12.0 / 60.0 / 2.0)


def experiment(background=None, **crystal) -> Experiment:
    return Experiment(
        Crystal(cell=CELL, cells=(20, 20, 20), misset_deg=(10.0, 20.0, 30.0), **{"size_mm": 0.02, **crystal}),
        StructureFactors(300.0), Beam(flux=1e12, size_mm=0.05),
        Detector(convention="xds", distance_mm=100.0, pixel_size_mm=0.5, fast_pixels=120, slow_pixels=120),
        Goniometer(0.0, 0.5, phi_steps=6), background=background or Background())


@pytest.mark.parametrize("osc", [1.0, 0.2, None])
@pytest.mark.parametrize("mosaicity", [None, 0.1])
def test_the_brightest_reflection_is_that_of_the_image(osc, mosaicity):
    """0 -12 0 alone, on the sphere in the middle of the range: Darwin's law, and its peak for a still."""
    grid = np.zeros((1, 25, 1))
    grid[0, 0, 0] = 100.0
    made = Experiment(
        Crystal(cell=CELL, cells=(20, 20, 20), misset_deg=(math.degrees(THETA), 0.0, 0.0), shape="gauss",
                mosaicity_deg=mosaicity), StructureFactors(0.0, grid, (0, -12, 0)),
        Beam(fluence=1e24, polarized=False),
        Detector(convention="xds", distance_mm=100.0, pixel_size_mm=0.2, fast_pixels=24, slow_pixels=24, orgx=12.0,
                 orgy=12.0 + math.tan(2.0 * THETA) * 500.0),
        Goniometer(-(osc or 0.0) / 2.0, osc), Sampling(interpolate=False))
    found = brightest(make_plan(made))
    assert found.hkl == (0, -12, 0)
    assert found.d_A == pytest.approx(5.0)
    assert found.photons == pytest.approx(float(simulate(made).photons.sum()), rel=0.04)


@pytest.mark.parametrize(("settings", "words"), [
    ({"offset_mm": (1.0, 1.0, 1.0)}, "in the beam"), ({"size_mm": 2e-6}, "of a coherent block"), ({}, "")])
def test_a_crystal_beside_the_beam_or_smaller_than_its_block(settings, words):
    made = make_plan(experiment(**settings), "sampled")
    found = [one for one in made.warnings if "--crystal-offset" in one or "--block-size" in one]
    assert [words in one for one in found] == [True] * bool(words)


def test_air_ends_at_the_detector():
    with pytest.raises(ConfigError, match="100 mm") as error:
        make_plan(experiment(Background(air_mm=(0.0, 120.0))))
    assert error.value.where == "background.air_mm"


def test_no_spot_will_be_seen():
    """Too few photons; then enough of them in front of a background that drowns them."""
    bright = experiment()
    image = simulate(bright)
    assert not [warning for warning in image.warnings if "no spot" in warning]
    peak = float(image.photons.max())
    faint = dataclasses.replace(bright, beam=dataclasses.replace(bright.beam, flux=1e12 * 0.5 / peak))
    warning, = (warning for warning in simulate(faint).warnings if "no spot" in warning)
    assert "0.5 expected photons" in warning
    drowned = dataclasses.replace(bright, background=Background(constant=(2.0 * peak) ** 2))
    warning, = (warning for warning in simulate(drowned).warnings if "no spot" in warning)
    assert "drowns" in warning


def test_photons_that_are_not_meant_absolutely_have_no_warning():
    one_block = dataclasses.replace(experiment(size_mm=None), beam=Beam(fluence=1.0))
    assert not [warning for warning in simulate(one_block).warnings if "no spot" in warning]


def test_the_background_at_a_resolution():
    """Of a radial profile of 1000 stol^2: stol = 1/6 at 3 A."""
    stol = np.linspace(0.0, 0.5, 501)
    made = experiment(Background(radial=np.stack([stol, 1000.0 * stol**2], axis=1)), size_mm=1e-6)
    image = simulate(made).photons
    assert background_at(make_plan(made), image, 3.0) == pytest.approx(1000.0 / 36.0, rel=0.02)
    assert background_at(make_plan(made), image, 0.6) is None
