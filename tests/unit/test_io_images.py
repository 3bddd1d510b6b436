"""Images without a header worth the name: float, PGM, PNG."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as arrays

from cubragg.errors import FormatError
from cubragg.io.images.pgm import read_pgm, write_pgm
from cubragg.io.images.raw import read_float, write_float
from support.messages import refusal

# The 4 x 3 pixels of test_io_smv, as the C program writes them
C_FLOATS = (b"\r\xd4\xc8?\xa7\xd0\xe7?F\xfc\xf7?\\t\xf8?\x95_\xe4?\x8c\x87\x00@"
            b"\x0f\xd6\x07@(\x18\x08@,\x08\xeb?\x87f\x04@\x94\x06\x0c@\xdfJ\x0c@")
C_PHOTONS = [[1.56897, 1.811055, 1.937386, 1.94105], [1.784167, 2.008273, 2.122440, 2.126474],
             [1.836187, 2.068758, 2.187901, 2.192070]]
C_PGM = b"P5\n4 3\n# pixels scaled by 263.553\n255\n" + b"\xff" * 12


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    """Messages have short names there."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.requirement("AT-IO-005")
def test_float_image_of_the_c_program(tmp_path):
    (tmp_path / "c.bin").write_bytes(C_FLOATS)
    photons = read_float("c.bin", (3, 4))
    assert photons.dtype == np.float32
    assert photons == pytest.approx(np.array(C_PHOTONS), abs=1e-5)
    write_float("mine.bin", photons)
    assert (tmp_path / "mine.bin").read_bytes() == C_FLOATS


@pytest.mark.requirement("AT-IO-005")
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(photons=arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_float_round_trip_keeps_every_bit(tmp_path, photons):
    write_float(tmp_path / "a.bin", photons.T)
    assert read_float(tmp_path / "a.bin", photons.T.shape).tobytes() == photons.T.tobytes()


def test_float_image_of_another_size(tmp_path):
    (tmp_path / "a.bin").write_bytes(C_FLOATS)
    with refusal(FormatError, "a.bin", "48 bytes", "5 x 4 pixels", "80 bytes"):
        read_float("a.bin", (4, 5))
    with refusal(FormatError, "b.bin", "float64", "(2, 2)", "float32"):
        write_float("b.bin", np.ones((2, 2)))


@pytest.mark.requirement("AT-IO-002")
def test_pgm_of_the_c_program(tmp_path):
    (tmp_path / "c.pgm").write_bytes(C_PGM)
    pgm = read_pgm("c.pgm")
    assert (pgm.gray.tolist(), pgm.scale) == ([[255] * 4] * 3, 263.553)
    write_pgm("mine.pgm", np.full((3, 4), 255, np.uint8), 263.5528)
    assert (tmp_path / "mine.pgm").read_bytes() == C_PGM


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gray=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_pgm_round_trip_also_through_pillow(tmp_path, gray):
    from PIL import Image

    write_pgm(tmp_path / "a.pgm", gray, 1e-7)
    pgm = read_pgm(tmp_path / "a.pgm")
    assert np.array_equal(pgm.gray, gray)
    assert pgm.scale == 1e-7
    with Image.open(tmp_path / "a.pgm") as image:
        assert np.array_equal(np.asarray(image), gray)


@pytest.mark.parametrize("content", [b"P5 2 1 255 \x20\x0a", b"P5\n# a\n#b 7 7\n2\t1 # c\n 255\n\x20\x0a"])
def test_pgm_of_other_programs(tmp_path, content):
    (tmp_path / "a.pgm").write_bytes(content)
    pgm = read_pgm("a.pgm")
    assert (pgm.gray.tolist(), pgm.scale) == ([[32, 10]], None)


def test_pgm_scale_that_is_no_number(tmp_path):
    (tmp_path / "a.pgm").write_bytes(C_PGM.replace(b"263.553", b"a factor"))
    assert read_pgm("a.pgm").scale is None


@pytest.mark.parametrize(("content", "says"), [
    (b"", ("a.pgm", "''", "P5", "255")),
    (b"P2\n4 3\n255\n", ("a.pgm", "'P2\\n4 3\\n2'", "P5", "255")),
    (b"P5\n4 x\n255\n", ("a.pgm", "'P5\\n4 x\\n2'", "P5", "255")),
    (b"P5\n4 3\n65535\n" + bytes(24), ("a.pgm", "65535", "255")),
    (C_PGM[:-1], ("a.pgm", "11 pixels", "header", "4 x 3")),
    (b"P5\n0 3\n255\n", ("a.pgm", "0 pixels", "header", "0 x 3")),
])
def test_pgm_refuses(tmp_path, content, says):
    (tmp_path / "a.pgm").write_bytes(content)
    with refusal(FormatError, *says):
        read_pgm("a.pgm")


def test_pgm_refuses_to_write():
    with refusal(FormatError, "a.pgm", "uint16", "(2, 2)", "uint8"):
        write_pgm("a.pgm", np.ones((2, 2), np.uint16), 1.0)
