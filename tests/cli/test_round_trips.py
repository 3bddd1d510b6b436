"""What the command writes, ``--from`` reads back; and what it writes about a series."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.io.geometry.experiment_models import ExperimentModels, models_of
from support.crystfel_files import TWO_PANELS

SCENE = ("-default_F 100 -cell 50 60 70 80 90 100 -lambda 1.0332 -N 3 -distance 123.456 -oversample 1 -phi 7 -osc 0.3 "
         "-exposure 0.25 -polar 0.9 -seed 1 --quiet ")
OWN = "-pixel 0.3 -detpixels_f 41 -detpixels_s 33 -Xbeam 4.321 -Ybeam 5.678 "
TILTED = "-detector_rotx 5 -detector_roty -3 -detector_rotz 11 -twotheta 20 "
PILATUS = "--detector pilatus300k -roi 0 9 0 9 -Xbeam 40.1 -Ybeam 33.3 "
MODULES = "--detector jungfrau4m -roi 0 9 0 9 -Xbeam 70.1 -Ybeam 83.3 "
#: Twelve digits and more: a hundredth of a millionth of a pixel.
DIGITS_12 = 1e-9


def models(line: str) -> ExperimentModels:
    return models_of(build(parse(line.split())).experiment)


def assert_same(read: ExperimentModels, made: ExperimentModels, tolerance: float) -> None:
    """Beam, spindle, scan and every panel: corner [mm], axes, pixels, place in the image, mask."""
    assert read.beam.wavelength_A == pytest.approx(made.beam.wavelength_A, rel=tolerance)
    np.testing.assert_allclose(read.beam.direction, made.beam.direction, rtol=0, atol=tolerance)
    np.testing.assert_allclose(read.spindle, made.spindle, rtol=0, atol=tolerance)
    assert (read.scan.phi_deg, read.scan.osc_deg, read.scan.exposure_s) == pytest.approx(
        (made.scan.phi_deg, made.scan.osc_deg, made.scan.exposure_s), abs=tolerance)
    assert len(read.panels) == len(made.panels)
    for panel, other in zip(read.panels, made.panels, strict=True):
        for name in ("origin_mm", "fast_mm", "slow_mm"):
            np.testing.assert_allclose(getattr(panel, name), getattr(other, name), rtol=0, atol=tolerance)
        for name in ("fast_pixels", "slow_pixels", "offset"):
            assert getattr(panel, name) == getattr(other, name)
        assert (panel.mask is None) == (other.mask is None)
        assert panel.mask is None or np.array_equal(panel.mask, other.mask)


@pytest.mark.requirement("AT-FROM-058")
@pytest.mark.parametrize("convention", ["mosflm", "denzo", "adxv", "xds", "dials"])
@pytest.mark.parametrize("detector", [OWN, OWN + TILTED, MODULES, MODULES + TILTED],
                         ids=["one", "tilted", "eight", "tilted-eight"])
def test_nxmx(run, convention, detector):
    """All that flat panels can be; polarization too."""
    line = f"{SCENE}{detector}-{convention}"
    assert run(f"{line} --nxmx a.h5").exit_code == 0
    read, made = models("--from a.h5 -default_F 1 -cell 50"), models(line)
    assert_same(read, made, DIGITS_12)
    assert read.beam.polarization_fraction == pytest.approx(made.beam.polarization_fraction, abs=DIGITS_12)
    # of a normal, the sign says nothing
    assert abs(np.dot(read.beam.polarization_normal, made.beam.polarization_normal)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.requirement("AT-FROM-058")
def test_nxmx_of_panels_that_face_different_ways(run, folder):
    """Read from a .geom, written, read back."""
    (folder / "two.geom").write_text(TWO_PANELS)
    line = f"{SCENE.replace('-lambda 1.0332', '').replace('-distance 123.456', '')} --from two.geom {TILTED}"
    assert run(f"{line} --nxmx a.h5").exit_code == 0
    assert_same(models("--from a.h5 -default_F 1 -cell 50"), models(line), DIGITS_12)


@pytest.mark.requirement("AT-FROM-058")
@pytest.mark.parametrize(("files", "detector"), [
    ("--cbf-convention generic -cbffile a_0001.cbf", OWN), ("--cbf-convention generic -cbffile a_0001.cbf", PILATUS),
    ("--cbf-convention pilatus -cbffile a_0001.cbf", PILATUS), ("--smv-flavor adsc -noisefile a_0001.img", OWN)])
@pytest.mark.parametrize("convention", ["mosflm", "denzo", "xds"])
def test_images_of_12_digits(run, convention, files, detector):
    """Of a detector that faces the beam; dials' spindle and adxv's hand they cannot say (AT-FMT-001)."""
    line = f"{SCENE}{detector}-{convention}"
    assert run(f"{line} {files}").exit_code == 0
    name, = Path().glob("a_0001*")
    assert_same(models(f"--from {name} -default_F 1 -cell 50"), models(line), DIGITS_12)


@pytest.mark.requirement("AT-FROM-058")
@pytest.mark.parametrize("detector", [OWN, OWN + TILTED])
@pytest.mark.parametrize("convention", ["mosflm", "denzo"])
def test_headers_of_nanobragg_have_six_digits(run, convention, detector):
    """Which is 1e-3 mm of some 100 mm; of the exposure nothing."""
    line = f"{SCENE}{detector}-{convention} -exposure 1"
    assert run(f"{line} -noisefile a_0001.img").exit_code == 0
    assert_same(models("--from a_0001.img -default_F 1 -cell 50 -exposure 1"), models(line), 2e-3)


@pytest.mark.requirement("AT-FROM-059")
@pytest.mark.parametrize(("images", "shown", "template", "name_template"), [
    ("--nxmx s_0007.h5", "s_0007.h5", "s_0007.h5", "s_0007.h5"),
    ("-cbffile c.cbf", "c_0001.cbf", "c_####.cbf", "c_????.cbf"),
    ("-noisefile n7.img --smv-flavor adsc", "n7_0001.img", "n7_####.img", "n7_????.img")])
def test_a_series_is_described_once(run, folder, monkeypatch, images, shown, template, name_template):
    """Three images at their angles, by the names that they have."""
    from cubragg.cli import geometry_out

    described = []
    genuine = geometry_out.texts
    monkeypatch.setattr(geometry_out, "texts", lambda *given: described.append(genuine(*given)) or described[-1])
    assert run(f"{SCENE}{OWN} {images} --images 3 --expt s.expt --geom s.geom --xds-inp XDS.INP").exit_code == 0
    document = json.loads(Path("s.expt").read_text())
    imageset, = document["imageset"]
    assert imageset["template"] == str(folder / template)
    assert imageset.get("single_file_indices") == ([0, 1, 2] if "h5" in images else None)
    scan, = document["scan"]
    assert (scan["image_range"], scan["oscillation"], scan["exposure_time"]) == ([1, 3], [7.0, 0.3], [0.25] * 3)
    keywords = dict(re.findall(r"([A-Z][A-Z_-]*)= ((?:[^\s=]+(?: (?![A-Z_-]+=))?)+)", Path("XDS.INP").read_text()))
    assert keywords["NAME_TEMPLATE_OF_DATA_FRAMES"].strip() == name_template
    for key, value in (("DATA_RANGE", "1 3"), ("SPOT_RANGE", "1 3"), ("STARTING_FRAME", "1"), ("STARTING_ANGLE", "7.0"),
                       ("OSCILLATION_RANGE", "0.3")):
        assert keywords[key].strip() == value
    written = {path.name for path in folder.iterdir()} - {"s.expt", "s.geom", "XDS.INP"}
    assert written == ({shown} if "h5" in images else {shown.replace("0001", f"000{i}") for i in (1, 2, 3)})
    # once to find faults before rendering, once to write
    assert len(described) == 2
    assert ("data = /entry/data/data" in Path("s.geom").read_text()) == ("h5" in images)
