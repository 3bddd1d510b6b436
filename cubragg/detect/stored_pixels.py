"""Converts images to the pixel types of file formats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.detect.quantize import quantize


class PixelType(NamedTuple):
    """The pixel type of a file format.

    Attributes
    ----------
    name
        NumPy's name of the type.
    highest
        Largest value of a pixel.
    absent
        Value of pixels without a count.
    saturates
        Whether brighter pixels are stored as ``highest``, meaning overloaded; otherwise they are an error.
    """

    name: str
    highest: float
    absent: float
    saturates: bool = False


def _whole(values: np.ndarray, kind: PixelType, live: np.ndarray) -> np.ndarray | None:
    """Pixels of integers that the type holds; ``None`` for other values."""
    if values.dtype.kind not in "iu" or values.size == 0 or int(values.min()) < 0:
        return None
    brightest = int(values.max())
    if brightest > kind.highest and not kind.saturates:
        return None
    pixels = values.astype(kind.name) if brightest <= kind.highest else np.minimum(values, int(kind.highest)).astype(
        kind.name)
    np.copyto(pixels, np.array(kind.absent).astype(pixels.dtype), where=~live)
    return pixels


def stored_pixels(values: np.ndarray, kind: PixelType, live: np.ndarray, *, scale: float = 1.0, offset: float = 0.0,
                  where: str = "counts") -> np.ndarray:
    """Pixels [slow, fast] for a file: ``values * scale + offset``, rounded to the nearest integer for integer types.

    Parameters
    ----------
    values
        Expected photons or counts [slow, fast].
    kind
        Pixel type of the format.
    live
        bool [slow, fast]; pixels that are False get ``kind.absent``.
    where
        Beginning of an error, such as the name of the file.

    Raises
    ------
    FormatError
        If a live pixel is negative, not a number or, unless the type saturates, above ``kind.highest``.
    """
    if np.dtype(kind.name).kind == "f":
        pixels = (np.asarray(values, dtype=np.float64) * scale + offset).astype(kind.name)
    else:
        whole = _whole(values, kind, live) if scale == 1.0 and offset == 0.0 else None
        if whole is not None:
            return whole
        pixels = quantize(np.where(live, values, 0.0), kind.name, scale=scale, offset=offset,
                          highest=kind.highest, clip=kind.saturates, where=where)
    pixels[~live] = np.array(kind.absent).astype(pixels.dtype)
    return pixels
