"""A unique list of reflections becomes the whole of reciprocal space: merging, expansion to P1, what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.symmetry import TRANSLATION_UNIT, IndexBox, Symmetry, inverse_d_squared
from cubragg.errors import ConfigError

#: Grid points that are still worth allocating (8 bytes each: 4 GB).
MAX_GRID_POINTS = 500_000_000
#: Mates whose values differ by more than this share of their mean are said to disagree.
DISAGREEMENT = 0.01
SHELLS = 10
_ROUNDING = 1e-6


class Merged(NamedTuple):
    """One row for each orbit of the point group, Friedel mates apart.

    ``hkl`` int32 [n, 3], ``values`` float64 [n]; ``repeated``: orbits with more than one row,
    ``disagreeing``: those whose rows differ by more than `DISAGREEMENT` of their mean.
    """

    hkl: np.ndarray
    values: np.ndarray
    repeated: int
    disagreeing: int


class Shell(NamedTuple):
    """A shell of resolution [A], and how many of its unique reflections are listed."""

    d_max_A: float
    d_min_A: float
    listed: int
    possible: int


def _box(hkl: np.ndarray, symmetry: Symmetry) -> IndexBox:
    box = IndexBox.around(hkl, symmetry)
    if box.size > MAX_GRID_POINTS:
        ranges = ", ".join(f"{name} {-n} to {n}" for name, n in zip("hkl", box.reach.tolist(), strict=True))
        raise ConfigError("structure_factors.grid", f"got indices {ranges}; "
                          f"their box must not exceed {MAX_GRID_POINTS} points")
    return box


def merge(hkl: np.ndarray, values: np.ndarray, symmetry: Symmetry) -> Merged:
    """The mean of rows that the point group makes equal; Friedel mates stay apart where it does not.

    Parameters
    ----------
    hkl, values
        Indices int [n, 3], n >= 1, and finite values [n].

    Raises
    ------
    ConfigError
        If the indices span more than `MAX_GRID_POINTS`.
    """
    box = _box(hkl, symmetry)
    keys = box.first_of_orbit(hkl, symmetry, friedel=False)
    orbits, first, place, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    if len(orbits) == len(hkl):
        return Merged(hkl[first].astype(np.int32), values[first], 0, 0)
    means = np.bincount(place, weights=values) / counts
    spread = np.zeros(len(orbits))
    np.maximum.at(spread, place, np.abs(values - means[place]))
    disagreeing = int((spread > DISAGREEMENT * np.abs(means)).sum())
    return Merged(box.hkl(orbits), np.where(counts == 1, values[first], means), int((counts > 1).sum()), disagreeing)


class ReflectionGrid(NamedTuple):
    """Reciprocal space in P1: ``values`` float64 [2a + 1, 2b + 1, 2c + 1] by h + a, k + b, l + c, NaN where unknown."""

    box: IndexBox
    values: np.ndarray

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """What is known as indices int32 [n, 3], sorted by h, k, l, and values [n]."""
        values = self.values.reshape(-1)
        keys = np.flatnonzero(~np.isnan(values))
        return self.box.hkl(keys), values[keys]

    def filled(self, default_F: float = 0.0) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Amplitudes float64 [h, k, l], ``default_F`` [electrons] where nothing is known, and the first indices."""
        h, k, m = (-int(n) for n in self.box.reach)
        return np.where(np.isnan(self.values), default_F, self.values), (h, k, m)


def expand(hkl: np.ndarray, amplitudes: np.ndarray, symmetry: Symmetry) -> ReflectionGrid:
    """All symmetry and Friedel mates of merged reflections.

    A reflection whose Friedel mate is in the list keeps its own amplitude, otherwise both have the same.

    Parameters
    ----------
    hkl, amplitudes
        Indices int [n, 3] and values [n], one row an orbit (`merge`).
    """
    box = _box(hkl, symmetry)
    values = np.full(box.size, np.nan)
    indices = hkl.astype(np.float64)
    for rotation in symmetry.point_group:
        values[box.keys(indices, rotation)] = amplitudes
    # The key of -h counts from the other end.
    half = box.size // 2
    lower, upper = values[:half + 1], values[half:][::-1]
    gaps = np.isnan(lower), np.isnan(upper)
    np.copyto(lower, upper, where=gaps[0])
    np.copyto(upper, lower, where=gaps[1])
    return ReflectionGrid(box, values.reshape(box.shape))


class Sphere(NamedTuple):
    """All indices down to the resolution of a list, against those that it holds.

    ``hkl`` int [n, 3] is merged (`merge`), ``present`` bool on ``box`` says what its expansion holds, ``metric`` is
    G* [1/A^2] and ``finest`` the largest 1 / d^2 [1/A^2].
    """

    hkl: np.ndarray
    box: IndexBox
    present: np.ndarray
    symmetry: Symmetry
    metric: np.ndarray
    finest: float

    @classmethod
    def around(cls, hkl: np.ndarray, grid: ReflectionGrid, symmetry: Symmetry, cell: tuple[float, ...]) -> Sphere:
        """For a merged list and its expansion; ``cell``: a, b, c [A], alpha, beta, gamma [deg]."""
        metric = symmetry.metric(cell)
        finest = float(inverse_d_squared(hkl, metric).max())
        # |h| is at most |a| / d.
        reach = np.floor(np.sqrt(np.diag(np.linalg.inv(metric)) * finest) + _ROUNDING)
        box = IndexBox(np.maximum(reach, grid.box.reach).astype(np.int64))
        present = np.zeros(box.shape, dtype=bool)
        inner = tuple(slice(int(a - b), int(a + b) + 1) for a, b in zip(box.reach, grid.box.reach, strict=True))
        np.logical_not(np.isnan(grid.values), out=present[inner])
        return cls(hkl, box, present, symmetry, metric, finest)

    def shells(self) -> tuple[Shell, ...]:
        """What is listed and what could be, by shells of equal volume.

        0 0 0 and systematic absences are not counted; symmetry and Friedel mates are one reflection.
        """
        missing = np.concatenate(list(self._left_out(absent=False)))
        # One of each orbit is enough, and there are few to test for absence then.
        first = self.box.first_of_orbit(missing, self.symmetry, friedel=True) == self.box.keys(missing)
        missing = missing[first]
        _, first = np.unique(self.box.first_of_orbit(self.hkl, self.symmetry, friedel=True), return_index=True)
        listed = self.hkl[first]
        listed = listed[~self.symmetry.absent(listed) & listed.any(axis=1)]
        return _shells(listed, missing[~self.symmetry.absent(missing)], self.metric, self.finest)

    def enter_absences(self, grid: ReflectionGrid) -> None:
        """Write 0 into the grid for every systematic absence down to the resolution of the list."""
        for absent in self._left_out(absent=True):
            inside = absent[(np.abs(absent) <= grid.box.reach).all(axis=1)]
            for mates in (inside, -inside):
                grid.values.reshape(-1)[grid.box.keys(mates)] = 0.0

    def _left_out(self, *, absent: bool) -> Iterator[np.ndarray]:
        """Indices int32 [n, 3] of one half of the sphere that are not in the list, plane by plane, without 0 0 0.

        The absent ones, or those that the centring does not make absent.
        """
        metric, reach = self.metric, self.box.reach
        k, m = (np.arange(-n, n + 1) for n in reach[1:])
        plane = (metric[1, 1] * k * k)[:, None] + (metric[2, 2] * m * m)[None, :] + 2 * metric[1, 2] * np.outer(k, m)
        slope = 2 * (metric[0, 1] * k[:, None] + metric[0, 2] * m[None, :])
        for h in range(int(reach[0]) + 1):
            # What lies on the very limit may have been left out by rounding: not listed, it is not missed.
            free = (plane + (h * slope + metric[0, 0] * h * h) < self.finest * (1.0 - _ROUNDING))
            free &= ~self.present[h + reach[0]]
            if h == 0:
                free.reshape(-1)[:free.size // 2 + 1] = False
            for t in [] if absent else self.symmetry.centrings:
                free &= (h * t[0] + (k * t[1])[:, None] + (m * t[2])[None, :]) % TRANSLATION_UNIT == 0
            rows = np.flatnonzero(free)
            indices = np.empty((len(rows), 3), dtype=np.int32)
            indices[:, 0] = h
            indices[:, 1], indices[:, 2] = np.divmod(rows, len(m))
            indices[:, 1:] -= reach[1:].astype(np.int32)
            yield indices[self.symmetry.absent(indices)] if absent else indices


def _shells(listed: np.ndarray, missing: np.ndarray, metric: np.ndarray, finest: float) -> tuple[Shell, ...]:
    """Shells of equal volume."""
    here, gone = inverse_d_squared(listed, metric), inverse_d_squared(missing, metric)
    both = np.concatenate([here, gone])
    if not len(both):
        return ()
    edges = np.linspace(float(both.min()) ** 1.5, finest ** 1.5, SHELLS + 1) ** (2.0 / 3.0)
    edges[0], edges[-1] = 0.0, np.inf
    bounds = [float(both.min()) ** -0.5, *(edges[1:-1] ** -0.5).tolist(), finest ** -0.5]
    counts, gaps = np.histogram(here, edges)[0], np.histogram(gone, edges)[0]
    return tuple(Shell(bounds[i], bounds[i + 1], int(counts[i]), int(counts[i] + gaps[i]))
                 for i in range(SHELLS) if counts[i] + gaps[i])
