"""The renderer: properties that hold whatever the experiment, and the rules that look across pixels."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubragg import (
    Beam,
    ConfigError,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Sampling,
    Source,
    StructureFactors,
    simulate,
)
from cubragg.crystallography.shapes import SHAPES
from cubragg.crystallography.vectors import cross, norm, rotate_axis, unit
from cubragg.engine.reference.numpy_engine import BLOCK_PIXELS, NumpyEngine
from cubragg.parity.pixel_trace import trace_pixel
from cubragg.plan.make_plan import carried_rotations, make_plan
from support.experiments import random_experiment, random_grid, small_experiment
from support.messages import mentioned, refusal

#: Float images differ where sums run in another order: a few units of the last place.
REORDERED = 1e-6
SEEDS = st.integers(0, 10**6)


def bits(image):
    return image.view(np.uint32)


@pytest.mark.requirement("AT-PERF-001")
@given(SEEDS, st.sampled_from(["nanobragg", "physical"]), st.integers(1, 40), st.integers(1, 4))
def test_blocks_and_threads_change_no_bit(seed, semantics, block, threads):
    plan = make_plan(random_experiment(seed, semantics))
    expected = NumpyEngine(plan).render(threads=1)
    np.testing.assert_array_equal(bits(NumpyEngine(plan, block).render(threads)), bits(expected))


@pytest.mark.requirement("AT-PERF-013")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("sections", [
    {}, {"sampling": {"oversample": 2, "water_um": 2.0}, "beam": {"kahn_factor": 0.5}},
    {"detector": {"thickness_um": 300.0, "attenuation_um": 500.0, "thick_steps": 2}, "goniometer": {
        "osc_deg": 1.0, "phi_steps": 2}}])
def test_blocks_are_rendered_in_the_workspace(semantics, sections):
    """New rows of a block are the numbers of its pixels: more are pages that glibc returns and takes again."""
    detector = {"fast_pixels": 400, "slow_pixels": 400, "pixel_size_mm": 0.2, **sections.get("detector", {})}
    engine = NumpyEngine(make_plan(small_experiment(semantics=semantics, **{**sections, "detector": detector})))
    engine.render(1)
    tracemalloc.start()
    try:
        image = engine.render(1)
        rows = (tracemalloc.get_traced_memory()[1] - 2 * image.nbytes) / (8 * BLOCK_PIXELS)  # of a panel and the whole
    finally:
        tracemalloc.stop()
    assert rows < 6.0


@given(SEEDS)
def test_every_pixel_agrees_with_the_scalar_program(seed):
    """The trace is written on Python floats in the C program's order: another program for the same text."""
    image = simulate(random_experiment(seed))
    plan, peak = image.plan, image.figures.max_photons
    rng = np.random.default_rng(seed)
    fast_min, fast_max, slow_min, slow_max = plan.roi
    places = rng.integers((fast_min, slow_min), (fast_max + 1, slow_max + 1), (6, 2)).tolist()
    for fast, slow in [(fast_min, slow_min), *places]:
        if plan.mask is not None and not plan.mask[slow, fast]:
            assert image.photons[slow, fast] == 0.0
            continue
        traced = trace_pixel(plan, fast, slow).photons
        assert float(image.photons[slow, fast]) == pytest.approx(traced, rel=2e-7, abs=1e-9 * peak)


@pytest.mark.requirement("AT-GEO-008")
@given(st.integers(0, 10**6), st.tuples(*[st.floats(-1, 1)] * 3), st.floats(-180, 180))
def test_turning_everything_together_changes_nothing(seed, axis, angle):
    if norm(axis) < 0.1:
        return
    def turned(x):
        return rotate_axis(x, unit(axis), math.radians(angle))
    rng = np.random.default_rng(seed)
    star = [tuple(row) for row in rng.normal(0.0, 0.015, (3, 3))]
    axes = {"fast_axis": (0.0, 0.0, 1.0), "slow_axis": (0.0, -1.0, 0.1),
            "normal_axis": (1.0, 0.1, 0.0), "twotheta_axis": (0.0, 0.0, 1.0)}
    axes["normal_axis"] = tuple(2.0 * x for x in cross(unit(axes["fast_axis"]), unit(axes["slow_axis"])))

    def image(turn):
        vectors = [turn(x) for x in star]
        return simulate(Experiment(
            Crystal(a_matrix=np.array(vectors).T, cells=(6, 5, 4)), StructureFactors(100.0), Beam(
                kahn_factor=0.9, direction=turn((1.0, 0.1, 0.0)), polarization_axis=turn((0.0, 0.1, 1.0))),
            Detector(convention="custom", pixel_size_mm=0.5, fast_pixels=16, slow_pixels=12, distance_mm=80.0,
                     **{name: turn(x) for name, x in axes.items()}),
            Goniometer(10.0, 2.0, phi_steps=2, axis=turn((0.0, 1.0, 1.0))), Sampling(oversample=2))).photons

    still = image(lambda x: x)
    np.testing.assert_allclose(image(turned), still, rtol=1e-4, atol=1e-6 * still.max())


@pytest.mark.requirement("AT-ROI-001")
@given(SEEDS)
def test_regions_sum_to_the_whole(seed):
    experiment = dataclasses.replace(random_experiment(seed), goniometer=Goniometer(7.0, 1.0, phi_steps=2))
    sampling = dataclasses.replace(experiment.sampling, roi=None, interpolate=False)
    slow, fast = experiment.detector.shape()
    whole = simulate(dataclasses.replace(experiment, sampling=sampling)).photons
    cut = fast // 2
    parts = [simulate(dataclasses.replace(experiment, sampling=dataclasses.replace(sampling, roi=roi))).photons
             for roi in ((0, cut - 1, 0, slow - 1), (cut, fast - 1, 0, slow - 1))]
    np.testing.assert_array_equal(bits(parts[0] + parts[1]), bits(whole))


@pytest.mark.requirement("AT-SRC-003", "AT-PHY-005")
def test_order_of_sources_does_not_matter(replace):
    sources = tuple(Source((-10.0, 0.01 * i, -0.02 * i), 1.0, (1.0 + 0.01 * i) * 1e-10) for i in range(4))
    images = [simulate(replace(small_experiment(), "beam", sources=order)).photons
              for order in (sources, sources[::-1])]
    # The polarization in force is that of the first source: the only thing that order may touch.
    np.testing.assert_allclose(images[0], images[1], rtol=2e-3)
    physical = [simulate(replace(small_experiment(semantics="physical"), "beam", sources=order)).photons
                for order in (sources, sources[::-1])]
    np.testing.assert_allclose(physical[0], physical[1], rtol=REORDERED)


@given(SEEDS, st.sampled_from([0.25, 2.0, 1024.0]))
def test_scaling_fluence_and_structure_factors(seed, factor):
    experiment = random_experiment(seed)
    experiment = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, water_um=0.0))
    image = simulate(experiment).photons
    brighter = dataclasses.replace(experiment.beam, fluence=experiment.beam.fluence * factor)
    np.testing.assert_array_equal(simulate(dataclasses.replace(experiment, beam=brighter)).photons,
                                  image * np.float32(factor))
    factors = experiment.structure_factors
    scaled = StructureFactors(factors.default_F * factor, None if factors.grid is None else factors.grid * factor,
                              factors.origin)
    np.testing.assert_allclose(simulate(dataclasses.replace(experiment, structure_factors=scaled)).photons,
                               image * np.float32(factor) ** 2, rtol=3e-7)


@pytest.mark.requirement("AT-STR-005")
@pytest.mark.parametrize(("shape", "semantics"), [
    (shape.setting, semantics) for shape in SHAPES.values() for semantics in shape.semantics])
def test_peak_grows_as_cells_to_the_sixth(shape, semantics):
    peaks = []
    for n in (4, 8):
        experiment = small_experiment(crystal={"cells": (n, n, n), "shape": shape, "misset_deg": None},
                                      detector={"convention": "xds", "fast_pixels": 3, "slow_pixels": 3},
                                      structure_factors={"F000": 100.0 if semantics == "physical" else None},
                                      semantics=semantics)
        peaks.append(float(simulate(experiment).photons[1, 1]))  # the direct beam: h = k = l = 0 exactly
    assert peaks[1] / peaks[0] == pytest.approx(2.0**6, rel=1e-6)


@pytest.mark.requirement("AT-ROI-001")
@given(SEEDS)
def test_masked_pixels_are_zero_and_change_no_other(seed):
    experiment = dataclasses.replace(random_experiment(seed), goniometer=Goniometer(7.0))
    sampling = dataclasses.replace(experiment.sampling, mask=None, interpolate=False)
    whole = simulate(dataclasses.replace(experiment, sampling=sampling)).photons
    mask = np.random.default_rng(seed).random(whole.shape) < 0.5
    masked = simulate(dataclasses.replace(experiment, sampling=dataclasses.replace(sampling, mask=mask))).photons
    np.testing.assert_array_equal(bits(masked), bits(np.where(mask, whole, np.float32(0.0))))


@pytest.mark.requirement("AT-PHY-001")
@given(SEEDS)
def test_physical_is_nanobragg_where_no_quirk_is_in_play(seed):
    experiment = random_experiment(seed)
    # Gaussian and flat spots are other shapes in each semantics.
    shape = experiment.crystal.shape if experiment.crystal.shape == "square" else "round"
    crystal = dataclasses.replace(experiment.crystal, cell=(50.0, 60.0, 70.0, 90.0, 105.0, 90.0), shape=shape)
    beam = dataclasses.replace(experiment.beam, sources=(), hdiv_range_mrad=None, vdiv_range_mrad=None, hdiv_steps=None,
                               vdiv_steps=None, dispersion_percent=0.0)
    detector = dataclasses.replace(experiment.detector, thickness_um=0.0, thick_steps=None)
    sampling = Sampling(oversample=1, mask=experiment.sampling.mask, roi=experiment.sampling.roi,
                        dmin_A=experiment.sampling.dmin_A, interpolate=False)
    crystal = dataclasses.replace(crystal, mosaic_spread_deg=None, mosaic_domains=None)
    # nanoBragg's steps are at the start of their intervals.
    plain = dataclasses.replace(experiment, crystal=crystal, beam=beam, detector=detector, sampling=sampling,
                                goniometer=Goniometer(3.0 + 1.0 / 3.0, 2.0, phi_steps=3))
    expected = simulate(plain)
    factors = plain.structure_factors
    # nanoBragg's 0 0 0 is a reflection like any other.
    F000 = float(factors.at(np.zeros((1, 3), dtype=np.int64))[0])
    physical = dataclasses.replace(plain, semantics="physical", goniometer=Goniometer(3.0, 2.0, phi_steps=3),
                                   structure_factors=dataclasses.replace(factors, F000=F000))
    got = simulate(physical).photons
    if shape == "round":
        # Where the beam hits the middle of a pixel, the amplitude of nanoBragg's ellipsoid cancels.
        panel, = physical.placed().panels
        slow, fast = np.mgrid[:got.shape[0], :got.shape[1]] + 0.5
        middle = panel.origin_mm + fast[..., None] * panel.fast_mm + slow[..., None] * panel.slow_mm
        across = np.linalg.norm(np.cross(middle, expected.geometry.beam), axis=-1)
        got = np.where(across < 1e-9, expected.photons, got)
    np.testing.assert_allclose(got, expected.photons, rtol=REORDERED, atol=1e-9 * expected.figures.max_photons)


@pytest.mark.requirement("AT-PHY-002")
def test_layers_add_in_physical_semantics():
    """Many thin layers of a thick sensor absorb everything that reaches them: the sum of captures is 1."""
    settings = {"thickness_um": 5000.0, "attenuation_um": 100.0, "thick_steps": 40}
    thick = simulate(small_experiment(detector=settings, semantics="physical")).photons
    thin = simulate(small_experiment(semantics="physical")).photons
    assert thick.sum() == pytest.approx(thin.sum(), rel=0.05)


@pytest.mark.requirement("AT-PHY-007")
def test_a_few_layers_draw_what_many_draw():
    """Near a corner seen at 35 degrees the sensor draws a spot of half a pixel out over four; a third of
    the layers shows it as separate peaks."""
    def image(steps):
        return simulate(small_experiment(
            semantics="physical", crystal={"shape": "gauss", "cells": (13, 13, 13), "cell": (100.0,) * 3 + (90.0,) * 3},
            sampling={"oversample": 3, "roi": (0, 149, 0, 149)},
            detector={"convention": "xds", "thickness_um": 450.0, "attenuation_um": 300.0, "thick_steps": steps,
                      "pixel_size_mm": 0.075, "fast_pixels": 1000, "slow_pixels": 1000, "distance_mm": 76.0}
        )).photons.astype(float)

    few, fewer, many = (image(steps) for steps in (None, 3, 100))
    slow, fast = np.unravel_index(many.argmax(), many.shape)
    box = np.s_[slow - 6:slow + 7, fast - 6:fast + 7]
    off = [np.abs(some[box] / some[box].sum() - many[box] / many[box].sum()).max() for some in (few, fewer)]
    assert off[0] < 0.005 < off[1]
    assert few.sum() == pytest.approx(many.sum(), rel=5e-4)


@pytest.mark.requirement("AT-PHY-003")
def test_physical_water_is_scaled_once(replace):
    dark = small_experiment(structure_factors={"default_F": 1e-30}, beam={"fluence": 1e24}, semantics="physical")
    image = simulate(replace(dark, "sampling", water_um=5.0, oversample=2))
    molecules = (5e-6) ** 3 * 1e6 * 6.02214179e23 / 18.0
    geometry = image.geometry
    expected = 7.94079248018965e-30 * 1e24 * 2.57**2 * molecules * geometry.pixel_size**2 / geometry.distance**2
    spot = int(geometry.sbeam / geometry.pixel_size), int(geometry.fbeam / geometry.pixel_size)
    assert image.photons[spot] == pytest.approx(expected, rel=1e-3)  # at the beam: no polarization, no obliquity


@pytest.mark.requirement("AT-PHI-002")
@pytest.mark.parametrize(("angles", "later", "first"), [
    ([0.0, 1.0, 2.0], [2.0, 1.0, 2.0], [0.0, 1.0, 2.0]),
    ([-1.0, 0.0, 1.0], [-1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]),
    ([0.0], [0.0], [0.0]),
    ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
    ([3.0, 0.0], [3.0, 3.0], [3.0, 3.0]),
])
def test_rotation_carried_over_a_phi_of_zero(angles, later, first):
    assert carried_rotations(angles) == (later, first)


@pytest.mark.requirement("AT-PHI-002")
def test_only_the_first_pixel_knows_a_phi_of_zero():
    def image(phi):
        return simulate(small_experiment(goniometer={"phi_deg": phi, "osc_deg": 20.0, "phi_steps": 2})).photons
    quirky, proper = image(0.0), image(1e-9)
    only_last = simulate(small_experiment(goniometer={"phi_deg": 10.0})).photons
    np.testing.assert_allclose(quirky[0, 0], proper[0, 0], rtol=1e-5)
    np.testing.assert_allclose(quirky.ravel()[1:], only_last.ravel()[1:], rtol=1e-6)


@pytest.mark.requirement("AT-STR-002")
def test_interpolation_stops_at_the_first_sample_outside():
    rng = np.random.default_rng(3)
    settings = {"crystal": {"cells": (1, 1, 1), "misset_deg": None}, "detector": {"xbeam_mm": 1.0, "ybeam_mm": 1.0}}
    experiment = dataclasses.replace(small_experiment(**settings), structure_factors=random_grid(rng, 3))
    image = simulate(experiment)
    assert mentioned(image.warnings, "", "", "interpolation", "off", "pixel")
    def other(wanted):
        return simulate(dataclasses.replace(experiment, sampling=Sampling(oversample=1, interpolate=wanted))).photons
    renderer = NumpyEngine(image.plan)
    renderer.render(1)
    fast, slow = renderer.interpolation_stopped_at
    place = slow * 24 + fast
    assert 0 < place < image.photons.size - 1
    np.testing.assert_array_equal(image.photons.ravel()[place:], other(False).ravel()[place:])
    assert not np.array_equal(image.photons.ravel()[:place], other(False).ravel()[:place])


@pytest.mark.requirement("AT-STA-002")
def test_figures_of_a_flat_region(replace):
    masked = np.zeros((20, 24), dtype=bool)
    image = simulate(replace(small_experiment(), "sampling", mask=masked))
    assert image.figures == (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert image.max_pixel == (0, 0)
    assert mentioned(image.warnings, "", "", "image", "zero")


@pytest.mark.requirement("AT-PERF-003")
def test_progress_reaches_the_end():
    seen = []
    simulate(small_experiment(), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (480, 480)


@pytest.mark.parametrize("threads", [0, -3])
def test_bad_threads(threads):
    with refusal(ConfigError, "threads", f"{threads}", "1"):
        simulate(small_experiment(), threads=threads)
