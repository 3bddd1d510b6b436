"""ExperimentModels of files become settings that repeat them; what is written is read back."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Panel, Sampling, StructureFactors
from cubragg.crystallography.vectors import Vector, dot, norm, rotate_axis, rotate_xyz, scale, unit
from cubragg.errors import ConfigError, FormatError
from cubragg.experiment.panel import image_shape, live_pixels
from cubragg.io.geometry.crystfel import read_geom
from cubragg.io.geometry.crystfel_out import geom_text
from cubragg.io.geometry.experiment_models import (
    BeamModel,
    CrystalModel,
    ExperimentModels,
    ScanModel,
    cell_of,
    models_of,
    rectangles,
)
from cubragg.io.geometry.expt import read_expt
from cubragg.io.geometry.expt_out import expt_text
from cubragg.io.geometry.model_settings import placed_models, settings_of
from cubragg.io.geometry.nexus import read_nxmx
from cubragg.io.images.nxmx import NxmxWriter
from cubragg.io.images.scene import Scene
from cubragg.io.perpendicular import obliqueness, squared
from support.messages import refusal, states

#: What is left of lengths of some 1000 mm after a detour through other axes, and of directions.
SAME_MM, SAME = 1e-9, 1e-12

number = st.floats(-1.0, 1.0)
axis = st.tuples(number, number, number).filter(lambda x: norm(x) > 0.2).map(unit)
angle = st.floats(-40.0, 40.0)


@st.composite
def panel(draw, *, place: int = 0, skewed: bool = False) -> Panel:
    """One somewhere in front of the sample, in the frame of DIALS; ``place`` keeps panels apart."""
    turn = tuple(math.radians(draw(angle)) for _ in range(3))
    fast, slow = (rotate_xyz(x, turn) for x in ((1.0, 0.0, 0.0), (draw(st.floats(-0.3, 0.3)) if skewed else 0.0,
                                                                  draw(st.sampled_from([1.0, -1.0])), 0.0)))
    edge = draw(st.floats(0.03, 0.4))
    origin = (draw(st.floats(-90.0, 90.0)), draw(st.floats(-90.0, 90.0)),
              -400.0 - 300.0 * place + draw(st.floats(-50.0, 50.0)))
    mask = draw(st.sampled_from([None, np.arange(12).reshape(3, 4) % 5 != 1]))
    other = draw(st.floats(0.03, 0.4))
    return Panel(4, 3, origin, scale(fast, edge), scale(slow, other), (draw(st.integers(0, 3)), 9 * place), f"p{place}",
                 mask=mask)


@st.composite
def models(draw, *, skewed: bool = False, beam: Vector | None = None) -> ExperimentModels:
    """Up to three panels, and all the rest."""
    count = draw(st.integers(1, 3))
    panels = tuple(draw(panel(place=place, skewed=skewed)) for place in range(count))
    direction = beam or rotate_xyz((0.0, 0.0, -1.0), (draw(st.floats(-0.1, 0.1)), draw(st.floats(-0.1, 0.1)), 0.0))
    normal = draw(axis.filter(lambda x: abs(dot(x, direction)) < 0.9))
    normal = unit(tuple(a - dot(normal, direction) * b for a, b in zip(normal, direction, strict=True)))
    a_matrix = tuple(np.diag([0.02, 0.015, 0.01]).ravel() + [draw(st.floats(-0.002, 0.002)) for _ in range(9)])
    return ExperimentModels(BeamModel(direction, draw(st.floats(0.5, 3.0)), draw(st.floats(0.0, 1.0)), normal), panels,
                  draw(axis.filter(lambda x: abs(dot(x, direction)) < 0.9)),
                  ScanModel(draw(st.floats(-180.0, 180.0)), draw(st.floats(0.01, 5.0)), draw(st.floats(0.01, 10.0)),
                            draw(st.integers(1, 3))),
                  CrystalModel(a_matrix))


def simulated(wanted: ExperimentModels) -> Experiment:
    """The experiment that ``--from`` makes of models."""
    settings = settings_of(wanted)
    sections = {section: {} for section in ("beam", "detector", "goniometer", "crystal")}
    for setting, value in settings.items():
        section, _, name = setting.partition(".")
        sections[section][name] = value
    m = wanted.crystal.a_matrix
    return Experiment(Crystal(a_matrix=(m[0:3], m[3:6], m[6:9])), StructureFactors(1.0), Beam(**sections["beam"]),
                      Detector(**sections["detector"]), Goniometer(**sections["goniometer"]))


def assert_panels(found, wanted, turn=None):
    turn = np.eye(3) if turn is None else turn
    assert len(found) == len(wanted)
    for mine, other in zip(found, wanted, strict=True):
        assert np.allclose(mine.origin_mm, turn @ other.origin_mm, rtol=0, atol=SAME_MM)
        assert np.allclose(mine.fast_mm, turn @ other.fast_mm, rtol=0, atol=SAME)
        assert np.allclose(mine.slow_mm, turn @ other.slow_mm, rtol=0, atol=SAME)
        assert (mine.fast_pixels, mine.slow_pixels, mine.offset) == (other.fast_pixels, other.slow_pixels, other.offset)
        assert np.array_equal(np.broadcast_to(True if mine.mask is None else mine.mask, (3, 4)),
                              np.broadcast_to(True if other.mask is None else other.mask, (3, 4)))


@pytest.mark.requirement("AT-FROM-002")
@given(models(skewed=True))
def test_models_become_an_experiment_that_has_them(wanted):
    """Every panel, beam, spindle and A, but for the one rotation into the frame of DIALS."""
    experiment = simulated(wanted)
    found = models_of(experiment)
    z = -np.array(wanted.beam.direction)
    x = np.array(wanted.spindle) - (np.array(wanted.spindle) @ z) * z
    x /= np.linalg.norm(x)
    turn = np.array([x, np.cross(z, x), z])
    assert_panels(found.panels, wanted.panels, turn)
    assert np.allclose(found.spindle, turn @ wanted.spindle, rtol=0, atol=SAME)
    assert np.allclose(np.reshape(found.crystal.a_matrix, (3, 3)), turn @ np.reshape(wanted.crystal.a_matrix, (3, 3)),
                       rtol=0, atol=SAME)
    assert found.beam.polarization_fraction == pytest.approx(wanted.beam.polarization_fraction, abs=SAME)
    assert abs(np.dot(found.beam.polarization_normal, turn @ wanted.beam.polarization_normal)) == pytest.approx(1.0)
    assert (found.scan.phi_deg, found.scan.osc_deg) == (wanted.scan.phi_deg, wanted.scan.osc_deg)


@pytest.mark.requirement("AT-FROM-014")
@given(models())
def test_an_experiment_list_is_read_as_written(tmp_path_factory, wanted):
    """To the last bit but for sums in the crystal's axes."""
    path = tmp_path_factory.mktemp("expt") / "a.expt"
    path.write_text(expt_text("a.expt", wanted, image="a_0001.cbf", trusted=(-1.0, 65535.0)))
    found = read_expt(path)
    assert_panels(found.panels, wanted.panels)
    assert found.beam.direction == pytest.approx(wanted.beam.direction, abs=SAME)
    assert dataclasses.replace(found.beam, direction=wanted.beam.direction, polarization_normal=None) == \
        dataclasses.replace(wanted.beam, polarization_normal=None)
    assert found.spindle == pytest.approx(wanted.spindle, abs=SAME)
    assert found.scan == wanted.scan
    assert found.crystal.a_matrix == pytest.approx(wanted.crystal.a_matrix, abs=SAME)


@pytest.mark.requirement("AT-FROM-015")
@given(models(skewed=True, beam=(0.0, 0.0, -1.0)))
def test_a_crystfel_geometry_is_read_as_written(tmp_path_factory, wanted):
    """Panels, oblique ones too, masks as bad regions, wavelength."""
    path = tmp_path_factory.mktemp("geom") / "a.geom"
    path.write_text(geom_text("a.geom", wanted, data=None))
    found = read_geom(path)
    assert_panels(found.panels, wanted.panels)
    assert found.beam.direction == (0.0, 0.0, -1.0)
    assert found.beam.wavelength_A == pytest.approx(wanted.beam.wavelength_A, rel=1e-15)


@pytest.mark.requirement("AT-FROM-058")
@given(models())
def test_an_nxmx_file_is_read_as_written(tmp_path_factory, wanted):
    """Panels however they lie, but for the one rotation into the frame of DIALS; spindle and beam."""
    placed = placed_models(wanted)
    live = live_pixels(placed.panels)
    live = np.ones(image_shape(placed.panels), dtype=bool) if live is None else live
    scene = Scene(*placed, live, wanted.beam.wavelength_A, 0.0, 0.5, 1.0, datetime(2026, 1, 2))
    path = tmp_path_factory.mktemp("nxmx") / "a.h5"
    with NxmxWriter(path, scene, 1) as writer:
        writer.append(np.zeros(live.shape, dtype=np.uint32))
    found = read_nxmx(path)
    turn = np.reshape(placed.frame.dials_rotation(), (3, 3))
    assert_panels(found.panels, wanted.panels, turn)
    assert np.allclose(found.spindle, turn @ wanted.spindle, rtol=0, atol=SAME)
    assert found.beam.wavelength_A == pytest.approx(wanted.beam.wavelength_A, rel=1e-15)


def one_panel(**changes) -> ExperimentModels:
    """A flat detector square to the beam, hit in the middle."""
    base = Panel(100, 80, (-5.0, 4.0, -120.0), (0.1, 0.0, 0.0), (0.0, -0.1, 0.0))
    return ExperimentModels(BeamModel((0.0, 0.0, -1.0), 1.0), (dataclasses.replace(base, **changes),))


@pytest.mark.requirement("AT-FROM-004")
@pytest.mark.parametrize("changes", [
    {}, {"slow_mm": (0.0, 0.1, 0.0)}, {"origin_mm": (500.0, 4.0, -120.0)}, {"origin_mm": (-5.0, 4.0, 120.0)},
    {"origin_mm": (100.0, 4.0, -5.0), "fast_mm": (0.0, 0.0, 0.1)}, {"slow_mm": (0.03, -0.2, 0.0)}, {"offset": (3, 4)},
    {"mask": np.arange(8000).reshape(80, 100) > 7}],
    ids=["usual", "left-handed", "beside the beam", "backscatter", "along the beam", "oblique", "offset", "mask"])
def test_a_panel_of_a_file_is_the_value(changes):
    """As it is placed, to the bit, wherever that is."""
    wanted = one_panel(**changes)
    settings = settings_of(wanted)
    assert settings["detector.panels"] == wanted.panels
    assert placed_models(wanted).panels == tuple(
        dataclasses.replace(panel, thickness_um=0.0) for panel in wanted.panels)


@pytest.mark.requirement("AT-FROM-005")
def test_motions_of_the_whole_detector():
    """Twice the distance, another beam centre, a tilt through the beam spot or the crystal."""
    base = one_panel().panels[0]
    both = ExperimentModels(BeamModel((0.0, 0.0, -1.0), 1.0), (base, dataclasses.replace(
        base, origin_mm=(6.0, 4.0, -121.0), offset=(110, 0))))

    cosine = math.cos(math.radians(30.0))

    def corners(**motion):
        return [panel.origin_mm for panel in placed_models(both, **motion).panels]

    for motion, expected in (
            ({"distance_mm": 240.0}, [(-5.0, 4.0, -240.0), (6.0, 4.0, -241.0)]),
            ({"close_distance_mm": 130.0}, [(-5.0, 4.0, -130.0), (6.0, 4.0, -131.0)]),
            ({"beam_centre_mm": (3.0, 1.0)}, [(-3.0, 1.0, -120.0), (8.0, 1.0, -121.0)]),
            ({"shift_mm": (1.0, 2.0, 5.0)}, [(-4.0, 2.0, -125.0), (7.0, 2.0, -126.0)]),
            ({"distance_mm": 200.0, "shift_mm": (0.0, 0.0, 5.0)}, [(-5.0, 4.0, -205.0), (6.0, 4.0, -206.0)]),
            ({"rotation_deg": (0.0, 0.0, 90.0)}, [(-4.0, -5.0, -120.0), (-4.0, 6.0, -121.0)]),
            ({"rotation_deg": (0.0, 30.0, 0.0)}, [(-5.0 * cosine, 4.0, -117.5), (6.0 * cosine - 0.5, 4.0,
                                                                                 -123.0 - cosine)]),
            ({"rotation_deg": (0.0, 90.0, 0.0), "pivot": "sample"}, [(-120.0, 4.0, 5.0), (-121.0, 4.0, -6.0)])):
        np.testing.assert_allclose(corners(**motion), expected, rtol=0, atol=1e-12)
    tilted = placed_models(both, rotation_deg=(0.0, 0.0, 90.0)).panels[0]
    np.testing.assert_allclose([tilted.fast_mm, tilted.slow_mm], [(0.0, 0.1, 0.0), (0.1, 0.0, 0.0)], atol=1e-15)


@pytest.mark.requirement("AT-FROM-005")
def test_figures_are_those_of_the_panel_in_the_beam():
    """Not those of the first one, which may face sideways."""
    across = Panel(50, 50, (100.0, 3.0, -50.0), (0.0, 0.0, 0.1), (0.0, -0.1, 0.0), (200, 0))
    frame = placed_models(dataclasses.replace(one_panel(), panels=(across, one_panel().panels[0]))).frame
    assert (frame.distance, frame.fbeam, frame.sbeam) == pytest.approx((0.120, 0.005, 0.004), abs=1e-15)
    assert frame.fast == (1.0, 0.0, 0.0)


@pytest.mark.requirement("AT-FROM-020")
def test_a_plane_through_the_crystal_is_refused():
    with refusal(ConfigError, "", "0 mm", "plane", "crystal"):
        settings_of(one_panel(origin_mm=(-5.0, 4.0, 0.0)))


@pytest.mark.requirement("AT-FROM-020", "AT-FROM-005")
def test_a_distance_needs_a_plane_that_the_beam_meets():
    with refusal(ConfigError, "detector.distance_mm", "50.0 mm", "beam", "meet"):
        placed_models(one_panel(origin_mm=(-5.0, 4.0, 120.0)), distance_mm=50.0)


@pytest.mark.requirement("AT-FROM-006")
def test_later_files_lie_over_earlier_ones():
    """As a whole, but for the numbers of the beam."""
    first = ExperimentModels(BeamModel((0.0, 0.0, -1.0), 1.5, 0.9), one_panel().panels, (1.0, 0.0, 0.0),
                             ScanModel(1.0, 2.0), CrystalModel((1.0,) * 9), ("first",))
    second = ExperimentModels(
        BeamModel((0.0, 0.1, -0.9), None), crystal=CrystalModel(cell=(5.0,) * 6), warnings=("second",))
    merged = second.over(first)
    assert merged.beam == BeamModel((0.0, 0.1, -0.9), 1.5, 0.9)
    assert (merged.panels, merged.spindle, merged.scan) == (first.panels, first.spindle, first.scan)
    assert merged.crystal == second.crystal
    assert merged.warnings == ("first", "second")


@pytest.mark.requirement("AT-FROM-016")
def test_a_still_is_described_at_its_angle(tmp_path):
    """No goniometer, A turned by phi about the spindle, right-handed."""
    experiment = Experiment(Crystal((50.0, 60.0, 70.0, 90.0, 90.0, 90.0)), StructureFactors(1.0), Beam(),
                            Detector(fast_pixels=4, slow_pixels=3), Goniometer(phi_deg=30.0))
    (tmp_path / "a.expt").write_text(expt_text("", models_of(experiment), image=None, trusted=(-1.0, 9.0)))
    found = read_expt(tmp_path / "a.expt")
    assert (found.spindle, found.scan) == (None, None)
    a_star = found.crystal.a_matrix[0::3]
    # mosflm: a* along x is against DIALS's z; its spindle z is DIALS's x.
    assert a_star == pytest.approx(rotate_axis((0.0, 0.0, -0.02), (1.0, 0.0, 0.0), math.radians(30.0)), abs=SAME)


@pytest.mark.requirement("AT-FROM-011")
@pytest.mark.parametrize(("image", "images", "template"), [
    ("/d/x_0001.cbf", 1, "/d/x_0001.cbf"), ("/d/x_0001.cbf", 3, "/d/x_####.cbf"), ("/d/x_01.nxs", 3, "/d/x_01.nxs")])
def test_an_experiment_list_names_its_images(image, images, template):
    """A series of files by the digits before the ending, one file by its name."""
    series = dataclasses.replace(one_panel(), spindle=(1.0, 0.0, 0.0), scan=ScanModel(0.0, 0.5, 0.1, images))
    document = json.loads(expt_text("", series, image=image, trusted=(-1.0, 9.0)))
    assert document["imageset"][0]["template"] == template
    assert document["imageset"][0].get("single_file_indices") == ([0, 1, 2] if image.endswith("nxs") else None)
    assert document["scan"][0]["image_range"] == [1, images]


@pytest.mark.requirement("AT-FROM-017")
def test_masked_pixels_of_the_image_are_those_of_panels():
    mask = np.ones((3, 4), dtype=bool)
    mask[1, 2] = False
    experiment = Experiment(Crystal((50.0,) * 3 + (90.0,) * 3), StructureFactors(1.0), Beam(),
                            Detector(fast_pixels=4, slow_pixels=3), sampling=Sampling(mask=mask))
    assert np.array_equal(models_of(experiment).panels[0].mask, mask)


@pytest.mark.requirement("AT-FROM-020")
def test_a_curved_detector_is_refused():
    experiment = Experiment(Crystal((50.0,) * 3 + (90.0,) * 3), StructureFactors(1.0), detector=Detector(curved=True))
    with refusal(ConfigError, "", "", "curved", "flat"):
        models_of(experiment)


@pytest.mark.requirement("AT-FROM-017")
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
def test_rectangles_cover_each_pixel_once(rows):
    flagged = np.array(rows)
    covered = np.zeros(flagged.shape, dtype=int)
    for f0, f1, s0, s1 in rectangles(flagged):
        covered[s0:s1, f0:f1] += 1
    assert np.array_equal(covered, flagged.astype(int))


@pytest.mark.requirement("AT-FROM-018")
def test_the_cell_of_a_matrix_is_that_of_gemmi():
    gemmi = pytest.importorskip("gemmi")
    cell = (50.0, 60.0, 70.0, 80.0, 85.0, 95.0)
    fractional = np.array(gemmi.UnitCell(*cell).frac.mat.tolist())
    assert cell_of(CrystalModel(tuple(fractional.T.ravel()))) == pytest.approx(cell, rel=1e-12)


@pytest.mark.requirement("AT-FROM-067")
def test_oblique_panels_for_dials(tmp_path):
    """The nearest perpendicular ones, and a warning; a refusal where that is more than a pixel off."""
    def written(slow_mm):
        models = one_panel(slow_mm=slow_mm)
        (tmp_path / "a.expt").write_text(expt_text("--expt", models, image=None, trusted=(0.0, 1.0)))
        return read_expt(tmp_path / "a.expt").panels[0]

    oblique = one_panel(slow_mm=(0.001, -0.1, 0.0)).panels[0]
    found = written((0.001, -0.1, 0.0))
    off = max(math.dist(found.place_mm(i, j), oblique.place_mm(i, j)) for i in (0, 100) for j in (0, 80)) / 0.1
    assert 0.2 < off < 0.4
    assert abs(dot(found.fast, found.slow)) < 1e-15
    warning = obliqueness([oblique])
    states(warning, "", f"{off:.3g}", "perpendicular")
    assert obliqueness(one_panel().panels) is None
    with refusal(FormatError, "--expt", "panel 0", "perpendicular", "pixel"):
        written((0.01, -0.1, 0.0))


@pytest.mark.requirement("AT-FROM-067")
@given(st.floats(-0.01, 0.01), st.floats(0.05, 3.0))
def test_the_nearest_perpendicular_axes(lean, edge):
    """No other way to share the angle between fast and slow brings the corners nearer, to first order."""
    panel = one_panel(slow_mm=(lean * edge, -edge, 0.0)).panels[0]
    found, off = squared(panel)
    assert abs(dot(found.fast, found.slow)) < 1e-7
    assert found.pixel_mm == pytest.approx(panel.pixel_mm, rel=1e-12)
    middle = np.array(panel.place_mm(50.0, 40.0))
    steps = np.array(panel.pixel_mm)
    for angle in math.atan(lean) * np.linspace(-0.5, 1.5, 21):
        fast = np.array((math.cos(angle), math.sin(angle), 0.0))
        slow = np.array((math.sin(angle), -math.cos(angle), 0.0))
        corners = [middle + i * steps[0] * fast + j * steps[1] * slow
                   for i, j in ((-50, -40), (50, -40), (50, 40), (-50, 40))]
        other = max(math.dist(a, b) for a, b in zip(corners, panel.corners_mm, strict=True))
        assert off * steps.min() <= other * 1.02 + 1e-5
