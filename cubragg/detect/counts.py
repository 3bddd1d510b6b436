"""Photons as the whole numbers that image formats hold: nothing is clipped or cut silently."""

from __future__ import annotations

import numpy as np

from cubragg.errors import FormatError

#: The highest that formats of signed 32-bit integers hold.
MAX_COUNT = 2**31 - 1
#: Rows that stay in the processor's cache together.
_BAND_ROWS = 16


def counts_from_photons(photons: np.ndarray, scale: float, offset: float = 0.0, *, count_cutoff: int = MAX_COUNT,
                        where: str = "counts") -> np.ndarray:
    """int32 [slow, fast] counts: ``photons * scale + offset`` to the nearest whole number, halves to even.

    Raises
    ------
    FormatError
        If a pixel is negative, not finite or above ``count_cutoff``: nothing is clipped. It names the
        first such pixel in scan order, and starts with ``where``.
    """
    photons = np.asarray(photons)
    counts = np.empty(photons.shape, dtype=np.int32)
    most = min(count_cutoff, MAX_COUNT)
    for start in range(0, len(photons), _BAND_ROWS):
        values = photons[start:start + _BAND_ROWS].astype(np.float64)
        values *= scale
        values += offset
        rounded = np.rint(values)
        # NaN fails every comparison.
        wrong = ~((values >= 0.0) & (rounded <= most))
        if wrong.any():
            slow, fast = np.unravel_index(wrong.argmax(), wrong.shape)
            raise FormatError(f"{where}: got {values[slow, fast]:.10g} at pixel {fast} fast, {start + slow} slow; "
                              f"counts are 0 to {most}")
        counts[start:start + _BAND_ROWS] = rounded
    return counts


def pixels_of(values: np.ndarray, factor: float, live: np.ndarray, type_name: str, highest: float, absent: float, *,
              where: str = "counts") -> np.ndarray:
    """Pixels [slow, fast] of a type: ``values * factor``, whole numbers by `counts_from_photons`.

    Pixels that are not ``live`` become ``absent``; floats (``float32``) are taken as they are.
    """
    if type_name == "float32":
        pixels = (np.asarray(values, dtype=np.float64) * factor).astype(np.float32)
    else:
        counts = counts_from_photons(np.where(live, values, 0.0), factor, count_cutoff=int(highest), where=where)
        pixels = counts.astype(type_name)
    pixels[~live] = np.array(absent).astype(pixels.dtype)
    return pixels
