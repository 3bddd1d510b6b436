"""One picture out of panels, modules of a Pilatus, TIFF: what fits, and what is refused."""

from __future__ import annotations

import math

import fabio
import numpy as np
import pytest
from PIL import Image

from cubragg import Detector
from cubragg.detect.stored_pixels import stored_pixels
from cubragg.errors import FormatError
from cubragg.experiment.panel import live_pixels
from cubragg.io.images import pilatus
from cubragg.io.images.image_panels import facing_frame, sensor_in_common, trusted_of
from cubragg.io.images.smv import adsc_header, header_value, write_smv
from cubragg.io.images.tiff import TYPES, write_tiff
from support.experiments import Hung, hung
from support.messages import refusal


def facing(detector: Detector, *, rotating: bool = True):
    panels, frame = detector.placed(semantics="nanobragg")
    return facing_frame(panels, frame.laboratory, rotating=rotating)


def test_a_detector_of_its_own_is_its_picture():
    detector = Detector("xds", 0.1, 20, 10, orgx=3.0, orgy=4.0)
    assert facing(detector) == detector.geometry(None, "nanobragg")


@pytest.mark.requirement("AT-FMT-001")
@pytest.mark.parametrize("first", [(0, 0), (7, 5)])
def test_panels_on_a_grid_have_the_beam_where_the_whole_has_it(first):
    whole = Detector("mosflm", 0.1, 60, 40, xbeam_mm=1.5, ybeam_mm=2.5)
    panels = [Hung(10, 8, 0.1, 0.1, origin_mm=(0.1 * fast, 0.1 * slow, 0.0), offset=(fast, slow))
              for fast, slow in (first, (20, 0), (50, 32))]
    detector = hung(whole, panels)
    made, true = facing(detector), whole.geometry(None, "nanobragg")
    for name in ("pix0", "fbeam", "sbeam", "fclose", "sclose", "distance", "detsize_fast", "detsize_slow"):
        assert getattr(made, name) == pytest.approx(getattr(true, name), abs=1e-15)
    assert (made.fast_pixels, made.slow_pixels) == (60, 40)
    assert live_pixels(detector.panels).sum() == 240


@pytest.mark.requirement("AT-FMT-001")
@pytest.mark.parametrize(("settings", "rotating", "says"), [
    # MOSFLM: x is the beam, the picture stays flat, the spindle is off the fast axis.
    ({"rotx_deg": 1e-3}, True, ("", "", "spindle", "fast axis")),
    ({"roty_deg": 1e-3}, False, ("", "", "face")),
    ({"twotheta_deg": 5.0}, False, ("", "", "face")),
    ({"convention": "adxv"}, False, ("", "", "left-handed")),
    ({"convention": "dials"}, True, ("", "", "spindle", "fast axis")),
    ({"convention": "dials"}, False, None),
    ({"rotx_deg": 30.0}, False, None)])
def test_refuses(settings, rotating, says):
    detector = Detector(**{"convention": "mosflm", "fast_pixels": 20, "slow_pixels": 10, **settings})
    if says is None:
        facing(detector, rotating=rotating)
        return
    with refusal(FormatError, *says):
        facing(detector, rotating=rotating)


@pytest.mark.requirement("AT-FMT-001")
@pytest.mark.parametrize(("second", "says"), [
    ({"origin_mm": (1.2, 0.002, 0.0)}, ("", "2 um", "b", "a", "grid")),
    ({"origin_mm": (1.2, 0.0, 0.05)}, ("", "50 um", "b", "a", "grid")),
    ({"origin_mm": (1.2, 0.0, 0.0), "fast": (1.0, 1e-3, 0.0), "slow": (-1e-3, 1.0, 0.0)},
     ("", "", "a", "b", "rotat")),
    ({"origin_mm": (1.2, 0.0, 0.0), "pixel_slow_mm": 0.2}, ("", "", "a", "b", "size"))])
def test_refuses_panels_off_the_grid(second, says):
    b = Hung(**{"fast_pixels": 10, "slow_pixels": 8, "pixel_fast_mm": 0.1, "pixel_slow_mm": 0.1, "offset": (12, 0),
                 "name": "b", **second})
    with refusal(FormatError, *says):
        facing(hung(Detector("xds", 0.1), (Hung(10, 8, 0.1, 0.1, name="a"), b)))


def test_what_panels_have_in_common():
    def of(**settings):
        return hung(Detector("xds"), (
            Hung(4, 4, 0.1, 0.1, trusted=(0.0, 100.0), material="CdTe", thickness_um=750.0),
            Hung(4, 4, 0.1, 0.1, origin_mm=(1.0, 0.0, 0.0), offset=(4, 0), trusted=(1.0, 90.0), **settings))).panels
    same, other = of(material="CdTe", thickness_um=750.0), of(material="CdTe", thickness_um=450.0)
    assert trusted_of(same) == (1.0, 90.0)
    assert trusted_of(Detector().placed().panels) is None
    material, thickness = sensor_in_common(same)
    assert (material, thickness) == ("CdTe", pytest.approx(7.5e-4))
    with refusal(FormatError, "", "2", "sensor", "CdTe of 450 um", "CdTe of 750 um"):
        sensor_in_common(other)


# SMV for ADSC

def adsc(geometry):
    return adsc_header(geometry, wavelength_A=0.97, phi_deg=1.0, osc_deg=0.5, exposure_s=2.0, pedestal=40.0,
                       counts_per_photon=1.0)


@pytest.mark.requirement("AT-FMT-004")
def test_adsc_header_for_denzo_is_the_same_detector(tmp_path):
    """-img with -denzo takes BEAM_CENTER as distances from the corner."""
    detector = Detector("mosflm", 0.1, 60, 40, distance_mm=123.0, xbeam_mm=1.5, ybeam_mm=2.5)
    path = tmp_path / "a_0001.img"
    write_smv(path, np.ones((40, 60), np.uint16), adsc(facing(detector)))
    text = path.read_bytes()[:1024].decode("latin-1")
    again = Detector("denzo", header_value(text, "PIXEL_SIZE"), 60, 40, distance_mm=header_value(text, "DISTANCE"),
                     xbeam_mm=header_value(text, "BEAM_CENTER_X"), ybeam_mm=header_value(text, "BEAM_CENTER_Y"))
    pix0 = again.geometry(None, "nanobragg").pix0
    assert pix0 == pytest.approx(detector.geometry(None, "nanobragg").pix0, abs=1e-15)
    image = fabio.open(str(path))
    assert image.data.tolist() == np.ones((40, 60)).tolist()
    assert (image.header["OSC_RANGE"], image.header["IMAGE_PEDESTAL"], image.header["GAIN"]) == ("0.5", "40", "1")


@pytest.mark.requirement("AT-FMT-004")
def test_adsc_refuses_oblong_pixels():
    detector = hung(Detector("xds"), [Hung(10, 8, 0.1, 0.2)])
    with refusal(FormatError, "", "0.1 x 0.2 mm", "pixel"):
        adsc(facing(detector))


# Pilatus

@pytest.mark.requirement("AT-FMT-005")
@pytest.mark.parametrize(("shape", "modules"), [((195, 487), 1), ((407, 981), 4), ((1679, 1475), 24),
                                                ((2527, 2463), 60)])
def test_whole_modules(shape, modules):
    gaps = pilatus.gaps(shape)
    assert gaps is not None
    assert (gaps.shape, int((~gaps).sum())) == (shape, modules * 195 * 487)
    assert pilatus.looks_like_pilatus(shape, (172e-6, 172e-6))
    assert not pilatus.looks_like_pilatus(shape, (1e-4, 1e-4))


@pytest.mark.parametrize("shape", [(194, 487), (195, 974), (390, 487), (1024, 1024)])
def test_no_whole_modules(shape):
    assert pilatus.gaps(shape) is None
    assert not pilatus.looks_like_pilatus(shape, (172e-6, 172e-6))


# TIFF

@pytest.mark.requirement("AT-FMT-011")
@pytest.mark.parametrize("type_name", TYPES)
def test_tiff_is_read_by_fabio_and_pillow(type_name, tmp_path):
    _, highest, absent, _ = TYPES[type_name]
    values = np.array([[0.0, 1.4, 1000.0], [7.0, min(highest, 1e30), 3.0]])
    mask = np.array([[True, True, True], [True, True, False]])
    pixels = stored_pixels(values, TYPES[type_name], mask)
    path = tmp_path / "a_0001.tif"
    write_tiff(path, pixels)
    expected = values.astype(np.float32) if type_name == "float32" else np.rint(values)
    expected[1, 2] = absent
    with fabio.open(str(path)) as image:
        assert (image.data.dtype, image.data.tolist()) == (type_name, expected.tolist())
    with Image.open(path) as picture:
        assert np.asarray(picture).tolist() == expected.tolist()


@pytest.mark.requirement("AT-FMT-011")
@pytest.mark.parametrize(("type_name", "value", "shown"), [
    ("uint16", 65536.0, "65536"), ("int32", 2.0**31, "2147483648"), ("int32", math.nan, "nan")])
def test_tiff_names_the_first_pixel_out_of_range(type_name, value, shown):
    with refusal(FormatError, "a.tif", shown, "0 fast, 1 slow", f"{TYPES[type_name].highest}"):
        stored_pixels(np.array([[1.0], [value]]), TYPES[type_name], np.ones((2, 1), bool), where="a.tif")


def test_tiff_refuses_other_types(tmp_path):
    with refusal(FormatError, str(tmp_path / "a.tif"), "float64", "(2, 2)", "int32"):
        write_tiff(tmp_path / "a.tif", np.ones((2, 2)))
    assert list(tmp_path.iterdir()) == []
