"""Detectors of many panels: each a run of its own, pasted into one image."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubragg import ConfigError, CubraggError, Detector, Experiment, Goniometer, Panel, Sampling, simulate, units
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.crystallography.vectors import rotate_xyz
from cubragg.device.host_build import find_compiler
from cubragg.engine import kernel_params
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.reference import numpy_engine
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.experiment.catalog import CATALOG, CatalogDetector, Module
from cubragg.experiment.panel import check_panels, live_pixels, overlaps_in_space
from cubragg.io.geometry.crystfel import read_geom
from cubragg.parity.pixel_trace import trace_pixel, trace_steps
from cubragg.plan.make_plan import make_plan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.workspace import Workspace
from cubragg.run.batch import render_many
from support.experiments import Hung, hang, random_experiment, random_grid, small_experiment
from support.messages import mentioned, refusal, states

#: Geometries that users reported, cut down.
DATA = Path(__file__).parents[1] / "data" / "geometry"
SEEDS = st.integers(0, 10**6)
SEMANTICS = st.sampled_from(["nanobragg", "physical"])
#: A float32 image against a formula in double precision.
FORMULA = 1e-6


@pytest.fixture(params=["numpy", "cpu"])
def backend(request):
    """A backend that can run here."""
    if request.param == "cpu":
        try:
            find_compiler()
        except CubraggError as error:
            pytest.skip(str(error))
    return request.param


def bits(image):
    return image.view(np.uint32)


def flat_experiment(seed, semantics="nanobragg"):
    experiment = random_experiment(seed, semantics)
    return dataclasses.replace(experiment, detector=dataclasses.replace(experiment.detector, curved=False))


@contextlib.contextmanager
def cut(experiment, columns, rows):
    """The experiment on a detector of the catalog whose modules make up its detector, as far as whole modules go; and
    the experiment on an undivided detector of the same size."""
    before = experiment.detector
    slow, fast = before.shape()
    fast_pixels, slow_pixels = columns * max(fast // columns, 1), rows * max(slow // rows, 1)
    module = Module(fast_pixels // columns, slow_pixels // rows, before.pixel_mm(), "Si", None, None)
    positions = tuple((left * module.fast_pixels, top * module.slow_pixels) for top in range(rows)
                      for left in range(columns))
    whole = dataclasses.replace(experiment, detector=dataclasses.replace(
        before, fast_pixels=fast_pixels, slow_pixels=slow_pixels), sampling=dataclasses.replace(
        experiment.sampling, mask=None, roi=None))
    with mock.patch.dict(CATALOG, {"modules": CatalogDetector("modules", "Modules", module, positions, separate=True)}):
        yield dataclasses.replace(whole, detector=dataclasses.replace(whole.detector, model="modules")), whole


def halves(experiment, **changed):
    """The left and the right half of an experiment's detector, as they hang in it."""
    pixel, (slow, fast) = experiment.detector.pixel_mm(), experiment.detector.shape()
    return [Hung(fast // 2, slow, pixel, pixel, (left * pixel, 0.0, 0.0), offset=(left, 0), name=f"{left}", **changed)
            for left in (0, fast // 2)]


def parts(detector, columns=2, rows=2):
    """Equal parts of a detector, as they hang in it."""
    pixel, (slow, fast) = detector.pixel_mm(), detector.shape()
    width, height = fast // columns, slow // rows
    return [Hung(width, height, pixel, pixel, (left * pixel, top * pixel, 0.0), offset=(left, top))
            for top in range(0, slow, height) for left in range(0, fast, width)]


def tilted_panels(seed=0):
    """Four panels with rectangular pixels, each tilted and shifted its own way, with a gap in the image."""
    rng = random.Random(seed)
    panels = []
    for number, (left, top) in enumerate(((0, 0), (15, 0), (0, 12), (15, 12))):
        angles = tuple(rng.uniform(-0.2, 0.2) for _ in range(3))
        fast, slow = (rotate_xyz(axis, angles) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
        origin = 0.55 * left, 0.6 * top, rng.uniform(-3.0, 3.0)
        panels.append(Hung(12, 10, 0.5, 0.3 + 0.1 * number, origin, fast, slow, (left, top), name=f"p{number}"))
    return panels


# one panel, and detectors cut into panels


@pytest.mark.requirement("AT-PANEL-001")
@given(SEEDS)
def test_a_convention_s_panel_is_the_same_given_as_placed(seed):
    """In physical semantics, every sub-pixel and its solid angle to rounding; so the image to its own."""
    experiment = flat_experiment(seed, "physical")
    experiment = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, roi=None, mask=None))
    before = experiment.detector
    given_ = dataclasses.replace(experiment, detector=Detector(
        before.convention, panels=experiment.placed().panels, point_pixel=before.point_pixel,
        thick_steps=before.thick_steps))
    plans = [make_plan(one) for one in (experiment, given_)]
    assert [plan.detector_panels[0].made_by is None for plan in plans] == [False, True]
    slow, fast = (axis.ravel().astype(float) for axis in np.indices(plans[0].shape))
    ours, theirs = (SubPixels(plan, plan.panels[0], fast, slow, 0, 0, 0, Workspace(len(fast))) for plan in plans)
    scale = ours.path.max()
    np.testing.assert_allclose(ours.position, theirs.position, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(ours.solid_angle(), theirs.solid_angle(), rtol=1e-12)
    np.testing.assert_allclose(plans[0].panels[0].normal, plans[1].panels[0].normal, rtol=0, atol=1e-12)
    images = [simulate(one, backend="numpy").photons for one in (experiment, given_)]
    np.testing.assert_allclose(images[1], images[0], rtol=1e-5, atol=1e-8 * images[0].max())


@pytest.mark.requirement("AT-PANEL-002")
@given(SEEDS, SEMANTICS, st.integers(1, 3), st.integers(1, 3))
def test_a_panel_is_the_region_of_the_undivided_detector(seed, semantics, columns, rows):
    """To the bit, with the first pixel's and the interpolation's rules, which begin anew on every panel."""
    with cut(flat_experiment(seed, semantics), columns, rows) as (divided, whole):
        image = simulate(divided, backend="numpy").photons
        panels = divided.placed().panels
    assert len(panels) == columns * rows
    for panel in panels:
        slow, fast = panel.window
        roi = (fast.start, fast.stop - 1, slow.start, slow.stop - 1)
        region = dataclasses.replace(whole, sampling=dataclasses.replace(whole.sampling, roi=roi))
        expected = simulate(region, backend="numpy").photons
        np.testing.assert_array_equal(bits(image[panel.window]), bits(expected[panel.window]))


@pytest.mark.requirement("AT-PANEL-002")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_a_detector_cut_into_panels(backend, semantics):
    experiment = small_experiment(
        semantics=semantics, detector={"fast_pixels": 60, "slow_pixels": 48, "pixel_size_mm": 0.2, "rotx_deg": 7.0},
        crystal={"mosaic_spread_deg": 1.0, "mosaic_domains": 3}, sampling={"oversample": 2},
        goniometer={"phi_deg": 1.0, "osc_deg": 1.0})
    with cut(experiment, 3, 4) as (divided, whole):
        expected, image = (simulate(one, backend=backend).photons for one in (whole, divided))
    np.testing.assert_array_equal(bits(image), bits(expected))


def test_a_panel_moved_in_the_image_and_in_space(backend):
    """The place in the image says nothing about the place in space."""
    experiment = small_experiment()
    expected = simulate(experiment, backend=backend).photons
    peak = expected.max()
    panel = Hung(24, 20, 0.5, 0.5, offset=(5, 3))
    image = simulate(hang(experiment, [panel]), backend=backend).photons
    assert image.shape == (23, 29)
    np.testing.assert_allclose(image[3:, 5:], expected, rtol=1e-5, atol=1e-9 * peak)
    assert not image[:3].any()
    assert not image[:, :5].any()
    shifted = dataclasses.replace(panel, origin_mm=(0.5, -1.0, 0.0))  # a pixel forward, two back
    image = simulate(hang(experiment, [shifted]), backend=backend).photons
    np.testing.assert_allclose(image[5:23, 5:28], expected[:18, 1:], rtol=1e-5, atol=1e-9 * peak)


def test_what_a_convention_made_is_forgotten_with_any_change():
    panel, = small_experiment().placed().panels
    assert panel.made_by is not None
    assert dataclasses.replace(panel, offset=(1, 0)).made_by is None
    given_, = Detector(panels=(panel,)).panels
    assert given_.made_by is None
    assert given_ == panel


# tilted panels and rectangular pixels


def by_formula(plan, panels):
    """Photons [slow, fast] from the panels' definition, NumPy's linear algebra and the textbook's factors."""
    image = np.zeros(plan.shape)
    wavelength, beam = plan.sources.wavelength_m[0], np.array(plan.geometry.beam)
    for panel in panels:
        corner, fast, slow = (np.array(vector) / 1e3 for vector in (panel.origin_mm, panel.fast_mm, panel.slow_mm))
        i, j = np.arange(panel.fast_pixels) + 0.5, np.arange(panel.slow_pixels) + 0.5
        r = corner + i[None, :, None] * fast + j[:, None, None] * slow
        path = np.linalg.norm(r, axis=2)
        direction = r / path[..., None]
        omega = np.abs(direction @ np.cross(fast, slow)) / path**2
        hkl = (direction - beam) / wavelength @ plan.cell_axes[0, 0].T
        amplitude = np.prod(np.sin(np.pi * hkl * plan.cells) / np.sin(np.pi * hkl), axis=2)
        factors = plan.factors.default_F ** 2 * (1.0 + (direction @ beam) ** 2) / 2.0
        image[panel.window] = (units.THOMSON_CROSS_SECTION_M2 * plan.fluence * factors * amplitude**2 * omega)
    return image


@pytest.mark.requirement("AT-PANEL-003")
@pytest.mark.parametrize("convention", ["mosflm", "adxv", "xds", "dials"])
def test_tilted_panels_against_the_formula(backend, convention):
    experiment = small_experiment(detector={"convention": convention, "rotx_deg": 8.0, "roty_deg": -5.0,
                                            "twotheta_deg": 12.0})
    placed = hang(experiment, tilted_panels())
    plan = make_plan(placed)
    image = (NumpyEngine if backend == "numpy" else HostEngine)(plan).render()
    expected = by_formula(plan, placed.detector.panels)
    np.testing.assert_allclose(image, expected, rtol=FORMULA, atol=FORMULA * expected.max())
    assert np.count_nonzero(image) == sum(panel.fast_pixels * panel.slow_pixels for panel in tilted_panels())


@pytest.mark.requirement("AT-PANEL-003")
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
@pytest.mark.parametrize("precision", ["double", "mixed", "single"])
def test_oblique_panels_against_the_formula(backend, semantics, precision):
    """Steps that are neither perpendicular nor equal; the area is that of the parallelogram."""
    experiment = hang(small_experiment(detector={"rotx_deg": 8.0, "twotheta_deg": 12.0}, beam={"kahn_factor": 0.0},
                                       semantics=semantics), tilted_panels())
    rng = np.random.default_rng(6)
    oblique = tuple(dataclasses.replace(panel, slow_mm=tuple(
        np.array(panel.slow_mm) + rng.uniform(-0.3, 0.3) * np.array(panel.fast_mm))) for panel in
        experiment.detector.panels)
    experiment = dataclasses.replace(experiment, detector=dataclasses.replace(experiment.detector, panels=oblique))
    plan = make_plan(experiment)
    if backend == "numpy" and precision != "double":
        pytest.skip("NumPy renders in double precision only")
    image = NumpyEngine(plan).render() if backend == "numpy" else HostEngine(plan, precision).render()
    expected = by_formula(plan, oblique)
    tolerance = FORMULA if precision == "double" else 2e-5  # README: share of the maximum, for up to 200 cells
    np.testing.assert_allclose(image, expected, rtol=FORMULA if precision == "double" else 1e-3,
                               atol=tolerance * expected.max())


@pytest.mark.requirement("AT-FROM-068")
def test_the_geometry_of_a_user_as_crystfel_has_it():
    """Corner + i fs + j ss with vectors as they are, no unit vectors; by hand."""
    panel, = read_geom(DATA / "scaled.geom").panels
    assert panel.place_mm(1029.5, 0.5) == pytest.approx((-37.5398063, 80.4420886, -95.3), abs=1e-6)
    experiment = build(parse(["--from", str(DATA / "scaled.geom"), "-default_F", "10", "-cell", "50"])).experiment
    _, steps = trace_steps(make_plan(dataclasses.replace(experiment, sampling=Sampling(oversample=1))), 1029, 0)
    position = next(step.values for step in steps if step.name == "position")
    assert [float(f"{component:.6g}") for component in position] == [-0.0375398, 0.0804421, -0.0953]


@pytest.mark.requirement("AT-PANEL-010")
def test_panels_that_overlap_in_space_are_rendered_with_a_warning():
    """Two modules 1.2 pixels into one another, as refined geometries have them."""
    line = ["--from", str(DATA / "touch.geom"), "-default_F", "10", "-cell", "50", "-oversample", "1"]
    plan = make_plan(build(parse(line)).experiment)
    warning, = (warning for warning in plan.warnings if "overlap" in warning)
    states(warning, "panels a and b", "", "overlap", "space")
    assert float(re.search(r"\d+\.\d+", warning)[0]) == pytest.approx(1.2, abs=0.05)
    assert len(plan.panels) == 2


@pytest.mark.requirement("AT-PANEL-003")
@given(SEEDS)
def test_rectangular_pixels_agree_with_the_scalar_program(seed):
    experiment = flat_experiment(seed)
    experiment = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, roi=None, mask=None))
    try:
        image = simulate(hang(experiment, tilted_panels(seed)), backend="numpy")
    except ConfigError:
        return  # the sample lies in a panel's plane
    plan, peak = image.plan, image.figures.max_photons
    rng = random.Random(seed)
    for panel in image.experiment.detector.panels:
        for fast, slow in [(0, 0)] + [(rng.randrange(12), rng.randrange(10)) for _ in range(2)]:
            fast, slow = fast + panel.offset[0], slow + panel.offset[1]
            traced = trace_pixel(plan, fast, slow)
            assert (traced.fast, traced.slow) == (fast, slow)
            assert float(image.photons[slow, fast]) == pytest.approx(traced.photons, rel=2e-7, abs=1e-9 * peak)


@pytest.mark.requirement("AT-PANEL-003")
@pytest.mark.parametrize("along", ["fast", "slow"])
def test_rectangular_pixels_hold_what_two_square_ones_hold(backend, along):
    """As integrals: the mid-point rule of 8 x 8 sub-pixels leaves 1e-3 of the maximum of these spots."""
    wide, high = (2, 1) if along == "fast" else (1, 2)
    experiment = small_experiment(semantics="physical", crystal={"shape": "gauss", "cells": (3, 3, 3), "fudge": 0.02},
                                  structure_factors={"F000": 100.0}, detector={"roty_deg": 15.0},
                                  sampling={"oversample": 8})
    fine = simulate(experiment, backend=backend).photons.astype(float)
    panel = Hung(24 // wide, 20 // high, 0.5 * wide, 0.5 * high)
    coarse = simulate(hang(experiment, [panel]), backend=backend).photons
    expected = fine.reshape(20 // high, high, 24 // wide, wide).sum(axis=(1, 3))
    np.testing.assert_allclose(coarse, expected, rtol=0, atol=1e-3 * expected.max())


@pytest.mark.requirement("AT-PANEL-004")
def test_each_panel_has_its_own_sensor(backend):
    experiment = small_experiment(detector={"thick_steps": 2, "roty_deg": 20.0})
    left, right = halves(experiment)
    panels = [dataclasses.replace(left, thickness_um=300.0, attenuation_um=500.0), right]
    image = simulate(hang(experiment, panels), backend=backend).photons
    thick = dataclasses.replace(experiment, detector=dataclasses.replace(
        experiment.detector, thickness_um=300.0, attenuation_um=500.0))
    for panel, alone in ((left, thick), (right, experiment)):
        expected = simulate(alone, backend=backend).photons
        np.testing.assert_allclose(image[panel.window], expected[panel.window], rtol=1e-5, atol=1e-9 * expected.max())


def test_warnings_about_the_sensors_of_panels():
    left, right = halves(small_experiment())

    def warnings(**changed):
        panels = [dataclasses.replace(left, **changed), right]
        return make_plan(hang(small_experiment(), panels)).warnings
    assert not mentioned(warnings(), "", "", "sensor")
    assert mentioned(warnings(thickness_um=320.0), "", "320 um", "sensor", "attenuation", "depth")
    assert mentioned(warnings(thickness_um=320.0, attenuation_um=math.inf), "", "", "sensor", "absorbs")


@pytest.mark.requirement("AT-PANEL-005")
def test_oversampling_is_that_of_the_panel_that_needs_most():
    experiment = small_experiment(crystal={"cells": (60, 60, 60)}, sampling={"oversample": 0})
    plain = make_plan(experiment).recommended_oversample
    far, near = (Hung(4, 4, 0.5, 0.5, (0.0, 0.0, z), offset=(0, row)) for z, row in ((230.0, 0), (-40.0, 4)))

    def recommended(*panels):
        return make_plan(hang(experiment, panels)).recommended_oversample

    with cut(experiment, 2, 2) as (divided, _):
        assert make_plan(divided).recommended_oversample == plain
    # 3 * 420 nm / (1.5 A * 290 mm / 0.5 mm), the panel's nearest point being 290.1 mm away
    assert recommended(far) == math.ceil(3 * 420e-9 / (1.5e-10 * 0.2901 / 0.5e-3)) == 15
    assert recommended(dataclasses.replace(far, pixel_slow_mm=3.0)) == math.ceil(
        3 * 420e-9 / (1.5e-10 * 0.2901 / 3e-3)) == 87
    assert recommended(far, near) == recommended(near) > plain


# regions, masks, gaps


def runs_of(plan, monkeypatch):
    """The regions of the panels that are rendered."""
    seen = []
    original = NumpyEngine._render_panel
    monkeypatch.setattr(NumpyEngine, "_render_panel",
                        lambda self, *args: seen.append(self._panel.roi) or original(self, *args))
    NumpyEngine(plan).render()
    return seen


@pytest.mark.requirement("AT-PANEL-006")
def test_a_panel_outside_the_region_or_masked_is_not_rendered(monkeypatch):
    experiment = small_experiment(detector={"fast_pixels": 24, "slow_pixels": 20})
    divided = hang(experiment, parts(experiment.detector))
    mask = np.ones((20, 24), dtype=bool)
    mask[:10, :12] = False
    assert len(runs_of(make_plan(divided), monkeypatch)) == 4
    region = dataclasses.replace(experiment.sampling, roi=(3, 9, 4, 8))
    inside = make_plan(dataclasses.replace(divided, sampling=region))
    assert runs_of(inside, monkeypatch) == [(3, 9, 4, 8)]
    masked = dataclasses.replace(experiment.sampling, mask=mask)
    assert len(runs_of(make_plan(dataclasses.replace(divided, sampling=masked)),
                       monkeypatch)) == 3
    nothing = dataclasses.replace(masked, roi=(0, 11, 0, 9))
    plan = make_plan(dataclasses.replace(divided, sampling=nothing))
    assert runs_of(plan, monkeypatch) == []
    assert not NumpyEngine(plan).render().any()


@pytest.mark.requirement("AT-PANEL-006")
def test_masks_of_panels_and_of_the_image_join(backend):
    rng = np.random.default_rng(4)
    experiment = small_experiment()
    whole = simulate(experiment, backend=backend).photons
    panels = [dataclasses.replace(panel, mask=rng.random((panel.slow_pixels, panel.fast_pixels)) < 0.7)
              for panel in parts(experiment.detector)[:3]]
    panels[2] = dataclasses.replace(panels[2], mask=None)
    mask = rng.random((20, 24)) < 0.8
    divided = hang(experiment, panels)
    masked = dataclasses.replace(divided, sampling=dataclasses.replace(experiment.sampling, mask=mask))
    image = simulate(masked, backend=backend)
    live = np.zeros((20, 24), dtype=bool)
    live[:10, :12], live[:10, 12:], live[10:, :12] = panels[0].mask, panels[1].mask, True
    np.testing.assert_array_equal(live_pixels(divided.detector.panels), live)
    np.testing.assert_array_equal(image.plan.mask, live & mask)
    np.testing.assert_allclose(image.photons, np.where(live & mask, whole, 0.0), rtol=1e-5, atol=1e-9 * whole.max())
    assert image.figures.mean == pytest.approx(whole[live & mask].mean(dtype=float))


@pytest.mark.requirement("AT-PANEL-008")
def test_the_brightest_pixel_is_named_on_its_panel():
    experiment = hang(small_experiment(sampling={"oversample": 2}), tilted_panels())
    image = simulate(experiment, backend="numpy")
    slow, fast = np.unravel_index(image.photons.argmax(), image.photons.shape)
    figures = image.figures
    assert image.max_pixel == (fast, slow)
    panel = next(panel for panel in experiment.detector.panels
                 if panel.window[0].start <= slow < panel.window[0].stop
                 and panel.window[1].start <= fast < panel.window[1].stop)
    # The last of two sub-pixels.
    assert figures.max_fast_m == pytest.approx((fast - panel.offset[0] + 0.75) * panel.pixel_mm[0] / 1e3)
    assert figures.max_slow_m == pytest.approx((slow - panel.offset[1] + 0.75) * panel.pixel_mm[1] / 1e3)


# what is shared


@pytest.mark.requirement("AT-PANEL-007")
def test_tables_are_made_once(backend, monkeypatch):
    made = []
    for module, name in ((kernel_params, "f2_grid_of"), (numpy_engine, "StructureFactorTable")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, original=original, name=name: made.append(name)
                            or original(*args))
    experiment = dataclasses.replace(small_experiment(sampling={"interpolate": False}),
                                     structure_factors=random_grid(np.random.default_rng(1), 4))
    with cut(experiment, 4, 4) as (divided, _):
        simulate(divided, backend=backend)
    assert made == ["StructureFactorTable" if backend == "numpy" else "f2_grid_of"]


@pytest.mark.requirement("AT-PANEL-007")
def test_progress_counts_all_panels(backend):
    calls = []
    experiment = hang(small_experiment(), parts(small_experiment().detector, 3, 2)[1:])
    simulate(experiment, backend=backend, progress=lambda done, total: calls.append((done, total)))
    total = 480 - 8 * 10
    assert {count for _, count in calls} == {total}
    done = [count for count, _ in calls]
    assert done == sorted(done)
    assert done[-1] == total
    assert len(done) >= 5


def test_orientations(backend):
    experiment = hang(small_experiment(), tilted_panels())
    experiment = dataclasses.replace(experiment, goniometer=Goniometer(0.0, 2.0, phi_steps=2))
    angles = [(10.0 * number, 20.0, -5.0 * number) for number in range(3)]
    for image, misset in zip(render_many(experiment, angles, backend=backend), angles, strict=True):
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset)
        expected = simulate(dataclasses.replace(experiment, crystal=crystal), backend=backend).photons
        np.testing.assert_array_equal(bits(image.photons), bits(expected))


@pytest.mark.requirement("AT-PANEL-002")
def test_interpolation_stops_panel_by_panel(backend):
    experiment = dataclasses.replace(small_experiment(sampling={"interpolate": True}),
                                     structure_factors=random_grid(np.random.default_rng(3), 6))
    image = simulate(hang(experiment, parts(experiment.detector)), backend=backend)
    found = [warning for warning in image.warnings if "interpolation" in warning]
    assert len(found) == 1
    states(found[0], "interpolation", "", "panel", "first")


def test_panels_of_a_plan():
    single = make_plan(small_experiment()).panels
    assert [(panel.shape, panel.window) for panel in single] == [((20, 24), (slice(0, 20), slice(0, 24)))]
    four = make_plan(hang(small_experiment(), tilted_panels())).panels
    assert [panel.shape for panel in four] == [(10, 12)] * 4


# traces


@pytest.mark.requirement("AT-PANEL-008")
def test_a_trace_names_the_panel():
    plan = make_plan(hang(small_experiment(), tilted_panels()))
    _, steps = trace_steps(plan, 16, 14)
    values = {step.name: step.values for step in steps if step.stage == "detector"}
    assert values["panel"] == ("3 p3",)
    assert values["panel's first pixel in the image"] == (15, 12)
    assert values["pixel size"] == pytest.approx((0.5e-3, 0.6e-3))
    with refusal(ConfigError, "trace", "13 2", "masked", "between panels"):
        trace_pixel(plan, 13, 2)


# files


@pytest.mark.requirement("AT-PANEL-009")
def test_panels_come_back_from_toml():
    mask = np.random.default_rng(0).random((10, 12)) < 0.5
    panels = [dataclasses.replace(panel, mask=mask, thickness_um=320.0, attenuation_um=math.inf, material="CdTe",
                                  trusted=(-1.0, 1e6)) for panel in tilted_panels()]
    experiment = hang(small_experiment(), [*panels[:2], *tilted_panels()[2:]])
    again = Experiment.from_toml(experiment.to_toml())
    assert again == experiment
    np.testing.assert_array_equal(bits(simulate(again, backend="numpy").photons),
                                  bits(simulate(experiment, backend="numpy").photons))


# what cannot be


PLAIN = {"fast_pixels": 4, "slow_pixels": 4, "origin_mm": (0.0, 0.0, 50.0), "fast_mm": (1.0, 0.0, 0.0),
         "slow_mm": (0.0, 1.0, 0.0)}


@pytest.mark.requirement("AT-PANEL-010")
@pytest.mark.parametrize(("changed", "says"), [
    ({"fast_pixels": 0}, ("panel a: fast_pixels", "0", "size in pixels")),
    ({"slow_mm": (0.0, math.nan, 0.0)}, ("panel a: slow_mm", "nan mm", "finite")),
    ({"fast_mm": (0.0, 0.0, 0.0)}, ("panel a: fast_mm", "zero vector", "direction")),
    ({"slow_mm": (1.0, 0.05, 0.0)}, ("panel a: slow_mm", "2.86 deg", "fast_mm")),
    ({"offset": (-1, 0)}, ("panel a: offset", "-1", "image")),
    ({"offset": (1,)}, ("panel a: offset", "1", "2")),
    ({"mask": np.ones((4, 5), dtype=bool)}, ("panel a: mask", "5 x 4 pixels", "4 x 4")),
    ({"thickness_um": -1.0}, ("panel a: thickness_um", "-1 um", "thickness")),
])
def test_bad_panels(changed, says):
    with refusal(ConfigError, *says):
        Panel(**{**PLAIN, "name": "a", **changed})


@pytest.mark.requirement("AT-PANEL-010")
def test_panels_that_overlap_in_the_image():
    with refusal(ConfigError, "detector.panels[1]", "panels a and 1", "overlap", "image"):
        Detector(panels=(Panel(**PLAIN, name="a"), Panel(**{**PLAIN, "origin_mm": (9.0, 0.0, 50.0)}, offset=(3, 0))))


@pytest.mark.requirement("AT-PANEL-010")
@pytest.mark.parametrize(("origin", "pixels"), [
    ((2.8, 0.0, 50.0), 1.2), ((2.5, 3.0, 50.0), 1.0), ((3.95, 0.0, 50.0), None), ((2.5, 0.0, 50.6), None),
    ((-4.0, 2.0, 50.0), None)])
def test_how_far_panels_overlap_in_space(origin, pixels):
    """The shorter way apart; panels that touch or lie behind one another do not overlap."""
    found = overlaps_in_space([Panel(**PLAIN, name="a"), Panel(**{**PLAIN, "origin_mm": origin}, offset=(4, 0))])
    assert [tuple(overlap) for overlap in found] == [("a", "1", pytest.approx(pixels))] * (pixels is not None)


def test_overlaps_are_found_among_many():
    panels = [Panel(**{**PLAIN, "origin_mm": (5.0 * (i % 16), 5.0 * (i // 16), 50.0)},
                    offset=(5 * (i % 16), 5 * (i // 16))) for i in range(256)]
    check_panels(panels)
    assert overlaps_in_space(panels) == []
    panels[200] = dataclasses.replace(panels[200], origin_mm=(17.0, 17.0, 50.0))
    worst, *others = overlaps_in_space(panels)
    assert tuple(worst) == ("51", "200", pytest.approx(2.0))
    assert len(others) == 3


@pytest.mark.requirement("AT-PANEL-010")
def test_panels_that_cannot_be_placed():
    beside = {**PLAIN, "origin_mm": (5.0, 0.0, 50.0), "fast_mm": (0.1, 0.0, 1.0)}
    with refusal(ConfigError, "detector.panels[0]", "", "plane", "crystal"):
        Detector(panels=(Panel(**beside),))
    panel = Panel(**PLAIN)
    with refusal(ConfigError, "detector.curved", "", "panel"):
        Detector(panels=(panel,), curved=True)
    with refusal(ConfigError, "detector.rotx_deg", "3.0", "detector.panels", "rotation_deg"):
        Detector(panels=(panel,), rotx_deg=3.0)
    with refusal(ConfigError, "detector.pixel_size_mm", "0.1", "detector.panels"):
        dataclasses.replace(Detector(pixel_size_mm=0.1), panels=(panel,))
    with refusal(ConfigError, "sampling.mask", "24 x 20 pixels", "4 x 4"):
        dataclasses.replace(small_experiment(), detector=Detector("xds", panels=(panel,)), sampling=dataclasses.replace(
            small_experiment().sampling, mask=np.ones((20, 24), dtype=bool)))


@pytest.mark.parametrize(("table", "says"), [
    ("fast_pixels = 4", ("detector.panels[0]", "", "slow_pixels", "origin_mm", "fast_mm", "slow_mm")),
    ("fast_pixels = 4\nslow_pixels = 4\norigin_mm = [0, 0, 50]\nfast_mm = [1, 0, 0]\nslow_mm = [0, 1, 0]\ngap = 2",
     ("detector.panels[0].gap", "", "no such setting")),
])
def test_bad_tables(table, says):
    with refusal(ConfigError, *says):
        Experiment.from_toml(f"[crystal]\ncell=[5,5,5,90,90,90]\n[structure_factors]\ndefault_F = 1\n"
                             f"[[detector.panels]]\n{table}\n")
