"""CBF: counts that fit, the lines readers ask for, fabio as the second reader."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import logging
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as arrays

from cubragg.detect.quantize import quantize
from cubragg.errors import FormatError
from cubragg.experiment import Detector
from cubragg.io.images.cbf import MiniCbfHeader, minicbf_header, read_cbf, write_cbf
from support.messages import refusal

HEADER = MiniCbfHeader(datetime(2024, 1, 2, 3, 4, 5, 678901), 0.000172, 0.2, 0.97934, 12.5, 20.25, 0.5, 0.6, -3.0, 0.1,
                       6330.0)
LINES = [
    "# Detector: cubragg, simulated",
    "# 2024-01-02T03:04:05.678",
    "# Pixel_size 0.000172 m x 0.000172 m",
    "# Exposure_time 0.5 s",
    "# Exposure_period 0.6 s",
    "# Tau = 0 s",
    "# Count_cutoff 2147483647 counts",
    "# Threshold_setting: 6330 eV",
    "# N_excluded_pixels = 0",
    "# Wavelength 0.97934 A",
    "# Detector_distance 0.2 m",
    "# Beam_xy (12.5, 20.25) pixels",
    "# Start_angle -3 deg.",
    "# Angle_increment 0.1 deg.",
    "# Detector_2theta 0 deg.",
]

# [[1, 2, 1], [300, -1, 100000]] in byte offsets by hand: a step that does not fit 8 bits takes 16 after 80,
# one that does not fit 16 in 32 after 80 00 80
PACKED = b"\x01\x01\xff" + b"\x80\x2b\x01" + b"\x80\xd3\xfe" + b"\x80\x00\x80\xa1\x86\x01\x00"
COUNTS = [[1, 2, 1], [300, -1, 100000]]


def by_hand(packed: bytes = PACKED, **changes: str) -> bytes:
    """A CBF file that fabio did not write."""
    fields = {
        "Content-Type": "application/octet-stream;\r\n     conversions=\"x-CBF_BYTE_OFFSET\"",
        "Content-Transfer-Encoding": "BINARY",
        "X-Binary-Size": str(len(packed)),
        "X-Binary-ID": "1",
        "X-Binary-Element-Type": '"signed 32-bit integer"',
        "X-Binary-Element-Byte-Order": "LITTLE_ENDIAN",
        "Content-MD5": base64.b64encode(hashlib.md5(packed).digest()).decode(),
        "X-Binary-Number-of-Elements": "6",
        "X-Binary-Size-Fastest-Dimension": "3",
        "X-Binary-Size-Second-Dimension": "2",
        "X-Binary-Size-Padding": "0",
    } | {key.replace("_", "-"): value for key, value in changes.items()}
    head = ("###CBF: VERSION 1.5\r\ndata_image_1\r\n_array_data.header_convention \"SLS_1.0\"\r\n"
            "_array_data.header_contents\r\n;\r\n# Detector: made by hand\r\n# 2020-Jan-02T03:04:05\r\n"
            "# Tau = 1e-07 s\r\n;\r\n\r\n_array_data.data\r\n;\r\n--CIF-BINARY-FORMAT-SECTION--\r\n")
    section = "".join(f"{key}: {value}\r\n" for key, value in fields.items() if value)
    return (f"{head}{section}\r\n".encode() + b"\x0c\x1a\x04\xd5" + packed
            + b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    """Messages have short names there."""
    monkeypatch.chdir(tmp_path)


def test_lines():
    assert HEADER.lines() == LINES


def test_lines_of_what_is_known():
    header = dataclasses.replace(HEADER, sensor_thickness_m=0.00032, flux=1e12, polarization=0.99)
    lines = list(LINES)
    lines.insert(3, "# Silicon sensor, thickness 0.00032 m")
    lines.insert(13, "# Flux 1e+12")
    lines.append("# Polarization 0.99")
    assert header.lines() == lines


def test_timestamp_is_read_as_one_by_dxtbx():
    # dxtbx takes a line for the timestamp if it has at most two words and exactly two colons.
    header = dataclasses.replace(HEADER, timestamp=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))
    line = header.lines()[1]
    assert (line, line.count(":")) == ("# 2024-01-02T03:04:05.000", 2)


def test_header_of_a_geometry():
    detector = Detector("mosflm", 0.1, 200, 100, distance_mm=150.0, xbeam_mm=4.45, ybeam_mm=6.95)
    header = minicbf_header(detector.geometry(None, "nanobragg"), wavelength_A=2.0, start_angle_deg=5.0,
                            angle_increment_deg=0.25, exposure_s=2.0, timestamp=HEADER.timestamp, count_cutoff=1000,
                            n_excluded_pixels=7)
    lines = header.lines()
    for line in ("# Pixel_size 0.0001 m x 0.0001 m", "# Detector_distance 0.15 m", "# Beam_xy (70, 45) pixels",
                 "# Wavelength 2 A", "# Threshold_setting: 3099.605 eV", "# Exposure_time 2 s", "# Exposure_period 2 s",
                 "# Start_angle 5 deg.", "# Angle_increment 0.25 deg.", "# Count_cutoff 1000 counts",
                 "# N_excluded_pixels = 7", "# Detector_2theta 0 deg."):
        assert line in lines
    assert not any("sensor" in line for line in lines)  # it would switch on a parallax correction


def test_two_theta_is_that_of_the_geometry():
    geometry = Detector(fast_pixels=10, slow_pixels=10, twotheta_deg=12.0).geometry(None, "nanobragg")
    header = minicbf_header(geometry, wavelength_A=1.0, start_angle_deg=0.0, angle_increment_deg=0.0, exposure_s=1.0,
                            timestamp=HEADER.timestamp)
    assert "# Detector_2theta 12 deg." in header.lines()


def test_counts_are_scaled_and_rounded():
    photons = np.array([[0.0, 0.2, 0.25], [1.0, 10.4, 1e5]], np.float32)
    counts = quantize(photons, np.int32, scale=2.0, offset=1.0)
    assert counts.dtype == np.int32
    assert counts.tolist() == [[1, 1, 2], [3, 22, 200001]]


def test_largest_count():
    assert quantize(np.array([[2.0**31 - 1]]), np.int32).tolist() == [[2**31 - 1]]
    assert quantize(np.array([[1000.4]]), np.int32, highest=1000).tolist() == [[1000]]


@pytest.mark.requirement("AT-IO-007")
@pytest.mark.parametrize(("value", "shown"), [
    (-0.25, "-0.25"), (np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (2.0**31, "2147483648"), (1e30, "1e+30")])
def test_counts_that_do_not_fit_name_the_first_pixel(value, shown):
    photons = np.ones((3, 4))
    photons[1, 2] = photons[2, 0] = value
    with refusal(FormatError, "counts", shown, "2 fast, 1 slow", "2147483647"):
        quantize(photons, np.int32)


def test_counts_above_the_cutoff():
    with refusal(FormatError, "a.cbf", "13", "1 fast, 0 slow", "12"):
        quantize(np.array([[1.0, 6.0]]), np.int32, scale=2.0, offset=1.0, highest=12, where="a.cbf")


@pytest.mark.requirement("AT-IO-007")
def test_written_file_is_read_by_fabio(caplog):
    import fabio

    counts = np.array([[-1, -2, 0, 5], [2**31 - 1, -2**31, 70000, 1]], np.int32)
    with caplog.at_level(logging.INFO):
        write_cbf("a_1.cbf", counts, HEADER)
        image = fabio.open("a_1.cbf")
    assert caplog.messages == []
    assert image.data.dtype == np.int32
    assert image.data.tolist() == counts.tolist()
    assert image.header["_array_data.header_convention"] == "GENERIC_MINI"
    assert image.header["_array_data.header_contents"] == "\r\n".join(LINES)


@pytest.mark.requirement("AT-IO-007")
def test_bytes_that_dxtbx_requires(tmp_path):
    write_cbf("my image.cbf", np.ones((3, 2), np.int32).T, HEADER)
    data = (tmp_path / "my image.cbf").read_bytes()
    assert data.startswith(b"###CBF")
    assert b"\r\ndata_my_image\r\n_array_data.header_convention        GENERIC_MINI\r\n" in data
    assert b"\r\n;\r\n" + "\r\n".join(LINES).encode("ascii") + b"\r\n;\r\n" in data
    assert b'X-Binary-Element-Type: "signed 32-bit integer"\r\n' in data
    assert b"X-Binary-Size-Fastest-Dimension: 3\r\nX-Binary-Size-Second-Dimension: 2\r\n" in data
    assert b"\x0c\x1a\x04\xd5\x01\x00\x00\x00\x00\x00\r\n" in data


def test_header_comes_back_as_keys():
    header = dataclasses.replace(HEADER, sensor_thickness_m=0.00032)
    write_cbf("a.cbf", np.ones((1, 1), np.int32), header)
    read = read_cbf("a.cbf")[1]
    assert list(read)[:5] == ["_array_data.header_convention", "Detector", "timestamp", "Pixel_size", "Silicon"]
    assert read["_array_data.header_convention"] == "GENERIC_MINI"
    assert (read["Detector"], read["timestamp"]) == ("cubragg, simulated", "2024-01-02T03:04:05.678")
    assert (read["Tau"], read["N_excluded_pixels"], read["Threshold_setting"]) == ("0 s", "0", "6330 eV")
    assert (read["Silicon"], read["Beam_xy"]) == ("sensor, thickness 0.00032 m", "(12.5, 20.25) pixels")


@pytest.mark.parametrize("content", [by_hand(), by_hand(Content_MD5="")], ids=["digest", "no digest"])
def test_reads_a_file_that_fabio_did_not_write(tmp_path, content):
    (tmp_path / "a.cbf").write_bytes(content)
    counts, header = read_cbf("a.cbf")
    assert counts.dtype == np.int32
    assert counts.tolist() == COUNTS
    assert header == {"_array_data.header_convention": "SLS_1.0", "Detector": "made by hand",
                      "timestamp": "2020-Jan-02T03:04:05", "Tau": "1e-07 s"}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_round_trip(tmp_path, counts):
    write_cbf(tmp_path / "a.cbf", counts, HEADER)
    assert np.array_equal(read_cbf(tmp_path / "a.cbf")[0], counts)


def test_missing_file_passes_through():
    with pytest.raises(FileNotFoundError):
        read_cbf("none.cbf")


@pytest.mark.parametrize(("content", "says"), [
    (b"", ("a.cbf", "''", "###CBF")),
    (b"{\nHEADER_BYTES=512;\n", ("a.cbf", "'{\\nHEAD'", "###CBF")),
    (b"###CBF: VERSION 1.5\r\ndata_\r\n",
     ("a.cbf", "", "CBF", "binary section")),
    (by_hand()[:400],  # before the mark that starts the pixels: fabio would not return
     ("a.cbf", "", "CBF", "binary section")),
    (by_hand()[:-50], ("a.cbf", "4 bytes", "header", "16")),
    (by_hand().replace(PACKED, bytes(16)),
     ("a.cbf", "", "Content-MD5")),
    (by_hand(X_Binary_Element_Type='"unsigned 16-bit integer"'),
     ("a.cbf", "X-Binary-Element-Type=unsigned 16-bit integer", "signed 32-bit integer")),
    (by_hand(Content_Type="application/octet-stream;\r\n     conversions=\"x-CBF_PACKED\""),
     ("a.cbf", "conversions=x-CBF_PACKED", "x-CBF_BYTE_OFFSET")),
    (by_hand(Content_Type="application/octet-stream;"),
     ("a.cbf", "conversions=None", "x-CBF_BYTE_OFFSET")),
    (by_hand(X_Binary_Size_Second_Dimension="3"), ("a.cbf", "6 pixels", "header", "3 x 3")),
    (by_hand(b"", X_Binary_Size_Second_Dimension="0"), ("a.cbf", "X-Binary-Size-Second-Dimension 0", "pixels")),
])
def test_refuses(tmp_path, content, says):
    (tmp_path / "a.cbf").write_bytes(content)
    with refusal(FormatError, *says):
        read_cbf("a.cbf")


@pytest.mark.parametrize(("change", "says"), [
    ({"X_Binary_Size_Fastest_Dimension": "x"}, ("X-Binary-Size-Fastest-Dimension x", "pixels")),
    ({"X_Binary_Size": ""}, ("no size", "header")), ({"X_Binary_Size": "9" * 99}, ("9" * 99, "header")),
])
def test_refuses_sizes_that_are_no_numbers(tmp_path, change, says):
    (tmp_path / "a.cbf").write_bytes(by_hand(**change))
    with refusal(FormatError, "a.cbf", *says):
        read_cbf("a.cbf")


def test_plain_pixels_and_a_long_header(tmp_path):
    """x-CBF_NONE, and more header lines than the 8192 bytes in which fabio looks for the pixels."""
    plain = np.array(COUNTS, "<i4").tobytes()
    text = by_hand(plain, Content_Type='application/octet-stream;\r\n     conversions="x-CBF_NONE"')
    longer = text.replace(b"# Detector", b"# Comment " + b"x" * 20000 + b"\r\n# Detector", 1)
    for content in (text, longer):
        (tmp_path / "a.cbf").write_bytes(content)
        assert read_cbf("a.cbf")[0].tolist() == COUNTS


@pytest.mark.parametrize(("counts", "header", "says"), [
    (np.ones((2, 3), np.float32), HEADER,
     ("a.cbf", "float32", "(2, 3)", "int32")),
    (np.ones(3, np.int32), HEADER,
     ("a.cbf", "int32", "(3,)", "int32")),
    (np.ones((1, 1), np.int32), dataclasses.replace(HEADER, detector="a\nb"),
     ("a.cbf", "'# Detector: a\\nb'", "ASCII")),
    (np.ones((1, 1), np.int32), dataclasses.replace(HEADER, detector="Größe"),
     ("a.cbf", "'# Detector: Größe'", "ASCII")),
])
def test_refuses_to_write(tmp_path, counts, header, says):
    with refusal(FormatError, *says):
        write_cbf("a.cbf", counts, header)
    assert list(tmp_path.iterdir()) == []
