"""Which array a file format gets of an image: expected photons, counts, or photons on a scale of their own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.detect.quantize import quantize


class PixelType(NamedTuple):
    """How a format stores pixels.

    Attributes
    ----------
    name
        The type, as NumPy names it.
    highest
        The highest value.
    absent
        The value of pixels without a count.
    saturates
        Whether brighter pixels are stored as ``highest``, which readers take for overloaded; else they are an error.
    """

    name: str
    highest: float
    absent: float
    saturates: bool = False


def stored_pixels(values: np.ndarray, kind: PixelType, live: np.ndarray, *, scale: float = 1.0, offset: float = 0.0,
                  where: str = "counts") -> np.ndarray:
    """Pixels [slow, fast] as a file stores them: ``values * scale + offset``, of integer types the nearest integers.

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
        If a live pixel is negative, not a number or, unless the type saturates, above ``kind.highest``.
    """
    if np.dtype(kind.name).kind == "f":
        pixels = (np.asarray(values, dtype=np.float64) * scale + offset).astype(kind.name)
    else:
        pixels = quantize(np.where(live, values, 0.0), kind.name, scale=scale, offset=offset,
                          highest=kind.highest, clip=kind.saturates, where=where)
    pixels[~live] = np.array(kind.absent).astype(pixels.dtype)
    return pixels
