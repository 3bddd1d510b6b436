"""Scales, rounds and clips images to the integers of a file.

Arrays are [slow, fast]. A region of interest is (fast_min, fast_max, slow_min, slow_max), both ends included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from cubragg.errors import FormatError
from cubragg.experiment.sampling import ROI

if TYPE_CHECKING:
    import numpy.typing as npt

#: Largest count in formats with signed 32-bit integers.
MAX_COUNT = 2**31 - 1
#: Rows that are processed at once and fit into the CPU's cache.
_BAND_ROWS = 16

#: ``even``: to the nearest integer, halves to even; ``down``: to the next lower one; ``half_up_single``: to the nearest
#: as in the C program, adding 0.5 in double precision and rounding the sum to single precision before the floor.
Rounding = Literal["even", "down", "half_up_single"]


def quantize(values: np.ndarray, dtype: npt.DTypeLike, *, scale: float = 1.0, offset: float = 0.0,
             highest: float | None = None, rounding: Rounding = "even", clip: bool = False, roi: ROI | None = None,
             where: str = "counts") -> np.ndarray:
    """Integers [slow, fast] of ``values * scale + offset``, computed in double precision.

    Parameters
    ----------
    values
        Image [slow, fast] of any real type.
    dtype
        Integer type of the result.
    highest
        Largest integer; ``None``: that of ``dtype``. The smallest is 0.
    rounding
        Rule of rounding, see `Rounding`.
    clip
        Set numbers below 0 to 0, and those above ``highest`` and NaN to ``highest``; otherwise these are errors.
    roi
        Region of interest, outside of which pixels are 0; ``None``: the whole image.
    where
        Beginning of an error, such as the name of the file.

    Raises
    ------
    FormatError
        Without ``clip``, for a pixel that is NaN, negative or above ``highest``; gives the first in scan order.
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
    # Comparisons with NaN are false.
    wrong = ~((values >= 0.0) & (rounded <= top))
    if wrong.any():
        slow, fast = np.unravel_index(wrong.argmax(), wrong.shape)
        raise FormatError(f"{where}: got {values[slow, fast]:.10g} at pixel {first[1] + fast} fast, {first[0] + slow} "
                          f"slow; counts are 0 to {top:.0f}")


def region_slices(roi: ROI) -> tuple[slice, slice]:
    """Slices (slow, fast) of the region in an image."""
    return slice(roi[2], roi[3] + 1), slice(roi[0], roi[1] + 1)


def region_bands(roi: ROI) -> Iterator[tuple[slice, slice]]:
    """Slices (slow, fast) of row bands of the region, which fit into the CPU's cache and need little memory."""
    rows, columns = region_slices(roi)
    for start in range(rows.start, rows.stop, _BAND_ROWS):
        yield slice(start, min(start + _BAND_ROWS, rows.stop)), columns
