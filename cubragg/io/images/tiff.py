"""TIFF images, for programs that know no other format: pixels without a geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cubragg.detect.counts import pixels_of
from cubragg.errors import FormatError
from cubragg.io.files.arrays import checked_image
from cubragg.io.files.atomic import atomic_path, require_size

#: Types of pixels: the highest count, and the value of pixels that are not there.
TYPES = {"int32": (2.0**31 - 1.0, -1.0), "uint16": (2.0**16 - 1.0, 0.0), "float32": (np.inf, -1.0)}
#: Offsets in a TIFF have 32 bits; the rest is for the tags.
_MAX_PIXEL_BYTES = 2**32 - 2**16


def tiff_pixels(values: np.ndarray, factor: float, live: np.ndarray, type_name: str, *, where: str = "counts"
                ) -> np.ndarray:
    """Pixels [slow, fast] of a type of `TYPES`, as `counts.pixels_of` makes them."""
    return pixels_of(values, factor, live, type_name, *TYPES[type_name], where=where)


def write_tiff(path: Path | str, image: np.ndarray) -> None:
    """Write int32, uint16 or float32 [slow, fast], uncompressed, with fabio; the first pixel is top left.

    Raises
    ------
    FormatError
        If the array is of another type, or too large.
    OSError
        If the file cannot be written.
    """
    from fabio.tifimage import TifImage

    dtype = image.dtype if image.dtype.name in TYPES else np.dtype(np.int32)
    image = checked_image(path, image, dtype, "a TIFF image")
    if image.nbytes > _MAX_PIXEL_BYTES:
        raise FormatError(f"{path}: got {image.nbytes} bytes of pixels; a TIFF image holds at most {_MAX_PIXEL_BYTES}")
    with atomic_path(path) as temporary:
        TifImage(data=image).write(temporary)
        require_size(temporary, image.nbytes)
