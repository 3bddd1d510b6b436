"""Which array a file format gets of an image: expected photons, counts, or photons on a scale of their own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.detect.quantize import quantize


class PixelType(NamedTuple):
    """How a format stores pixels: the type's name, the highest count, and the value of pixels without a count."""

    name: str
    highest: float
    absent: float


def stored_pixels(values: np.ndarray, kind: PixelType, live: np.ndarray, *, scale: float = 1.0, where: str = "counts"
                  ) -> np.ndarray:
    """Pixels [slow, fast] as a file stores them: ``values * scale``, floats as they are, else the nearest integers.

    Parameters
    ----------
    values
        Expected photons or counts [slow, fast].
    kind
        The format's type of pixels.
    live
        bool [slow, fast]; where False the pixel becomes ``kind.absent``.
    where
        What an error starts with, such as the file's name.

    Raises
    ------
    FormatError
        If a live pixel is negative, not a number or above ``kind.highest``: nothing is cut.
    """
    if np.dtype(kind.name).kind == "f":
        pixels = (np.asarray(values, dtype=np.float64) * scale).astype(kind.name)
    else:
        pixels = quantize(np.where(live, values, 0.0), kind.name, scale=scale, highest=kind.highest, where=where)
    pixels[~live] = np.array(kind.absent).astype(pixels.dtype)
    return pixels
