"""Reads two image files for a comparison, and resamples them to one shape if requested."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.compare.comparison import Side
from cubragg.compare.metrics import resampled
from cubragg.errors import FormatError
from cubragg.io.images.read_image import ReadImage, read_image


class Pair(NamedTuple):
    """Two images read from files.

    Attributes
    ----------
    a, b
        The images.
    mask
        bool [slow, fast], True where both images are valid; ``None``: everywhere.
    notes
        Warnings that are shown in the report.
    """

    a: Side
    b: Side
    mask: np.ndarray | None
    notes: tuple[str, ...]


def read_pair(first: Path | str, second: Path | str, *, shape: tuple[int, int] | None = None,
              resample: bool = False) -> Pair:
    """Read two images.

    Parameters
    ----------
    first, second
        Paths of the images; the second is the reference.
    shape
        (slow, fast) of float images, whose files do not contain it; ``None``: square.
    resample
        Resample the second image to the pixels of the first by overlapping areas, which keeps its sum.

    Raises
    ------
    FormatError
        If a file cannot be read.
    """
    a, b = _read(first, shape), _read(second, shape)
    notes = []
    pixels, mask_b = b.pixels, b.mask
    if resample and a.pixels.shape != pixels.shape:
        notes.append(f"B is resampled from {pixels.shape[1]} x {pixels.shape[0]} to {a.pixels.shape[1]} x "
                     f"{a.pixels.shape[0]} pixels; its sum is unchanged")
        if mask_b is not None:
            # A new pixel that overlaps with any masked pixel is left out.
            pixels = np.where(mask_b, pixels, 0.0)
            mask_b = resampled((~mask_b).astype(np.float64), a.pixels.shape) == 0.0
        pixels = resampled(pixels, a.pixels.shape)
    masks = [mask for mask in (a.mask, mask_b) if mask is not None and mask.shape == a.pixels.shape]
    mask = np.logical_and.reduce(masks) if masks else None
    if mask is not None and not mask.all():
        notes.append(f"{int((~mask).sum())} pixels are masked and left out")
    return Pair(Side(str(first), a.pixels, a.form), Side(str(second), pixels, b.form), mask, tuple(notes))


def _read(path: Path | str, shape: tuple[int, int] | None) -> ReadImage:
    try:
        return read_image(path, shape)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from None
