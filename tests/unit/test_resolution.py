"""The resolution of pixels against Bragg's law and against the renderer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cubragg import StructureFactors
from cubragg.experiment import Detector
from cubragg.plan.make_plan import make_plan
from cubragg.run.render import simulate
from cubragg.view.resolution import beam_spot, image_resolution
from support.experiments import random_experiment, small_experiment


@pytest.mark.requirement("AT-PIC-005")
def test_rings_of_an_upright_detector():
    detector = Detector(pixel_size_mm=0.172, fast_pixels=487, slow_pixels=195, distance_mm=190.0, convention="xds",
                        orgx=100.5, orgy=80.5)
    spacing = image_resolution(*detector.placed(), 0.9795)
    fast, slow = np.meshgrid(np.arange(487) + 0.5, np.arange(195) + 0.5)
    radius_mm = 0.172 * np.hypot(fast - 100.0, slow - 80.0)
    away = radius_mm > 0.0
    expected = 190.0 * np.tan(2.0 * np.arcsin(0.9795 / (2.0 * spacing[away])))
    np.testing.assert_allclose(radius_mm[away], expected, rtol=1e-9)


def test_the_beam_itself_has_no_resolution():
    detector = Detector(pixel_size_mm=0.1, fast_pixels=3, slow_pixels=3, convention="xds", orgx=2.0, orgy=2.0)
    assert np.argwhere(np.isinf(image_resolution(*detector.placed(), 1.0))).tolist() == [[1, 1]]


def turned(vector, axis, angle):
    """Rodrigues' formula."""
    axis = np.asarray(axis) / np.linalg.norm(axis)
    return (vector * math.cos(angle) + np.cross(axis, vector) * math.sin(angle)
            + axis * np.dot(axis, vector) * (1.0 - math.cos(angle)))


@pytest.mark.requirement("AT-PIC-005")
def test_a_detector_on_an_arm_pixel_by_pixel():
    # DIALS frame: beam along z, arm about y; the sample stays the pivot
    detector = Detector(pixel_size_mm=0.5, fast_pixels=21, slow_pixels=17, distance_mm=80.0, convention="dials",
                        twotheta_deg=28.0)
    spacing = image_resolution(*detector.placed(), 1.3)
    for slow in range(17):
        for fast in range(21):
            upright = np.array([0.5 * (fast + 0.5 - 10.5), 0.5 * (slow + 0.5 - 8.5), 80.0])
            x, y, z = turned(upright, (0.0, 1.0, 0.0), math.radians(28.0))
            theta = 0.5 * math.acos(z / math.sqrt(x * x + y * y + z * z))
            assert spacing[slow, fast] == pytest.approx(1.3 / (2.0 * math.sin(theta)), rel=1e-12)


@pytest.mark.requirement("AT-PIC-005")
@pytest.mark.parametrize("seed", range(12))
def test_the_renderer_cuts_where_the_map_says(seed):
    drawn = random_experiment(seed)
    detector = dataclasses.replace(drawn.detector, curved=seed % 3 == 0, thickness_um=0.0, attenuation_um=None,
                                   thick_steps=None)
    whole = small_experiment(sampling={"oversample": 1, "interpolate": False, "water_um": 0.0},
                             crystal={"cells": (1, 1, 1)})
    whole = dataclasses.replace(whole, detector=detector, structure_factors=StructureFactors(100.0))
    plan = make_plan(whole)
    spacing = image_resolution(plan.detector_panels, plan.geometry, whole.beam.wavelength_A, curved=detector.curved)
    middle = float(np.sort(spacing.ravel())[spacing.size // 2]) * (1.0 + 1e-9)
    cut = dataclasses.replace(whole, sampling=dataclasses.replace(whole.sampling, dmin_A=middle))
    lit, left = (simulate(experiment, backend="numpy").photons > 0.0 for experiment in (whole, cut))
    np.testing.assert_array_equal(left, lit & (spacing > middle))
    assert 0 < left.sum() < lit.sum()


@pytest.mark.requirement("AT-PIC-006")
@pytest.mark.parametrize("seed", range(12))
def test_the_beam_spot_is_where_the_resolution_is_lowest(seed):
    detector = dataclasses.replace(random_experiment(seed).detector, curved=False, fast_pixels=300, slow_pixels=300,
                                   pixel_size_mm=0.5, distance_mm=100.0)
    panels, geometry = detector.placed(semantics="nanobragg")
    spot = beam_spot(panels, geometry)
    position = (np.array(geometry.pix0) + geometry.pixel_size * (
        spot.fast_px * np.array(geometry.fast) + spot.slow_px * np.array(geometry.slow)))
    np.testing.assert_allclose(position, spot.distance_mm / 1000.0 * np.array(geometry.beam), atol=1e-12)
    if 0.0 < spot.fast_px < 300.0 and 0.0 < spot.slow_px < 300.0:
        slow, fast = np.unravel_index(image_resolution(panels, geometry, 1.0).argmax(), (300, 300))
        assert math.hypot(fast + 0.5 - spot.fast_px, slow + 0.5 - spot.slow_px) < 1.0


def test_a_beam_that_misses_the_plane():
    assert beam_spot(*Detector(convention="dials", twotheta_deg=95.0).placed()) is None
