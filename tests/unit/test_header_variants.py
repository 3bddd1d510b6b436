"""Headers of real beamlines: spindle, scan, detector and beam as dxtbx reads them, or a warning that names the line.

`tests/data/geometry/headers_in_dxtbx.json` holds what dxtbx 3.12 reads from the images of `support.header_variants`;
`test_headers_as_dxtbx_reads_them` makes it anew where DIALS is installed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cubragg.errors import FormatError
from cubragg.io.geometry.sniff import read_models
from support.dials import dials_python, ran
from support.header_variants import cbf, dtrek, imgcif, smv, variants, write_variants
from support.messages import mentioned, refusal, states

TRUTH = json.loads((Path(__file__).parents[1] / "data/geometry/headers_in_dxtbx.json").read_text())
IN_DXTBX = """
import json, sys
from dxtbx.model.experiment_list import ExperimentListFactory
from scitbx import matrix
found = {}
for name in sys.argv[1:]:
    e, = ExperimentListFactory.from_filenames([name])
    (p,), g = e.detector, e.goniometer
    axis = matrix.sqr(g.get_setting_rotation()) * matrix.col(g.get_rotation_axis_datum())
    found[name] = {"axis": axis.elems, "scan": e.scan.get_oscillation(), "wavelength": e.beam.get_wavelength(),
                   "origin": p.get_origin(), "fast": p.get_fast_axis(), "slow": p.get_slow_axis(),
                   "pixel": p.get_pixel_size(), "size": p.get_image_size(), "s0": e.beam.get_unit_s0()}
print(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Messages have short names."""
    monkeypatch.chdir(tmp_path)


def written(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name


@pytest.mark.requirement("AT-FROM-070")
@pytest.mark.parametrize("name", sorted(TRUTH))
def test_headers_as_dxtbx_reads_them(name):
    wanted = TRUTH[name]
    models = read_models(written(name, variants()[name]))
    panel, = models.panels
    np.testing.assert_allclose(models.spindle, wanted["axis"], atol=1e-6)  # headers have six digits
    assert (models.scan.phi_deg, models.scan.osc_deg) == pytest.approx(wanted["scan"], abs=1e-9)
    assert models.beam.wavelength_A == pytest.approx(wanted["wavelength"])
    np.testing.assert_allclose(models.beam.direction, wanted["s0"], atol=1e-9)
    np.testing.assert_allclose(panel.origin_mm, wanted["origin"], atol=1e-7)
    for mine, theirs, edge in zip((panel.fast_mm, panel.slow_mm), ("fast", "slow"), wanted["pixel"], strict=True):
        np.testing.assert_allclose(mine, edge * np.array(wanted[theirs]), atol=1e-9)
    assert [panel.fast_pixels, panel.slow_pixels] == wanted["size"]


@pytest.mark.dials
@pytest.mark.requirement("AT-FROM-070")
def test_the_table_is_what_dxtbx_reads(tmp_path):
    names = write_variants(tmp_path)
    assert names == sorted(TRUTH)
    (tmp_path / "script.py").write_text(IN_DXTBX)
    found = json.loads(ran(dials_python(), "script.py", *names, folder=tmp_path).splitlines()[-1])
    for name, values in found.items():
        for key, value in values.items():
            np.testing.assert_allclose(value, TRUTH[name][key], rtol=1e-8, atol=1e-8, err_msg=f"{name} {key}")


@pytest.mark.requirement("AT-FROM-071")
@pytest.mark.parametrize(("name", "data", "lines"), [
    ("a.img", smv(KAPPA=30.0, OMEGA=10.0), ("KAPPA 30", "OMEGA 10")), ("a.img", smv(TWOTHETA=10), ("TWOTHETA 10",)),
    ("a.img", smv(OSC_START=12.0, PHI=40.0), ("PHI 40",)), ("a.img", smv(OSC_RANGE=-0.5), ("OSC_RANGE -0.5",)),
    ("a.cbf", cbf("Kappa 30.0 deg.", "Phi 12.0 deg."), ("Kappa 30.0", "Phi 12.0")),
    ("a.cbf", cbf("Chi 20.0 deg."), ("Chi 20.0",)),
    ("a.cbf", cbf("Detector_2theta 9.0 deg."), ("Detector_2theta 9.0",)),
    ("a.cbf", cbf("Oscillation_axis Y.CCW"), ("Oscillation_axis Y.CCW",)),
    ("a.cbf", imgcif(chi=25.0), ("-mat",)),
])
def test_lines_without_an_axis_are_named_in_one_warning(name, data, lines):
    warning, = read_models(written(name, data)).warnings
    for line in lines:
        states(warning, name, line)


@pytest.mark.requirement("AT-FROM-071")
@pytest.mark.parametrize(("name", "data"), [
    ("a.img", smv()), ("a.img", smv(OMEGA=63.39, KAPPA=0.0, TWOTHETA=0)), ("a.cbf", cbf()), ("a.img", dtrek()),
    ("a.cbf", cbf("Kappa 0.0 deg.", "Phi 10.0 deg.", "Omega 10.0 deg.", "Oscillation_axis OMEGA")),
    ("a.cbf", cbf("Oscillation_axis X.CW")), ("a.cbf", imgcif(phi=(0.0, 0.0))),
])
def test_headers_without_surprises(name, data):
    assert not read_models(written(name, data)).warnings


@pytest.mark.requirement("AT-FROM-070")
def test_rotations_that_run_backwards():
    """Dxtbx refuses these; a positive rotation about the opposite axis is the same rotation."""
    for name, data, axis, scan in (
            ("a.cbf", cbf(width=-0.1), (-1.0, 0.0, 0.0), (-10.0, 0.1)),
            ("a.img", dtrek(ROTATION="10.0 9.5 -0.5 30 0 0 0 0 0 0"), (0.0, -1.0, 0.0), (-10.0, 0.5)),
            ("b.cbf", imgcif(omega=(10.0, -0.1)), (-1.0, 0.0, 0.0), (-10.0, 0.1))):
        models = read_models(written(name, data))
        assert models.spindle == pytest.approx(axis)
        assert (models.scan.phi_deg, models.scan.osc_deg) == pytest.approx(scan)


@pytest.mark.requirement("AT-FROM-072")
def test_pixels_that_cannot_be_decoded_do_not_matter():
    """Packed pixels of CCP4 and 32-bit SMV have a geometry."""
    packed = cbf().replace(b"x-CBF_BYTE_OFFSET", b"x-CBF_PACKED")
    models = read_models(written("a.cbf", packed))
    assert models.panels[0].origin_mm == pytest.approx((-41.81664, 16.71324, -265.62))
    warning, = models.warnings
    states(warning, "a.cbf", "conversions=x-CBF_PACKED", "masked")
    models = read_models(written("a.img", smv(TYPE="signed_long", SIZE1=9999)))
    assert (models.panels[0].fast_pixels, models.warnings) == (9999, ())


@pytest.mark.requirement("AT-FROM-073")
@pytest.mark.parametrize(("name", "data", "key", "value"), [
    ("a.img", smv(DISTANCE=0.15), "DISTANCE", "150 mm"), ("a.img", smv(PIXEL_SIZE=102.4), "PIXEL_SIZE", "0.1024 mm"),
    ("a.img", smv(WAVELENGTH=1e-10), "WAVELENGTH", "1 A"),
    ("a.cbf", cbf().replace(b"0.26562 m", b"265.62    "), "Detector_distance", "m"),
    ("a.cbf", cbf().replace(b"0.97950 A", b"0.0979500"), "Wavelength", None),
])
def test_units_that_are_missing_or_absurd(name, data, key, value):
    models = read_models(written(name, data))
    panel = models.panels[0]
    assert (1.0 < -panel.origin_mm[2] < 1000.0, 0.01 < panel.pixel_mm[0] < 1.0) == (True, True)
    if value is None:
        assert not models.warnings
    else:
        assert mentioned(models.warnings, f"{name}: {key}", value, "assumed")


@pytest.mark.requirement("AT-FROM-073")
def test_units_behind_a_number():
    data = cbf().replace(b"0.26562 m", b"265.62 mm").replace(b"172e-6 m x 172e-6 m", b"172 um x 172 um")
    panel, = read_models(written("a.cbf", data)).panels
    assert panel.origin_mm[2] == pytest.approx(-265.62)
    assert panel.pixel_mm == pytest.approx((0.172, 0.172))


@pytest.mark.requirement("AT-FROM-070")
@pytest.mark.parametrize(("name", "data", "says"), [
    ("a.img", smv(BEAMLINE="TIMEPIX_SU"), ("a.img", "BEAMLINE=TIMEPIX_SU", ".expt")),
    ("a.img", dtrek(ROTATION=None), ("a.img", "ROTATION", "header")),
    ("a.img", dtrek(ROTATION_VECTOR="0 0 0"), ("a.img", "ROTATION_VECTOR", "0", "direction")),
    ("a.img", dtrek(CCD_GONIO_UNITS="deg deg deg mm mm in"), ("a.img", "in", "deg", "mm")),
    ("a.img", dtrek(SOURCE_WAVELENGTH=None, SCAN_WAVELENGTH=None), ("a.img", "SOURCE_WAVELENGTH")),
    ("a.cbf", imgcif().replace(b"DET_Y 1 0 0", b"DET_Q 1 0 0"), ("a.cbf", "'DET_Q'", "axis")),
    ("a.cbf", imgcif().replace(b"DET_2THETA rotation detector .", b"DET_2THETA rotation detector DET_Z"),
     ("a.cbf", "", "axis", "depends on itself")),
    ("a.cbf", imgcif().replace(b"ARRAY1 2 195 2", b"ARRAY1 2 195 3"), ("a.cbf", "ARRAY1", "precedence")),
    ("a.cbf", imgcif().replace(b"ELEMENT_Y 0.086 0.172", b"ELEMENT_Y 0.086 xyz.2"), ("a.cbf", "xyz.2", "number")),
])
def test_headers_that_cannot_be_used(name, data, says):
    with refusal(FormatError, *says):
        read_models(written(name, data))


@pytest.mark.requirement("AT-FROM-070")
@pytest.mark.parametrize(("axis", "spindle"), [("X.CW +SLOW", (0, 1, 0)), ("X.CW +FAST", (-1, 0, 0))])
def test_an_axis_of_rotation_as_a_beamline_writes_it(axis, spindle):
    data = cbf(f"Oscillation_axis {axis}", detector="PILATUS3 6M, S/N 60-0119, Diamond")
    models = read_models(written("a.cbf", data))
    assert (models.spindle, models.warnings) == (pytest.approx(spindle), ())


@pytest.mark.requirement("AT-FROM-070")
def test_sections_of_an_array_are_panels():
    """As in files of a CSPAD, where dimensions of the whole array have no axes."""
    listed = (b"_array_structure_list.array_id\n_array_structure_list.index\n_array_structure_list.dimension\n"
              b"_array_structure_list.precedence\n_array_structure_list.direction\n_array_structure_list.axis_set_id\n"
              b"ARRAY1 1 487 1 increasing ELEMENT_X\nARRAY1 2 195 2 increasing ELEMENT_Y").replace(b"\n", b"\r\n")
    divided = (b"_array_structure_list.array_id\n_array_structure_list.array_section_id\n_array_structure_list.index\n"
               b"_array_structure_list.dimension\n_array_structure_list.precedence\n_array_structure_list.direction\n"
               b"_array_structure_list.axis_set_id\nARRAY1 . 1 487 1 increasing .\nARRAY1 . 2 195 2 increasing .\n"
               b"ARRAY1 S1 1 200 1 increasing ELEMENT_X\nARRAY1 S1 2 195 2 increasing ELEMENT_Y\n"
               b"ARRAY1 S2 1 100 1 increasing ELEMENT_X\nARRAY1 S2 2 90 2 increasing ELEMENT_Y").replace(b"\n", b"\r\n")
    whole = imgcif()
    assert listed in whole
    models = read_models(written("a.cbf", whole.replace(listed, divided)))
    assert [(panel.name, panel.fast_pixels, panel.slow_pixels, panel.offset) for panel in models.panels] == [
        ("S1", 200, 195, (0, 0)), ("S2", 100, 90, (0, 195))]
    assert models.panels[1].origin_mm == read_models(written("b.cbf", whole)).panels[0].origin_mm
