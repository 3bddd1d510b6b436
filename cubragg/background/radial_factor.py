"""Extracts the structure factor of amorphous material from a measured image, by robust radial statistics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Pixels further from the median of their bin than this many standard deviations are left out, such as Bragg spots.
_OUTLIER_SIGMAS = 3.0
_ROUNDS = 10
_MAD_TO_SIGMA = 1.4826


class RadialFactor(NamedTuple):
    """Radial statistics, a row for each bin with enough pixels.

    Attributes
    ----------
    stol
        Mean sin(theta)/lambda [1/A].
    F, sigma_F
        Structure factor of a molecule [electrons], negative for a negative mean, and its standard error.
    counts
        Mean corrected counts of the bin [photons/pixel], without its outliers.
    pixels, left_out
        Pixels that are averaged, and outliers.
    """

    stol: np.ndarray
    F: np.ndarray
    sigma_F: np.ndarray
    counts: np.ndarray
    pixels: np.ndarray
    left_out: np.ndarray


def radial_factor(counts: np.ndarray, stol: np.ndarray, photons_per_F2: np.ndarray, valid: np.ndarray, *,
                  bins: int = 200, least_pixels: int = 100) -> RadialFactor:
    """Return the structure factor that explains an image as scattering of amorphous material.

    Parameters
    ----------
    counts
        Photons [slow, fast], without offset.
    stol
        sin(theta)/lambda of each pixel [1/A].
    photons_per_F2
        Expected photons in each pixel for F = 1.
    valid
        Pixels to use, bool [slow, fast].
    bins
        Number of equal steps of stol.
    least_pixels
        Bins with fewer pixels are left out.
    """
    use = valid & (photons_per_F2 > 0.0) & np.isfinite(counts)
    x, weight, y = stol[use], photons_per_F2[use], counts[use]
    edges = np.linspace(x.min(), x.max(), bins + 1) if len(x) else np.zeros(2)
    order = np.argsort(x, kind="stable")
    starts = np.searchsorted(x[order], edges[:-1])
    ends = np.append(starts[1:], len(order))
    rows = []
    for start, end in zip(starts, ends, strict=True):
        chosen = order[start:end]
        if len(chosen) < least_pixels:
            continue
        inside = _inliers(y[chosen] / weight[chosen])
        kept = chosen[inside]
        # The mean of photons over that of the factors weights pixels as counting statistics do.
        squared = y[kept].sum() / weight[kept].sum()
        error = np.sqrt(max(y[kept].sum(), 1.0)) / weight[kept].sum()
        factor = np.sign(squared) * np.sqrt(abs(squared))
        rows.append((x[kept].mean(), factor, error / (2.0 * max(abs(factor), np.sqrt(error))), y[kept].mean(),
                     len(kept), len(chosen) - len(kept)))
    table = np.array(rows).reshape(-1, 6).T
    return RadialFactor(*table[:4], *(column.astype(np.int64) for column in table[4:]))


def _inliers(values: np.ndarray) -> np.ndarray:
    """Return the values near the median, bool [n]; the standard deviation is computed of the values kept so far.

    The spread of counts near zero has a median deviation of 0: the standard deviation is never taken as less than that
    of the values between the quartiles and their mirror image.
    """
    inside = np.ones(len(values), dtype=bool)
    for _ in range(_ROUNDS):
        kept = values[inside]
        middle = np.median(kept)
        sigma = max(_MAD_TO_SIGMA * np.median(np.abs(kept - middle)), np.sqrt(np.mean((kept - kept.mean()) ** 2)) / 2.0)
        now = np.abs(values - middle) <= _OUTLIER_SIGMAS * sigma if sigma > 0.0 else inside
        if (now == inside).all():
            break
        inside = now
    return inside
