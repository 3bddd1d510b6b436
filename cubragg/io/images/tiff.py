"""Writer of TIFF images, pixels without a geometry, for programs that read no other format; a check of files."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np

from cubragg.detect.stored_pixels import PixelType
from cubragg.errors import FormatError
from cubragg.io.files.arrays import checked_image
from cubragg.io.files.atomic import atomic_path, require_size
from cubragg.io.files.compression import is_packed, unpacked
from cubragg.io.files.timestamp import timestamp
from cubragg.io.images.scene import Scene
from cubragg.io.images.writer import OneImageWriter, What

#: Types of pixels by name.
TYPES = {kind.name: kind for kind in (
    PixelType("int32", 2**31 - 1, -1), PixelType("uint16", 2**16 - 1, 0), PixelType("float32", np.inf, -1))}
#: Offsets in a TIFF file have 32 bits; 64 KiB are reserved for the tags.
_MAX_PIXEL_BYTES = 2**32 - 2**16


def write_tiff(path: Path | str, image: np.ndarray) -> None:
    """Write int32, uint16 or float32 [slow, fast], uncompressed, with fabio; the first pixel is top left.

    Raises
    ------
    FormatError
        If the array has another type, or is too large.
    OSError
        If the file cannot be written.
    """
    from fabio.TiffIO import TiffIO

    dtype = image.dtype if image.dtype.name in TYPES else np.dtype(np.int32)
    image = checked_image(path, image, dtype, "a TIFF image")
    if image.nbytes > _MAX_PIXEL_BYTES:
        raise FormatError(f"{path}: got {image.nbytes} bytes of pixels; a TIFF image has at most {_MAX_PIXEL_BYTES}")
    with atomic_path(path) as temporary:
        with TiffIO(temporary, mode="w") as file:
            file.writeImage(image, info={}, software="cubragg", date=f"{timestamp():%Y:%m:%d %H:%M:%S}")
        require_size(temporary, image.nbytes)


class TiffWriter(OneImageWriter):
    """Writer of counts as int32, expected photons as float32, or both as a given type of pixels."""

    title = "a TIFF image"

    def __init__(self, scene: Scene, type_name: str | None = None) -> None:
        super().__init__(scene)
        self._type = type_name

    def pixel_type(self, what: What) -> PixelType:
        """Return one of `TYPES`."""
        return TYPES[self._type or ("int32" if what == "counts" else "float32")]

    def _write(self, path: Path | str, pixels: np.ndarray) -> None:
        write_tiff(path, pixels)


def check_directories(path: Path | str) -> None:
    """Refuse a TIFF file whose chain of directories is a circle, which fabio follows without end.

    Raises
    ------
    FormatError
        If it is one; other files are left to their reader.
    OSError
        If it cannot be read.
    """
    with io.BytesIO(unpacked(path)) if is_packed(path) else open(path, "rb") as file:
        start = file.read(4)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(start, "")
        seen: set[int] = set()
        while order and len(word := file.read(4)) == 4 and (offset := struct.unpack(f"{order}I", word)[0]):
            if offset in seen:
                raise FormatError(f"{path}: got TIFF directories that form a circle; a chain with an end is accepted")
            seen.add(offset)
            file.seek(offset)
            count = file.read(2)
            if len(count) < 2:
                return
            file.seek(12 * struct.unpack(f"{order}H", count)[0], io.SEEK_CUR)
