"""Evenly spread points of the unit cube and of normal distributions, the same in every run.

Sobol's sequence with the direction numbers of S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30 (2008) 2635. Sums over it
converge about as 1/n where those over random numbers converge as 1/sqrt(n).
"""

from __future__ import annotations

import functools
from statistics import NormalDist

import numpy as np

#: Bits of a coordinate.
_BITS = 30
#: Degree, coefficients and initial numbers of the primitive polynomial of each dimension after the first.
_POLYNOMIALS = ((1, 0, (1,)), (2, 1, (1, 3)), (3, 1, (1, 3, 1)), (3, 2, (1, 1, 1)), (4, 1, (1, 1, 3, 3)),
                (4, 4, (1, 3, 5, 13)), (5, 2, (1, 1, 5, 5, 17)))
DIMENSIONS = 1 + len(_POLYNOMIALS)
#: Points of the table from which normal quantiles are interpolated, to 1e-5.
_TABLE = 20001


@functools.cache
def _directions(dimension: int) -> tuple[int, ...]:
    """Return the direction numbers of a dimension, as integers of `_BITS` bits."""
    if dimension == 0:
        return tuple(1 << (_BITS - 1 - bit) for bit in range(_BITS))
    degree, coefficients, initial = _POLYNOMIALS[dimension - 1]
    numbers = list(initial)
    for bit in range(degree, _BITS):
        value = numbers[bit - degree] ^ (numbers[bit - degree] << degree)
        for k in range(1, degree):
            if coefficients >> (degree - 1 - k) & 1:
                value ^= numbers[bit - k] << k
        numbers.append(value)
    return tuple(number << (_BITS - 1 - bit) for bit, number in enumerate(numbers))


def uniform_points(count: int, dimensions: int) -> np.ndarray:
    """Return the first points of the sequence, shifted by half their distance in one dimension, in the open unit cube.

    float64 [count, dimensions], for at most `DIMENSIONS`.
    """
    number = np.arange(count)
    points = np.zeros((dimensions, count), dtype=np.int64)
    for dimension, row in enumerate(points):
        for bit, direction in enumerate(_directions(dimension)[:max(count - 1, 1).bit_length()]):
            row ^= np.where(number >> bit & 1, direction, 0)
    return points.T / 2.0**_BITS + 0.5 / (1 << max(count - 1, 1).bit_length())


@functools.cache
def _quantiles() -> tuple[np.ndarray, np.ndarray]:
    """Return normal deviates and their probabilities, closer together in the tails."""
    deviate = np.linspace(-7.5, 7.5, _TABLE)
    cdf = NormalDist().cdf
    return deviate, np.array([cdf(value) for value in deviate.tolist()])


def normal_quantiles(probability: np.ndarray) -> np.ndarray:
    """Return the standard normal deviates of probabilities."""
    deviate, below = _quantiles()
    return np.interp(probability, below, deviate)


def normal_probabilities(deviate: np.ndarray) -> np.ndarray:
    """Return the probabilities that a standard normal number is below the deviates."""
    deviates, below = _quantiles()
    return np.interp(deviate, deviates, below)


def standardized(points: np.ndarray) -> np.ndarray:
    """Return points [n, d] transformed linearly to mean 0 and, where there are enough of them, unit covariance."""
    centred = points - points.mean(axis=0)
    if len(points) <= 2 * points.shape[1]:
        return centred
    return np.linalg.solve(np.linalg.cholesky(centred.T @ centred / len(points)), centred.T).T


def normal_points(count: int, dimensions: int) -> np.ndarray:
    """Return points of a standard normal distribution, float64 [count, dimensions], with its mean and covariance."""
    return standardized(normal_quantiles(uniform_points(count, dimensions)))
