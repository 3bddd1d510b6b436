"""Reader and writer of nanoBragg's float images: single-precision numbers without a header."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cubragg.detect.stored_pixels import PixelType
from cubragg.errors import FormatError
from cubragg.io.files.arrays import checked_image
from cubragg.io.files.atomic import write_bytes
from cubragg.io.images.writer import OneImageWriter, What


def write_float(path: Path | str, photons: np.ndarray) -> None:
    """Write float32 [slow, fast] photons/pixel as little-endian floats, fast axis first.

    Raises
    ------
    FormatError
        If the array is not float32 [slow, fast].
    OSError
        If the file cannot be written.
    """
    write_bytes(path, checked_image(path, photons, np.float32, "a float image").astype("<f4", copy=False).data)


def read_float(path: Path | str, shape: tuple[int, int]) -> np.ndarray:
    """Return float32 [slow, fast] photons/pixel; ``shape`` (slow, fast) is not in the file.

    Raises
    ------
    FormatError
        If the size of the file does not match the shape.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    slow, fast = shape
    if len(data) != 4 * slow * fast:
        raise FormatError(f"{path}: got {len(data)} bytes; a float image of {fast} x {slow} pixels "
                          f"has {4 * slow * fast} bytes")
    return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)


class FloatWriter(OneImageWriter):
    """Writes expected photons as a float image."""

    title = "a float image"

    def pixel_type(self, what: What) -> PixelType:
        """Return float32; raise `FormatError` for counts."""
        if what == "counts":
            raise FormatError("got counts; a float image stores expected photons only (what='photons')")
        return PixelType("float32", np.inf, 0)

    def _write(self, path: Path | str, pixels: np.ndarray) -> None:
        write_float(path, pixels)
