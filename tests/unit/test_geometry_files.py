"""Files of other programs: what they say is taken as their own documentation reads it; errors are one line."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import io
import json
import math
import operator
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Panel, StructureFactors
from cubragg.errors import FormatError
from cubragg.experiment.sensor import attenuation_um
from cubragg.io.geometry.crystfel_out import cell_text, geom_text
from cubragg.io.geometry.experiment_models import BeamModel, CrystalModel, ExperimentModels, ScanModel, models_of
from cubragg.io.geometry.model_settings import settings_of
from cubragg.io.geometry.sniff import read_models
from cubragg.io.geometry.xds_inp import Data, xds_inp_text
from cubragg.io.images.smv import smv_header, write_smv
from support.experiments import Hung, hung, small_experiment
from support.messages import refusal, states

SAME_MM = 1e-9

GEOM = """; a comment
photon_energy = 9000 eV ; not 9 keV
clen = 81 mm
res = 10000
adu_per_eV = 0.01
rigid_group_q0 = a,b
a/min_fs = 0
a/max_fs = 193
a/min_ss = 0
a/max_ss = 184
a/fs = -0.0057225772x +0.9999836087y
a/ss = -0.9999836087x -0.0057225772y +0.001z
a/corner_x = 424.384
a/corner_y = -10.6473
a/coffset = 0.002
res = 20000
b/min_fs = 194
b/max_fs = 387
b/min_ss = 0
b/max_ss = 184
b/fs = y
b/ss = -x
b/corner_x = 900
b/corner_y = -10
bad_one/min_fs = 190
bad_one/max_fs = 195
bad_one/min_ss = 3
bad_one/max_ss = 4
bad_two/min_x = 420
bad_two/max_x = 430
bad_two/min_y = -20
bad_two/max_y = -5
"""


def models_from(tmp_path, text: str | bytes, name: str = "x.geom"):
    """The models of a file with this text."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_models(path)


@pytest.mark.requirement("AT-FROM-021")
def test_a_crystfel_geometry_by_hand(tmp_path):
    """Corner in pixels of the panel, coffset and clen along the beam; x and z turn round for DIALS."""
    models = models_from(tmp_path, GEOM)
    a, b = models.panels
    assert models.beam.wavelength_A == 12398.42 / 9000.0
    assert (a.fast_pixels, a.slow_pixels, a.offset) == (194, 185, (0, 0))
    assert a.origin_mm == pytest.approx((-42.4384, -1.06473, -83.0), abs=SAME_MM)
    assert a.fast_mm == pytest.approx((0.00057225772, 0.09999836087, 0.0), abs=1e-15)
    assert a.slow_mm == pytest.approx((0.09999836087, -0.00057225772, -0.0001), abs=1e-15)
    assert (b.offset, b.origin_mm) == ((194, 0), (-45.0, -0.5, -81.0))
    assert (b.fast_mm, b.slow_mm) == ((0.0, 0.05, 0.0), (0.05, 0.0, 0.0))


@pytest.mark.requirement("AT-FROM-022")
def test_bad_regions_by_hand(tmp_path):
    """Ranges of pixels are inclusive; ranges of x and y count pixels from the beam."""
    a, b = models_from(tmp_path, GEOM).panels
    dark = np.argwhere(~b.mask)
    assert dark.min(0).tolist() == [3, 0]
    assert dark.max(0).tolist() == [4, 1]
    slow, fast = np.indices(a.mask.shape) + 0.5
    x = 424.384 - 0.0057225772 * fast - 0.9999836087 * slow
    y = -10.6473 + 0.9999836087 * fast - 0.0057225772 * slow
    dark = (abs(x - 425.0) <= 5.0) & (abs(y + 12.5) <= 7.5)
    dark[3:5, 190:] = True
    assert np.array_equal(~a.mask, dark)


@pytest.mark.requirement("AT-FROM-023")
def test_slabs_of_a_data_block_come_one_below_the_other(tmp_path):
    slabs = GEOM + "".join(f"{name}/dim0 = %\n{name}/dim1 = {slab}\n{name}/dim2 = ss\n{name}/dim3 = fs\n"
                           for name, slab in (("a", 3), ("b", 1)))
    a, b = models_from(tmp_path, slabs).panels
    assert (a.offset, b.offset) == ((0, 185), (194, 0))


@pytest.mark.requirement("AT-FROM-021")
@pytest.mark.parametrize(("line", "wavelength"), [
    ("wavelength = 1.2 A", 1.2), ("wavelength = 1.2e-10 m", 1.2), ("photon_energy = 10000", 1.239842),
    ("photon_energy = 10 keV", 1.239842), ("photon_energy = 0.01 MeV", 1.239842)])
def test_units_of_the_beam(tmp_path, line, wavelength):
    models = models_from(tmp_path, GEOM.replace("photon_energy = 9000 eV", line))
    assert models.beam.wavelength_A == pytest.approx(wavelength, rel=1e-12)


@pytest.mark.requirement("AT-FROM-021")
def test_a_wavelength_in_a_data_file_stays_unsaid(tmp_path):
    models = models_from(tmp_path, GEOM.replace("9000 eV", "/LCLS/photon_energy_eV"))
    assert models.beam.wavelength_A is None
    assert models.missing_wavelength.endswith("x.geom:2: photon_energy = /LCLS/photon_energy_eV refers to a data file")


def crystfel_places(text: str) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]]:
    """Corner, step along fs and ss [m] in CrystFEL's frame, and pixel ranges, by the rules of its manual alone."""
    common, panels = {}, {}
    for line in io.StringIO(text):
        left, _, right = line.split(";")[0].partition("=")
        if "/" in left and not left.startswith("bad"):
            panel, _, key = left.strip().partition("/")
            panels.setdefault(panel, dict(common))[key.strip()] = right.strip()
        elif "/" not in left and right:
            common[left.strip()] = right.strip()

    def direction(words):
        found = dict.fromkeys("xyz", 0.0)
        for part in words.split():
            found[part[-1]] = float(part[:-1])
        return np.array([*found.values()])

    places = {}
    for name, panel in panels.items():
        pixel = 1.0 / float(panel["res"])
        clen, unit = panel["clen"].split()
        assert unit == "m"
        corner = np.array([float(panel["corner_x"]) * pixel, float(panel["corner_y"]) * pixel,
                           float(clen) + float(panel["coffset"])])
        ranges = [int(panel[key]) for key in ("min_fs", "max_fs", "min_ss", "max_ss")]
        places[name] = (corner, direction(panel["fs"]) * pixel, direction(panel["ss"]) * pixel, ranges)
    return places


def three_panels() -> Detector:
    return hung(Detector(convention="xds", distance_mm=150.0, rotx_deg=4.0, rotz_deg=7.0), (
        Hung(30, 20, 0.1, 0.1),
        Hung(30, 20, 0.1, 0.1, (3.3, 0.1, 0.2), (0.99, 0.1, 0.05), (-0.1, 0.99, 0.0), (33, 0)),
        Hung(30, 20, 0.1, 0.1, (0.0, 2.4, -0.1), offset=(0, 24), name="bad name")))


def experiment(detector: Detector, **beam) -> Experiment:
    return Experiment(Crystal((50.0, 60.0, 70.0, 80.0, 85.0, 95.0), misset_deg=(1.0, 2.0, 3.0)), StructureFactors(1.0),
                      Beam(wavelength_A=0.9, **beam), detector, Goniometer(phi_deg=5.0, osc_deg=0.5))


@pytest.mark.requirement("AT-FROM-024")
def test_our_geometry_by_the_manual_of_crystfel():
    """z along the beam, and every corner of every panel where we have it, but for a turn about z."""
    of_ours = experiment(three_panels())
    panels = of_ours.detector.panels
    places = crystfel_places(geom_text("x", models_of(of_ours), data=None))
    assert [*places] == ["p0", "p1", "p2"]
    # XDS's laboratory has the beam along z; CrystFEL's x is against the spindle of DIALS, its y along DIALS's.
    turn = np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    for panel, (corner, fs, ss, ranges) in zip(panels, places.values(), strict=True):
        assert np.allclose(corner, turn @ panel.origin_mm / 1000.0, rtol=0, atol=1e-12)
        assert np.allclose(fs, turn @ panel.fast_mm / 1000.0, rtol=0, atol=1e-15)
        assert np.allclose(ss, turn @ panel.slow_mm / 1000.0, rtol=0, atol=1e-15)
        assert (ranges[1] - ranges[0] + 1, ranges[3] - ranges[2] + 1) == (30, 20)


@pytest.mark.requirement("AT-FROM-025")
def test_a_crystfel_cell_there_and_back(tmp_path):
    cell = (50.123456789, 60.0, 70.0, 80.1, 90.0, 100.00000001)
    models = models_from(tmp_path, cell_text(cell), "x.cell")
    assert models.crystal == CrystalModel(cell=cell)
    other = "CrystFEL unit cell file version 1.0\na = 5 nm ; 5\nb = 60 A\nc=70 A\nal = 90 deg\nbe = 90 deg\nga = 90 deg"
    assert models_from(tmp_path, other, "y").crystal.cell == (50.0, 60.0, 70.0, 90.0, 90.0, 90.0)


def xds_places(text: str) -> tuple[dict[str, list[float]], list[dict[str, list[float]]]]:
    """Keywords of XDS.INP, and those of its segments."""
    whole, segments = {}, []
    for line in io.StringIO(text):
        for key, values in re.findall(r"([A-Z][A-Z_/-]*)=\s*([^=!]*?)(?=\s+[A-Z][A-Z_/-]*=|\s*$)", line.split("!")[0]):
            if key == "SEGMENT":
                segments.append({})
            target = segments[-1] if "SEGMENT" in key else whole
            target.setdefault(key, []).append(values)
    return whole, segments


def vector(words: list[str]) -> np.ndarray:
    return np.array([float(word) for word in words[-1].split()])


@pytest.mark.requirement("AT-FROM-026")
def test_segments_of_xds_by_its_documentation():
    """Each pixel where we have it; in XDS the first pixel's corner is at 0.5."""
    of_ours = models_of(experiment(three_panels()))
    whole, segments = xds_places(xds_inp_text("x", of_ours, Data("a_0001.cbf", "PILATUS", 0, 1000)))
    ed1, ed2 = (vector(whole[f"DIRECTION_OF_DETECTOR_{axis}-AXIS"]) for axis in "XY")
    ed3 = np.cross(ed1, ed2)
    (orgx,), (orgy,), (qx,), (qy,), (distance,) = (vector(whole[key]) for key in (
        "ORGX", "ORGY", "QX", "QY", "DETECTOR_DISTANCE"))
    assert len(segments) == 3
    for panel, segment in zip(of_ours.panels, segments, strict=True):
        eds1, eds2 = (vector(segment[f"DIRECTION_OF_SEGMENT_{axis}-AXIS"]) for axis in "XY")
        (ox,), (oy,), (f,) = (vector(segment[key]) for key in ("SEGMENT_ORGX", "SEGMENT_ORGY", "SEGMENT_DISTANCE"))
        x1, x2, y1, y2 = vector(segment["SEGMENT"])
        for ix, iy in ((x1 - 0.5, y1 - 0.5), (x2 + 0.5, y1 - 0.5), (x2 + 0.5, y2 + 0.5)):
            x, y, z = qx * (ix - ox) * eds1 + qy * (iy - oy) * eds2 + f * np.cross(eds1, eds2)
            place = (x - qx * orgx) * ed1 + (y - qy * orgy) * ed2 + (z + distance) * ed3
            mine = (np.array(panel.origin_mm) + (ix - x1 + 0.5) * qx * np.array(panel.fast)
                    + (iy - y1 + 0.5) * qy * np.array(panel.slow))
            assert np.allclose(place, mine, rtol=0, atol=SAME_MM)
    assert whole["UNTRUSTED_RECTANGLE"] == ["30 34 0 21", "0 64 20 25", "30 64 24 45"]
    assert np.allclose(vector(whole["INCIDENT_BEAM_DIRECTION"]), (0, 0, -1))
    assert np.allclose(vector(whole["ROTATION_AXIS"]), (1, 0, 0))
    assert whole["NAME_TEMPLATE_OF_DATA_FRAMES"] == ["a_????.cbf"]
    assert (whole["STARTING_ANGLE"], whole["OSCILLATION_RANGE"], whole["DATA_RANGE"]) == (["5.0"], ["0.5"], ["1 1"])


@pytest.mark.requirement("AT-FROM-026")
def test_orgx_of_xds_is_nanobragg_s():
    """XDS_ORGX of the SMV header, with its convention's own axes or DIALS's."""
    detector = Detector(rotx_deg=5.0, roty_deg=3.0, twotheta_deg=9.0, fast_pixels=50, slow_pixels=40)
    geometry = detector.geometry(None, "nanobragg")
    whole, segments = xds_places(xds_inp_text("x", models_of(experiment(detector)), Data(None, "ADSC", 0, 9)))
    assert segments == []
    assert vector(whole["ORGX"]) == pytest.approx(geometry.orgx, abs=1e-9)
    assert vector(whole["ORGY"]) == pytest.approx(geometry.orgy, abs=1e-9)
    assert abs(vector(whole["DETECTOR_DISTANCE"])) == pytest.approx(1000.0 * geometry.close_distance, abs=SAME_MM)
    assert whole["SENSOR_THICKNESS"] == ["0.0"]


@pytest.mark.requirement("AT-FROM-026")
def test_sensor_and_number_of_an_image_in_xds_inp():
    detector = Detector(convention="mosflm", fast_pixels=5, slow_pixels=4, thickness_um=450.0, attenuation_um=50.0)
    whole, _ = xds_places(xds_inp_text("x", models_of(experiment(detector)), Data("d/x1_00017.img", "ADSC", 0, 9)))
    assert vector(whole["SENSOR_THICKNESS"]) == pytest.approx(0.45)
    assert vector(whole["SILICON"]) == pytest.approx(20.0)
    assert whole["NAME_TEMPLATE_OF_DATA_FRAMES"] == ["d/x1_?????.img"]
    assert (whole["DATA_RANGE"], whole["STARTING_FRAME"]) == (["17 17"], ["17"])


@pytest.mark.requirement("AT-FROM-026")
def test_a_series_in_xds_inp():
    """Its frames, from the number of the first one on."""
    models = models_of(experiment(three_panels()))
    models = dataclasses.replace(models, scan=dataclasses.replace(models.scan, images=20))
    whole, _ = xds_places(xds_inp_text("x", models, Data("x_0003.cbf", "PILATUS", 0, 9)))
    assert (whole["DATA_RANGE"], whole["SPOT_RANGE"], whole["STARTING_FRAME"]) == (["3 22"], ["3 22"], ["3"])


@pytest.mark.requirement("AT-FROM-020")
@pytest.mark.parametrize(("changes", "says"), [
    ({"scan": ScanModel(0.0, 0.0)}, ("--xds-inp", "", "rotation", "XDS")),
    ({"panels": (Panel(3, 3, (0.0, 0.0, -9.0), (0.1, 0.0, 0.0), (0.0, 0.1, 0.0)),
                 Panel(3, 3, (1.0, 0.0, -9.0), (0.2, 0.0, 0.0), (0.0, 0.1, 0.0), offset=(3, 0)))},
     ("--xds-inp", "", "size"))])
def test_what_xds_does_not_know_is_refused(changes, says):
    models = dataclasses.replace(models_of(experiment(three_panels())), **changes)
    with refusal(FormatError, *says):
        xds_inp_text("--xds-inp", models, Data(None, "ADSC", 0, 9))


@pytest.mark.requirement("AT-FROM-024")
def test_crystfel_has_steps_of_any_length_and_angle():
    """fs and ss are steps in pixels, by its manual."""
    panel = Panel(3, 3, (0.0, 0.0, -9.0), (0.1, 0.0, 0.0), (0.03, 0.2, 0.0))
    text = geom_text("--geom", ExperimentModels(BeamModel((0.0, 0.0, -1.0), 1.0), (panel,)), data=None)
    (_, fs, ss, _), = crystfel_places(text).values()
    assert fs == pytest.approx((-1e-4, 0.0, 0.0), abs=1e-18)
    assert ss == pytest.approx((-3e-5, 2e-4, 0.0), abs=1e-18)


@pytest.mark.requirement("AT-FROM-027")
@pytest.mark.parametrize(("material", "depth_um"), [("Silicon", 252.0), ("CdTe", 20.8), ("GaAs", 12.5)])
def test_attenuation_depths(material, depth_um):
    """At 1 A within a tenth of what NIST's tables of total attenuation give."""
    assert attenuation_um(material, 1.0) == pytest.approx(depth_um, rel=0.12)


# images

def smv_text(**changes) -> bytes:
    keys = {"HEADER_BYTES": 512, "DIM": 2, "BYTE_ORDER": "little_endian", "TYPE": "unsigned_short", "SIZE1": 30,
            "SIZE2": 20, "PIXEL_SIZE": 0.1, "DISTANCE": 90, "WAVELENGTH": 1.1, "BEAM_CENTER_X": 1.5,
            "BEAM_CENTER_Y": 0.7, "OSC_START": 3, "OSC_RANGE": 0.25, "TIME": 2, **changes}
    lines = "".join(f"{key}={value};\n" for key, value in keys.items() if value is not None)
    return ("{\n" + lines + "}\f").encode().ljust(512) + bytes(1200)


@pytest.mark.requirement("AT-FROM-028")
def test_an_adsc_header_as_dxtbx_reads_it(tmp_path):
    """BEAM_CENTER_X is along slow there, from the outer corner."""
    models = models_from(tmp_path, smv_text(), "a.img")
    panel, = models.panels
    assert (panel.origin_mm, panel.fast_mm, panel.slow_mm) == ((-0.7, 1.5, -90.0), (0.1, 0.0, 0.0), (0.0, -0.1, 0.0))
    assert (panel.fast_pixels, panel.slow_pixels) == (30, 20)
    assert models.beam.wavelength_A == 1.1
    assert models.scan == ScanModel(3.0, 0.25, 2.0)
    assert models.spindle == (1.0, 0.0, 0.0)


@pytest.mark.requirement("AT-FROM-028")
def test_a_nanobragg_header_has_the_true_centre_in_denzo_s(tmp_path):
    """Whatever the convention of its BEAM_CENTER_X; there is a warning of a tilt that no key fixes."""
    models = models_from(tmp_path, smv_text(BEAMLINE="fake", DENZO_X_BEAM=1.2, DENZO_Y_BEAM=0.4, TWOTHETA=5), "a.img")
    assert models.panels[0].origin_mm == (-0.4, 1.2, -90.0)
    states(models.warnings[0], "a.img", "TWOTHETA 5", "untilted", "-twotheta")


@pytest.mark.requirement("AT-FROM-028")
@pytest.mark.parametrize(("convention", "known"), [("mosflm", True), ("denzo", True), ("xds", False), ("adxv", False)])
def test_a_nanobragg_header_fixes_a_detector_that_leans(tmp_path, convention, known):
    """Where the beam is not along x in the convention's laboratory, but for a turn about the beam."""
    detector = Detector(convention=convention, pixel_size_mm=0.5, fast_pixels=30, slow_pixels=20, distance_mm=80.0,
                        rotx_deg=7.0, roty_deg=-5.0, rotz_deg=11.0, twotheta_deg=25.0)
    experiment = small_experiment(beam={"wavelength_A": 1.2})
    experiment = dataclasses.replace(experiment, detector=detector)
    geometry = detector.geometry(None, "nanobragg")
    header = smv_header(geometry, wavelength_A=1.2, phi_deg=3.0, osc_deg=0.5, twotheta_deg=25.0)
    write_smv(tmp_path / "a.img", np.zeros((20, 30), dtype=np.uint16), header)
    (mine,), read = models_of(experiment).panels, read_models(tmp_path / "a.img")
    panel, = read.panels
    pixels = [(u, v) for u in (0.0, 15.0) for v in (0.0, 10.0)]
    true, found = ([np.array(one.origin_mm) + u * np.array(one.fast) + v * np.array(one.slow) for u, v in pixels]
                   for one in (mine, panel))
    assert [x[2] for x in found] == pytest.approx([x[2] for x in true], abs=2e-3)
    assert [np.linalg.norm(x) for x in found] == pytest.approx([np.linalg.norm(x) for x in true], abs=2e-3)
    if known:
        np.testing.assert_allclose(found, true, atol=2e-3)
    assert len(read.warnings) == (not known)
    for warning in read.warnings:
        states(warning, "", "", "about the beam", "fast axis", "spindle")


def pilatus(tmp_path, **changes):
    """A miniCBF image with these lines in its header."""
    from fabio.cbfimage import CbfImage

    lines = {"Detector:": "PILATUS 2M, S/N 24-0107", "Pixel_size": "172e-6 m x 172e-6 m",
             "Silicon": "sensor, thickness 0.000320 m", "Exposure_time": "0.0977 s", "Count_cutoff": "1048500 counts",
             "Wavelength": "0.97950 A", "Detector_distance": "0.25000 m", "Beam_xy": "(10.5, 20.25) pixels",
             "Start_angle": "15.0000 deg.", "Angle_increment": "0.1000 deg.", "Polarization": "0.990", **changes}
    counts = np.arange(1200, dtype=np.int32).reshape(40, 30)
    counts[7, 5:9] = -1
    counts[8, 5] = -2
    image = CbfImage(data=counts)
    image.header["_array_data.header_convention"] = "PILATUS_1.2"
    image.header["_array_data.header_contents"] = "\r\n".join(
        f"# {key} {value}" for key, value in lines.items() if value is not None)
    image.write(str(tmp_path / "p.cbf"))
    return read_models(tmp_path / "p.cbf")


@pytest.mark.requirement("AT-FROM-029")
def test_a_pilatus_header(tmp_path):
    """Lengths in metres, gaps and dead pixels masked, sensor with silicon's attenuation."""
    models = pilatus(tmp_path)
    panel, = models.panels
    assert panel.origin_mm == pytest.approx((-10.5 * 0.172, 20.25 * 0.172, -250.0), abs=1e-12)
    assert (panel.thickness_um, panel.material, panel.trusted) == (pytest.approx(320.0), "Si", (0.0, 1048500.0))
    assert panel.attenuation_um == attenuation_um("Si", 0.9795)
    assert np.argwhere(~panel.mask).tolist() == [[7, 5], [7, 6], [7, 7], [7, 8], [8, 5]]
    assert (models.beam.polarization_fraction, models.beam.polarization_normal) == (0.99, (0.0, 1.0, 0.0))
    assert models.scan == ScanModel(15.0, 0.1, 0.0977)


@pytest.mark.requirement("AT-FROM-029")
def test_a_pilatus_that_turns_backwards(tmp_path):
    """Forwards about the opposite axis."""
    models = pilatus(tmp_path, Angle_increment="-0.5 deg.", Detector_2theta="3.0 deg.")
    assert (models.spindle, models.scan.phi_deg, models.scan.osc_deg) == ((-1.0, 0.0, 0.0), -15.0, 0.5)
    states(models.warnings[0], "", "Detector_2theta 3.0", "untilted", "-twotheta")


@pytest.mark.requirement("AT-FROM-030")
@pytest.mark.parametrize("convention", ["mosflm", "denzo"])
def test_our_images_without_tilt_say_their_geometry(tmp_path, convention):
    """miniCBF to ten digits, SMV to six."""
    from datetime import datetime

    from cubragg.io.images.cbf import minicbf_header, write_cbf
    from cubragg.io.images.smv import smv_header, write_smv

    detector = Detector(convention=convention, fast_pixels=30, slow_pixels=20, xbeam_mm=1.1, ybeam_mm=0.7)
    of_ours = experiment(detector)
    geometry = detector.geometry(None, "nanobragg")
    wanted = models_of(of_ours).panels[0]
    header = minicbf_header(geometry, wavelength_A=0.9, start_angle_deg=5.0, angle_increment_deg=0.5, exposure_s=1.0,
                            timestamp=datetime(2020, 1, 2), polarization=0.5)
    write_cbf(tmp_path / "a.cbf", np.zeros((20, 30), dtype=np.int32), header)
    write_smv(tmp_path / "a.img", np.zeros((20, 30), dtype=np.uint16), smv_header(
        geometry, wavelength_A=0.9, phi_deg=5.0, osc_deg=0.5, twotheta_deg=0.0))
    for name, digits in (("a.cbf", 1e-9), ("a.img", 1e-5)):
        models = read_models(tmp_path / name)
        panel, = models.panels
        assert panel.origin_mm == pytest.approx(wanted.origin_mm, abs=100.0 * digits)
        assert (panel.fast, panel.slow) == (wanted.fast, wanted.slow)
        assert (models.beam.wavelength_A, models.scan.phi_deg, models.scan.osc_deg) == (0.9, 5.0, 0.5)


# experiment lists

def expt(**changes) -> dict:
    """A small list in the form of DIALS 3.12."""
    document = {
        "experiment": [{"__id__": "Experiment", "beam": 0, "detector": 0, "goniometer": 0, "scan": 0, "crystal": 0}],
        "beam": [{"direction": [0, 0, 1], "wavelength": 1.0}],
        "detector": [{"panels": [{"name": "a", "fast_axis": [1, 0, 0], "slow_axis": [0, -1, 0], "origin": [-5, 4, -100],
                                  "image_size": [10, 8], "pixel_size": [0.1, 0.1]}]}],
        "goniometer": [{"rotation_axis": [1, 0, 0], "fixed_rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
                        "setting_rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1]}],
        "scan": [{"image_range": [1, 2], "oscillation": [3, 0.5], "exposure_time": [0.2, 0.2]}],
        "crystal": [{"real_space_a": [50, 0, 0], "real_space_b": [0, 60, 0], "real_space_c": [0, 0, 70]}]}
    return {**document, **changes}


def read_json(tmp_path, document):
    return models_from(tmp_path, json.dumps(document), "x.expt")


def test_an_exposure_of_0_is_not_known(tmp_path):
    times = {name: expt(scan=[{"image_range": [1, 2], "oscillation": [3, 0.5], "exposure_time": [time, time]}])
             for name, time in (("known", 0.2), ("unknown", 0.0))}
    assert settings_of(read_json(tmp_path, times["known"]))["beam.exposure_s"] == 0.2
    assert "beam.exposure_s" not in settings_of(read_json(tmp_path, times["unknown"]))


@pytest.mark.requirement("AT-FROM-031")
def test_a_scan_of_later_dials_has_properties(tmp_path):
    scan = {"image_range": [1, 3], "properties": {"oscillation": [3.0, 3.5, 4.0], "exposure_time": [0.1] * 3}}
    assert read_json(tmp_path, expt(scan=[scan])).scan == ScanModel(3.0, 0.5, 0.1, 3)
    scan["properties"] = {"oscillation": [3.0], "oscillation_width": [0.2]}
    assert read_json(tmp_path, expt(scan=[scan])).scan == ScanModel(3.0, 0.2, None, 3)
    scan["properties"] = {"time_of_flight": [1.0]}
    assert read_json(tmp_path, expt(scan=[scan])).scan == ScanModel(0.0, 0.0, None, 3)


@pytest.mark.requirement("AT-FROM-031")
def test_models_along_a_scan_are_those_of_its_start(tmp_path):
    """A and beam of the first point, with a warning."""
    beam = {"direction": [0, 0, 1], "wavelength": 1.0, "s0_at_scan_points": [[0.0, 0.1, -0.99], [0, 0, -1]]}
    crystal = {**expt()["crystal"][0], "A_at_scan_points": [[0.01, 0, 0, 0, 0.02, 0, 0, 0, 0.03], [1.0] * 9]}
    models = read_json(tmp_path, expt(beam=[beam], crystal=[crystal]))
    assert models.crystal.a_matrix == (0.01, 0, 0, 0, 0.02, 0, 0, 0, 0.03)
    assert models.beam.wavelength_A == pytest.approx(1.0 / math.hypot(0.1, 0.99))
    assert models.beam.direction == pytest.approx(np.array((0.0, 0.1, -0.99)) / math.hypot(0.1, 0.99))
    warning, = models.warnings
    states(warning, "crystal", "", "scan", "first")


@pytest.mark.requirement("AT-FROM-031")
def test_a_scan_that_runs_backwards(tmp_path):
    models = read_json(tmp_path, expt(scan=[{"image_range": [1, 2], "oscillation": [3, -0.5]}]))
    assert (models.spindle, models.scan) == ((-1.0, 0.0, 0.0), ScanModel(-3.0, 0.5, None, 2))


@pytest.mark.requirement("AT-FROM-031")
def test_panels_without_a_place_in_an_image_are_stacked(tmp_path):
    one = expt()["detector"][0]["panels"][0]
    models = read_json(tmp_path, expt(detector=[{"panels": [one, {**one, "origin": [-5, 14, -100]}]}]))
    assert [panel.offset for panel in models.panels] == [(0, 0), (0, 8)]
    assert "stacked" in models.warnings[0]


@pytest.mark.requirement("AT-FROM-032")
def test_one_of_several_experiments(tmp_path):
    """The first, with a warning; or the one asked for."""
    document = expt()
    document["experiment"].append({**document["experiment"][0], "beam": 1})
    document["beam"].append({"direction": [0, 0, 1], "wavelength": 2.0})
    first = read_json(tmp_path, document)
    assert first.beam.wavelength_A == 1.0
    states(first.warnings[0], "", "2 experiments")
    second = read_models(tmp_path / "x.expt", 1)
    assert (second.beam.wavelength_A, second.warnings) == (2.0, ())
    with refusal(FormatError, str(tmp_path / "x.expt"), "experiment 2", "2", "0"):
        read_models(tmp_path / "x.expt", 2)


BAD_PANEL = expt()["detector"][0]["panels"][0]


@pytest.mark.requirement("AT-FROM-020")
@pytest.mark.parametrize(("name", "text", "says"), [
    ("x.expt", json.dumps(expt())[:200], ("", "JSON")),
    ("x.expt", json.dumps(expt(experiment=[{"beam": 0}])), ("", "no detector", "beam")),
    ("x.expt", json.dumps(expt(experiment=[])), ("", "no experiment")),
    ("x.expt", json.dumps({}), ("", "no experiment")),
    ("x.expt", json.dumps(expt(beam=[])), ("", "experiment[0].beam", "0")),
    ("x.expt", json.dumps(expt(beam=[{"direction": [0, 0, 0], "wavelength": 1.0}])),
     ("", "0 A", "direction")),
    ("x.expt", json.dumps(expt(beam=[{"direction": [0, 0, "1"], "wavelength": 1.0}])),
     ("1", "finite")),
    ("x.expt", json.dumps(expt(detector=[{"panels": []}])), ("", "no panel")),
    ("x.expt", json.dumps(expt(detector=[{"panels": [{**BAD_PANEL, "image_size": [0, 8]}]}])), ("0", "1")),
    ("x.expt", json.dumps(expt(detector=[{"panels": [{**BAD_PANEL, "raw_image_offset": [1, 1]}, BAD_PANEL]}])),
     ("", "panels a and a", "overlap", "image")),
    ("x.expt", json.dumps(expt(detector=[{"panels": [{**BAD_PANEL, "origin": [-5, 4, 0]}]}])),
     ("0 mm", "panel", "plane", "crystal")),
    ("x.expt", json.dumps(expt(crystal=[{f"real_space_{axis}": [1, 2, 3] for axis in "abc"}])), ("", "volume")),
    ("x.geom", GEOM.replace("a/corner_x = 424.384\n", ""), ("", "panel a", "corner_x")),
    ("x.geom", GEOM.replace("res = 10000\n", ""), ("", "panel a", "no res")),
    ("x.geom", GEOM.replace("b/min_fs", "clen = /a/distance\nb/min_fs"), ("", "all panels or none")),
    ("x.geom", GEOM.replace("clen = 81 mm", "clen = 81 inch"), ("inch", "m or mm")),
    ("x.geom", GEOM.replace("b/fs = y", "b/fs = up"), ("fs = up",)),
    ("x.geom", GEOM.replace("b/max_fs = 387", "b/max_fs = 3"), ("194 to 3", "panel b")),
    ("x.geom", GEOM.replace("b/min_fs = 194", "b/min_fs = 193"), ("", "panels a and b", "overlap", "image")),
    ("x.geom", GEOM.replace("bad_one/min_fs = 190\n", ""), ("", "min", "max", "fs", "ss")),
    ("x.geom", GEOM + "bad_one/panel = c\n", ("c", "panel")),
    ("x.geom", GEOM.replace("9000 eV", "-3"), ("-3", "0")),
    ("x.geom", GEOM.replace("photon_energy = 9000 eV", "electron_voltage = 200 kV"), ("", "X-rays")),
    ("x.geom", GEOM + "nonsense\n", ("", "name = value")),
    ("x.geom", "clen = 3 m\n", ("", "no panel")),
    ("x.geom", GEOM + "no_index = 1\na/no_index = 1\nb/no_index = true\n", ("", "2 panels")),
    ("x.cell", "CrystFEL unit cell file version 1.0\na = 5 A\n", ("", "b")),
    ("x.img", smv_text(DISTANCE=None), ("", "DISTANCE", "header")),
    ("x.img", smv_text(DISTANCE=0), ("DISTANCE 0", "0")),
    ("x.img", smv_text(WAVELENGTH="one"), ("one", "WAVELENGTH")),
    ("x.txt", "hello", ("", ".expt", "SMV", "NXmx", ".geom", ".cell")),
    ("x.txt", b"\0\1\2", ("", ".expt", "SMV", "NXmx", ".geom", ".cell")),
    ("x.expt", "", ("", "empty", ".expt")),
    ("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(90), ("", "NXmx")),
])
def test_bad_files_are_errors_of_one_line(tmp_path, name, text, says):
    with pytest.raises(FormatError) as caught:
        models_from(tmp_path, text, name)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / name))
    # A line or a place inside the file may follow its name.
    states(message.removeprefix(str(tmp_path / name)), "", *says)


def places(value, path=()):
    """The paths to everything in a JSON document."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


LONG = expt(beam=[{"direction": [0, 0, 1], "wavelength": 1.0, "s0_at_scan_points": [[0, 0, -1]],
                   "polarization_normal": [0, 1, 0], "polarization_fraction": 0.9}],
            goniometer=[{"axes": [[1, 0, 0], [0, 1, 0]], "angles": [1, 2], "names": ["a", "b"], "scan_axis": 0}],
            crystal=[{**expt()["crystal"][0], "A_at_scan_points": [[0.01, 0, 0, 0, 0.02, 0, 0, 0, 0.03]]}])
LONG["detector"][0]["panels"][0].update(
    mask=[[1, 1, 3, 3]], px_mm_strategy={"type": "ParallaxCorrectedPxMmStrategy"}, thickness=0.3, mu=4.0,
    raw_image_offset=[0, 0], trusted_range=[0, 9])
LONG["detector"][0]["hierarchy"] = {"fast_axis": [1, 0, 0], "slow_axis": [0, 1, 0], "origin": [0, 0, 0],
                                    "children": [{"panel": 0}]}


@pytest.mark.requirement("AT-FROM-020")
@given(st.sampled_from(sorted(places(LONG), key=str)), st.sampled_from(
    [None, [], {}, "x", 0, -1, 1e300, True, [1], [[1]], {"a": 1}, float("nan"), 10**400]))
@settings(max_examples=400)
def test_damage_anywhere_is_an_error_of_one_line(tmp_path_factory, place, damage):
    """No part of a list is taken on trust."""
    document = copy.deepcopy(LONG)
    if place:
        *way, last = place
        functools.reduce(operator.getitem, way, document)[last] = damage
    else:
        document = damage
    path = tmp_path_factory.getbasetemp() / "damaged.expt"
    path.write_text(json.dumps(document))
    # Anything but a FormatError would come through.
    with contextlib.suppress(FormatError):
        assert read_models(path).panels


@pytest.mark.requirement("AT-FROM-020")
@pytest.mark.parametrize(("changes", "says"), [
    ({"Beam_xy": None}, ("", "Beam_xy", "header")),
    ({"Wavelength": "0 A"}, ("Wavelength 0", "0"))])
def test_bad_cbf_headers_are_errors_of_one_line(tmp_path, changes, says):
    with refusal(FormatError, "", *says):
        pilatus(tmp_path, **changes)


@pytest.mark.requirement("AT-FROM-033")
def test_kinds_are_recognized_by_what_is_in_a_file(tmp_path):
    """Names that say something else do not count."""
    assert models_from(tmp_path, GEOM, "x.expt2").panels
    assert models_from(tmp_path, json.dumps(expt()), "x.geom").crystal
    assert models_from(tmp_path, smv_text(), "x.cbf").scan
    with refusal(FormatError, str(tmp_path / "x.expt2"), "", ".expt", "several"):
        read_models(tmp_path / "x.expt2", 1)
