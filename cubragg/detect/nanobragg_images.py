"""Converts a float image to the integer images that nanoBragg writes.

Images are [slow, fast]; outside the region of interest they are 0. Source: nanoBragg.c, "output as ints",
"output as pgm" and "simulate Poisson noise".
"""

from __future__ import annotations

import numpy as np

from cubragg.detect.quantize import quantize, region_slices
from cubragg.experiment.sampling import ROI

_SATURATION = 65535.0
_AUTOSCALE_MAX = 55000.0
_GRAY_PER_RMSD = 250.0 / 5.0


def int_scale(photons: np.ndarray, scale: float | None, roi: ROI) -> float:
    """The scale of `int_image`: ``scale``, or if that is ``None`` or <= 0 the one that makes the maximum 55000."""
    if scale is not None and scale > 0.0:
        return scale
    peak = float(photons[region_slices(roi)].max())
    return _AUTOSCALE_MAX / peak if peak > 0.0 else 1.0


def int_image(photons: np.ndarray, scale: float | None, adc: float, roi: ROI) -> tuple[np.ndarray, float]:
    """The uint16 image ``photons * scale + adc``, clipped to 16 bits, and the scale used (`int_scale`)."""
    scale = int_scale(photons, scale, roi)
    return quantize(photons, np.uint16, scale=scale, offset=adc, rounding="half_up_single", clip=True, roi=roi), scale


def pgm_image(photons: np.ndarray, scale: float | None, int_scale: float, rmsd: float, roi: ROI
              ) -> tuple[np.ndarray, float]:
    """The uint8 image and the scale used.

    For a ``scale`` of ``None`` or <= 0, five rmsd become 250; if rmsd is 0, the scale is ``int_scale``.
    """
    if scale is None or not scale > 0.0:
        scale = _GRAY_PER_RMSD / rmsd if rmsd > 0.0 else int_scale
    return quantize(photons, np.uint8, scale=scale, rounding="down", clip=True, roi=roi), scale


def noise_image(counts: np.ndarray, adc: float, roi: ROI) -> tuple[np.ndarray, float, int]:
    """The uint16 image of counts plus ``adc``, the sum of the counts, and the number of pixels clipped to 65535."""
    inside = counts[region_slices(roi)]
    image = quantize(counts, np.uint16, offset=adc, rounding="down", clip=True, roi=roi)
    return image, float(inside.sum()), int(np.count_nonzero(inside + adc > _SATURATION))
