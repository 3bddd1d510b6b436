"""Images of every format that can be compared."""

from __future__ import annotations

import gzip
from datetime import datetime

import numpy as np
import pytest
from fabio.edfimage import EdfImage

from cubragg.errors import FormatError
from cubragg.io.images.cbf import MiniCbfHeader, write_cbf
from cubragg.io.images.raw import write_float
from cubragg.io.images.read_image import read_image
from cubragg.io.images.smv import write_smv
from support.messages import refusal

PIXELS = np.arange(12).reshape(3, 4)


def test_float_image(tmp_path):
    write_float(tmp_path / "a.bin", PIXELS.astype(np.float32))
    image = read_image(tmp_path / "a.bin", (3, 4))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert (image.pixels.dtype, image.mask, image.form) == (np.float64, None, "float image")
    write_float(tmp_path / "b.bin", PIXELS[:, :3].astype(np.float32))
    np.testing.assert_array_equal(read_image(tmp_path / "b.bin").pixels, PIXELS[:, :3])


def test_smv(tmp_path):
    write_smv(tmp_path / "a.img", PIXELS.astype(np.uint16), {})
    assert read_image(tmp_path / "a.img").form == "SMV"
    np.testing.assert_array_equal(read_image(tmp_path / "a.img").pixels, PIXELS)


def test_cbf_marks_its_masked_pixels(tmp_path):
    counts = PIXELS.astype(np.int32)
    counts[1, 2] = -1
    header = MiniCbfHeader(datetime(2026, 1, 2), 1e-4, 0.1, 1.0, 2.0, 3.0, 1.0, 1.0, 0.0, 0.0, 6000.0)
    write_cbf(tmp_path / "a.cbf", counts, header)
    image = read_image(tmp_path / "a.cbf")
    assert image.form == "CBF"
    assert np.argwhere(~image.mask).tolist() == [[1, 2]]


def test_what_fabio_knows(tmp_path):
    EdfImage(data=PIXELS.astype(np.float32)).write(str(tmp_path / "a.edf"))
    image = read_image(tmp_path / "a.edf")
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.form == "EDF"


@pytest.mark.parametrize(("name", "content", "says"), [
    ("a.bin", b"123" * 7, ("21 bytes", "square", "shape")),
    ("a.bin", b"", ("0 bytes", "square", "shape")),
    ("a.img", b"{\nHEADER_BYTES=512;\n}\n", ("22 bytes", "header", "512")),
    ("a.cbf", b"###CBF: nothing", ("", "CBF", "binary section")),
    ("a.xyz", b"no image" * 99, ("", "fabio", "SMV", "CBF", "NXmx")),
])
def test_files_that_are_no_image(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with refusal(FormatError, str(path), *says):
        read_image(path)


def test_a_shape_that_does_not_fit(tmp_path):
    write_float(tmp_path / "a.bin", PIXELS.astype(np.float32))
    with refusal(FormatError, str(tmp_path / "a.bin"), "48 bytes", "5 x 3 pixels", "60 bytes"):
        read_image(tmp_path / "a.bin", (3, 5))


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "nothing.bin")



@pytest.mark.requirement("AT-PIC-008")
@pytest.mark.parametrize("virtual", [True, False])
def test_images_of_files_that_are_not_there(tmp_path, virtual):
    """HDF5 shows them as zeros, or as none."""
    import h5py

    with h5py.File(tmp_path / "a_master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("a_data_000001.h5", "/entry/data/data")
        if virtual:
            layout = h5py.VirtualLayout((2, 3, 4), dtype="u2")
            layout[:] = h5py.VirtualSource(".", "/entry/data/data_000001", (2, 3, 4))
            file["entry/data"].create_virtual_dataset("data", layout)
    with refusal(FormatError, str(tmp_path / "a_master.h5"), "", "a_data_000001.h5"):
        read_image(tmp_path / "a_master.h5")
    with h5py.File(tmp_path / "a_data_000001.h5", "w") as file:
        file["entry/data/data"] = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    if virtual:
        np.testing.assert_array_equal(read_image(tmp_path / "a_master.h5", number=2).pixels, PIXELS + 12)


@pytest.mark.requirement("AT-FROM-064")
def test_packed_images_are_read_like_plain_ones(tmp_path):
    write_smv(tmp_path / "a.img", PIXELS.astype(np.uint16), {})
    (tmp_path / "a.img.gz").write_bytes(gzip.compress((tmp_path / "a.img").read_bytes()))
    assert read_image(tmp_path / "a.img.gz").form == "SMV"
    np.testing.assert_array_equal(read_image(tmp_path / "a.img.gz").pixels, PIXELS)
