"""Poisson deviates in NumPy, with the bits of the kernels' (`kernels/poisson.cuh`, which describes the algorithms).

Every operation is one that IEEE 754 rounds correctly, in the order of the kernels; logarithm and exponential function
are the project's own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.philox import Effect, random_blocks, random_words, uniform_of

#: Means below it are drawn by inversion, others by rejection.
SEARCH_BELOW = 24.0
#: Means above it, and NaN, are drawn as it.
LARGEST_MEAN = 1e18
_LN_2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
_LEAST_DEVIATE = 2.0**-46
_STIRLING = np.array([0.0, 0.08106146679532726, 0.0413406959554093, 0.02767792568499834, 0.020790672103765093,
                      0.016644691189821193, 0.013876128823070748, 0.01189670994589177])


class RandomStream(NamedTuple):
    """What all random numbers of an effect in an image have in common; see `cubragg.philox`."""

    seed: int
    shot: int = 0
    effect: Effect = Effect.PHOTONS


def poisson_counts(means: np.ndarray, index: np.ndarray, stream: RandomStream) -> np.ndarray:
    """Poisson deviates float64 [n], whole numbers, of the pixels with an index.

    Parameters
    ----------
    means
        Expected counts [n]; negative ones count as 0, those above 1e18 and NaN as 1e18.
    index
        Indices of the pixels [n]; see `cubragg.philox`.
    """
    means = usable_means(means)
    counts = np.zeros(len(means))
    words = random_words(*stream, index, 0)
    low = np.flatnonzero((means > 0.0) & (means < SEARCH_BELOW))
    counts[low] = _search(means[low], index[low], words[low], stream)
    high = np.flatnonzero(means >= SEARCH_BELOW)
    counts[high] = _reject(means[high], index[high], stream)
    return counts


def usable_means(means: np.ndarray) -> np.ndarray:
    """The means that are used, float64."""
    with np.errstate(invalid="ignore"):
        means = means.astype(np.float64)
        return np.where(means <= LARGEST_MEAN, np.where(means > 0.0, means, 0.0), LARGEST_MEAN)


# Inversion


def tails(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exp(-mean) and 1 - exp(-mean)."""
    n = np.rint(mean * -1.4426950408889634)
    r = (-mean - n * _LN_2[0]) - n * _LN_2[1]
    e = _polynomial(r, 1 / 6227020800, 1 / 479001600, 1 / 39916800, 1 / 3628800, 1 / 362880, 1 / 40320, 1 / 5040,
                    1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5)
    power = np.ldexp(1.0, n.astype(np.int32))
    scaled = power * ((r * r) * e + r)
    return power + scaled, (1.0 - power) - scaled


def _search(mean: np.ndarray, index: np.ndarray, words: np.ndarray, stream: RandomStream) -> np.ndarray:
    v = words * 2.0**-32
    counts, nearest = _number_above(mean, v)
    unsure = np.flatnonzero(~(v + 2.0**-32 < nearest))
    if unsure.size:
        v = uniform_of(words[unsure], random_words(*stream, index[unsure], 1))
        counts[unsure] = _number_above(mean[unsure], v)[0]
    return counts


def _number_above(mean: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of k with a probability of counts above k that exceeds ``v``, and the smallest of these probabilities.

    The latter is 1 where the number is 0.
    """
    term, above = tails(mean)
    least = above * _LEAST_DEVIATE
    v = np.where(v < least, least, v)
    counts, nearest = np.zeros(len(mean)), np.ones(len(mean))
    pixels, k = np.arange(len(mean)), 0
    while pixels.size:
        below = v < above
        mean, v, term, above, pixels = (values[below] for values in (mean, v, term, above, pixels))
        k += 1
        nearest[pixels] = above
        counts[pixels] = k
        term = term * (mean * (1.0 / k))
        above = above - term
    return counts, nearest


# Rejection


def _reject(mean: np.ndarray, index: np.ndarray, stream: RandomStream) -> np.ndarray:
    counts = np.zeros(len(mean))
    pixels, attempt = np.arange(len(mean)), 0
    while pixels.size:
        proposed, accepted = _attempt(mean[pixels], random_blocks(*stream, index[pixels], attempt))
        counts[pixels] = proposed
        pixels = pixels[~accepted]
        attempt += 1
    return counts


def _attempt(mean: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Proposed counts, and whether they are accepted."""
    a, b = _comparison(mean)
    edge, v = 0.5 * _deviate(words[0], words[1]), _deviate(words[2], words[3])
    distance = 0.5 - edge
    u = np.where(words[0] & np.uint32(1), -distance, distance)
    whole = np.floor(mean)
    count = whole + np.floor((2.0 * a / edge + b) * u + ((mean - whole) + 0.43))
    accepted = (edge >= 0.07) & (v <= _squeeze(b))
    unsure = np.flatnonzero(~accepted & ~((count < 0.0) | ((edge < 0.013) & (v > edge))))
    accepted[unsure] = _accepts(mean[unsure], count[unsure], edge[unsure], v[unsure])
    return count, accepted


def _comparison(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    b = 0.931 + 2.53 * np.sqrt(mean)
    return -0.059 + 0.02483 * b, b


def _squeeze(b: np.ndarray) -> np.ndarray:
    """Second deviates up to which a proposal is accepted, unless the first one is near its ends."""
    return 0.98 * (0.9277 - 3.6224 / (b - 2.0))


def _envelope(b: np.ndarray) -> np.ndarray:
    """Integral of the comparison function."""
    return 1.01 * (1.1239 + 1.1328 / (b - 3.4))


def _deviate(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    one = np.uint32(1)
    return ((high >> one) + ((low >> one) + 0.5) * 2.0**-31) * 2.0**-31


def _accepts(mean: np.ndarray, count: np.ndarray, edge: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, b = _comparison(mean)
    ratio = v * _envelope(b) / (a / (edge * edge) + b)
    weight = np.where(count > 0.0, 6.283185307179586 * count, 1.0)
    return 0.5 * logarithm(ratio * ratio * weight) <= -deviance(count, mean) - stirling(count)


def logarithm(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of positive normal numbers."""
    fraction, exponent = np.frexp(x)
    high = 2.0 * fraction > 1.4142135623730951
    m, n = np.where(high, fraction, 2.0 * fraction), np.where(high, exponent, exponent - 1).astype(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    t = _polynomial(z, 1 / 23, 1 / 21, 1 / 19, 1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3)
    return n * _LN_2[0] + (2.0 * s + (n * _LN_2[1] + 2.0 * (s * z * t)))


def stirling(k: np.ndarray) -> np.ndarray:
    """ln k! - (k ln k - k + ln(2 pi k) / 2) of whole numbers; 0 for 0."""
    small = k < 8.0
    r = 1.0 / np.where(small, 8.0, k)
    s = _polynomial(r * r, -3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12) * r
    return np.where(small, _STIRLING[np.where(small, k, 0.0).astype(np.intp)], s)


def deviance(k: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """k ln(k / mean) - (k - mean)."""
    difference = k - mean
    v = difference / (k + mean)
    z = v * v
    t = _polynomial(z, 1 / 19, 1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3)
    series = difference * v + (2.0 * k) * (v * z) * t
    far = k * logarithm(np.where(k > 0.0, k, mean) / mean) - difference
    return np.where(z < 0.01, series, far)


def _polynomial(x: np.ndarray, *coefficients: float) -> np.ndarray:
    """Horner's scheme, the highest power first."""
    result: np.ndarray | float = coefficients[0]
    for coefficient in coefficients[1:]:
        result = x * result + coefficient
    return np.asarray(result)
