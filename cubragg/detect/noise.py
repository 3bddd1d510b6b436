"""Photon counting noise with counter-based random numbers, or with the C program's generator.

Source of the C program's noise: poidev, gaussdev, gammln of nanoBragg.c (Numerical Recipes
2nd ed. sections 7.2, 7.3, 6.1); `specs/noise.md`. The C functions have float variables;
each rounding is repeated, because it can decide whether a draw is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cubragg.detect.counting import CountingBackend, draw_counts
from cubragg.detect.poisson import LARGEST_MEAN
from cubragg.detect.quantize import MAX_COUNT, region_slices
from cubragg.experiment.sampling import ROI
from cubragg.nanobragg.random_stream import MAX_SEED, ReferenceStream

RNGS = ("philox", "reference")
_GAUSSIAN_ABOVE = 1e6
_PRODUCT_BELOW = 12.0
_DRAWS_AHEAD = 4096
#: With larger means counts may exceed 2^31 - 1, by 20 standard deviations.
_LARGEST_INT32_MEAN = MAX_COUNT - 1e6


def noise_counts(photons: np.ndarray, roi: ROI, seed: int, rng: str = "philox", *, shot: int = 0,
                 backend: CountingBackend = "auto", threads: int | None = None) -> np.ndarray:
    """Random photon counts [slow, fast] for the expected photons of an image; 0 outside the region.

    Parameters
    ----------
    photons
        Expected photons [slow, fast].
    seed, shot
        Seed, and number of the image in its series, from 0; ``reference`` has no shots, and adds them to the seed.
    rng
        ``philox`` (`draw_counts`: exact Poisson at all means) or ``reference`` (the C program's generator, with the
        same noise image for the same seed).
    backend, threads
        Backend of ``philox`` and its threads, as for `draw_counts`.

    Returns
    -------
    int32, or float64 where counts may exceed 2^31 - 1 and with ``reference``, whose brightest counts are not whole.
    """
    if rng == "reference":
        counts = np.zeros(photons.shape, dtype=np.float64)
        region = region_slices(roi)
        means = np.nan_to_num(photons[region], nan=LARGEST_MEAN, posinf=LARGEST_MEAN)
        drawn = np.fromiter(_reference_counts(means.ravel(), (seed + shot) % (MAX_SEED + 1)), dtype=np.float64,
                            count=means.size)
        counts[region] = drawn.reshape(means.shape)
        return counts
    small = photons.size == 0 or float(photons.max()) <= _LARGEST_INT32_MEAN
    drawn = draw_counts(photons, roi, seed=seed, shot=shot, dtype=np.int32 if small else np.float64, backend=backend,
                        threads=threads)
    return drawn if isinstance(drawn, np.ndarray) else drawn.get()


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
