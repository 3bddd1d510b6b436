"""The point spread of noisify, whose photons have a reach of their own and come back where they leave.

A pixel of I photons is spread up to the radius r beyond which fewer than sqrt(I) / 10 of them are expected:

    gauss   r = 1 + ceil(w sqrt(-ln(L) / ln 16)),  outside exp(-ln 16 (r / w)^2)
    fiber   r = 1 + ceil(g / L),                   outside g / sqrt(g^2 + r^2)

with L = 1 / (10 sqrt(I)), the full width at half maximum w and the height g of `point_spread` in pixels; r is at most
the longer edge of the image. What is outside r is spread evenly over the image, also what would be beyond its edges;
what is inside r and beyond an edge is lost, but for the column right of the image, which gets into the first column of
the next row. Source: apply_psf of noisify.c.
"""

from __future__ import annotations

import math

import numpy as np

from cubragg.detect.point_spread import FIBER_SCALE, convolved, fiber_weights, gauss_weights

#: Photons that may be lost, in standard deviations of a pixel's photons.
_LOST = 0.1
#: Pixels with the same radius that are spread one by one: more are convolved.
_FEW = 200


def noisify_spread(image: np.ndarray, psf: str, fwhm_px: tuple[float, float]) -> np.ndarray:
    """Return an image [slow, fast], float64, after noisify's point spread.

    Parameters
    ----------
    image
        Drawn photons; pixels with none or fewer are left out.
    psf
        ``gauss`` or ``fiber``.
    fwhm_px
        Full width at half maximum (fast, slow) [pixel]; noisify takes pixels for square, by the first.
    """
    fwhm = fwhm_px[0]
    photons = np.maximum(np.asarray(image, dtype=np.float64), 0.0)
    slow, fast = photons.shape
    bright = np.flatnonzero(photons)
    radii = np.zeros(photons.size, dtype=np.int64)
    radii[bright] = np.minimum(_radii(photons.reshape(-1)[bright], psf, fwhm), max(slow, fast))
    # One more column, for what is right of the image.
    spread = np.zeros((slow, fast + 1))
    outside = 0.0
    for radius in np.unique(radii[bright]).tolist():
        chosen = np.flatnonzero(radii == radius)
        outside += float(photons.reshape(-1)[chosen].sum()) * _outside(radius, psf, fwhm)
        weights = _weights(radius, psf, fwhm)
        if len(chosen) > _FEW:
            part = np.zeros((slow, fast + 1))
            part[:, :fast] = np.where(radii.reshape(slow, fast) == radius, photons, 0.0)
            spread += convolved(part, weights)
            continue
        for place in chosen.tolist():
            _add(spread, weights, divmod(place, fast), float(photons.reshape(-1)[place]))
    spread[1:, 0] += spread[:-1, fast]
    return spread[:, :fast] + outside / photons.size


def _radii(photons: np.ndarray, psf: str, fwhm: float) -> np.ndarray:
    """Return the radius of each pixel [pixel]."""
    lost = _LOST / np.sqrt(photons)
    if psf == "gauss":
        reach = fwhm * np.sqrt(np.maximum(-np.log(lost), 0.0) / math.log(16.0))
    else:
        reach = FIBER_SCALE * fwhm / lost
    return 1 + np.ceil(reach).astype(np.int64)


def _outside(radius: int, psf: str, fwhm: float) -> float:
    """Return the fraction of photons outside a radius."""
    if psf == "gauss":
        return math.exp(-math.log(16.0) * (radius / fwhm) ** 2)
    height = FIBER_SCALE * fwhm
    return height / math.hypot(height, radius)


def _weights(radius: int, psf: str, fwhm: float) -> np.ndarray:
    """Return the weights [slow, fast] of the pixels within a radius."""
    if psf == "fiber":
        return fiber_weights((fwhm, fwhm), radius)
    row = gauss_weights(fwhm, radius)
    weights = np.outer(row, row)
    slow, fast = np.mgrid[-radius:radius + 1, -radius:radius + 1]
    weights[slow * slow + fast * fast > radius * radius] = 0.0
    return weights


def _add(image: np.ndarray, weights: np.ndarray, pixel: tuple[int, int], photons: float) -> None:
    """Add the photons of a pixel (slow, fast)."""
    (slow, fast), radius = pixel, len(weights) // 2
    top, left = max(slow - radius, 0), max(fast - radius, 0)
    target = image[top:slow + radius + 1, left:fast + radius + 1]
    rows, columns = top - slow + radius, left - fast + radius
    target += photons * weights[rows:rows + target.shape[0], columns:columns + target.shape[1]]
