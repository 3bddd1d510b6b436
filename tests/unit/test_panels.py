"""Detectors of many panels: each a run of its own, pasted into one image."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random

import numpy as np
import pytest
from conftest import random_experiment, random_grid, small_experiment
from hypothesis import given
from hypothesis import strategies as st

from cubragg import ConfigError, CubraggError, Experiment, Goniometer, Panel, simulate, units
from cubragg.crystallography.vectors import rotate_xyz
from cubragg.device.host_build import find_compiler
from cubragg.engine import kernel_params
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.reference import numpy_engine
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.experiment.panel import check_overlaps, grid_place, live_pixels
from cubragg.parity.pixel_trace import trace_pixel, trace_steps
from cubragg.plan.plan import make_plan
from cubragg.run.batch import render_many

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


def with_panels(experiment, panels, **detector):
    return dataclasses.replace(experiment, detector=dataclasses.replace(
        experiment.detector, panels=tuple(panels), **detector))


def flat_experiment(seed, semantics="nanobragg"):
    experiment = random_experiment(seed, semantics)
    return dataclasses.replace(experiment, detector=dataclasses.replace(experiment.detector, curved=False))


def cut(detector, columns, rows, **changed):
    """Panels that make up a detector, on its own grid of pixels."""
    def edges(count, parts):
        return [count * part // parts for part in range(parts + 1)]

    pixel = detector.pixel_size_mm
    slow_edges, fast_edges = edges(detector.slow_pixels, rows), edges(detector.fast_pixels, columns)
    return [Panel(right - left, bottom - top, pixel, pixel, origin_mm=(left * pixel, top * pixel, 0.0),
                  offset=(left, top), name=f"{left}-{top}", **changed)
            for top, bottom in itertools.pairwise(slow_edges) for left, right in itertools.pairwise(fast_edges)]


def tilted_panels(seed=0):
    """Four panels with rectangular pixels, each tilted and shifted its own way, with a gap in the image."""
    rng = random.Random(seed)
    panels = []
    for number, (left, top) in enumerate(((0, 0), (15, 0), (0, 12), (15, 12))):
        angles = tuple(rng.uniform(-0.2, 0.2) for _ in range(3))
        fast, slow = (rotate_xyz(axis, angles) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
        origin = 0.55 * left, 0.6 * top, rng.uniform(-3.0, 3.0)
        panels.append(Panel(12, 10, 0.5, 0.3 + 0.1 * number, origin, fast, slow, (left, top), name=f"p{number}"))
    return panels


# one panel, and detectors cut into panels


@given(SEEDS, SEMANTICS)
def test_a_detector_of_one_panel_is_the_detector(seed, semantics):
    experiment = flat_experiment(seed, semantics)
    expected = simulate(experiment, backend="numpy")
    image = simulate(with_panels(experiment, cut(experiment.detector, 1, 1)), backend="numpy")
    np.testing.assert_array_equal(bits(image.photons), bits(expected.photons))
    np.testing.assert_array_equal(image.figures, expected.figures)
    assert image.max_pixel == expected.max_pixel


@given(SEEDS, SEMANTICS, st.integers(1, 3), st.integers(1, 3))
def test_a_panel_is_the_region_of_the_undivided_detector(seed, semantics, columns, rows):
    """To the bit, with the first pixel's and the interpolation's rules, which begin anew on every panel."""
    experiment = flat_experiment(seed, semantics)
    panels = cut(experiment.detector, columns, rows)
    image = simulate(with_panels(experiment, panels), backend="numpy").photons
    fast_min, fast_max, slow_min, slow_max = experiment.sampling.region(experiment.detector.shape())
    for panel in panels:
        slow, fast = panel.window
        roi = (max(fast.start, fast_min), min(fast.stop - 1, fast_max), max(slow.start, slow_min),
               min(slow.stop - 1, slow_max))
        if roi[0] > roi[1] or roi[2] > roi[3]:
            assert not image[panel.window].any()
            continue
        region = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, roi=roi))
        expected = simulate(region, backend="numpy").photons
        np.testing.assert_array_equal(bits(image[panel.window]), bits(expected[panel.window]))


@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_a_detector_cut_into_panels(backend, semantics):
    experiment = small_experiment(
        semantics=semantics, detector={"fast_pixels": 61, "slow_pixels": 47, "pixel_size_mm": 0.2, "rotx_deg": 7.0},
        crystal={"mosaic_spread_deg": 1.0, "mosaic_domains": 3}, sampling={"oversample": 2},
        goniometer={"phi_deg": 1.0, "osc_deg": 1.0})
    expected = simulate(experiment, backend=backend).photons
    image = simulate(with_panels(experiment, cut(experiment.detector, 3, 4)), backend=backend).photons
    np.testing.assert_array_equal(bits(image), bits(expected))


def test_a_panel_moved_in_the_image_and_in_space(backend):
    """The place in the image says nothing about the place in space."""
    experiment = small_experiment()
    expected = simulate(experiment, backend=backend).photons
    panel = dataclasses.replace(cut(experiment.detector, 1, 1)[0], offset=(5, 3))
    image = simulate(with_panels(experiment, [panel]), backend=backend).photons
    assert image.shape == (23, 29)
    np.testing.assert_array_equal(bits(image[3:, 5:]), bits(expected))
    assert not image[:3].any()
    assert not image[:, :5].any()
    shifted = dataclasses.replace(panel, origin_mm=(0.5, -1.0, 0.0))  # a pixel forward, two back
    image = simulate(with_panels(experiment, [shifted]), backend=backend).photons
    np.testing.assert_array_equal(bits(image[5:23, 5:28]), bits(expected[:18, 1:]))


@pytest.mark.parametrize(("origin", "pixel", "place"), [
    ((0.0, 0.0, 0.0), 0.5, (0, 0)), ((1.5, -2.0, 0.0), 0.5, (3, -4)), ((1.5000001, 0.0, 0.0), 0.5, None),
    ((0.172 * 494, 0.172 * 212, 0.0), 0.172, (494, 212)), ((0.0, 0.0, 1e-6), 0.5, None), ((0.0, 0.0, 0.0), 0.4, None)])
def test_the_grid_of_a_detector(origin, pixel, place):
    assert grid_place(Panel(4, 4, pixel, pixel, origin), 0.172 if pixel == 0.172 else 0.5) == place


# tilted panels and rectangular pixels


def by_formula(plan, panels):
    """Photons [slow, fast] from the geometry's definition, NumPy's linear algebra and the textbook's factors."""
    image = np.zeros(plan.shape)
    frame = np.array([plan.geometry.fast, plan.geometry.slow, np.cross(plan.geometry.fast, plan.geometry.slow)])
    frame[2] *= np.sign(frame[2] @ plan.geometry.normal)
    wavelength, beam = plan.sources.wavelength_m[0], np.array(plan.geometry.beam)
    for panel in panels:
        corner = np.array(plan.geometry.pix0) + np.array(panel.origin_mm) / 1e3 @ frame
        fast, slow = np.array(panel.fast) @ frame, np.array(panel.slow) @ frame
        i, j = np.arange(panel.fast_pixels) + 0.5, np.arange(panel.slow_pixels) + 0.5
        width, height = panel.pixel_fast_mm / 1e3, panel.pixel_slow_mm / 1e3
        r = corner + (i * width)[None, :, None] * fast + (j * height)[:, None, None] * slow
        path = np.linalg.norm(r, axis=2)
        direction = r / path[..., None]
        omega = width * height * np.abs(direction @ np.cross(fast, slow)) / path**2
        hkl = (direction - beam) / wavelength @ plan.cell_axes[0, 0].T
        amplitude = np.prod(np.sin(np.pi * hkl * plan.cells) / np.sin(np.pi * hkl), axis=2)
        factors = plan.factors.default_F ** 2 * (1.0 + (direction @ beam) ** 2) / 2.0
        image[panel.window] = (units.THOMSON_CROSS_SECTION_M2 * plan.fluence * factors * amplitude**2 * omega)
    return image


@pytest.mark.parametrize("convention", ["mosflm", "adxv", "xds", "dials"])
def test_tilted_panels_against_the_formula(backend, convention):
    experiment = small_experiment(detector={"convention": convention, "rotx_deg": 8.0, "roty_deg": -5.0,
                                            "twotheta_deg": 12.0})
    plan = make_plan(with_panels(experiment, tilted_panels()))
    image = (NumpyEngine if backend == "numpy" else HostEngine)(plan).render()
    expected = by_formula(plan, tilted_panels())
    np.testing.assert_allclose(image, expected, rtol=FORMULA, atol=FORMULA * expected.max())
    assert np.count_nonzero(image) == sum(panel.fast_pixels * panel.slow_pixels for panel in tilted_panels())


@given(SEEDS)
def test_rectangular_pixels_agree_with_the_scalar_program(seed):
    experiment = flat_experiment(seed)
    experiment = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, roi=None, mask=None))
    try:
        image = simulate(with_panels(experiment, tilted_panels(seed)), backend="numpy")
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


@pytest.mark.parametrize("along", ["fast", "slow"])
def test_rectangular_pixels_hold_what_two_square_ones_hold(backend, along):
    """As integrals: the mid-point rule of 8 x 8 sub-pixels leaves 1e-3 of the maximum of these spots."""
    wide, high = (2, 1) if along == "fast" else (1, 2)
    experiment = small_experiment(semantics="physical", crystal={"shape": "gauss", "cells": (3, 3, 3), "fudge": 0.02},
                                  detector={"roty_deg": 15.0}, sampling={"oversample": 8})
    fine = simulate(experiment, backend=backend).photons.astype(float)
    panel = Panel(24 // wide, 20 // high, 0.5 * wide, 0.5 * high)
    coarse = simulate(with_panels(experiment, [panel]), backend=backend).photons
    expected = fine.reshape(20 // high, high, 24 // wide, wide).sum(axis=(1, 3))
    np.testing.assert_allclose(coarse, expected, rtol=0, atol=1e-3 * expected.max())


def test_each_panel_has_its_own_sensor(backend):
    experiment = small_experiment(detector={"thick_steps": 2, "roty_deg": 20.0})
    left, right = cut(experiment.detector, 2, 1)
    panels = [dataclasses.replace(left, thickness_um=300.0, attenuation_um=500.0), right]
    image = simulate(with_panels(experiment, panels), backend=backend).photons
    thick = dataclasses.replace(experiment, detector=dataclasses.replace(
        experiment.detector, thickness_um=300.0, attenuation_um=500.0))
    for panel, alone in ((left, thick), (right, experiment)):
        expected = simulate(alone, backend=backend).photons
        np.testing.assert_array_equal(bits(image[panel.window]), bits(expected[panel.window]))


def test_notices_about_the_sensors_of_panels():
    left, right = cut(small_experiment().detector, 2, 1)
    def notices(**changed):
        panels = [dataclasses.replace(left, **changed), right]
        return make_plan(with_panels(small_experiment(), panels)).notices
    assert not any("sensor" in notice for notice in notices())
    assert "sensor thickness without an attenuation depth: a depth of 320 um is used" in notices(thickness_um=320.0)
    assert any("absorbs nothing" in notice for notice in notices(thickness_um=320.0, attenuation_um=math.inf))


def test_oversampling_is_that_of_the_panel_that_needs_most():
    experiment = small_experiment(crystal={"cells": (60, 60, 60)}, sampling={"oversample": 0})
    plain = make_plan(experiment).recommended_oversample
    far, near = (Panel(4, 4, 0.5, 0.5, (0.0, 0.0, z), offset=(0, row)) for z, row in ((230.0, 0), (-40.0, 4)))

    def recommended(*panels):
        return make_plan(with_panels(experiment, panels)).recommended_oversample

    assert recommended(*cut(experiment.detector, 2, 2)) == plain
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


def test_a_panel_outside_the_region_or_masked_is_not_rendered(monkeypatch):
    experiment = small_experiment(detector={"fast_pixels": 24, "slow_pixels": 20})
    panels = cut(experiment.detector, 2, 2)
    mask = np.ones((20, 24), dtype=bool)
    mask[:10, :12] = False
    assert len(runs_of(make_plan(with_panels(experiment, panels)), monkeypatch)) == 4
    region = dataclasses.replace(experiment.sampling, roi=(3, 9, 4, 8))
    inside = make_plan(dataclasses.replace(with_panels(experiment, panels), sampling=region))
    assert runs_of(inside, monkeypatch) == [(3, 9, 4, 8)]
    masked = dataclasses.replace(experiment.sampling, mask=mask)
    assert len(runs_of(make_plan(dataclasses.replace(with_panels(experiment, panels), sampling=masked)),
                       monkeypatch)) == 3
    nothing = dataclasses.replace(masked, roi=(0, 11, 0, 9))
    plan = make_plan(dataclasses.replace(with_panels(experiment, panels), sampling=nothing))
    assert runs_of(plan, monkeypatch) == []
    assert not NumpyEngine(plan).render().any()


def test_masks_of_panels_and_of_the_image_join(backend):
    rng = np.random.default_rng(4)
    experiment = small_experiment()
    whole = simulate(experiment, backend=backend).photons
    panels = [dataclasses.replace(panel, mask=rng.random((panel.slow_pixels, panel.fast_pixels)) < 0.7)
              for panel in cut(experiment.detector, 2, 2)[:3]]
    panels[2] = dataclasses.replace(panels[2], mask=None)
    mask = rng.random((20, 24)) < 0.8
    masked = dataclasses.replace(with_panels(experiment, panels), sampling=dataclasses.replace(
        experiment.sampling, mask=mask))
    image = simulate(masked, backend=backend)
    live = np.zeros((20, 24), dtype=bool)
    live[:10, :12], live[:10, 12:], live[10:, :12] = panels[0].mask, panels[1].mask, True
    np.testing.assert_array_equal(live_pixels(panels), live)
    np.testing.assert_array_equal(image.plan.mask, live & mask)
    np.testing.assert_array_equal(bits(image.photons), bits(np.where(live & mask, whole, np.float32(0.0))))
    assert image.figures.mean == pytest.approx(whole[live & mask].mean(dtype=float))


def test_the_brightest_pixel_is_named_on_its_panel():
    experiment = with_panels(small_experiment(sampling={"oversample": 2}), tilted_panels())
    image = simulate(experiment, backend="numpy")
    slow, fast = np.unravel_index(image.photons.argmax(), image.photons.shape)
    figures = image.figures
    assert image.max_pixel == (fast, slow)
    panel = next(panel for panel in experiment.detector.panels
                 if panel.window[0].start <= slow < panel.window[0].stop
                 and panel.window[1].start <= fast < panel.window[1].stop)
    # The last of two sub-pixels.
    assert figures.max_fast_m == pytest.approx((fast - panel.offset[0] + 0.75) * panel.pixel_fast_mm / 1e3)
    assert figures.max_slow_m == pytest.approx((slow - panel.offset[1] + 0.75) * panel.pixel_slow_mm / 1e3)


# what is shared


def test_tables_are_made_once(backend, monkeypatch):
    made = []
    for module, name in ((kernel_params, "table_of"), (numpy_engine, "StructureFactorTable")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, original=original, name=name: made.append(name)
                            or original(*args))
    experiment = dataclasses.replace(small_experiment(sampling={"interpolate": False}),
                                     structure_factors=random_grid(np.random.default_rng(1), 4))
    panels = cut(experiment.detector, 4, 4)
    simulate(with_panels(experiment, panels), backend=backend)
    assert made == ["StructureFactorTable" if backend == "numpy" else "table_of"]


def test_progress_counts_all_panels(backend):
    told = []
    experiment = with_panels(small_experiment(), cut(small_experiment().detector, 3, 2)[1:])
    simulate(experiment, backend=backend, progress=lambda done, total: told.append((done, total)))
    total = 480 - 8 * 10
    assert {count for _, count in told} == {total}
    done = [count for count, _ in told]
    assert done == sorted(done)
    assert done[-1] == total
    assert len(done) >= 5


def test_orientations(backend):
    experiment = with_panels(small_experiment(), tilted_panels())
    experiment = dataclasses.replace(experiment, goniometer=Goniometer(0.0, 2.0, phi_steps=2))
    angles = [(10.0 * number, 20.0, -5.0 * number) for number in range(3)]
    for image, misset in zip(render_many(experiment, angles, backend=backend), angles, strict=True):
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset)
        expected = simulate(dataclasses.replace(experiment, crystal=crystal), backend=backend).photons
        np.testing.assert_array_equal(bits(image.photons), bits(expected))


def test_interpolation_stops_panel_by_panel(backend):
    experiment = dataclasses.replace(small_experiment(sampling={"interpolate": True}),
                                     structure_factors=random_grid(np.random.default_rng(3), 6))
    image = simulate(with_panels(experiment, cut(experiment.detector, 2, 2)), backend=backend)
    told = [notice for notice in image.notices if "interpolation" in notice]
    assert len(told) == 1
    assert "on every panel from the first such pixel of its own" in told[0]


def test_panels_of_a_plan():
    single = make_plan(small_experiment()).panels
    assert [(panel.shape, panel.window) for panel in single] == [((20, 24), (slice(0, 20), slice(0, 24)))]
    four = make_plan(with_panels(small_experiment(), tilted_panels())).panels
    assert [panel.shape for panel in four] == [(10, 12)] * 4


# traces


def test_a_trace_names_the_panel():
    plan = make_plan(with_panels(small_experiment(), tilted_panels()))
    _, steps = trace_steps(plan, 16, 14)
    values = {step.name: step.values for step in steps if step.place == "detector"}
    assert values["panel"] == ("3 p3",)
    assert values["panel's first pixel in the image"] == (15, 12)
    assert values["pixel size"] == pytest.approx((0.5e-3, 0.6e-3))
    with pytest.raises(ConfigError, match=r"^trace: got pixel 13 2, which is masked or between panels"):
        trace_pixel(plan, 13, 2)


# files


def test_panels_come_back_from_toml():
    mask = np.random.default_rng(0).random((10, 12)) < 0.5
    panels = [dataclasses.replace(panel, mask=mask, thickness_um=320.0, attenuation_um=math.inf, material="CdTe",
                                  trusted=(-1.0, 1e6)) for panel in tilted_panels()]
    experiment = with_panels(small_experiment(), [*panels[:2], *tilted_panels()[2:]])
    again = Experiment.from_toml(experiment.to_toml())
    assert again == experiment
    np.testing.assert_array_equal(bits(simulate(again, backend="numpy").photons),
                                  bits(simulate(experiment, backend="numpy").photons))


# what cannot be


PLAIN = {"fast_pixels": 4, "slow_pixels": 4, "pixel_fast_mm": 1.0, "pixel_slow_mm": 1.0}


@pytest.mark.parametrize(("changed", "message"), [
    ({"fast_pixels": 0}, "panel a: fast_pixels: got 0; the size in pixels must be >= 1"),
    ({"pixel_slow_mm": 0.0}, "panel a: pixel_slow_mm: got 0 mm; the pixel size must be > 0 mm"),
    ({"fast": (0.0, 0.0, 0.0)}, "panel a: fast: got a zero vector; an axis must have a direction"),
    ({"slow": (0.1, 1.0, 0.0)}, "panel a: slow: got axes whose cosine is 0.0995; the slow axis must be perpendicular "
     "to the fast one"),
    ({"offset": (-1, 0)}, "panel a: offset: got -1; the place in the image must be >= 0"),
    ({"offset": (1,)}, "panel a: offset: got 1 numbers; an offset needs 2"),
    ({"mask": np.ones((4, 5), dtype=bool)}, "panel a: mask: got a mask of 5 x 4 pixels; the panel has 4 x 4"),
    ({"thickness_um": -1.0}, "panel a: thickness_um: got -1 um; the sensor thickness must be >= 0 um"),
])
def test_bad_panels(changed, message):
    with pytest.raises(ConfigError) as caught:
        Panel(**{**PLAIN, "name": "a", **changed})
    assert str(caught.value) == message


@pytest.mark.parametrize(("moved", "message"), [
    ({"offset": (3, 0), "origin_mm": (9.0, 0.0, 0.0)}, "detector.panels[1]: panels a and 1 overlap in the image; "
     "every panel needs pixels of its own"),
    ({"offset": (4, 0), "origin_mm": (2.5, 0.0, 0.0)}, "detector.panels[1]: panels a and 1 overlap in space; "
     "they must lie side by side"),
])
def test_panels_that_overlap(moved, message):
    with pytest.raises(ConfigError) as caught:
        with_panels(small_experiment(), [Panel(**PLAIN, name="a"), Panel(**PLAIN, **moved)])
    assert str(caught.value) == message


@pytest.mark.parametrize("origin", [(3.5, 0.0, 0.0), (2.5, 0.0, 0.6), (-4.0, 2.0, 0.0)])
def test_panels_side_by_side(origin):
    """Also those that touch, lie behind one another, or overlap by the pixel that measured positions are off."""
    with_panels(small_experiment(), [Panel(**PLAIN), Panel(**PLAIN, offset=(4, 0), origin_mm=origin)])


def test_overlaps_are_found_among_many():
    panels = [Panel(**PLAIN, offset=(5 * (i % 16), 5 * (i // 16)), origin_mm=(5.0 * (i % 16), 5.0 * (i // 16), 0.0))
              for i in range(256)]
    check_overlaps(panels)
    panels[200] = dataclasses.replace(panels[200], origin_mm=(17.0, 17.0, 0.0))
    with pytest.raises(ConfigError, match=r"detector.panels\[200\]: panels 51 and 200 overlap in space"):
        check_overlaps(panels)


def test_panels_that_cannot_be_placed():
    beside = Panel(**PLAIN, fast=(0.0, 0.0, 1.0), origin_mm=(5.75, 0.0, 0.0))
    with pytest.raises(ConfigError, match=r"^detector.panels\[0\]: got a panel whose plane passes .* from the sample"):
        make_plan(with_panels(small_experiment(detector={"xbeam_mm": 4.0, "ybeam_mm": 5.5}), [beside]))
    with pytest.raises(ConfigError, match=r"^detector.curved: got a curved detector with panels; panels are flat$"):
        with_panels(small_experiment(), [Panel(**PLAIN)], curved=True)
    with pytest.raises(ConfigError, match=r"^sampling.mask: got a mask of 24 x 20 pixels; the detector has 4 x 4$"):
        dataclasses.replace(with_panels(small_experiment(), [Panel(**PLAIN)]), sampling=dataclasses.replace(
            small_experiment().sampling, mask=np.ones((20, 24), dtype=bool)))


@pytest.mark.parametrize(("table", "message"), [
    ("fast_pixels = 4", "detector.panels[0]: a panel without slow_pixels, pixel_fast_mm, pixel_slow_mm"),
    ("fast_pixels = 4\nslow_pixels = 4\npixel_fast_mm = 1\npixel_slow_mm = 1\ngap = 2",
     "detector.panels[0].gap: no such setting"),
])
def test_bad_tables(table, message):
    with pytest.raises(ConfigError) as caught:
        Experiment.from_toml(f"[crystal]\ncell=[5,5,5,90,90,90]\n[structure_factors]\ndefault_F = 1\n"
                             f"[[detector.panels]]\n{table}\n")
    assert str(caught.value).startswith(message)
