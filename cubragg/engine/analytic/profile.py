"""Values of spots at samples in NumPy: the twin of `kernels/spot_profile.cuh`. `specs/analytic.md`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cubragg.engine.analytic.normal_functions import between, density
from cubragg.engine.analytic.spot_constants import BENT, LONG_PATH, NO_PATH, SHORTEST, STRAIGHT
from cubragg.plan.plan import Plan

#: Least probability from which moments of the angle are computed; below it the angle is the nearest in the segment.
LEAST_PROBABILITY = 1e-10
ROOT_TWO_PI = np.sqrt(2.0 * np.pi)
#: Records of spots [n], or their columns by name, [n] or [n, ...].
Spots = np.ndarray | Mapping[str, np.ndarray]


class Moments(NamedTuple):
    """Mean, variance and third central moment [n] of the angle at which a sample is lit, times powers of the pace."""

    mean: np.ndarray
    variance: np.ndarray
    third: np.ndarray


def functional(row: np.ndarray, f: np.ndarray, s: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Return a functional of delta [n], from its coefficients [n, 4]."""
    return (row[:, 0] * f + row[:, 1] * s - row[:, 2] * (rho - 1.0)) / rho - row[:, 3]


def distance_ratio(spot: Spots, f: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return rho [n], the distance of samples from the crystal relative to that of the ray."""
    towards, square = spot["towards"], spot["square"]
    beyond = (square[:, 0] * f * f + 2.0 * square[:, 1] * f * s + square[:, 2] * s * s
              + 2.0 * (towards[:, 0] * f + towards[:, 1] * s))
    return 1.0 + beyond / (np.sqrt(1.0 + beyond) + 1.0)


def moments(y: np.ndarray, ends: np.ndarray) -> Moments:
    """Return the moments of the angle, standardized, of samples at ``y`` [n] in segments with ``ends`` [n, 2]."""
    start, end = ends[:, 0], ends[:, 1]
    low, high = start - y, end - y
    at_low, at_high = density(low), density(high)
    Z = between(low, high, at_low, at_high)
    known = Z > LEAST_PROBABILITY
    Z = np.where(known, Z, 1.0)
    # About y, then about the mean.
    first = (at_low - at_high) / Z
    square = 1.0 + (low * at_low - high * at_high) / Z
    cube = 2.0 * first + (low * low * at_low - high * high * at_high) / Z
    variance = np.maximum(square - first * first, 0.0)
    third = cube - 3.0 * first * square + 2.0 * first * first * first
    middle, length = 0.5 * (start + end), end - start
    short = length < SHORTEST
    of_short = length * length / 12.0
    mean = np.where(known, y + first, np.clip(y, start, end))
    return Moments(np.where(short, middle - (middle - y) * of_short, mean),
                   np.where(short, of_short, np.where(known, variance, 0.0)), np.where(short | ~known, 0.0, third))


def angle_moments(spot: Spots, y: np.ndarray) -> Moments:
    """Return the moments of the angle of samples; 0 in stills."""
    moving = spot["path"] != NO_PATH
    if not moving.any():
        return Moments(*(np.zeros_like(y) for _ in range(3)))
    return Moments(*(np.where(moving, part, 0.0) for part in moments(y, spot["ends"])))


def deviations(spot: Spots, f: np.ndarray, s: np.ndarray, rho: np.ndarray) -> list[np.ndarray]:
    """Return the three standardized deviations [n] of delta."""
    return [functional(spot["rows"][:, number], f, s, rho) for number in range(3)]


def profile(spot: np.ndarray, f: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, Moments]:
    """Return the profile [n] of spots at samples, relative to their amplitude, and the moments of the angle.

    Parameters
    ----------
    spot
        Record of the spot of each sample [n].
    f, s
        Position from the ray [n] [pixel].
    """
    y = deviations(spot, f, s, distance_ratio(spot, f, s))
    angle = angle_moments(spot, y[2])
    weight = np.ones(len(spot))
    before = y[2].copy()
    bent = np.flatnonzero(spot["bent"] != STRAIGHT)
    if len(bent):
        values, weight[bent] = corrected(spot[bent], [value[bent] for value in y],
                                         Moments(*(part[bent] for part in angle)))
        for old, new in zip(y, values, strict=True):
            old[bent] = new
    y1, y2, y3 = y
    exponent = -0.5 * (y1 * y1 + y2 * y2)
    # The probability at y3 + d, over that at y3, from the cumulants of the angle.
    d = y3 - before
    little = (spot["bent"] == BENT) & (spot["path"] == LONG_PATH)
    exponent += np.where(little, d * (angle.mean - before + d * (0.5 * (angle.variance - 1.0) + d * angle.third / 6.0)),
                         0.0)
    along = np.where(spot["path"] != NO_PATH, _along_path(np.where(little, before, y3), spot["ends"]),
                     np.exp(-0.5 * y3 * y3))
    return weight * np.exp(exponent) * along, angle


def _along_path(y: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the integral of the density [n] over the segment."""
    low, high = ends[:, 0] - y, ends[:, 1] - y
    middle, length = 0.5 * (low + high), ends[:, 1] - ends[:, 0]
    m, w = middle * middle, length * length
    at_middle = density(middle) * length * (1.0 + w / 24.0 * (m - 1.0 + w / 80.0 * (m * m - 6.0 * m + 3.0)))
    return np.where(length < SHORTEST, at_middle, between(low, high, density(low), density(high)))


def corrected(spot: Spots, y: list[np.ndarray], angle: Moments) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the standardized deviations of D in place of delta, and the determinant of its derivative [n]."""
    (y1, y2, y3), (mean, variance, third) = y, angle
    z = y3 - mean
    monomials = (y1 * y1, y1 * y2, y2 * y2, y1 * z, y2 * z, z * z, mean * y1, mean * y2, mean * z, mean * mean,
                 variance)
    a, g = spot["wavelength"], spot["radial"]
    # |G| - sqrt(|G|^2 - T): how far a node that is turned by sqrt(T) / |G| falls short of the tangent plane.
    u = _polynomial(spot["sag"], monomials)
    sag = 2.0 * u * (1.0 + u)
    rest = 1.0 - variance
    slope = a[:, 0] * g[:, 0] + a[:, 1] * g[:, 1] + a[:, 2] * g[:, 2] * rest
    # The wavelength is that of the length of q, which the sag has not shortened.
    x = a[:, 0] * y1 + a[:, 1] * y2 + a[:, 2] * z + sag * slope
    shrink = 1.0 / (1.0 + x)
    values = [(value + x * x * g[:, number]) * shrink + sag * g[:, number]
              - _polynomial(spot["bend"][:, number], monomials) for number, value in enumerate(y)]
    stretch = 1.0 + 2.0 * x * slope - shrink * (a[:, 0] * y1 + a[:, 1] * y2 + a[:, 2] * y3 * rest + x * x * slope)
    d = spot["divergence"]
    divergence = (d[:, 0] * y1 + d[:, 1] * y2 + d[:, 2] * z + d[:, 3] * mean
                  + variance * (d[:, 4] * y1 + d[:, 5] * y2 + d[:, 6] * z + d[:, 7] * mean) + third * d[:, 8])
    return values, np.maximum(stretch - divergence, 0.0)


def _polynomial(coefficients: np.ndarray, monomials: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the sum [n] of coefficients [n, m + 1] times monomials, m of [n]; the last one is the constant."""
    total = coefficients[:, 0] * monomials[0]
    for number, monomial in enumerate(monomials[1:], start=1):
        total += coefficients[:, number] * monomial
    return total + coefficients[:, -1]


def pixel_factor(plan: Plan, spot: np.ndarray, f: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return polarization x solid angle x capture [n] at positions from the ray of spots."""
    rho = distance_ratio(spot, f, s)
    factor = spot["solid_angle"] / (rho * rho)
    if not plan.point_pixel:
        factor = factor / rho
    if plan.polarized:
        axes = spot["direction"]
        along, electric, magnetic = ((axes[:, row, 0] + axes[:, row, 1] * f + axes[:, row, 2] * s) / rho
                                     for row in range(3))
        # Kahn's cos(2 psi) sin^2(2 theta) is E^2 - B^2 of the unit vector.
        factor = factor * 0.5 * (1.0 + along * along - plan.kahn_factor * (electric * electric - magnetic * magnetic))
    return factor * (np.exp(-spot["depths"][:, 0] * rho) - np.exp(-spot["depths"][:, 1] * rho))
