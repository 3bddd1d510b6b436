"""Writer of NumPy files: pixels without a geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cubragg.detect.quantize import MAX_COUNT
from cubragg.detect.stored_pixels import PixelType
from cubragg.io.files.atomic import atomic_path
from cubragg.io.images.writer import OneImageWriter, What


class NpyWriter(OneImageWriter):
    """Writer of int32 counts (-1 where there is no pixel) or float32 expected photons (0 there)."""

    title = "an .npy file"

    def pixel_type(self, what: What) -> PixelType:
        """Return int32 for counts, float32 for expected photons."""
        return PixelType("int32", MAX_COUNT, -1) if what == "counts" else PixelType("float32", np.inf, 0)

    def _write(self, path: Path | str, pixels: np.ndarray) -> None:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, pixels)
