"""Reflections near the Ewald sphere, and the pixels that their light falls on.

The nodes of the reciprocal lattice near the sphere are found row by row: along c* the distance
from the sphere is a quadratic. A node's profile (the shape transform) is followed down to a
share ``TAIL`` of its peak. Lengths are metres, reciprocal ones 1/m. `specs/truth.md`
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cubragg import units
from cubragg.render.attribution import index_reach
from cubragg.render.plan import RenderPlan

#: Light further down a profile than this share of its peak is not followed.
TAIL = 1e-6
#: Pairs of a reflection and a pixel that are looked at together.
_PAIRS = 500_000


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
    return np.unique(np.concatenate(found), axis=0)


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


class Windows:
    """The pixels, for each orientation, that reflections reach."""

    def __init__(self, plan: RenderPlan, profile: Profile | None = None) -> None:
        self._plan = plan
        self._profile = profile_of(plan) if profile is None else profile
        self._reach = index_reach(plan)
        self._vectors = plan.cell_vectors.reshape(-1, 3, 3)

    def places(self, orientation: int) -> np.ndarray:
        """Places in the region [n], ascending, of the pixels that one orientation lights with any source."""
        sources = self._plan.sources
        lit = [places for incident, wavelength in zip(sources.incident, sources.wavelength_m.tolist(), strict=True)
               for places in self._lit(self._vectors[orientation], incident, wavelength)]
        return np.unique(np.concatenate(lit)) if lit else np.zeros(0, dtype=np.int64)

    def _lit(self, vectors: np.ndarray, incident: np.ndarray, wavelength: float) -> Iterator[np.ndarray]:
        nodes = self._excited(vectors, incident, wavelength)
        if not len(nodes.hkl):
            return
        fast, slow, per_fast, per_slow = self._projected(nodes.direction, vectors, wavelength)
        seen = np.isfinite(fast)
        nodes = Nodes(*(part[seen] for part in vars(nodes).values()))
        low, high = self._boxes(nodes.offset, fast[seen], slow[seen], per_fast[seen], per_slow[seen])
        half_pixel = 0.5 * (np.abs(per_fast) + np.abs(per_slow))[seen]
        size = np.maximum(high - low + 1, 0)
        counts = size[:, 0] * size[:, 1]
        parts = np.cumsum(counts) // _PAIRS
        for part in np.unique(parts[counts > 0]):
            chosen = np.flatnonzero((parts == part) & (counts > 0))
            row, step = ragged(counts[chosen])
            row = chosen[row]
            down, across = np.divmod(step, size[row, 0])
            pixel_fast, pixel_slow = low[row, 0] + across, low[row, 1] + down
            index = self._indices(pixel_fast, pixel_slow, vectors, incident, wavelength) - nodes.hkl[row]
            lit = self._reached(index, half_pixel[row])
            fast_min, fast_max, slow_min, _ = self._plan.roi
            yield np.unique((pixel_slow[lit] - slow_min) * (fast_max - fast_min + 1) + pixel_fast[lit] - fast_min)

    def _excited(self, vectors: np.ndarray, incident: np.ndarray, wavelength: float) -> Nodes:
        """Reflections whose profile touches the sphere above the tail."""
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

    def _projected(self, direction: np.ndarray, vectors: np.ndarray, wavelength: float
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Where beams [n, 3] meet the detector [pixel] (NaN: nowhere), and how indices change per pixel [n, 3]."""
        fast, slow = project(self._plan, direction)
        path = self._path(direction)
        changes = []
        geometry = self._plan.geometry
        for axis, edge in ((geometry.fast, geometry.pixel_size), (geometry.slow, geometry.slow_pixel_size)):
            turn = np.array(axis) - direction * (direction @ np.array(axis))[:, None]
            changes.append(turn * (edge / path / wavelength)[:, None] @ vectors.T)
        return fast, slow, changes[0], changes[1]

    def _path(self, direction: np.ndarray) -> np.ndarray:
        towards = direction @ np.array(self._plan.geometry.normal)
        return self._plan.geometry.close_distance / np.where(towards > 0.0, towards, np.nan)

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

    def _indices(self, fast: np.ndarray, slow: np.ndarray, vectors: np.ndarray, incident: np.ndarray, wavelength: float
                 ) -> np.ndarray:
        """Fractional indices [n, 3] at the middles of pixels."""
        geometry = self._plan.geometry
        position = (np.outer((fast + 0.5) * geometry.pixel_size, geometry.fast)
                    + np.outer((slow + 0.5) * geometry.slow_pixel_size, geometry.slow) + np.array(geometry.pix0))
        direction = position / np.linalg.norm(position, axis=1)[:, None]
        return (direction - incident) @ (vectors.T / wavelength)

    def _reached(self, index: np.ndarray, half_pixel: np.ndarray) -> np.ndarray:
        """bool [n]: somewhere in the pixel the profile is above the tail."""
        profile = self._profile
        away = np.maximum(np.abs(index) - half_pixel, 0.0)
        inside = np.all(away <= 0.5, axis=1)
        if profile.cells is None:
            spread = np.sqrt(np.einsum("ij,jk,ik->i", index, profile.metric, index))
            slack = np.sqrt(np.einsum("ij,jk,ik->i", half_pixel, np.abs(profile.metric), half_pixel))
            return inside & (spread - slack <= 1.0)
        falls = np.maximum(profile.cells * np.sin(np.pi * np.minimum(away, 0.5)), 1.0)
        return inside & (np.prod(falls, axis=1) ** -2.0 >= profile.tail)


def project(plan: RenderPlan, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fast and slow place [pixel] where beams [n, 3] meet the plane of the detector; NaN where they do not."""
    geometry = plan.geometry
    towards = direction @ np.array(geometry.normal)
    path = geometry.close_distance / np.where(towards > 0.0, towards, np.nan)
    position = direction * path[:, None] - np.array(geometry.pix0)
    return (position @ np.array(geometry.fast) / geometry.pixel_size,
            position @ np.array(geometry.slow) / geometry.slow_pixel_size)


def cell_volume(plan: RenderPlan) -> float:
    """Volume of the cell as rendered [A^3]."""
    return abs(float(np.linalg.det(plan.cell_vectors[0, 0]))) / units.ANGSTROM_M ** 3
