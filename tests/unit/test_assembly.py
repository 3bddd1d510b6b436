"""Panels assembled in space: pixels where the geometry puts them, gaps where there is no panel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from cubragg.experiment import Detector
from cubragg.experiment.panel import Panel, image_shape
from cubragg.view.assembly import assembly_of, panel_at

BEAM = (0.0, 0.0, 1.0)


def turned(number, angle_deg, corner_mm, *, lean_deg=0.0, shear=0.0, size=(40, 30), pixel=0.2):
    """A panel about the beam, turned in its plane, then leaning about the laboratory's y; stored below the others."""
    turn, lean = math.radians(angle_deg), math.radians(lean_deg)

    def laboratory(x, y):
        x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
        return x * math.cos(lean), y, -x * math.sin(lean)

    corner = laboratory(*corner_mm)
    return Panel(*size, (corner[0], corner[1], corner[2] + 100.0), laboratory(pixel, 0.0),
                 laboratory(shear * pixel, pixel), offset=(0, number * size[1]), name=str(number))


DETECTORS = {
    "quadrants": tuple(turned(i, 90.0 * i + 3.0, (1.5, 1.0)) for i in range(4)),
    "leaning": tuple(turned(i, 90.0 * i, (1.5, 1.0), lean_deg=10.0 * i) for i in range(4)),
    "oblique": (turned(0, 0.0, (1.0, 1.0), shear=0.1), turned(1, 20.0, (-9.0, -9.0), shear=-0.1)),
    "barrel": tuple(turned(i, 0.0, (9.0 * i - 13.0, -5.0), lean_deg=30.0 * (i - 1)) for i in range(3)),
}


def seen(panel, fast_px, slow_px):
    """Right and down [mm] of a point, looking along +z with +y up: x is on the left."""
    place = [panel.origin_mm[k] + fast_px * panel.fast_mm[k] + slow_px * panel.slow_mm[k] for k in range(3)]
    return -place[0], -place[1]


@pytest.mark.requirement("AT-PIC-011")
@pytest.mark.parametrize("longest", [1000, 60])
@pytest.mark.parametrize("name", DETECTORS)
def test_a_bright_pixel_is_where_its_panel_is(name, longest):
    panels = DETECTORS[name]
    assembly = assembly_of(panels, BEAM)
    step = assembly.step_mm(longest)
    rng = np.random.default_rng(5)
    assert max(assembly.shown(np.zeros(image_shape(panels)), longest).shape) <= longest
    for _ in range(40):
        panel = panels[rng.integers(len(panels))]
        fast, slow = int(rng.integers(panel.fast_pixels)), int(rng.integers(panel.slow_pixels))
        image = np.zeros(image_shape(panels), np.float32)
        image[panel.offset[1] + slow, panel.offset[0] + fast] = 7.0
        bright = np.argwhere(assembly.shown(image, longest) == 7.0) + 0.5
        assert len(bright) >= 1
        right, down = seen(panel, fast + 0.5, slow + 0.5)
        found = bright.mean(axis=0)[::-1] * step + assembly.corner_mm
        assert math.hypot(found[0] - right, found[1] - down) <= 0.75 * (step + 0.2)
        np.testing.assert_allclose(
            assembly.position_mm([panel.offset[0] + fast + 0.5], [panel.offset[1] + slow + 0.5]),
            [(right, down)], atol=1e-12)


@pytest.mark.requirement("AT-PIC-011")
@pytest.mark.parametrize("name", DETECTORS)
def test_what_is_outside_every_panel_is_a_gap(name):
    panels = DETECTORS[name]
    assembly = assembly_of(panels, BEAM)
    picture = assembly.shown(np.ones(image_shape(panels)), 1000)
    step = assembly.step_mm(1000)
    rows, columns = np.indices(picture.shape) + 0.5
    points = np.stack([columns.ravel(), rows.ravel()], axis=1) * step + assembly.corner_mm
    near, inside = np.zeros((2, points.shape[0]), bool)
    for panel in panels:
        outline = Polygon([seen(panel, *corner) for corner in (
            (0, 0), (panel.fast_pixels, 0), (panel.fast_pixels, panel.slow_pixels), (0, panel.slow_pixels), (0, 0))])
        inside |= outline.contains_points(points, radius=-1e-6) | outline.contains_points(points, radius=1e-6)
        deep, wide = (outline.contains_points(points, radius=sign * step) for sign in (1.0, -1.0))
        near |= deep ^ wide
    known = ~near
    assert known.mean() > 0.8
    np.testing.assert_array_equal(~np.isnan(picture.ravel())[known], inside[known])
    assert 0.2 < inside.mean() < 0.999


@pytest.mark.requirement("AT-PIC-011")
def test_every_pixel_of_a_reduced_picture_is_the_largest_of_its_block():
    """Of a panel that is a multiple of the picture's pixels, against maxima of blocks."""
    panels = (Panel(60, 40, (-6.0, 4.0, 100.0), (0.2, 0.0, 0.0), (0.0, -0.2, 0.0)),
              Panel(60, 40, (-6.0, -6.0, 100.0), (0.2, 0.0, 0.0), (0.0, -0.2, 0.0), offset=(0, 40)))
    image = np.random.default_rng(2).normal(size=(80, 60))
    shown = assembly_of(panels, BEAM).shown(image, 18)  # 18 mm down in 18 pixels
    assert shown.shape == (18, 12)
    for first, part in ((0, image[:40]), (10, image[40:])):
        blocks = part.reshape(8, 5, 12, 5).max(axis=(1, 3))[:, ::-1]
        np.testing.assert_array_equal(shown[first:first + 8], blocks)
    assert np.isnan(shown[8:10]).all()


@pytest.mark.requirement("AT-PIC-011")
@pytest.mark.parametrize("detector", [
    Detector.named("pilatus6m", distance_mm=200.0), Detector.named("eiger2-1m", distance_mm=90.0),
    Detector(distance_mm=80.0, pixel_size_mm=0.5, fast_pixels=30, slow_pixels=20, twotheta_deg=25.0, rotx_deg=7.0)])
def test_a_flat_grid_is_shown_as_it_is_stored(detector):
    placed = detector.placed()
    assert assembly_of(placed.panels, placed.frame.beam) is None


def test_a_flat_detector_that_leans_is_seen_along_its_normal():
    """Two panels in a plane that leans by 40 degrees: their size is not foreshortened."""
    lean = math.radians(40.0)
    panels = [turned(i, 0.0, (8.5 * i - 8.0, -3.0), lean_deg=40.0) for i in range(2)]
    panels = [Panel(p.fast_pixels, p.slow_pixels, p.origin_mm, p.fast_mm, p.slow_mm, (41 * i, i)) for i, p in
              enumerate(panels)]
    assembly = assembly_of(panels, BEAM)
    np.testing.assert_allclose(assembly.size_mm, (16.5, 6.0), rtol=1e-9)
    # The beam meets the plane at the point that is lean away from the foot of the perpendicular.
    assert abs(assembly.beam_mm[0]) == pytest.approx(100.0 * math.sin(lean))


def test_panel_of_a_pixel():
    panels = DETECTORS["quadrants"]
    assert panel_at(panels, 3, 61) is panels[2]
    assert panel_at(panels, 40, 61) is None
