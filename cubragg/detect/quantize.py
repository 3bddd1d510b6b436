"""Scaled integer images of a float image, as nanoBragg makes them.

Images are [slow, fast]; outside the region of interest (fast_min, fast_max, slow_min,
slow_max, both ends included) they are 0. Source: nanoBragg.c, "output as ints" and "output as pgm".
"""

from __future__ import annotations

import numpy as np

from cubragg.experiment.sampling import ROI

SATURATION = 65535.0
_AUTOSCALE_MAX = 55000.0
_GRAY_MAX = 255.0
_GRAY_PER_RMSD = 250.0 / 5.0


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
    region = region_slices(roi)
    scale = int_scale(photons, scale, roi)
    with np.errstate(invalid="ignore"):
        values = photons[region].astype(np.float64) * scale + adc
    values = np.clip(np.nan_to_num(values, nan=SATURATION, posinf=SATURATION), 0.0, SATURATION)
    counts = np.zeros(photons.shape, dtype=np.uint16)
    counts[region] = np.floor((values + 0.5).astype(np.float32)).astype(np.uint16)
    return counts, scale


def pgm_image(photons: np.ndarray, scale: float | None, int_scale: float, rmsd: float, roi: ROI
               ) -> tuple[np.ndarray, float]:
    """uint8 image and the scale used; ``None`` or <= 0: five rmsd become 250, ``int_scale`` if rmsd is 0."""
    if scale is None or not scale > 0.0:
        scale = _GRAY_PER_RMSD / rmsd if rmsd > 0.0 else int_scale
    region = region_slices(roi)
    gray = np.zeros(photons.shape, dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        values = np.nan_to_num(photons[region].astype(np.float64) * scale, nan=_GRAY_MAX, posinf=_GRAY_MAX)
    gray[region] = np.clip(values, 0.0, _GRAY_MAX).astype(np.uint8)
    return gray, scale
