"""Numbers as the integers of a file: one way to scale, round and bound them.

Arrays are [slow, fast]. A region of interest is (fast_min, fast_max, slow_min, slow_max), both ends included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from cubragg.errors import FormatError
from cubragg.experiment.sampling import ROI

#: The highest count of formats with signed 32-bit integers.
MAX_COUNT = 2**31 - 1
#: Rows that fit the processor's cache together.
_BAND_ROWS = 16

#: ``even``: to the nearest, halves to even; ``down``: to the next lower; ``half_up_single``: to the nearest, as the
#: C program does it, adding 0.5 in double precision and rounding the sum to single before the floor.
Rounding = Literal["even", "down", "half_up_single"]


def quantize(values: np.ndarray, dtype: npt.DTypeLike, *, scale: float = 1.0, offset: float = 0.0,
             highest: float | None = None, rounding: Rounding = "even", clip: bool = False, roi: ROI | None = None,
             where: str = "counts") -> np.ndarray:
    """Integers [slow, fast] of ``values * scale + offset``, computed in double precision.

    Parameters
    ----------
    values
        Any real type [slow, fast].
    dtype
        Integer type of the result.
    highest
        Largest integer; ``None``: that of ``dtype``. The smallest is 0.
    rounding
        See `Rounding`.
    clip
        Cut numbers below 0 and above ``highest``, where NaN goes too; else they are an error.
    roi
        Pixels outside are 0; ``None``: all are quantized.
    where
        What an error starts with.

    Raises
    ------
    FormatError
        Without ``clip``, naming the first pixel in scan order that is NaN, negative or above ``highest``.
    """
    counts = np.zeros(values.shape, dtype=dtype)
    top = float(np.iinfo(counts.dtype).max if highest is None else highest)
    for rows, columns in region_bands((0, values.shape[1] - 1, 0, values.shape[0] - 1) if roi is None else roi):
        band = values[rows, columns].astype(np.float64)
        with np.errstate(invalid="ignore"):
            band *= scale
            band += offset
        if clip:
            band = np.fmax(np.fmin(band, top, out=band), 0.0, out=band)
        rounded = _rounded(band, rounding)
        if not clip:
            _check_bounds(band, rounded, top, (rows.start, columns.start), where)
        counts[rows, columns] = rounded
    return counts


def _rounded(values: np.ndarray, rounding: Rounding) -> np.ndarray:
    if rounding == "even":
        return np.rint(values)
    if rounding == "half_up_single":
        values = (values + 0.5).astype(np.float32)
    return np.floor(values)


def _check_bounds(values: np.ndarray, rounded: np.ndarray, top: float, first: tuple[int, int], where: str) -> None:
    # NaN fails every comparison.
    wrong = ~((values >= 0.0) & (rounded <= top))
    if wrong.any():
        slow, fast = np.unravel_index(wrong.argmax(), wrong.shape)
        raise FormatError(f"{where}: got {values[slow, fast]:.10g} at pixel {first[1] + fast} fast, {first[0] + slow} "
                          f"slow; counts are 0 to {top:.0f}")


def region_slices(roi: ROI) -> tuple[slice, slice]:
    """Index of the region in an image [slow, fast]."""
    return slice(roi[2], roi[3] + 1), slice(roi[0], roi[1] + 1)


def region_bands(roi: ROI) -> Iterator[tuple[slice, slice]]:
    """Indices of the region's rows, a few at a time: they stay in the processor's cache and need little memory."""
    rows, columns = region_slices(roi)
    for start in range(rows.start, rows.stop, _BAND_ROWS):
        yield slice(start, min(start + _BAND_ROWS, rows.stop)), columns
