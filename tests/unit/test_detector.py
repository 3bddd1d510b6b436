"""Geometry against hand-worked values and against nanoBragg's own printout."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubragg import ConfigError, Detector
from cubragg.experiment.conventions import CONVENTIONS, Directions
from cubragg.experiment.panel import MAX_PIXELS, panel_in_beam
from cubragg.plan.make_plan import make_plan
from support.experiments import small_experiment
from support.messages import refusal, states

NAMED = [name for name in CONVENTIONS if name != "custom"]


def placed(semantics="nanobragg", spindle=None, **settings):
    return Detector(**settings).geometry(spindle, semantics)


@pytest.mark.requirement("AT-GEO-001")
@pytest.mark.parametrize(("convention", "fbeam", "sbeam"), [
    # 100 pixels of 0.1 mm. MOSFLM: (size + pixel)/2 + pixel/2; DENZO without the half pixel; ADXV: Xbeam at
    # (size + pixel)/2, Sbeam = size - (size - pixel)/2; XDS and DIALS: the middle.
    ("mosflm", 5.10, 5.10), ("denzo", 5.05, 5.05), ("adxv", 5.05, 5.05), ("xds", 5.0, 5.0), ("dials", 5.0, 5.0),
])
def test_default_beam_centres(convention, fbeam, sbeam):
    geometry = placed(convention=convention, fast_pixels=100, slow_pixels=100)
    assert 1000 * geometry.fbeam == pytest.approx(fbeam, abs=1e-12)
    assert 1000 * geometry.sbeam == pytest.approx(sbeam, abs=1e-12)
    corner = np.array(geometry.pix0)
    beam_spot = corner + geometry.fbeam * np.array(geometry.fast) + geometry.sbeam * np.array(geometry.slow)
    np.testing.assert_allclose(beam_spot, 0.1 * np.array(geometry.beam), atol=1e-15)


@pytest.mark.requirement("AT-GEO-001")
def test_mosflm_beam_centre_swaps_axes():
    geometry = placed(fast_pixels=100, slow_pixels=200, xbeam_mm=3.0, ybeam_mm=7.0)
    assert (1000 * geometry.fbeam, 1000 * geometry.sbeam) == pytest.approx((7.05, 3.05))


@pytest.mark.requirement("AT-GEO-002")
@given(st.sampled_from(NAMED), *[st.floats(-60, 60)] * 3, st.floats(-80, 80), st.sampled_from(["beam", "sample"]))
def test_rotations_keep_what_the_pivot_promises(convention, x, y, z, twotheta, pivot):
    settings = {"convention": convention, "rotx_deg": x, "roty_deg": y, "rotz_deg": z, "twotheta_deg": twotheta,
                "pivot": pivot, "fast_pixels": 64, "slow_pixels": 64}
    try:
        geometry = placed("physical", **settings)
    except ConfigError as error:
        states(str(error), "detector.distance_mm", "", "sample")
        return
    axes = np.array([geometry.fast, geometry.slow, geometry.normal])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    flat = placed("physical", **{**settings, "rotx_deg": 0.0, "roty_deg": 0.0, "rotz_deg": 0.0, "twotheta_deg": 0.0})
    if pivot == "beam":  # the direct beam stays on its place on the detector, at its distance
        spot = np.array(geometry.pix0) + flat.fbeam * axes[0] + flat.sbeam * axes[1]
        np.testing.assert_allclose(np.cross(spot, geometry.beam), 0.0, atol=1e-12)
    else:  # the nearest point stays on its place, at its distance
        assert (geometry.fclose, geometry.sclose) == pytest.approx((flat.fclose, flat.sclose), abs=1e-12)


@pytest.mark.requirement("AT-GEO-002")
def test_pivot_has_no_effect_in_named_conventions():
    assert placed(convention="mosflm", pivot="sample").pivot == "beam"
    assert placed("physical", convention="mosflm", pivot="sample").pivot == "sample"
    assert placed(convention="custom", pivot="sample").pivot == "sample"


@pytest.mark.requirement("AT-PHY-004")
def test_pix0_is_heard_in_physical_semantics_only():
    corner = (0.2, 0.01, -0.02)
    assert placed("physical", convention="custom", pix0_m=corner).pix0 == corner
    assert placed(convention="custom", pix0_m=corner).pix0 != corner


@pytest.mark.requirement("AT-GEO-007")
def test_adxv_keeps_its_left_handed_normal():
    geometry = placed(convention="adxv")
    np.testing.assert_array_equal(np.cross(geometry.fast, geometry.slow), -np.array(geometry.normal))


@pytest.mark.requirement("AT-GEO-007")
def test_a_normal_that_is_not_unit_is_replaced():
    geometry = placed(convention="custom", normal_axis=(2.0, 0.0, 0.0), fast_axis=(0.0, 0.0, 1.0),
                      slow_axis=(0.0, -1.0, 0.1))
    np.testing.assert_allclose(geometry.normal, (1.0, 0.0, 0.0), atol=1e-15)


@pytest.mark.requirement("AT-GEO-003")
def test_close_distance_rules_over_distance():
    geometry = placed(convention="xds", distance_mm=50.0, close_distance_mm=80.0, roty_deg=10.0)
    assert geometry.close_distance == pytest.approx(0.08)
    assert geometry.distance == pytest.approx(0.08 / math.cos(math.radians(10.0)))


def layers_of(semantics="nanobragg", **settings):
    experiment = small_experiment(semantics=semantics)
    panel, = make_plan(dataclasses.replace(experiment, detector=Detector(**settings))).panels
    return panel.layers


@pytest.mark.requirement("AT-ABS-002")
def test_sensor_layers():
    layers = layers_of(thickness_um=450.0, attenuation_um=500.0, thick_steps=5)
    assert (layers.count, layers.step_m, layers.mu_per_m) == (5, 450e-6 / 4, 1.0 / (500.0 * 1e-6))
    assert [layers.depth_m(layer) for layer in range(5)] == [layer * layers.step_m for layer in range(5)]
    assert layers_of(thick_steps=5).count == 1
    assert layers_of(thickness_um=450.0).count == 2
    assert layers_of(thickness_um=450.0).mu_per_m == pytest.approx(1.0 / 450e-6)
    assert layers_of(thickness_um=450.0, attenuation_um=math.inf).mu_per_m == 0.0


@pytest.mark.requirement("AT-PHY-007")
def test_as_many_layers_as_the_corners_of_the_detector_need():
    """Half a pixel from one to the next: 100 mm square at 100 mm, corners at tan = sqrt(0.5), pixels of 0.1 mm."""
    square = {"fast_size_mm": 100.0, "slow_size_mm": 100.0, "distance_mm": 100.0, "thickness_um": 500.0,
              "convention": "xds", "attenuation_um": 400.0}
    counts = {name: layers_of("physical", **{**square, **changes}).count for name, changes in {
        "square": {}, "far": {"distance_mm": 1000.0}, "given": {"thick_steps": 3}, "curved": {"curved": True},
        "corner": {"orgx": 0.5, "orgy": 0.5}}.items()}
    assert counts == {"square": 8, "far": 1, "given": 3, "curved": 1, "corner": 15}


@pytest.mark.parametrize(("settings", "says"), [
    ({"pixel_size_mm": 0.0}, ("detector.pixel_size_mm", "0 mm", "pixel size")),
    ({"distance_mm": -1.0}, ("detector.distance_mm", "-1 mm", "distance")),
    ({"distance_mm": math.nan}, ("detector.distance_mm", "nan mm", "finite")),
    ({"convention": "mosfilm"},
     ("detector.convention", "mosfilm", "mosflm", "denzo", "adxv", "xds", "dials", "custom")),
    ({"fast_axis": (0.0, 0.0, 0.0)}, ("detector.fast_axis", "zero vector", "direction")),
    ({"fast_pixels": 0}, ("detector.fast_pixels", "0", "size in pixels")),
    ({"fast_pixels": 10**6, "slow_pixels": 10**6},
     ("detector.fast_pixels", "1000000 x 1000000 pixels", str(MAX_PIXELS))),
    ({"fast_size_mm": 0.01}, ("detector.fast_size_mm", "0.01 mm", "0.1 mm", "pixel")),
])
def test_bad_values(settings, says):
    with refusal(ConfigError, *says):
        Detector(**settings)


@pytest.mark.requirement("AT-MODEL-006")
def test_a_detector_by_name():
    detector = Detector.named("EIGER2 4M", distance_mm=150, convention="xds", thickness_um=450.0)
    assert (detector.model, detector.shape()) == ("eiger2-4m", (2162, 2068))
    panel, = detector.placed().panels
    assert (panel.origin_mm[2], panel.thickness_um, panel.material) == (150.0, 450.0, "Si")
    moved = dataclasses.replace(detector, distance_mm=200.0).placed().panels[0]
    assert moved.origin_mm[2] == 200.0
    with refusal(ConfigError, "detector.model", "eiger5"):
        Detector.named("eiger5")


@pytest.mark.requirement("AT-PANEL-011")
@pytest.mark.parametrize("settings", [{}, {"model": "jungfrau4m"}])
@pytest.mark.parametrize("convention", ["mosflm", "adxv", "dials"])
def test_motions_of_a_convention_s_detector(convention, settings):
    """Along its axes and the beam; about the beam spot. Without one nothing changes."""
    rest = Detector(convention=convention, distance_mm=80.0, **settings)
    frame = rest.placed().frame
    fast, slow, beam = (np.array(x) for x in (frame.fast, frame.slow, frame.beam))
    moved = dataclasses.replace(rest, shift_mm=(1.0, -2.0, 3.0)).placed()
    for before, after in zip(rest.placed().panels, moved.panels, strict=True):
        assert before.made_by is not None
        assert after.made_by is None
        np.testing.assert_allclose(np.subtract(after.origin_mm, before.origin_mm), fast - 2.0 * slow + 3.0 * beam,
                                   atol=1e-12)
    centred = dataclasses.replace(rest, beam_centre_mm=(4.0, 5.0)).placed()
    hit = panel_in_beam(rest.placed().panels, frame.beam)
    number = rest.placed().panels.index(hit)
    spot = centred.panels[number].spot(frame.beam)
    edges = hit.pixel_mm
    assert (spot.fast_px * edges[0], spot.slow_px * edges[1]) == pytest.approx((4.0, 5.0), abs=1e-9)
    turned = dataclasses.replace(rest, rotation_deg=(0.0, 0.0, 30.0)).placed()
    spots = [one.panels[number].spot(frame.beam) for one in (rest.placed(), turned)]
    assert tuple(spots[0]) == pytest.approx(tuple(spots[1]), abs=1e-9)


@pytest.mark.requirement("AT-PANEL-012")
def test_the_laboratory_of_placed_panels():
    """The convention's, but for directions that beam and goniometer give."""
    panel, = Detector("xds").placed().panels
    frame = Detector("xds", panels=(panel,)).placed().frame
    assert (frame.beam, frame.polar, frame.spindle) == CONVENTIONS["xds"][:1] + CONVENTIONS["xds"][-2:]
    given_ = Directions(beam=(0.0, 0.1, 1.0), spindle=(0.0, 1.0, 1.0))
    frame = Detector("mosflm", panels=(panel,)).placed(given_).frame
    assert np.linalg.norm(frame.polar) == pytest.approx(1.0)
    assert np.dot(frame.polar, frame.beam) == pytest.approx(0.0, abs=1e-15)
    assert np.cross(frame.spindle, frame.beam) @ frame.polar == pytest.approx(0.0, abs=1e-15)
    frame = Detector("mosflm", panels=(panel,)).placed(given_._replace(polar=(0.0, 3.0, 0.0))).frame
    assert frame.polar == (0.0, 1.0, 0.0)


@pytest.mark.requirement("AT-GEO-009")
def test_a_detector_behind_the_sample():
    with refusal(ConfigError, "detector.distance_mm", "-100 mm", "50 mm", "sample"):
        placed(rotx_deg=0.0, roty_deg=120.0)
