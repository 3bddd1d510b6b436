"""Values of spots at samples in NumPy: the twin of `kernels/spot_profile.cuh`. `specs/analytic.md`"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.engine.analytic.normal_functions import between, density
from cubragg.engine.analytic.spot_constants import (
    ALONG,
    FIRST,
    NO_PATH,
    RADIAL,
    SECOND,
    SHORTEST,
    TANGENT_1,
    TANGENT_2,
    WAVELENGTH,
)
from cubragg.plan.plan import Plan

#: Least probability from which moments of the angle are computed; below it the angle is the nearest in the segment.
LEAST_PROBABILITY = 1e-10
ROOT_TWO_PI = np.sqrt(2.0 * np.pi)


class Moments(NamedTuple):
    """Mean and mean square [n] of the angle at which a sample is lit, times the pace and its square."""

    mean: np.ndarray
    square: np.ndarray


def functional(row: np.ndarray, f: np.ndarray, s: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Return a functional of delta [n], from its coefficients [n, 4]."""
    return (row[:, 0] * f + row[:, 1] * s - row[:, 2] * (rho - 1.0)) / rho - row[:, 3]


def distance_ratio(spot: np.ndarray, f: np.ndarray, s: np.ndarray) -> np.ndarray:
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
    nearest = np.clip(y, start, end)
    mean = np.where(known, y + (at_low - at_high) / Z, nearest)
    square = np.where(known, y * y + 1.0 + ((y + start) * at_low - (y + end) * at_high) / Z, nearest * nearest)
    middle, length = 0.5 * (start + end), end - start
    short = length < SHORTEST
    variance = length * length / 12.0
    at_middle = middle - (middle - y) * variance
    return Moments(np.where(short, at_middle, mean), np.where(short, at_middle * at_middle + variance, square))


def angle_moments(spot: np.ndarray, y: np.ndarray) -> Moments:
    """Return the moments of the angle of samples; 0 in stills."""
    moving = spot["path"] != NO_PATH
    if not moving.any():
        return Moments(np.zeros(len(y)), np.zeros(len(y)))
    return Moments(*(np.where(moving, part, 0.0) for part in moments(y, spot["ends"])))


def deviations(spot: np.ndarray, f: np.ndarray, s: np.ndarray, rho: np.ndarray) -> list[np.ndarray]:
    """Return the conditional wavelength deviation and the three standardized deviations [n] of delta."""
    return [functional(spot["rows"][:, number], f, s, rho) for number in (WAVELENGTH, FIRST, SECOND, ALONG)]


def profile(spot: np.ndarray, f: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, Moments]:
    """Return the profile [n] of spots at samples, relative to their amplitude, and the moments of the angle.

    Parameters
    ----------
    spot
        Record of the spot of each sample [n].
    f, s
        Position from the ray [n] [pixel].
    """
    rho = distance_ratio(spot, f, s)
    moving = spot["path"] != NO_PATH
    x, y1, y2, y3 = deviations(spot, f, s, rho)
    angle = angle_moments(spot, y3)
    bent = np.flatnonzero(spot["bent"])
    if len(bent):
        values = corrected(spot[bent], f[bent], s[bent], rho[bent], [v[bent] for v in (x, y1, y2, y3)],
                           Moments(*(part[bent] for part in angle)))
        for old, new in zip((x, y1, y2, y3), values, strict=True):
            old[bent] = new
    weight = np.exp(-0.5 * (y1 * y1 + y2 * y2)) * (1.0 + x)
    return weight * np.where(moving, _along_path(y3, spot["ends"]), np.exp(-0.5 * y3 * y3)), angle


def _along_path(y: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the integral of the density [n] over the segment."""
    low, high = ends[:, 0] - y, ends[:, 1] - y
    middle, length = 0.5 * (low + high), ends[:, 1] - ends[:, 0]
    m, w = middle * middle, length * length
    at_middle = density(middle) * length * (1.0 + w / 24.0 * (m - 1.0 + w / 80.0 * (m * m - 6.0 * m + 3.0)))
    return np.where(length < SHORTEST, at_middle, between(low, high, density(low), density(high)))


def corrected(spot: np.ndarray, f: np.ndarray, s: np.ndarray, rho: np.ndarray, values: list[np.ndarray],
              angle: Moments) -> list[np.ndarray]:
    """Return the functionals of D in place of delta."""
    radial, first, second = (functional(spot["rows"][:, number], f, s, rho)
                             for number in (RADIAL, TANGENT_1, TANGENT_2))
    x, drift = values[0], spot["drift"]
    T = (first * first + second * second + 2.0 * angle.mean * first * drift + angle.square * drift * drift
         + spot["trace"])
    # |G| - sqrt(|G|^2 - T): how far a node that is turned by sqrt(T) / |G| falls short of the tangent plane.
    bend = (1.0 + x) * T * spot["half_inverse"] * (1.0 + T * np.square(spot["half_inverse"]))
    return [(value + x * radial * spot["correction"][:, number]) / (1.0 + x)
            + bend * spot["correction"][:, number] - angle.square * spot["curvature"][:, number]
            for number, value in enumerate(values)]


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
