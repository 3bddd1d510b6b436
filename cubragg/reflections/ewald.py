"""Reflections near the Ewald sphere, and the pixels that their light falls on.

The nodes of the reciprocal lattice near the sphere are found row by row: along c* the distance
from the sphere is a quadratic. A node's profile (the shape transform) is followed down to a
share ``TAIL`` of its peak. Lengths are metres, reciprocal ones 1/m. `specs/truth.md`
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.engine.panel_parts import place_count
from cubragg.engine.reference.lattice import miller_indices, nearest
from cubragg.engine.reference.numpy_engine import BLOCK_PIXELS, Pixels
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import RenderPlan
from cubragg.plan.workspace import Workspace
from cubragg.reflections.reflection_sums import index_reach

#: Light further down a profile than this share of its peak is not followed.
TAIL = 1e-6
#: Pairs of a reflection and a pixel that are looked at together.
_PAIRS = 500_000
#: Pixels of a block at which it is found out how fast indices change there.
_PROBES = 64


@dataclass(frozen=True)
class Profile:
    """How far a crystal's shape transform reaches.

    Attributes
    ----------
    half
        float64 [3]: reach along each axis in index space, at most 1/2 (beyond it the light is a neighbour's).
    metric
        float64 [3, 3]: quadratic form in fractional index; the profile is a function of it, or, for a
        parallelepiped, has a main lobe that is. 1 at ``radius``.
    cells
        Cells along the axes of a parallelepiped, ``None`` for the other shapes.
    """

    half: np.ndarray
    metric: np.ndarray
    cells: np.ndarray | None
    tail: float


def profile_of(plan: RenderPlan, tail: float = TAIL) -> Profile:
    """The profile of the plan's crystal."""
    cells = np.array(plan.cells)
    crystal, total = plan.experiment.crystal, float(np.prod(cells))
    if crystal.shape == "square":
        half = np.arcsin(np.minimum(1.0, 1.0 / (cells * math.sqrt(tail)))) / math.pi
        return Profile(half, np.diag(cells * cells), cells, tail)
    fudge = max(crystal.fudge, 1e-30)
    if crystal.shape == "round":
        # An ellipsoid's rings fall off alike on all sides: they hold more light than a parallelepiped's star.
        radius_sqr = math.sqrt(9.0 / (0.1 * tail)) / (math.pi * math.pi * fudge)
        metric = np.diag(cells * cells) / radius_sqr
    else:
        radius_sqr = 0.63 / (2.0 * fudge) * math.log(1.0 / tail) if crystal.shape == "gauss" else 0.3969 / fudge
        stars = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
        metric = stars @ stars.T * (total * total / radius_sqr)
    half = np.minimum(np.sqrt(np.diag(np.linalg.inv(metric))), 0.5)
    return Profile(half, metric, None, tail)


def near_sphere(stars: np.ndarray, centre: np.ndarray, tolerance: float, reach: np.ndarray) -> np.ndarray:
    """Nodes within ``tolerance`` of a sphere through the origin.

    Parameters
    ----------
    stars
        a*, b*, c* in rows [3, 3].
    centre
        Minus the sphere's centre [3], so its radius long: r + centre has the radius' length for nodes on it.
    tolerance
        Distance from the sphere.
    reach
        Bounds of the indices [3].

    Returns
    -------
    int64 [n, 3] whole indices.
    """
    h, k = (axis.reshape(-1) for axis in np.meshgrid(*(np.arange(-n, n + 1) for n in reach[:2]), indexing="ij"))
    start = h[:, None] * stars[0] + k[:, None] * stars[1] + centre
    c_sqr, radius = stars[2] @ stars[2], math.sqrt(centre @ centre)
    middle = -(start @ stars[2]) / c_sqr
    across = np.einsum("ij,ij->i", start, start) / c_sqr - middle * middle
    outer = (radius + tolerance) ** 2 / c_sqr - across
    inner = max(radius - tolerance, 0.0) ** 2 / c_sqr - across
    rows = np.flatnonzero(outer >= 0.0)
    h, k, middle = h[rows], k[rows], middle[rows]
    wide, narrow = np.sqrt(outer[rows]), np.sqrt(np.maximum(inner[rows], 0.0))
    whole = inner[rows] <= 0.0
    first = (np.ceil(middle - wide), np.where(whole, np.floor(middle + wide), np.floor(middle - narrow)))
    second = (np.where(whole, 1.0, np.ceil(middle + narrow)), np.where(whole, 0.0, np.floor(middle + wide)))
    found = []
    for low, high in (first, second):
        low, high = np.maximum(low, -reach[2]).astype(np.int64), np.minimum(high, reach[2]).astype(np.int64)
        row, step = ragged(np.maximum(high - low + 1, 0))
        found.append(np.stack([h[row], k[row], low[row] + step], axis=1))
    return np.concatenate(found)


def ragged(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row number and number within the row [sum of counts] of rows of different lengths."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


@dataclass(frozen=True)
class Nodes:
    """Reflections near the sphere: ``hkl`` [n, 3], ``excitation`` distance from it, outside > 0 [1/m] [n],
    ``offset`` [n, 3] from the node to the place of the sphere where the profile is highest, in index,
    ``direction`` [n, 3] of the diffracted beam from there."""

    hkl: np.ndarray
    excitation: np.ndarray
    offset: np.ndarray
    direction: np.ndarray


def placed_on_sphere(hkl: np.ndarray, vectors: np.ndarray, incident: np.ndarray, wavelength: float,
                     metric: np.ndarray) -> tuple[Nodes, np.ndarray]:
    """Where the sphere passes reflections [n, 3], and a*, b*, c* along its normal there [n, 3]."""
    stars = np.linalg.inv(vectors).T
    beam = hkl @ stars + incident / wavelength
    length = np.linalg.norm(beam, axis=1)
    normal = beam / length[:, None]
    excitation = length - 1.0 / wavelength
    along = normal @ stars.T
    widths = along @ np.linalg.inv(metric)
    offset = -(excitation / np.einsum("ij,ij->i", widths, along))[:, None] * widths
    exit_beam = beam + offset @ stars
    direction = exit_beam / np.linalg.norm(exit_beam, axis=1)[:, None]
    return Nodes(hkl, excitation, offset, direction), along


class Beams(NamedTuple):
    """One orientation in the light of one source: cell vectors [3, 3] [m], unit vector, wavelength [m]."""

    vectors: np.ndarray
    incident: np.ndarray
    wavelength: float


class Windows:
    """The pixels, for each orientation, that reflections reach."""

    def __init__(self, plan: RenderPlan, profile: Profile | None = None) -> None:
        self._plan = plan
        self._profile = profile_of(plan) if profile is None else profile
        self._reach = index_reach(plan)
        self._vectors = plan.cell_vectors.reshape(-1, 3, 3)
        metric = self._profile.metric
        self._separable = bool((metric == np.diag(np.diag(metric))).all())

    def places(self, orientation: int) -> np.ndarray:
        """Places in the region [n], ascending, of the pixels that one orientation lights with any source."""
        sources, work = self._plan.sources, Workspace(BLOCK_PIXELS)
        lit = [np.zeros(0, dtype=np.int64)]
        for incident, wavelength in zip(sources.incident, sources.wavelength_m.tolist(), strict=True):
            beams = Beams(self._vectors[orientation], incident, wavelength)
            nodes = self._excited(beams)
            for layer in range(self._plan.layers.count):
                lit += self._lit(beams, nodes, layer, work)
        found = np.sort(np.concatenate(lit))
        return found[np.diff(found, prepend=-1) > 0]

    def _lit(self, beams: Beams, nodes: Nodes, layer: int, work: Workspace) -> Iterator[np.ndarray]:
        """Places that the reflections light in one layer of the sensor, part by part."""
        fast, slow = project(self._plan, nodes.direction, layer)
        seen = np.isfinite(fast)
        nodes = Nodes(*(part[seen] for part in vars(nodes).values()))
        per_fast, per_slow = self._changes(nodes.direction, beams, layer)
        low, high = self._boxes(nodes.offset, fast[seen], slow[seen], per_fast, per_slow)
        size = np.maximum(high - low + 1, 0)
        counts = size[:, 0] * size[:, 1]
        if self._separable and counts.sum() > place_count(self._plan):
            # Profiles overlap all over: it is the nearest reflection's that is highest in a pixel.
            yield from self._anywhere(beams, layer, work)
            return
        half_pixel = 0.5 * (np.abs(per_fast) + np.abs(per_slow))
        fast_min, fast_max, slow_min, _ = self._plan.roi
        some = np.flatnonzero(counts)
        parts = np.cumsum(counts[some]) // _PAIRS
        for chosen in np.split(some, np.flatnonzero(np.diff(parts)) + 1):
            rows, steps = ragged(counts[chosen])
            for start in range(0, len(rows), BLOCK_PIXELS):
                row, step = chosen[rows[start:start + BLOCK_PIXELS]], steps[start:start + BLOCK_PIXELS]
                down, across = np.divmod(step, size[row, 0])
                pixel_fast, pixel_slow = low[row, 0] + across, low[row, 1] + down
                index = self._indices(pixel_fast, pixel_slow, beams, layer, work)
                lit = self._reached(np.subtract(index, nodes.hkl[row].T, out=index), half_pixel[row].T)
                yield (pixel_slow[lit] - slow_min) * (fast_max - fast_min + 1) + pixel_fast[lit] - fast_min

    def _anywhere(self, beams: Beams, layer: int, work: Workspace) -> Iterator[np.ndarray]:
        """Places where the nearest reflection is above the tail, of the whole region."""
        total = place_count(self._plan)
        for start in range(0, total, BLOCK_PIXELS):
            pixels = Pixels(self._plan, start, min(start + BLOCK_PIXELS, total))
            if len(pixels):
                index = self._indices(pixels.fast, pixels.slow, beams, layer, work)
                some = work.take("direction", 3, len(pixels))[:, ::max(1, len(pixels) // _PROBES)]
                half_pixel = 0.5 * sum(np.abs(change).max(axis=0) for change in self._changes(some.T, beams, layer))
                np.subtract(index, nearest(index, work), out=index)
                yield pixels.place[self._reached(index, half_pixel[:, None])]

    def _excited(self, beams: Beams) -> Nodes:
        """Reflections whose profile touches the sphere above the tail."""
        vectors, incident, wavelength = beams
        profile = self._profile
        stars = np.linalg.inv(vectors).T
        arms = profile.half * np.linalg.norm(stars, axis=1)
        hkl = near_sphere(stars, incident / wavelength, float(arms.sum()), self._reach)
        nodes, along = placed_on_sphere(hkl, vectors, incident, wavelength, profile.metric)
        if profile.cells is None:
            limit = np.sqrt(np.einsum("ij,jk,ik->i", along, np.linalg.inv(profile.metric), along))
        else:
            # A parallelepiped's profile is a star: bright along one axis at a time.
            limit = ((profile.half * np.abs(along)).max(axis=1)
                     + (np.abs(along) * np.minimum(1.0 / profile.cells, 0.5)).sum(axis=1))
        near = np.abs(nodes.excitation) <= limit
        return Nodes(*(part[near] for part in vars(nodes).values()))

    def _changes(self, direction: np.ndarray, beams: Beams, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """How indices change per pixel along fast and slow [n, 3], where beams [n, 3] meet a layer of the sensor."""
        geometry = self._plan.geometry
        path = _path(self._plan, direction, layer)
        changes = []
        for axis, edge in ((geometry.fast, geometry.pixel_size), (geometry.slow, geometry.slow_pixel_size)):
            turn = np.array(axis) - direction * (direction @ np.array(axis))[:, None]
            changes.append(turn * (edge / path / beams.wavelength)[:, None] @ beams.vectors.T)
        return changes[0], changes[1]

    def _boxes(self, offset: np.ndarray, fast: np.ndarray, slow: np.ndarray, per_fast: np.ndarray, per_slow: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray]:
        """First and last pixel (fast, slow) [n, 2] of boxes that hold every place with |index - hkl| <= half."""
        low = np.full((len(fast), 2), -np.inf)
        high = np.full((len(fast), 2), np.inf)
        slack = self._profile.half + 0.5 * (np.abs(per_fast) + np.abs(per_slow))
        for i, j in ((0, 1), (1, 2), (2, 0)):
            area = per_fast[:, i] * per_slow[:, j] - per_fast[:, j] * per_slow[:, i]
            with np.errstate(divide="ignore", invalid="ignore"):
                for axis, (to_i, to_j) in enumerate(((per_slow[:, j], -per_slow[:, i]),
                                                     (-per_fast[:, j], per_fast[:, i]))):
                    middle = -(to_i * offset[:, i] + to_j * offset[:, j]) / area
                    extent = (np.abs(to_i) * slack[:, i] + np.abs(to_j) * slack[:, j]) / np.abs(area)
                    low[:, axis] = np.fmax(low[:, axis], middle - extent)
                    high[:, axis] = np.fmin(high[:, axis], middle + extent)
        fast_min, fast_max, slow_min, slow_max = self._plan.roi
        centre = np.stack([fast, slow], axis=1)
        # The detector is flat and the sphere is not: a margin for what the straight lines miss.
        margin = 1.0 + 0.1 * (high - low)
        low = np.clip(np.floor(centre + low - margin), (fast_min, slow_min), (fast_max + 1, slow_max + 1))
        high = np.clip(np.ceil(centre + high + margin), (fast_min - 1, slow_min - 1), (fast_max, slow_max))
        return low.astype(np.int64), high.astype(np.int64)

    def _indices(self, fast: np.ndarray, slow: np.ndarray, beams: Beams, layer: int, work: Workspace) -> np.ndarray:
        """Fractional indices [3, n] at the middles of pixels."""
        middle = 0.5 - 0.5 / self._plan.oversample
        sub = SubPixels(self._plan, fast + middle, slow + middle, layer, 0, 0, work)
        return miller_indices(beams.vectors, sub.scattering(tuple(beams.incident.tolist()), beams.wavelength), work)

    def _reached(self, index: np.ndarray, half_pixel: np.ndarray) -> np.ndarray:
        """bool [n]: somewhere in a pixel, offset by ``index`` [3, n] from a node, the profile is above the tail."""
        profile = self._profile
        away = np.maximum(np.abs(index) - half_pixel, 0.0)
        inside = (away[0] <= 0.5) & (away[1] <= 0.5) & (away[2] <= 0.5)
        if profile.cells is None:
            spread, slack = (np.sqrt(np.einsum("in,in->n", metric @ rows, rows)) for metric, rows in (
                (profile.metric, index), (np.abs(profile.metric), half_pixel)))
            return inside & (spread - slack <= 1.0)
        most, cells = profile.tail ** -0.5, profile.cells[:, None]
        # Twice x is never above sin(pi x): most pixels need no sine.
        x, y, z = np.maximum(2.0 * cells * away, 1.0)
        near = np.flatnonzero(inside & (x * y * z <= most))
        falls = np.maximum(cells * np.sin(np.pi * away[:, near]), 1.0)
        inside[:] = False
        inside[near] = falls[0] * falls[1] * falls[2] <= most
        return inside


def _path(plan: RenderPlan, direction: np.ndarray, layer: int) -> np.ndarray:
    """From the crystal to a layer of the sensor along beams [n, 3] [m]; NaN where they do not meet it."""
    towards = direction @ np.array(plan.geometry.normal)
    return (plan.geometry.close_distance + plan.layers.depth_m(layer)) / np.where(towards > 0.0, towards, np.nan)


def project(plan: RenderPlan, direction: np.ndarray, layer: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Fast and slow place [pixel] where beams [n, 3] meet a layer of the sensor; NaN where they do not."""
    geometry = plan.geometry
    position = direction * _path(plan, direction, layer)[:, None] - np.array(geometry.pix0)
    return (position @ np.array(geometry.fast) / geometry.pixel_size - plan.first_pixel[0],
            position @ np.array(geometry.slow) / geometry.slow_pixel_size - plan.first_pixel[1])


def cell_volume(plan: RenderPlan) -> float:
    """Volume of the cell as rendered [A^3]."""
    return abs(float(np.linalg.det(plan.cell_vectors[0, 0]))) / units.ANGSTROM_M ** 3
