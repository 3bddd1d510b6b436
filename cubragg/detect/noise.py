"""Photon counting noise from NumPy's generator, or from the C program's.

Source of the C program's noise: poidev, gaussdev, gammln of nanoBragg.c (Numerical Recipes
2nd ed. sections 7.2, 7.3, 6.1); `specs/noise.md`. The C functions have float variables;
each rounding is repeated, because it can decide whether a draw is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cubragg.detect.quantize import region_bands, region_slices
from cubragg.experiment.sampling import ROI
from cubragg.nanobragg.random_stream import ReferenceStream

RNGS = ("numpy", "reference")
_GAUSSIAN_ABOVE = 1e6
_PRODUCT_BELOW = 12.0
_DRAWS_AHEAD = 4096
#: NumPy's Poisson counts are int64 and its means limited accordingly; every file format clips far below.
_LARGEST_POISSON_MEAN = 1e18


def noise_counts(photons: np.ndarray, roi: ROI, seed: int, rng: str = "numpy") -> np.ndarray:
    """Random photon counts float64 [slow, fast] for the expected photons of a float32 image; 0 outside the region.

    ``rng`` is ``numpy`` (PCG64, a Poisson distribution for all means) or ``reference`` (the C
    program's generator, with the same noise image for the same seed).
    """
    counts = np.zeros(photons.shape, dtype=np.float64)
    if rng == "reference":
        region = region_slices(roi)
        means = _finite(photons[region])
        drawn = np.fromiter(_reference_counts(means.ravel(), seed), dtype=np.float64, count=means.size)
        counts[region] = drawn.reshape(means.shape)
        return counts
    generator = np.random.default_rng(seed)
    for band in region_bands(roi):
        counts[band] = generator.poisson(np.minimum(_finite(photons[band]).astype(np.float64), _LARGEST_POISSON_MEAN))
    return counts


def _finite(means: np.ndarray) -> np.ndarray:
    return np.nan_to_num(means, nan=_LARGEST_POISSON_MEAN, posinf=_LARGEST_POISSON_MEAN)


def _single(x: float | np.floating) -> float:
    return float(np.float32(x))


def _uniforms(stream: ReferenceStream) -> Iterator[float]:
    while True:
        yield from stream.uniforms(_DRAWS_AHEAD)


def _log_gamma(x: float) -> float:
    """ln Gamma(x) with argument and result in single precision."""
    x = _single(x)
    shifted = x + 5.5
    shifted -= (x + 0.5) * math.log(shifted)
    series, y = 1.000000000190015, x
    for coefficient in (76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155,
                        0.1208650973866179e-2, -0.5395239384953e-5):
        y += 1.0
        series += coefficient / y
    return _single(-shifted + math.log(2.5066282746310005 * series / x))


class _Gaussian:
    """Gaussian deviates by the polar Box-Muller method; the first of each pair is returned by the next call."""

    def __init__(self, uniforms: Iterator[float]) -> None:
        self._uniforms = uniforms
        self._stored: float | None = None

    def draw(self) -> float:
        """The next deviate of mean 0 and variance 1."""
        if self._stored is not None:
            value, self._stored = self._stored, None
            return value
        while True:
            a = _single(2.0 * next(self._uniforms) - 1.0)
            b = _single(2.0 * next(self._uniforms) - 1.0)
            radius = float(np.float32(a) * np.float32(a) + np.float32(b) * np.float32(b))
            if 0.0 < radius < 1.0:
                break
        factor = np.float32(math.sqrt(-2.0 * math.log(radius) / radius))
        self._stored = float(np.float32(a) * factor)
        return float(np.float32(b) * factor)


def _reference_counts(means: np.ndarray, seed: int) -> Iterator[float]:
    """Counts of all pixels in scan order."""
    uniforms = _uniforms(ReferenceStream(seed))
    gaussian = _Gaussian(uniforms)
    for mean in means.astype(np.float64).tolist():
        if mean > _GAUSSIAN_ABOVE:
            yield _single(mean + math.sqrt(mean) * gaussian.draw())
        elif mean < _PRODUCT_BELOW:
            yield _by_product(mean, uniforms)
        else:
            yield _by_rejection(mean, uniforms)


def _by_product(mean: float, uniforms: Iterator[float]) -> float:
    """Poisson deviate: the number of uniform deviates with a product above exp(-mean)."""
    limit = _single(math.exp(-mean))
    product, draws = np.float32(1.0), -1.0
    while True:
        draws += 1.0
        product = product * np.float32(next(uniforms))
        if not product > limit:
            return draws


def _by_rejection(mean: float, uniforms: Iterator[float]) -> float:
    """Poisson deviate by rejection with a Lorentzian comparison function."""
    width, log_mean = _single(math.sqrt(2.0 * mean)), _single(math.log(mean))
    at_mean = _single(np.float32(mean) * np.float32(log_mean) - np.float32(_log_gamma(_single(mean + 1.0))))
    while True:
        while True:
            y = _single(math.tan(math.pi * next(uniforms)))
            count = float(np.float32(width) * np.float32(y) + np.float32(mean))
            if count >= 0.0:
                break
        count = float(math.floor(count))
        exponent = (np.float32(count) * np.float32(log_mean)
                    - np.float32(_log_gamma(_single(count + 1.0))) - np.float32(at_mean))
        accept = _single(0.9 * (1.0 + float(np.float32(y) * np.float32(y))) * math.exp(float(exponent)))
        if not next(uniforms) > accept:
            return count
