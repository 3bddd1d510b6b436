"""Scaled integer images of a float image, as nanoBragg makes them.

Images are [slow, fast]; outside the region of interest (fast_min, fast_max, slow_min,
slow_max, both ends included) they are 0. Source: nanoBragg.c, "output as ints" and "output as pgm".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cubragg.experiment.sampling import ROI

SATURATION = 65535.0
_AUTOSCALE_MAX = 55000.0
_GRAY_MAX = 255.0
_GRAY_PER_RMSD = 250.0 / 5.0
_BAND_ROWS = 16


def region_slices(roi: ROI) -> tuple[slice, slice]:
    """Index of the region in an image [slow, fast]."""
    return slice(roi[2], roi[3] + 1), slice(roi[0], roi[1] + 1)


def int_scale(photons: np.ndarray, scale: float | None, roi: ROI) -> float:
    """The scale of `int_image`: as given or, if ``None`` or <= 0, what makes the maximum 55000."""
    if scale is not None and scale > 0.0:
        return scale
    peak = float(photons[region_slices(roi)].max())
    return _AUTOSCALE_MAX / peak if peak > 0.0 else 1.0


def int_image(photons: np.ndarray, scale: float | None, adc: float, roi: ROI) -> tuple[np.ndarray, float]:
    """uint16 image and the scale used, that of `int_scale`.

    Values are ``photons * scale + adc`` clipped to 16 bits and rounded to nearest,
    the half added in double and rounded to single before the floor.
    """
    scale = int_scale(photons, scale, roi)
    counts = np.zeros(photons.shape, dtype=np.uint16)
    for band in region_bands(roi):
        values = _bounded(photons[band], scale, adc, SATURATION)
        values += 0.5
        # Of numbers >= 0 the cast is the floor.
        counts[band] = values.astype(np.float32).astype(np.uint16)
    return counts, scale


def pgm_image(photons: np.ndarray, scale: float | None, int_scale: float, rmsd: float, roi: ROI
               ) -> tuple[np.ndarray, float]:
    """uint8 image and the scale used; ``None`` or <= 0: five rmsd become 250, ``int_scale`` if rmsd is 0."""
    if scale is None or not scale > 0.0:
        scale = _GRAY_PER_RMSD / rmsd if rmsd > 0.0 else int_scale
    gray = np.zeros(photons.shape, dtype=np.uint8)
    for band in region_bands(roi):
        gray[band] = _bounded(photons[band], scale, 0.0, _GRAY_MAX).astype(np.uint8)
    return gray, scale


def region_bands(roi: ROI) -> Iterator[tuple[slice, slice]]:
    """Indices of rows of the region that stay in the processor's cache together, and need little memory."""
    rows, columns = region_slices(roi)
    for start in range(rows.start, rows.stop, _BAND_ROWS):
        yield slice(start, min(start + _BAND_ROWS, rows.stop)), columns


def _bounded(photons: np.ndarray, scale: float, offset: float, top: float) -> np.ndarray:
    """``photons * scale + offset`` in double, cut to 0 and ``top``, which NaN becomes too."""
    values = photons.astype(np.float64)
    with np.errstate(invalid="ignore"):
        values *= scale
        values += offset
    return np.fmax(np.fmin(values, top, out=values), 0.0, out=values)
