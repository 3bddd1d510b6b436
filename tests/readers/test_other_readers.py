"""Our files as fabio and cctbx (iotbx) read them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import fabio
import numpy as np
import pytest

from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.smv import read_smv
from support.command import simulated

LINE = ("-default_F 100 -cell 60 70 80 90 90 90 -lambda 1.1 -N 3 -distance 80 -pixel 0.172 -detpixels_f 487 "
        "-detpixels_s 407 -oversample 1 -phi 3 -osc 0.5 -exposure 0.2 -fluence 1e28 -seed 5 -Xbeam 30 -Ybeam 40 "
        "--quiet ")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.requirement("AT-FMT-005")
@pytest.mark.parametrize("convention", ["generic", "pilatus"])
def test_fabio_reads_both_conventions_of_cbf(convention, caplog):
    assert simulated(f"{LINE} -cbffile a_0001.cbf --cbf-convention {convention} -detector_thick 320 "
                     "-detector_abs 200") == (0, "")
    with caplog.at_level(logging.WARNING), fabio.open("a_0001.cbf") as image:
        np.testing.assert_array_equal(image.data, read_cbf("a_0001.cbf")[0])
        header = image.header
    assert [record.message for record in caplog.records] == []
    if convention == "pilatus":
        pilatus = image.pilatus_headers
        assert pilatus["Pixel_size"] == (0.000172, 0.000172)
        assert pilatus["Detector_distance"] == pytest.approx(0.08)
        assert pilatus["Beam_xy"] == pytest.approx((40.086 / 0.172, 30.086 / 0.172))
        assert (pilatus["Start_angle"], pilatus["Angle_increment"]) == (3.0, 0.5)
        assert (pilatus["Wavelength"], pilatus["sensor"]) == (1.1, ("Silicon", 0.00032))
    else:
        assert "# Silicon sensor, thickness 0.00032 m" in header["_array_data.header_contents"]


@pytest.mark.requirement("AT-FMT-003")
def test_fabio_reads_smv_of_both_flavors():
    for flavor in ("nanobragg", "adsc"):
        assert simulated(f"{LINE} --smv-flavor {flavor} -noisefile {flavor}_0001.img") == (0, "")
        with fabio.open(f"{flavor}_0001.img") as image:
            np.testing.assert_array_equal(image.data, read_smv(f"{flavor}_0001.img").pixels)
    first, second = (read_smv(f"{flavor}_0001.img").pixels for flavor in ("nanobragg", "adsc"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.requirement("AT-FMT-015")
def test_sizes_of_six_digits():
    line = LINE.replace("-detpixels_f 487 -detpixels_s 407", "-detpixels_f 100001 -detpixels_s 3 -roi 99990 100000 0 2")
    assert simulated(f"{line} -pixel 0.001 -noisefile wide.img") == (0, "")
    with fabio.open("wide.img") as image:
        np.testing.assert_array_equal(image.data, read_smv("wide.img").pixels)
        assert image.data.shape == (3, 100001)


@pytest.mark.requirement("AT-FMT-004")
def test_cctbx_reads_smv_of_both_flavors():
    pytest.importorskip("iotbx")
    code = ("import json, sys; from iotbx.detectors.adsc import ADSCImage; image = ADSCImage(sys.argv[1]);"
            "image.read(); print(json.dumps([list(image.linearintdata), image.size1, image.size2, image.distance,"
            "image.wavelength, image.pixel_size, image.beamx, image.beamy, image.osc_start, image.deltaphi]))")
    for flavor, centre in (("nanobragg", [30.0, 40.0]), ("adsc", [30.086, 40.086])):
        name = f"{flavor}_0001.img"
        assert simulated(f"{LINE} --smv-flavor {flavor} -noisefile {name}") == (0, "")
        # In a process of its own: cctbx makes floating point exceptions fatal.
        printed = subprocess.run([sys.executable, "-c", code, name], check=True, capture_output=True, text=True).stdout
        pixels, *values = json.loads(printed)
        assert pixels == read_smv(name).pixels.ravel().tolist()
        assert values == pytest.approx([487, 407, 80.0, 1.1, 0.172, *centre, 3.0, 0.5])
