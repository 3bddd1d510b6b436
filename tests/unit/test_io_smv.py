"""SMV: files of the C program, files of ours, and what neither may hold."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cubragg.errors import FormatError
from cubragg.experiment import Detector
from cubragg.io.images.smv import header_value, read_smv, smv_header, write_smv
from support.messages import refusal

# -default_F 10 -cell 30 40 50 90 90 90 -N 2 -lambda 1.5 -distance 30 -detpixels_f 4 -detpixels_s 3 -pixel 1
# -phi 1 -osc 0.5, as the C program writes it
C_HEADER = (
    "{\nHEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\nSIZE1=4;\nSIZE2=3;\nPIXEL_SIZE=1;\n"
    "DISTANCE=30;\nWAVELENGTH=1.5;\nBEAM_CENTER_X=2;\nBEAM_CENTER_Y=2.5;\nADXV_CENTER_X=3;\nADXV_CENTER_Y=0.5;\n"
    "MOSFLM_CENTER_X=2;\nMOSFLM_CENTER_Y=2.5;\nDENZO_X_BEAM=2.5;\nDENZO_Y_BEAM=3;\nDIALS_ORIGIN=-3,2.5,-30\n"
    "XDS_ORGX=3.5;\nXDS_ORGY=3;\nCLOSE_DISTANCE=30;\nPHI=1;\nOSC_START=1;\nOSC_RANGE=0.5;\nTWOTHETA=0;\n"
    "DETECTOR_SN=000;\nBEAMLINE=fake;\n}\f")
C_PIXELS = (b"\xee\x99\xa8\xb1\n\xbef\xbe\x06\xaf\xfc\xc4-\xd0\x92\xd0\x1f\xb4\xea\xca\x97\xd6\x00\xd7")
C_COUNTS = [[39406, 45480, 48650, 48742], [44806, 50428, 53293, 53394], [46111, 51946, 54935, 55040]]
C_FILE = C_HEADER.ljust(512).encode("ascii") + C_PIXELS

# d*TREK as another program writes it: big endian, blanks after =, a longer header
DTREK_FILE = (b"{\nHEADER_BYTES= 1024;\nBYTE_ORDER= big_endian;\nData_type= unsigned short int;\nTYPE= mad;\n"
              b"SIZE1= 2;\nSIZE2= 1;\nCOMMENT= no number ;\n}\n").ljust(1024) + b"\x01\x02\xff\xfe"

# Headers of the C program for detectors of each kind, in the manifest of the golden images
GOLDEN = {
    "p004-adxv": (
        Detector("adxv", 0.1, 256, 256, distance_mm=100.0, xbeam_mm=25.6, ybeam_mm=25.6), (1.0, 0.0, 0.0),
        "256 256 0.1 100 1 25.6 25.6 25.6 25.6 -0.05 25.55 0 25.6 100,0,25.6 256.5 0.5 100 0 0 0 0"),
    "p005-xds-org-tilt": (
        Detector("xds", 0.1, 256, 256, distance_mm=100.0, orgx=120.5, orgy=141.25, rotx_deg=4.0, roty_deg=-3.0,
                 twotheta_deg=12.0), (1.0, 0.0, 12.0),
        "256 256 0.1 100 1 12 14.075 17.1192 -16.0294 41.5794 17.0692 41.6294 17.1192 91.1348,-40.8301,17.1332 "
        "120.5 141.25 99.6197 0 0 0 12"),
    "p007-rot-twotheta": (
        Detector("mosflm", 0.1, 256, 256, distance_mm=100.0, rotx_deg=5.0, roty_deg=3.0, rotz_deg=2.0,
                 twotheta_deg=10.0), (1.0, 0.0, 10.0),
        "256 256 0.1 99.0872 1 12.85 12.85 12.8639 12.5693 12.9807 12.8139 13.0307 12.8639 "
        "-11.7105,13.9246,-101.337 90.0003 272.66 98.8911 0 0 0 10"),
    "the one above": (
        Detector("mosflm", 1.0, 4, 3, distance_mm=30.0), (1.5, 0.5, 0.0),
        "4 3 1 30 1.5 2 2.5 3 0.5 2 2.5 2.5 3 -3,2.5,-30 3.5 3 30 1 1 0.5 0"),
}
KEYS = [
    "SIZE1", "SIZE2", "PIXEL_SIZE", "DISTANCE", "WAVELENGTH", "BEAM_CENTER_X", "BEAM_CENTER_Y",
    "ADXV_CENTER_X", "ADXV_CENTER_Y", "MOSFLM_CENTER_X", "MOSFLM_CENTER_Y", "DENZO_X_BEAM", "DENZO_Y_BEAM",
    "DIALS_ORIGIN", "XDS_ORGX", "XDS_ORGY", "CLOSE_DISTANCE", "PHI", "OSC_START", "OSC_RANGE", "TWOTHETA",
]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes ``a.img`` into the working folder, so that messages have a short name."""
    monkeypatch.chdir(tmp_path)

    def write(content: bytes) -> str:
        (tmp_path / "a.img").write_bytes(content)
        return "a.img"

    return write


def test_reads_a_file_of_the_c_program(file):
    smv = read_smv(file(C_FILE))
    assert smv.text == C_HEADER.ljust(512)
    assert list(smv.header)[:5] == ["HEADER_BYTES", "DIM", "BYTE_ORDER", "TYPE", "SIZE1"]
    assert (smv.header["DIALS_ORIGIN"], smv.header["BEAMLINE"], len(smv.header)) == ("-3,2.5,-30", "fake", 27)
    assert smv.pixels.dtype == np.uint16
    assert smv.pixels.tolist() == C_COUNTS


def test_reads_the_other_byte_order(file):
    smv = read_smv(file(DTREK_FILE))
    assert smv.pixels.tolist() == [[0x0102, 0xFFFE]]
    assert smv.header["COMMENT"] == "no number"


def test_pixels_may_be_followed_by_more(file):
    assert read_smv(file(C_FILE + b"more")).pixels.tolist() == C_COUNTS


def test_header_ends_at_a_zero_byte(file):
    smv = read_smv(file(C_HEADER.encode("ascii").ljust(500, b"\0") + b"DISTANCE=7;\n" + C_PIXELS))
    assert smv.text == C_HEADER
    assert header_value(smv.text, "DISTANCE") == 30.0


def test_missing_file_passes_through(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_smv(tmp_path / "none.img")


@pytest.mark.parametrize(("content", "says"), [
    (b"", ("a.img", "''", "SMV")),
    (b"###CBF: VERSION 1.5, fabio", ("a.img", "'###CBF: VERSION'", "SMV")),
    (C_FILE.replace(b"{\nHEADER_BYTES", b"{\nDIM=2;\nHEADE", 1),
     ("a.img", "'{\\nDIM=2;\\nHEADE='", "SMV")),
    (C_FILE.replace(b"=512", b"=abc", 1), ("a.img", "HEADER_BYTES=abc", "1048576")),
    (C_FILE.replace(b"=512", b"=-12", 1), ("a.img", "HEADER_BYTES=-12", "1048576")),
    (C_FILE.replace(b"=512", b"=0", 1), ("a.img", "HEADER_BYTES=0", "1048576")),
    (C_FILE.replace(b"=512", b"=1048577", 1), ("a.img", "HEADER_BYTES=1048577", "1048576")),
    (C_FILE.replace(b"=512", b"=99999999999", 1),
     ("a.img", "HEADER_BYTES=99999999999", "1048576")),
    (C_FILE[:300], ("a.img", "300 bytes", "header", "512")),
    (C_FILE.replace(b"=512", b"=600", 1), ("a.img", "536 bytes", "header", "600")),
    (C_FILE.replace(b"SIZE1=4", b"SIZES=4"), ("a.img", "", "SIZE1", "header")),
    (C_FILE.replace(b"SIZE2=3", b"SIZES=3"), ("a.img", "", "SIZE2", "header")),
    (C_FILE.replace(b"SIZE1=4", b"SIZE1=x"), ("a.img", "SIZE1=x", "whole number")),
    (C_FILE.replace(b"SIZE2=3", b"SIZE2=0"), ("a.img", "SIZE2=0", "0")),
    (C_FILE[:-1], ("a.img", "23 bytes", "SIZE1=4", "SIZE2=3", "24")),
    (DTREK_FILE.replace(b"SIZE1= 2;\nSIZE2= 1;", b"SIZE1=999999999;\nSIZE2=999999999;").ljust(1030)[:1030],
     ("a.img", "6 bytes", "SIZE1=999999999", "SIZE2=999999999", "1999999996000000002")),
    (C_FILE.replace(b"unsigned_short", b"float_________"),
     ("a.img", "TYPE=float_________", "unsigned_short")),
    (DTREK_FILE.replace(b"unsigned short int", b"long int          "),
     ("a.img", "Data_type=long int", "unsigned short int")),
    (C_FILE.replace(b"little_endian", b"middle_endian"),
     ("a.img", "BYTE_ORDER=middle_endian", "little_endian", "big_endian")),
])
def test_refuses(file, content, says):
    with refusal(FormatError, *says):
        read_smv(file(content))


@pytest.mark.parametrize(("key", "expected"), [
    ("PIXEL_SIZE", 1.0), ("WAVELENGTH", 1.5),
    ("DISTANCE", 30.0), ("CLOSE_DISTANCE", 30.0),
    ("ORGX", 3.5),  # inside XDS_ORGX
    ("TYPE", 0.0),  # text
    ("DIALS_ORIGIN", -3.0),  # as far as it is a number
    ("DETECTOR_SN", 0.0), ("GAIN", None),
])
def test_header_value_in_the_file_of_the_c_program(key, expected):
    assert header_value(C_HEADER, key) == expected


@pytest.mark.requirement("AT-PRE-002")
@pytest.mark.parametrize(("text", "expected"), [
    ("{\nDISTANCE=100;\nCLOSE_DISTANCE=90;\n}", 90.0),  # the last occurrence, inside a longer key
    ("{\nCLOSE_DISTANCE=90;\nDISTANCE=100;\n}", 100.0),
    ("{\nDISTANCE=1;\nDISTANCE=2;\n}", 2.0),
    ("DISTANCE", 0.0),  # no = behind it
    ("DISTANCE\nGAIN=7;", 7.0),  # the next = counts, whosever it is
    ("DISTANCE=  \n 5;", 5.0),
    ("DISTANCE=;\n", 0.0),
    ("DISTANCE=-1.5e2mm", -150.0),
    ("DISTANCE=+.5", 0.5),
    ("DISTANCE=1e", 1.0),
    ("DISTANCE=inf", float("inf")),
    ("DISTANCE=nan", None),
    ("", None),
])
def test_header_value_rule(text, expected):
    assert header_value(text, "DISTANCE") == expected


@pytest.mark.requirement("AT-IO-001")
@pytest.mark.parametrize(("detector", "angles", "values"), GOLDEN.values(), ids=GOLDEN)
def test_header_is_that_of_the_c_program(detector, angles, values):
    wavelength, osc, twotheta = angles
    phi = 1.0 if osc else 0.0
    header = smv_header(detector.geometry(None, "nanobragg"), wavelength_A=wavelength, phi_deg=phi, osc_deg=osc,
                        twotheta_deg=twotheta)
    expected = {"HEADER_BYTES": "512", "DIM": "2", "BYTE_ORDER": "little_endian", "TYPE": "unsigned_short",
                **dict(zip(KEYS, values.split(), strict=True)), "DETECTOR_SN": "000", "BEAMLINE": "fake"}
    assert list(header.items()) == list(expected.items())


def any_header():
    return smv_header(Detector(fast_pixels=4, slow_pixels=3).geometry(None, "nanobragg"), wavelength_A=1.0,
                      phi_deg=0.0, osc_deg=0.0, twotheta_deg=0.0)


@pytest.mark.requirement("AT-IO-001")
def test_written_file_is_read_by_fabio_and_by_us(tmp_path, caplog):
    import fabio

    path = tmp_path / "a.img"
    with caplog.at_level(logging.INFO):
        write_smv(path, np.array(C_COUNTS, np.uint16), any_header())
        image = fabio.open(path)
    assert caplog.messages == []
    assert image.data.dtype == np.uint16
    assert image.data.tolist() == C_COUNTS
    expected = any_header() | {"Data_type": "unsigned short int", "HEADER_BYTES": "512"}
    smv = read_smv(path)
    assert smv.header == dict(image.header) == expected
    assert list(smv.header) == list(expected)
    assert smv.pixels.tolist() == C_COUNTS


def test_start_of_the_file_is_what_the_c_program_requires(tmp_path):
    write_smv(tmp_path / "a.img", np.ones((1, 1), np.uint16), any_header())
    data = (tmp_path / "a.img").read_bytes()
    assert data.startswith(b"{\nHEADER_BYTES=  512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\n")
    assert (len(data), data[512:]) == (514, b"\x01\x00")


def test_the_second_name_of_the_type_gives_way_to_512_bytes(tmp_path):
    """Scripts that skip 512 bytes work as long as all other keys fit."""
    import fabio

    path, without = tmp_path / "a.img", 0
    for length in range(330, 420):
        write_smv(path, np.array(C_COUNTS, np.uint16), {"COMMENT": "x" * length})
        header = read_smv(path).header
        size = int(header["HEADER_BYTES"])
        without += size == 512 and "Data_type" not in header
        assert size == 512 or "Data_type" in header
        assert header["COMMENT"] == "x" * length
        assert path.read_bytes()[size:] == np.array(C_COUNTS, "<u2").tobytes()
        with fabio.open(path) as image:
            assert image.data.tolist() == C_COUNTS
    assert without == len("Data_type=unsigned short int;\n")


def test_header_grows_in_blocks_of_512(tmp_path, caplog):
    for count in range(0, 80, 3):
        header = {f"KEY{i}": "x" * 20 for i in range(count)}
        write_smv(tmp_path / "a.img", np.ones((1, 1), np.uint16), header)
        smv = read_smv(tmp_path / "a.img")
        assert int(smv.header["HEADER_BYTES"]) % 512 == 0, count
        assert (tmp_path / "a.img").stat().st_size == int(smv.header["HEADER_BYTES"]) + 2, count
        assert {key: smv.header[key] for key in header} == header, count
        assert smv.pixels.tolist() == [[1]], count
    assert caplog.messages == []


def test_header_is_made_to_fit_the_counts_and_not_changed(tmp_path):
    header = {"SIZE1": "99", "BYTE_ORDER": "big_endian", "TYPE": "float", "HEADER_BYTES": "100", "GAIN": "1"}
    before = dict(header)
    write_smv(tmp_path / "a.img", np.array(C_COUNTS, np.uint16).T, header)
    smv = read_smv(tmp_path / "a.img")
    assert smv.pixels.T.tolist() == C_COUNTS
    assert (smv.header["SIZE1"], smv.header["SIZE2"], smv.header["GAIN"]) == ("3", "4", "1")
    assert header == before


@pytest.mark.parametrize(("counts", "header", "says"), [
    (np.ones((2, 3), np.float32), {},
     ("a.img", "float32", "(2, 3)", "uint16")),
    (np.ones((2, 3), np.int32), {},
     ("a.img", "int32", "(2, 3)", "uint16")),
    (np.ones(3, np.uint16), {},
     ("a.img", "(3,)", "uint16")),
    (np.ones((0, 3), np.uint16), {},
     ("a.img", "(0, 3)", "uint16")),
    (np.ones((1, 1), np.uint16), {"A": "b=c"}, ("a.img", "A='b=c'", "ASCII")),
    (np.ones((1, 1), np.uint16), {"A": "b;"}, ("a.img", "A='b;'", "ASCII")),
    (np.ones((1, 1), np.uint16), {"A": "b\nc"}, ("a.img", "A='b\\nc'", "ASCII")),
    (np.ones((1, 1), np.uint16), {"A": "5 Å"}, ("a.img", "A='5 Å'", "ASCII")),
    (np.ones((1, 1), np.uint16), {"A": " b"}, ("a.img", "A=' b'", "ASCII")),
    (np.ones((1, 1), np.uint16), {"A B": "1"}, ("a.img", "A B", "key")),
    (np.ones((1, 1), np.uint16), {"A": "x" * 100_000},
     ("a.img", "100130 bytes", "header", "99840")),
])
def test_refuses_to_write(tmp_path, monkeypatch, counts, header, says):
    monkeypatch.chdir(tmp_path)
    with refusal(FormatError, *says):
        write_smv("a.img", counts, header)
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=arrays.arrays(np.uint16, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)),
       extra=st.dictionaries(
           st.from_regex(r"X[A-Za-z0-9_]{0,20}", fullmatch=True),
           st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="=;"), max_size=60)
           .map(str.strip), max_size=20))
def test_round_trip(tmp_path, counts, extra):
    write_smv(tmp_path / "a.img", counts, extra)
    smv = read_smv(tmp_path / "a.img")
    assert np.array_equal(smv.pixels, counts)
    assert {key: smv.header[key] for key in extra} == extra


def test_cctbx_reads_it(tmp_path):
    pytest.importorskip("iotbx")
    path = tmp_path / "a_0001.img"
    write_smv(path, np.array(C_COUNTS, np.uint16), any_header())
    # In a process of its own: cctbx makes floating point exceptions fatal.
    code = ("import json, sys; from iotbx.detectors.adsc import ADSCImage; image = ADSCImage(sys.argv[1]);"
            "image.read(); print(json.dumps([list(image.linearintdata), image.size1, image.size2, image.distance,"
            "image.wavelength, image.pixel_size, image.beamx, image.beamy]))")
    printed = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == [np.ravel(C_COUNTS).tolist(), 4, 3, 100.0, 1.0, 0.1, 0.2, 0.25]
