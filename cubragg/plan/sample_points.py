"""Domains of an image in physical semantics: a rotation and a strain of the block, and a ray of the beam each.

All are drawn together from one evenly spread sequence, so that n domains resolve each quantity nearly as well as n of
it alone. `specs/sampling.md`
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from cubragg.plan.quasi_random import normal_points, normal_quantiles, standardized, uniform_points
from cubragg.plan.spreads import SpectralLine, Spreads

#: Largest number of orders of points that are tried, and relative changes that are rounding.
_ORDERS, _CONSTANT = 64, 1e-9


class Domains(NamedTuple):
    """Domains of equal weight.

    Attributes
    ----------
    rotation
        Rotation vectors of the block in the frame of the crystal [rad], float64 [n, 3].
    strain
        Relative change of the length of its cell axes, float64 [n].
    phase
        Spindle angle at which it is rendered in each step, as a fraction of the step, float64 [n]: 1/2 on average.
    direction
        Components of the beam's direction along the polarization axis and across it [rad], float64 [rays, 2].
    wavelength
        Of the beam [m], float64 [rays]; domain i has the ray i modulo their number.
    """

    rotation: np.ndarray
    strain: np.ndarray
    phase: np.ndarray
    direction: np.ndarray
    wavelength: np.ndarray


def draw_domains(count: int, ray_count: int, spreads: Spreads) -> Domains:
    """Return ``count`` domains, with ``ray_count`` different rays."""
    channels = spreads.channels
    one = len(channels) == 1
    sigmas = [*spreads.mosaicity, spreads.strain, *spreads.divergence, channels[0].bandwidth if one else 0.0]
    active = sum(sigma > 0.0 for sigma in sigmas)
    block, beam = _scaled(count, sigmas, not one)[:, :4], _scaled(ray_count, sigmas, not one)[:, 4:]
    if one:
        wavelength = channels[0].wavelength * (1.0 + beam[:, 2])
    else:
        wavelength = _of_spectrum(channels, uniform_points(ray_count, active + 1)[:, -1])
    rotation = capped(block[:, :3]) * spreads.cap if spreads.cap else block[:, :3]
    return Domains(rotation, block[:, 3], _phases(count, active + (not one)), beam[:, :2], wavelength)


def _scaled(count: int, sigmas: list[float], spectrum: bool) -> np.ndarray:
    """Return normal deviates times the standard deviations, float64 [count, 7]; only those > 0 take coordinates."""
    active = np.array(sigmas) > 0.0
    points = np.zeros((count, len(sigmas)))
    dimensions = int(active.sum()) + spectrum
    if dimensions:
        points[:, active] = _normal(count, dimensions)[:, :int(active.sum())]
    return points * sigmas


def _phases(count: int, taken: int) -> np.ndarray:
    """Return numbers of mean 1/2 in the unit interval [count], from the coordinate after those that are taken."""
    if count == 1:
        return np.full(1, 0.5)
    return uniform_points(count, taken + 1)[:, -1]


@functools.lru_cache(maxsize=32)
def _normal(count: int, dimensions: int) -> np.ndarray:
    return normal_points(count, dimensions)


def _of_spectrum(channels: tuple[SpectralLine, ...], probability: np.ndarray) -> np.ndarray:
    """Return the wavelengths [m] at probabilities [n], of which each channel takes its fraction."""
    edges = np.concatenate([[0.0], np.cumsum([channel.fraction for channel in channels])])
    number = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(channels) - 1)
    within = np.clip((probability - edges[number]) / np.diff(edges)[number], 1e-9, 1.0 - 1e-9)
    wavelength, bandwidth = (np.array([getattr(channel, name) for channel in channels])[number]
                             for name in ("wavelength", "bandwidth"))
    return wavelength * (1.0 + bandwidth * normal_quantiles(within))


def capped(rotation: np.ndarray) -> np.ndarray:
    """Return rotation vectors [n, 3] of nanoBragg's cap of half-width 1 in place of normal ones.

    Their direction is kept; angles are (1 - r^2)^(1/3), r uniform, at the probabilities of the lengths.
    """
    length = np.linalg.norm(rotation, axis=1)
    order = np.argsort(np.argsort(length))
    angle = (1.0 - ((len(length) - order - 0.5) / len(length)) ** 2) ** (1.0 / 3.0)
    unit = np.divide(rotation, length[:, None], out=np.zeros_like(rotation), where=length[:, None] > 0.0)
    vectors = unit * angle[:, None]
    return vectors - vectors.mean(axis=0)


def uncorrelated(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return points [n, 3] of mean 0, reordered and moved linearly so that they do not correlate with ``others``.

    Both may come from the same evenly spread sequence, in which they are not independent. Of the orders (i m) mod n the
    one of least correlation is taken, and the rest of it is subtracted where there are enough points.

    Parameters
    ----------
    others
        float64 [n, k]; columns of equal numbers are ignored.
    """
    count = len(points)
    others = others[:, np.ptp(others, axis=0) > _CONSTANT * np.abs(others).max(axis=0, initial=0.0)]
    if not others.size or count < 4:
        return points
    others = (others - others.mean(axis=0)) / others.std(axis=0)
    orders = [np.arange(count) * step % count for step in range(1, count) if math.gcd(step, count) == 1][:_ORDERS]
    best = points[min(orders, key=lambda order: float(np.abs(others.T @ points[order]).max()))]
    if 2 * others.shape[1] < count:
        best = best - others @ np.linalg.lstsq(others, best, rcond=_CONSTANT)[0]
    return best


def with_moments(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return points [n, 3] transformed linearly to a mean and, where there are enough of them, a covariance."""
    points = standardized(points)
    values, axes = np.linalg.eigh(covariance)
    root = axes * np.sqrt(np.maximum(values, 0.0)) @ axes.T
    return mean + points @ root.T
