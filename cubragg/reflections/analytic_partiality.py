"""Partiality of reflections in closed form: the fraction of their passage through the sphere that is in the image.

`specs/analytic.md`, section 4. Reciprocal lengths in 1/A, angles in radians.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from cubragg.engine.analytic.covariances import excitation_variance
from cubragg.engine.analytic.rotation_segments import Swing, excitation, nodes_at, swing_of
from cubragg.engine.analytic.spot_model import Channel, SpotModel

#: Gauss-Legendre nodes of each integral; over 3 * `_REACH` rocking widths of a Gaussian they are right to 1e-14.
_NODES = 48
_REACH = 7.0


def partiality(model: SpotModel, channel: Channel, hkl: np.ndarray, phi: np.ndarray, entering: np.ndarray
               ) -> np.ndarray:
    """Return the partiality [n] of reflections, of which ``phi`` [n] is an angle on their passage.

    In a rotation image it is the integral of the density of the excitation error over the image, relative to that over
    the passage, between the angles where the node is furthest from and deepest in the sphere. In a still it is the
    height of the density, relative to its maximum.
    """
    g = hkl @ model.stars
    if model.width == 0.0:
        s, sigma = excitation(model, channel, g, phi), _sigma(model, channel, g, phi)
        return np.exp(-0.5 * np.square(s / sigma))
    swing = swing_of(model, channel, g)
    low, high = _passage(model, channel, g, swing, phi, entering)
    width = _width(model, channel, g, low, high)
    whole = _integral(swing, width, low, high)
    end = model.start + model.width
    part = _integral(swing, width, np.clip(low, model.start, end), np.clip(high, model.start, end))
    return np.divide(part, whole, out=np.full(len(g), np.nan), where=whole > 0.0)


def _sigma(model: SpotModel, channel: Channel, g: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the excitation error [n]."""
    G = nodes_at(model, g, phi)
    k = channel.k0 + G
    return np.sqrt(excitation_variance(model, channel, G, k / np.linalg.norm(k, axis=1)[:, None], phi))


@functools.cache
def _nodes() -> list[tuple[float, float]]:
    """Return places from -1 to 1 and weights of the Gauss-Legendre rule."""
    places, weights = np.polynomial.legendre.leggauss(_NODES)
    return list(zip(places.tolist(), weights.tolist(), strict=True))


def _passage(model: SpotModel, channel: Channel, g: np.ndarray, swing: Swing, phi: np.ndarray, entering: np.ndarray
             ) -> tuple[np.ndarray, np.ndarray]:
    """Return the range of angles [n] of a passage, as far as the density matters."""
    furthest, half_turn = swing.furthest, math.pi
    # The half turn from one extreme to the next that contains phi, which may be the extreme itself.
    first = np.where(entering, furthest, furthest + half_turn)
    first = first + 2.0 * math.pi * np.round((phi - first - 0.5 * half_turn) / (2.0 * math.pi))
    last = first + half_turn
    cosine = np.clip((-0.5 * swing.square - swing.level) / np.maximum(swing.radius, 1e-300), -1.0, 1.0)
    crossing = furthest + np.where(entering, 1.0, -1.0) * np.arccos(cosine)
    crossing = crossing + 2.0 * math.pi * np.round((0.5 * (first + last) - crossing) / (2.0 * math.pi))
    # |s| exceeds the reach where its slope, or at an extreme its curvature, has moved it there.
    sigma = _REACH * _sigma(model, channel, g, crossing)
    scale = channel.wavelength_A * swing.radius
    slope, curvature = scale * np.abs(np.sin(crossing - furthest)), scale * np.abs(np.cos(crossing - furthest))
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.fmin(1.5 * sigma / slope, 2.0 * np.sqrt(2.0 * sigma / curvature))
    reach = np.where(np.isfinite(reach), reach, half_turn)
    return np.maximum(first, crossing - reach), np.minimum(last, crossing + reach)


class _Width(NamedTuple):
    """Standard deviation of the excitation error on a passage: a parabola in the angle from its middle; columns [n]."""

    middle: np.ndarray
    at: np.ndarray
    slope: np.ndarray
    bend: np.ndarray

    def sigma(self, phi: np.ndarray) -> np.ndarray:
        """Return the standard deviation [n]."""
        angle = phi - self.middle
        return self.at + angle * (self.slope + angle * self.bend)


def _width(model: SpotModel, channel: Channel, g: np.ndarray, low: np.ndarray, high: np.ndarray) -> _Width:
    """Return the width of the density, interpolated from both ends and the middle of passages [n]."""
    middle, half = 0.5 * (low + high), np.maximum(0.5 * (high - low), 1e-300)
    before, at, after = (_sigma(model, channel, g, middle + place * half) for place in (-1.0, 0.0, 1.0))
    return _Width(middle, at, 0.5 * (after - before) / half, (0.5 * (before + after) - at) / half / half)


def _integral(swing: Swing, width: _Width, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the integral of the density of the excitation error over angles [n]."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    total = np.zeros(len(low))
    for place, weight in _nodes():
        phi = middle + place * half
        sigma = width.sigma(phi)
        total += weight * half * np.exp(-0.5 * np.square(swing.excitation(phi) / sigma)) / sigma
    return total
