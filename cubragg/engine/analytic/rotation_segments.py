"""Reflections near the Ewald sphere during an image, in segments of phi with at most one crossing each.

`specs/analytic.md`, section 2. Reciprocal lengths in 1/A, angles in radians.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from cubragg.engine.analytic.covariances import dot, excitation_variance, rotations, turned_about
from cubragg.engine.analytic.spot_model import Channel, SpotModel

#: Segments of a rotation range begin at multiples of this angle.
GRID_RAD = math.radians(1.0)
#: Nodes further from the sphere than this many standard deviations are left out.
REACH_SIGMAS = 6.0
#: Factor on bounds, for their rounding errors.
_WIDER = 1.0 + 1e-9
#: One length or several [n] [1/A].
Length = TypeVar("Length", float, np.ndarray)
#: Finds the reflections of a model, channel and longest vector [1/A] in a range of spindle angles: int64 [n, 3].
NodeSearch = Callable[[SpotModel, Channel, float, tuple[float, float]], np.ndarray]


class Segments(NamedTuple):
    """Segments of the rotation range of an image, one row for each reflection and segment.

    Attributes
    ----------
    hkl
        int64 [n, 3].
    phi
        Angle nearest to the crossing of the sphere [n].
    start, end
        Ends of the segment relative to ``phi`` [n]; 0 in a still.
    """

    hkl: np.ndarray
    phi: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def where(self, chosen: np.ndarray) -> Segments:
        """Return some of the segments."""
        return Segments(self.hkl[chosen], self.phi[chosen], self.start[chosen], self.end[chosen])


class Swing(NamedTuple):
    """How the distance of nodes from the sphere swings as the spindle turns.

    |k0 + g|^2 = 1/lambda^2 + g^2 + 2 (level + radius cos(phi - furthest)); columns [n]; ``inverse`` is 1/lambda.
    """

    square: np.ndarray
    level: np.ndarray
    radius: np.ndarray
    furthest: np.ndarray
    inverse: float

    def excitation(self, phi: np.ndarray) -> np.ndarray:
        """Return the distance from the sphere [n]."""
        beyond = self.square + 2.0 * (self.level + self.radius * np.cos(phi - self.furthest))
        return beyond / (np.sqrt(self.inverse * self.inverse + beyond) + self.inverse)

    def where(self, chosen: np.ndarray) -> Swing:
        """Return some of the nodes."""
        return Swing(self.square[chosen], self.level[chosen], self.radius[chosen], self.furthest[chosen], self.inverse)


def swing_of(model: SpotModel, channel: Channel, g: np.ndarray) -> Swing:
    """Return the swing of nodes that are at ``g`` [n, 3] [1/A] at phi = 0."""
    e, k0 = model.spindle, channel.k0
    even, odd = dot(g, k0 - (k0 @ e) * e), dot(g, np.cross(k0, e))
    return Swing(dot(g, g.T), dot(g, e) * (e @ k0), np.hypot(even, odd), np.arctan2(odd, even),
                 1.0 / channel.wavelength_A)


def cells_of(start: float, width: float) -> list[tuple[float, float]]:
    """Return the parts of a range between multiples of `GRID_RAD`; one point for a still."""
    if width == 0.0:
        return [(start, start)]
    end = start + width
    first = math.floor(start / GRID_RAD + 1e-9) + 1
    inner = [number * GRID_RAD for number in range(first, math.ceil(end / GRID_RAD - 1e-9))]
    edges = [start, *inner, end]
    return list(itertools.pairwise(edges))


def segments_of(model: SpotModel, channel: Channel, longest: float, amplitudes: Callable[[np.ndarray], np.ndarray],
                search: NodeSearch) -> tuple[Segments, np.ndarray]:
    """Return the segments of reflections that pass within `REACH_SIGMAS` of the sphere, and their structure factors.

    Reflections have |G| <= ``longest`` [1/A] and a structure factor that is not 0, of ``amplitudes``, a function of
    indices [n, 3]. The node 0 0 0 is left out. ``search`` is `nodes_in_range`, or what finds the same ones near the
    sphere in the same order.
    """
    found = [_cell_segments(model, channel, longest, cell, amplitudes, search(model, channel, longest, cell))
             for cell in cells_of(model.start, model.width)]
    segments, F = zip(*found, strict=True)
    return Segments(*(np.concatenate(part) for part in zip(*segments, strict=True))), np.concatenate(F)


def _cell_segments(model: SpotModel, channel: Channel, longest: float, cell: tuple[float, float],
                   amplitudes: Callable[[np.ndarray], np.ndarray], hkl: np.ndarray) -> tuple[Segments, np.ndarray]:
    """Return the segments of one part of the range and their structure factors, of reflections that may have some.

    A number of a reflection is computed from its own indices alone, so that it has the same bits among any others.
    """
    F = amplitudes(hkl)
    swing = swing_of(model, channel, vectors_of(hkl, model.stars))
    kept = (F != 0.0) & (swing.square <= longest * longest)
    hkl = hkl[kept]
    segments, number, s = _split(swing.where(kept), hkl, cell)
    near = np.abs(s) < reach_of(model, channel, longest)
    segments, F = segments.where(near), F[kept][number[near]]
    near = near_sphere(model, channel, segments)
    return segments.where(near), F[near]


def vectors_of(hkl: np.ndarray, stars: np.ndarray) -> np.ndarray:
    """Return the nodes [n, 3] [1/A] of indices [n, 3] and reciprocal axes in rows [3, 3]."""
    h, k, l = hkl.T.astype(np.float64)  # noqa: E741
    return np.stack([h * a + k * b + l * c for a, b, c in stars.T], axis=1)


def nodes_in_range(model: SpotModel, channel: Channel, longest: float, cell: tuple[float, float]) -> np.ndarray:
    """Return the indices int64 [n, 3], but 0 0 0, of reflections with |G| <= ``longest`` near the sphere in a range."""
    half = 0.5 * (cell[1] - cell[0])
    middle = rotations(model.spindle, np.array([cell[0] + half]))[0]
    # The direction of rows is that of the unturned axes, so that the order is the same in every range.
    row = int(np.argmin(np.linalg.norm(model.stars, axis=1)))
    # An angle moves a node by at most its distance from the spindle, so by less than |G| times the angle.
    reach = reach_of(model, channel, longest) + longest * half
    return nodes_near_sphere(model.stars @ middle.T, channel.k0, longest * _WIDER, reach, row)


def near_sphere(model: SpotModel, channel: Channel, segments: Segments) -> np.ndarray:
    """Return whether segments pass within `REACH_SIGMAS` of the sphere, bool [n]."""
    G = nodes_at(model, vectors_of(segments.hkl, model.stars), segments.phi)
    k = channel.k0 + G
    length = np.sqrt(dot(k, k.T))
    sigma_sqr = excitation_variance(model, channel, G, k / length[:, None], segments.phi)
    near: np.ndarray = np.square(length - 1.0 / channel.wavelength_A) < REACH_SIGMAS**2 * sigma_sqr
    return near


def reach_of(model: SpotModel, channel: Channel, length: Length) -> Length:
    """Return an upper bound of `REACH_SIGMAS` deviations of the distance from the sphere, for |G| <= ``length``."""
    mosaic, block = (float(np.linalg.eigvalsh(covariance)[-1]) for covariance in (model.mosaicity, model.block))
    with_length = mosaic + model.strain**2 + 2.0 * channel.covariance[0, 0]
    rest = block + 2.0 * np.trace(channel.covariance[1:, 1:]) / channel.wavelength_A**2
    return _WIDER * REACH_SIGMAS * (with_length * length * length + rest)**0.5


def nodes_near_sphere(stars: np.ndarray, k0: np.ndarray, longest: float, reach: float, row: int) -> np.ndarray:
    """Return the indices int64 [n, 3], but 0 0 0, of nodes with |G| <= ``longest`` within ``reach`` of the sphere.

    Along each row of nodes, those of axis number ``row``, the distance from the sphere's centre is a quadratic function
    of the index. Indices ascend, the one along the row fastest.
    """
    others = [axis for axis in range(3) if axis != row]
    edges = np.linalg.norm(np.linalg.inv(stars), axis=0)  # an index is at most |G| times the length of its cell edge
    reaches = [math.floor(longest * edges[axis]) for axis in others]
    first, second = (part.reshape(-1) for part in np.meshgrid(*(np.arange(-r, r + 1) for r in reaches), indexing="ij"))
    base = first[:, None] * stars[others[0]] + second[:, None] * stars[others[1]]
    step = stars[row]
    radius = float(np.linalg.norm(k0))
    shell = [_interval(base + k0, step, bound) for bound in (radius + reach, radius - reach)]
    ball = _interval(base, step, longest)
    # The shell is the outer interval less the inner one: two intervals, or one where the row misses the inner ball.
    (outer_low, outer_high), (inner_low, inner_high) = shell
    misses = np.isnan(inner_low)
    below = np.fmax(outer_low, ball[0]), np.fmin(np.where(misses, outer_high, inner_low), ball[1])
    # A node on the inner ball belongs to the first interval.
    above = np.fmax(np.fmax(inner_high, np.floor(inner_low) + 1.0), ball[0]), np.fmin(outer_high, ball[1])
    known = ~np.isnan(outer_low) & ~np.isnan(ball[0])
    ends = np.stack([*below, *above], axis=1)[known]
    low, high = np.ceil(ends[:, ::2]), np.floor(ends[:, 1::2])  # of both intervals of a row
    low[misses[known], 1], high[misses[known], 1] = 0.0, -1.0
    count = np.maximum(high - low + 1.0, 0.0).astype(np.int64)
    of_row, in_row = count.sum(axis=1), count.reshape(-1)
    hkl = np.empty((int(of_row.sum()), 3), dtype=np.int64)
    hkl[:, others[0]], hkl[:, others[1]] = np.repeat(first[known], of_row), np.repeat(second[known], of_row)
    start = np.repeat(low.reshape(-1).astype(np.int64) - np.cumsum(in_row) + in_row, in_row)
    hkl[:, row] = start + np.arange(len(hkl))
    return hkl[hkl.any(axis=1)]


def _interval(base: np.ndarray, step: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends [n] of the part of lines base + t step within ``radius`` of 0; NaN where there is none."""
    if not radius > 0.0:
        nothing = np.full(len(base), np.nan)
        return nothing, nothing
    a = float(step @ step)
    b = base @ step
    root = b * b - a * (np.einsum("ij,ij->i", base, base) - radius * radius)
    with np.errstate(invalid="ignore"):
        root = np.sqrt(root)
    return (-b - root) / a, (-b + root) / a


def split_at_extremes(model: SpotModel, channel: Channel, hkl: np.ndarray, cell: tuple[float, float]) -> Segments:
    """Return the segments of reflections in a part of the range, cut where the distance from the sphere is extremal.

    In each segment the distance is monotonic. Its phi is that of the crossing, or without one the end nearest to it.
    """
    return _split(swing_of(model, channel, vectors_of(hkl, model.stars)), hkl, cell)[0]


def _split(swing: Swing, hkl: np.ndarray, cell: tuple[float, float]) -> tuple[Segments, np.ndarray, np.ndarray]:
    """Return the segments of `split_at_extremes`, the number of their reflection, and their distance from the sphere
    at phi [n]."""
    start, end = cell
    if start == end:
        phi, zero = np.full(len(hkl), start), np.zeros(len(hkl))
        return Segments(hkl, phi, zero, zero), np.arange(len(hkl)), swing.excitation(phi)
    # |k0 + g| = 1/lambda where k0.g = -g^2 / 2: cos(phi - furthest) = level.
    with np.errstate(divide="ignore", invalid="ignore"):
        level = (-0.5 * swing.square - swing.level) / swing.radius
    cut = start + np.mod(swing.furthest - start, math.pi)
    halved = (cut < end) & (cut > start)
    low = np.concatenate([np.full(len(hkl), start), cut[halved]])
    high = np.concatenate([np.where(halved, cut, end), np.full(int(halved.sum()), end)])
    index = np.concatenate([np.arange(len(hkl)), np.flatnonzero(halved)])
    order = np.lexsort((low, index))
    low, high, index = low[order], high[order], index[order]
    swing = swing.where(index)
    phi = _nearest_crossing(low, high, swing.furthest, level[index])
    without = np.isnan(phi)
    ends = np.abs(swing.excitation(low)) <= np.abs(swing.excitation(high))
    phi = np.where(without, np.where(ends, low, high), phi)
    return Segments(hkl[index], phi, low - phi, high - phi), index, swing.excitation(phi)


def _nearest_crossing(low: np.ndarray, high: np.ndarray, extreme: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the crossing of the sphere in each interval [n]; NaN where there is none."""
    with np.errstate(invalid="ignore"):
        angle = np.arccos(level)
    found = np.full(len(low), np.nan)
    for crossing in (extreme - angle, extreme + angle):
        inside = low + np.mod(crossing - low, 2.0 * math.pi)
        found = np.where(inside <= high, inside, found)
    return found


def nodes_at(model: SpotModel, g: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return nodes [n, 3] turned about the spindle to ``phi`` [n]."""
    return turned_about(model.spindle, phi, g)


def excitation(model: SpotModel, channel: Channel, g: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return the distance [n] of turned nodes from the sphere, positive outside."""
    return swing_of(model, channel, g).excitation(phi)
