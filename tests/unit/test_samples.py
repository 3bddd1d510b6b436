"""Samples of physical semantics: spindle steps, domains, rays and places, and the photons and spots that they give."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import qmc

from cubragg import (
    Beam,
    Channel,
    ConfigError,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Sampling,
    StructureFactors,
    simulate,
)
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.plan.quasi_random import normal_points, uniform_points
from cubragg.plan.sample_choice import conditions_of
from cubragg.plan.sum_error import sum_error
from cubragg.units import ANGSTROM_M, THOMSON_CROSS_SECTION_M2

#: A crystal whose reflection 0 -12 0 passes through the sphere in the middle of 1 deg about x, near the vertical.
CELL = (60.0, 60.0, 60.0, 90.0, 90.0, 90.0)
THETA = math.asin(12.0 / 60.0 / 2.0)
NO_POLARIZATION = {"wavelength_A": 1.0, "polarized": False}


def scene(crystal=None, beam=None, osc=1.0, steps=None, pixels=24, pixel_mm=0.1, **detector) -> Experiment:
    """One reflection in the middle of a square detector, beam along z, spindle along x."""
    at = math.tan(2.0 * THETA) * 100.0
    geometry = {"convention": "xds", "fast_pixels": pixels, "slow_pixels": pixels, "pixel_size_mm": pixel_mm,
                "distance_mm": 100.0, "orgx": pixels / 2.0, "orgy": pixels / 2.0 + at / pixel_mm, **detector}
    grid = np.zeros((1, 25, 1))
    grid[0, 0, 0] = 100.0  # only 0 -12 0
    return Experiment(
        Crystal(**{"cell": CELL, "cells": (20, 20, 20), "misset_deg": (math.degrees(THETA), 0.0, 0.0),
                   **(crystal or {})}),
        StructureFactors(0.0, grid, (0, -12, 0)), Beam(**{**NO_POLARIZATION, "fluence": 1e24, **(beam or {})}),
        Detector(**geometry), Goniometer(-(osc or 0.0) / 2.0, osc, phi_steps=steps), Sampling(interpolate=False))


def darwin(plan: Plan, blocks: float) -> float:
    """Photons of the reflection in a full passage, r_e^2 fluence F^2 Ncells V* lambda^2 / (osc sin 2theta); the spindle
    is perpendicular to the plane of the rays, so that the speed through the sphere is |g| cos theta."""
    wavelength, volume = plan.wavelength, 60.0**3 * ANGSTROM_M**3
    count = math.prod(plan.cells)
    return (THOMSON_CROSS_SECTION_M2 * plan.fluence * 100.0**2 * count * blocks * wavelength**3
            / (volume * plan.phi.width * math.sin(2.0 * THETA)))


def moments(photons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centroid (fast, slow) and variances [pixel, pixel^2]."""
    fast, slow = (np.arange(count) + 0.5 for count in photons.shape[::-1])
    total = photons.sum(dtype=np.float64)
    along = [photons.sum(axis=axis, dtype=np.float64) / total for axis in (0, 1)]
    mean = np.array([along[0] @ fast, along[1] @ slow])
    return mean, np.array([along[0] @ fast**2, along[1] @ slow**2]) - mean**2


def test_sobol_points_are_scipys():
    points = uniform_points(64, 8) - 0.5 / 64
    expected = qmc.Sobol(8, scramble=False).random(64)  # in another order
    np.testing.assert_array_equal(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])


def test_normal_points_have_mean_0_and_unit_covariance():
    points = normal_points(256, 5)
    np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(points.T @ points / 256, np.eye(5), atol=1e-9)
    assert np.mean(points**4) == pytest.approx(3.0, rel=0.1)


def test_spindle_steps_are_in_the_middle_of_their_intervals():
    """Section 13 of the specification of crystal models: phi 1, osc 1, 4 steps."""
    experiment = dataclasses.replace(scene(), goniometer=Goniometer(1.0, 1.0, phi_steps=4))
    assert np.degrees(make_plan(experiment).phi_angles) == pytest.approx([1.125, 1.375, 1.625, 1.875], abs=1e-12)


def test_ten_narrow_images_are_one_wide_one():
    crystal = {"mosaicity_deg": 0.2, "mosaic_domains": 8}
    wide = simulate(scene(crystal, osc=1.0, steps=20)).photons
    narrow = [simulate(dataclasses.replace(scene(crystal, osc=0.1, steps=2), goniometer=Goniometer(
        -0.5 + 0.1 * number, 0.1, phi_steps=2))).photons for number in range(10)]
    np.testing.assert_allclose(np.mean(narrow, axis=0, dtype=np.float64), wide, rtol=2e-6, atol=1e-7 * wide.max())


@pytest.mark.parametrize("crystal", [{}, {"mosaicity_deg": 0.05}, {"mosaic_spread_deg": 0.1}, {"strain": 1e-3}])
def test_darwins_law_for_one_block(crystal):
    """Absolute photons, with the samples that are chosen."""
    image = simulate(scene({**crystal, "shape": "gauss"}))
    assert float(image.photons.sum()) == pytest.approx(0.984443146 * darwin(image.plan, 1.0), rel=5e-3)
    assert image.plan.notes


def test_darwins_law_for_a_parallelepiped():
    """Over its whole reciprocal cell, 5 deg and 2 mm across: its fringes hold percents."""
    image = simulate(scene(osc=7.0, pixels=32))
    assert float(image.photons.sum()) == pytest.approx(darwin(image.plan, 1.0), rel=5e-3)


@pytest.mark.parametrize(("habit", "factor"), [("box", 1.0), ("sphere", math.pi / 6.0)])
def test_darwins_law_for_the_whole_crystal(habit, factor):
    """From size, flux and exposure: 1e12 photons/s for 0.1 s in 0.1 x 0.1 mm, a crystal of 0.03 mm."""
    image = simulate(scene({"size_mm": 0.03, "habit": habit, "mosaicity_deg": 0.05, "shape": "gauss"},
                           {"flux": 1e12, "exposure_s": 0.1, "size_mm": 0.1}))
    photons = 0.984443146 * THOMSON_CROSS_SECTION_M2 * 1e11 / 1e-8 * 1e4 * factor * (3e-5)**3 * 1e-30 / (
        (6e-9)**6 * math.radians(1.0) * math.sin(2.0 * THETA))
    assert float(image.photons.sum()) == pytest.approx(photons, rel=0.01)


def test_doubling_the_crystal():
    """Eight times the photons in a wide beam, twice in a narrow one."""
    def total(edge: float, beam: float) -> float:
        return float(simulate(scene({"size_mm": edge}, {"flux": 1e12, "size_mm": beam})).photons.sum())

    assert total(0.04, 1.0) / total(0.02, 1.0) == pytest.approx(8.0, rel=2e-3)
    assert total(0.04, 0.01) / total(0.02, 0.01) == pytest.approx(2.0, rel=2e-3)


def test_the_size_of_the_crystal_widens_spots_and_keeps_photons():
    """By the variance of its projection along the ray, (1 - k k^T) C (1 - k k^T), on the detector."""
    block, whole = (simulate(scene({"shape": "gauss", **size}, pixels=64, pixel_mm=0.02))
                    for size in ({}, {"size_mm": (0.3, 0.2, 0.25)}))
    blocks = whole.plan.illumination.blocks
    assert float(whole.photons.sum()) / blocks == pytest.approx(float(block.photons.sum()), rel=2e-3)
    added = moments(whole.photons)[1] - moments(block.photons)[1]
    # Turned about x: the fast axis is the first edge; along slow, the projection along the ray on the plane of the
    # detector takes y - z tan 2theta.
    covariance = whole.plan.illumination.covariance
    across = np.array([0.0, 1.0, math.tan(2.0 * THETA)])
    expected = np.array([0.3**2 / 12.0, float(across @ covariance @ across) * 1e6]) / 0.02**2
    np.testing.assert_allclose(added, expected, rtol=0.02)


@pytest.mark.parametrize("crystal", [{"habit": "box"}, {"habit": "sphere"}, {"habit": "cylinder"}])
@pytest.mark.parametrize("beam", [{}, {"divergence_mrad": 0.3, "bandwidth": 1e-3}, {"profile": "gaussian"}])
def test_places_do_not_correlate_with_rotations_and_rays(crystal, beam):
    """Rotation, strain and ray of a block do not depend on its place in the crystal."""
    plan = make_plan(scene({"size_mm": 0.05, "mosaicity_deg": 0.2, "strain": 1e-3, **crystal},
                           {"size_mm": 0.06, **beam}))
    count, domains = len(plan.parts), plan.domains
    place = -np.array([part.panels[0].origin for part in plan.parts])
    assert count >= 16
    drawn = np.column_stack([domains.rotation, domains.strain]).reshape(-1, count, 4).mean(axis=0)
    rays = np.array([(*part.sources.incident[0][:2], part.sources.wavelength_m[0]) for part in plan.parts])
    together = np.corrcoef(np.column_stack([place, drawn, rays[:, np.ptp(rays, axis=0) > 1e-18]]).T)[:3, 3:]
    assert np.abs(together).max() < 1e-3


def test_widths_of_crystal_and_mosaicity_add():
    """The variances of a spot: 50 um / sqrt(20) across a sphere, beside that of the mosaicity alone."""
    both, mosaic = (moments(simulate(scene({"shape": "gauss", "cells": (60, 60, 60), "mosaicity_deg": 0.05, **size},
                                           osc=2.0, pixels=64, pixel_mm=0.02)).photons)[1] for size in (
        {"size_mm": 0.05, "habit": "sphere"}, {"size_mm": 1e-4, "habit": "sphere"}))
    np.testing.assert_allclose(both, mosaic + (0.05 / 0.02) ** 2 / 20.0, rtol=0.025)


def test_a_crystal_off_the_spindle_shifts_its_spots():
    """By its offset and, along the beam, by the tangent of 2theta."""
    centred, moved = (simulate(scene({"shape": "gauss", "offset_mm": offset}, pixels=64, pixel_mm=0.02))
                      for offset in ((0.0, 0.0, 0.0), (0.2, 0.1, 0.3)))
    shift = moments(moved.photons)[0] - moments(centred.photons)[0]
    # The ray goes along -y: nearer to the detector by dz, it has dz tan 2theta less to go.
    assert shift == pytest.approx([10.0, 5.0 + 15.0 * math.tan(2.0 * THETA)], abs=0.05)
    assert float(moved.photons.sum()) == pytest.approx(float(centred.photons.sum()), rel=0.01)


@pytest.mark.parametrize("method", ["sampled", "analytic"])
def test_a_wobble_shifts_spots_as_an_offset_does(method):
    """Its displacement of phi = 0, where the image is."""
    crystal = {"shape": "gauss", "size_mm": 0.05}
    wobbling, shifted = (simulate(scene({**crystal, **place}, pixels=64, pixel_mm=0.02), method=method)
                         for place in ({"wobble_mm": (0.2, 0.0, 0.4), "wobble_phase_deg": 60.0, "wobble_cycles": 2},
                                       {"offset_mm": (0.1, 0.0, 0.2)}))
    shift = moments(wobbling.photons)[0] - moments(shifted.photons)[0]
    assert shift == pytest.approx([0.0, 0.0], abs=0.02)
    assert moments(wobbling.photons)[0][0] == pytest.approx(31.5 + 0.1 / 0.02, abs=0.1)  # ORGX 32


def test_a_fast_wobble_is_followed_within_an_image():
    """The reflection is in the image from -0.1 to 0.1 deg; 90 cycles a turn make a quarter of one in 1 deg."""
    places = []
    for centre in (-0.4, 0.0, 0.4):  # of the image, which has the reflection off its middle
        experiment = scene({"shape": "gauss", "cells": (60, 60, 60), "wobble_mm": (0.2, 0.0, 0.0), "wobble_cycles": 90},
                           pixels=64, pixel_mm=0.02)
        experiment = dataclasses.replace(experiment, goniometer=Goniometer(centre - 0.5, 1.0))
        places.append(moments(simulate(experiment).photons)[0][0])
    assert places == pytest.approx([31.5 + 0.2 / 0.02] * 3, abs=0.1)  # cos(90 x 0 deg), not cos(90 x 0.4 deg) = 0.81
    assert any("moves by up to" in text for text in make_plan(experiment, "analytic").warnings)


@pytest.mark.parametrize("beam", [{"divergence_mrad": 0.5}, {"bandwidth": 5e-4}])
def test_divergence_and_bandwidth_keep_the_photons(beam):
    plain, spread = (simulate(scene({"shape": "gauss"}, extra)) for extra in ({}, beam))
    assert float(spread.photons.sum()) == pytest.approx(float(plain.photons.sum()), rel=5e-3)
    assert moments(spread.photons)[1].max() > moments(plain.photons)[1].max()


def test_divergence_has_its_width():
    """A spot at rest follows the beam: its variance along the polarization axis grows by (distance / cos 2theta
    times sigma)^2 for directions that stay on the sphere."""
    plan = make_plan(scene({"shape": "gauss"}, {"divergence_mrad": (0.5, 0.2)}, osc=None))
    incident = np.concatenate([part.sources.incident for part in plan.parts])
    assert np.std(incident @ np.array(plan.geometry.polar)) == pytest.approx(5e-4, rel=1e-3)
    assert np.std(incident @ np.array(plan.geometry.vert)) == pytest.approx(2e-4, rel=1e-3)


def test_wavelengths_have_their_spread():
    plan = make_plan(scene({}, {"bandwidth": 1e-3}))
    wavelengths = np.concatenate([part.sources.wavelength_m for part in plan.parts])
    assert np.mean(wavelengths) == pytest.approx(1e-10, rel=1e-9)
    assert np.std(wavelengths) / 1e-10 == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("crystal", [{}, {"mosaicity_deg": 0.05, "size_mm": 0.02}])
@pytest.mark.parametrize("method", ["sampled", "analytic"])
def test_sharp_channels_add_by_their_weights(crystal, method):
    """To rounding: intensities of two wavelengths add, whatever their common factor and equal channels."""
    first, last = (simulate(scene({"shape": "gauss", **crystal}, {"wavelength_A": wavelength}), method=method).photons
                   for wavelength in (1.0, 1.004))
    channels = (Channel(1.0, 1.0), Channel(1.0, 2.0), Channel(1.002, 0.0), Channel(1.004, 7.0))
    both = simulate(scene({"shape": "gauss", **crystal}, {"wavelength_A": 1.0028, "spectrum": channels}), method=method)
    # The samples of a crystal with a size are chosen for the central wavelength.
    np.testing.assert_allclose(both.photons, 0.3 * first + 0.7 * last,
                               atol=(5e-3 if crystal and method == "sampled" else 2e-6) * first.max())


def test_a_divergence_leaves_nanobraggs_grid_of_wavelengths():
    """An image of both is the mean over the wavelengths."""
    spread, grid = {"divergence_mrad": 0.5}, {"dispersion_percent": 0.4, "dispersion_steps": 3}
    found = simulate(scene({"shape": "gauss"}, {**spread, **grid}, osc=None)).photons
    expected = sum(simulate(scene({"shape": "gauss"}, {**spread, "wavelength_A": wavelength}, osc=None)).photons / 3.0
                   for wavelength in (0.998, 1.0, 1.002))
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


def test_a_bandwidth_leaves_nanobraggs_grid_of_directions():
    grid = {"vdiv_range_mrad": 2.0, "vdiv_steps": 3, "hdiv_range_mrad": 0.0}
    incident = make_plan(scene({}, grid, osc=None)).sources.incident
    assert len(incident) == 3
    parts = make_plan(scene({}, {"bandwidth": 5e-4, **grid}, osc=None)).parts
    assert len({part.sources.wavelength_m[0] for part in parts}) == len(parts) > 1
    for part in parts:
        np.testing.assert_allclose(part.sources.incident, incident, atol=1e-15)
        assert np.ptp(part.sources.wavelength_m) == 0.0


def test_domains_have_their_mosaicity_and_turn_with_the_crystal():
    crystal = {"mosaicity_deg": (0.1, 0.2, 0.4), "mosaic_domains": 256, "misset_deg": (10.0, 20.0, 30.0)}
    still, turned = (make_plan(dataclasses.replace(scene(crystal), goniometer=Goniometer(phi)))
                     for phi in (0.0, 90.0))
    np.testing.assert_allclose(np.degrees(still.domains.rotation.std(axis=0)), (0.1, 0.2, 0.4), rtol=1e-6)
    np.testing.assert_allclose(still.domains.rotation.mean(axis=0), 0.0, atol=1e-12)
    # phi = 90 deg about x takes y to z
    quarter = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(turned.cell_axes, still.cell_axes @ quarter.T, atol=1e-20)


def test_nanobraggs_domains_without_their_mean_rotation():
    crystal = {"mosaic_spread_deg": 1.0, "mosaic_domains": 5, "misset_deg": None}
    plan = make_plan(dataclasses.replace(scene(crystal), goniometer=Goniometer(0.0)))
    mean = plan.cell_axes.mean(axis=(0, 1)) / 60e-10
    assert abs(mean - mean.T).max() < 1e-4  # no rotation to first order, of 17 mrad
    assert plan.domain_count == 5


@pytest.mark.parametrize(("crystal", "osc", "steps", "words"), [
    ({"cells": (60, 60, 60)}, 0.5, 2, "phi steps"),
    ({"mosaicity_deg": 0.5, "mosaic_domains": 5}, None, None, "domains")])
def test_samples_that_are_too_coarse_have_a_warning_with_figures(crystal, osc, steps, words):
    warning, = (warning for warning in make_plan(scene(crystal, osc=osc, steps=steps)).warnings
                if "too coarse: spot sums" in warning)
    assert words in warning
    assert "%" in warning
    assert ("-phisteps" in warning) == (steps == 2)


def test_fewer_phi_steps_are_not_suggested():
    """Three domains, whose number is given, are too few; three steps where two would do are not."""
    warning, = (warning for warning in make_plan(scene(
        {"cells": (6, 6, 6), "mosaicity_deg": 0.5, "mosaic_domains": 3}, osc=2.0, steps=3)).warnings
        if "too coarse: spot sums" in warning)
    assert "-mosaic_domains" in warning
    assert "-phisteps" not in warning


def test_a_spectrum_of_many_channels_has_the_samples_of_its_bandwidth():
    """Measured spectra have thousands of channels; this one is a normal distribution of 1 %."""
    wavelength = np.linspace(0.96, 1.04, 2001)
    channels = tuple(Channel(one, weight) for one, weight in zip(
        wavelength.tolist(), np.exp(-0.5 * ((wavelength - 1.0) / 0.01) ** 2).tolist(), strict=True))
    of_channels = conditions_of(make_plan(scene(beam={"spectrum": channels}, steps=4)))
    of_bandwidth = conditions_of(make_plan(scene(beam={"bandwidth": 0.01}, steps=4)))
    mean, fraction, sigma = np.array(of_channels.channels).T
    assert len(mean) <= 32
    assert fraction.sum() == pytest.approx(1.0)
    assert fraction @ mean == pytest.approx(1e-10, rel=1e-6)
    assert fraction @ ((mean - 1e-10) ** 2 + (mean * sigma) ** 2) == pytest.approx(1e-24, rel=0.01)
    assert sum_error(of_channels, 4, 64, 64) == pytest.approx(sum_error(of_bandwidth, 4, 64, 64), rel=0.5)


def test_a_region_has_the_samples_of_the_whole():
    experiment = scene({"mosaicity_deg": 0.1})
    part = dataclasses.replace(experiment, sampling=Sampling(interpolate=False, roi=(0, 3, 0, 3)))
    np.testing.assert_array_equal(make_plan(part).cell_axes, make_plan(experiment).cell_axes)


def test_a_curved_detector_is_refused():
    with pytest.raises(ConfigError) as refused:
        make_plan(scene({"size_mm": 0.1}, curved=True))
    assert refused.value.where == "crystal.size_mm"


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_reflection_sums_are_those_of_the_parts(backend):
    image = simulate(scene({"size_mm": 0.1, "mosaicity_deg": 0.1, "mosaic_domains": 16}, {"bandwidth": 1e-3},
                           osc=0.5, steps=2), backend=backend)
    assert len(image.plan.parts) == 64
    table = image.reflections(min_photons=0.0)
    assert table.photons.sum() == pytest.approx(float(image.photons.sum(dtype=np.float64)), rel=1e-6)


@pytest.mark.parametrize(("size", "warned"), [
    ({"cells": (1, 1, 1)}, True), ({"cells": (1, 1, 2)}, False), ({"cells": (1, 1, 1), "block_size_um": 0.1}, False)])
def test_a_block_of_one_cell_has_no_spots(size, warned):
    assert any("--block-size" in line for line in make_plan(scene(size)).warnings) == warned
