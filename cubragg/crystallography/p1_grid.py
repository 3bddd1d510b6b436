"""Merges reflections, expands them to P1, and lists the ones that are missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.crystallography.symmetry import IndexBox, Symmetry
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    import gemmi

#: Largest number of grid points that is allocated (8 bytes each: 4 GB).
MAX_GRID_POINTS = 500_000_000
#: Smallest share of points with a value, 1 / 1000, in larger grids than these; expansion takes several arrays.
_SPARSE, _SPARSE_BOX_POINTS = 1000, 2**26
#: Reflections to the resolution of a list that may have few values.
_MAX_SPARSE_SPHERE = 2**26
#: Symmetry mates disagree if they differ from their mean by more than this fraction of it.
DISAGREEMENT = 0.01
SHELLS = 10
_ROUNDING = 1e-6


class Merged(NamedTuple):
    """Merged reflections: one row for each orbit of the point group, Friedel mates separate.

    ``hkl`` int32 [n, 3], ``values`` float64 [n]; ``repeated``: number of orbits listed in more than one row,
    ``disagreeing``: number of those with a row that differs by more than `DISAGREEMENT` from the mean.
    """

    hkl: np.ndarray
    values: np.ndarray
    repeated: int
    disagreeing: int


class Shell(NamedTuple):
    """A resolution shell [A] with the numbers of its unique reflections that are listed and possible."""

    d_max_A: float
    d_min_A: float
    listed: int
    possible: int


def check_grid(bounds: Sequence[tuple[int, int]], listed: int, sparse_points: int = 2**27) -> None:
    """Refuse a grid that is too large, or large and almost empty because one of its indices is far from the others.

    Parameters
    ----------
    bounds
        The first and the last h, k, l.
    listed
        Number of points with a value.
    sparse_points
        Points of a grid that may have any number of values; 2^27 are 1 GiB.

    Raises
    ------
    ConfigError
        For more than `MAX_GRID_POINTS`, or more than ``sparse_points`` with less than one value in a thousand points.
    """
    points = math.prod(last - first + 1 for first, last in bounds)
    ranges = ", ".join(f"{name} {first} to {last}" for name, (first, last) in zip("hkl", bounds, strict=True))
    if points > MAX_GRID_POINTS:
        raise ConfigError("structure_factors.grid", f"got indices {ranges}; their box must not exceed "
                          f"{MAX_GRID_POINTS} points")
    if points > sparse_points and listed * _SPARSE < points:
        raise ConfigError("structure_factors.grid", f"got indices {ranges}, of which {listed} are listed, less than "
                          f"one in {_SPARSE}; leave out the indices that are far from the others")


def _box(hkl: np.ndarray, symmetry: Symmetry) -> IndexBox:
    box = IndexBox.around(hkl, symmetry)
    check_grid([(-reach, reach) for reach in box.reach.tolist()], 2 * len(symmetry.point_group) * len(hkl),
               _SPARSE_BOX_POINTS)
    return box


def merge(hkl: np.ndarray, values: np.ndarray, symmetry: Symmetry) -> Merged:
    """Average the rows that are equivalent under the point group; Friedel mates are merged only if it contains -1.

    Parameters
    ----------
    hkl, values
        Indices int [n, 3], n >= 1, and finite values [n].

    Raises
    ------
    ConfigError
        If the box of the indices has more than `MAX_GRID_POINTS` points.
    """
    box = _box(hkl, symmetry)
    keys = box.first_of_orbit(hkl, symmetry, friedel=False)
    orbits, first, orbit, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    if len(orbits) == len(hkl):
        return Merged(hkl[first].astype(np.int32), values[first], 0, 0)
    means = np.bincount(orbit, weights=values) / counts
    spread = np.zeros(len(orbits))
    np.maximum.at(spread, orbit, np.abs(values - means[orbit]))
    disagreeing = int((spread > DISAGREEMENT * np.abs(means)).sum())
    return Merged(box.hkl(orbits), np.where(counts == 1, values[first], means), int((counts > 1).sum()), disagreeing)


class ReflectionGrid(NamedTuple):
    """Reflections in P1: ``values`` float64 [2a + 1, 2b + 1, 2c + 1], index h + a, k + b, l + c; NaN if missing."""

    box: IndexBox
    values: np.ndarray

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices int32 [n, 3], sorted by h, k, l, and values [n] of the reflections that are not missing."""
        values = self.values.reshape(-1)
        keys = np.flatnonzero(~np.isnan(values))
        return self.box.hkl(keys), values[keys]

    def holds(self, hkl: np.ndarray) -> np.ndarray:
        """Whether the grid contains a value for each of the indices [n, 3], bool [n]."""
        values = self.values.reshape(-1).take(self.box.keys(hkl), mode="clip")
        return self.box.contains(hkl) & ~np.isnan(values)

    def filled(self, default_F: float = 0.0) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Amplitudes float64 [h, k, l], with ``default_F`` [electrons] for missing ones, and first indices."""
        h, k, m = (-int(n) for n in self.box.reach)
        return np.where(np.isnan(self.values), default_F, self.values), (h, k, m)


def expand(hkl: np.ndarray, amplitudes: np.ndarray, symmetry: Symmetry) -> ReflectionGrid:
    """Expand merged reflections to all symmetry and Friedel mates.

    If only one of two Friedel mates is listed, both get its amplitude.

    Parameters
    ----------
    hkl, amplitudes
        Indices int [n, 3] and values [n], one row for each orbit (`merge`).
    """
    box = _box(hkl, symmetry)
    values = np.full(box.size, np.nan)
    for rotation in symmetry.point_group:
        values[box.keys(hkl, rotation)] = amplitudes
    # The key of -h is the same number counted from the end.
    half = box.size // 2
    lower, upper = values[:half + 1], values[half:][::-1]
    gaps = np.isnan(lower), np.isnan(upper)
    np.copyto(lower, upper, where=gaps[0])
    np.copyto(upper, lower, where=gaps[1])
    return ReflectionGrid(box, values.reshape(box.shape))


class Sphere(NamedTuple):
    """All reflections to the resolution of a list, sorted into listed and missing ones.

    ``hkl`` int32 [n, 3] is the merged list (`merge`) and ``finest`` its largest 1 / d^2 [1/A^2] in ``cell``, which has
    the exact symmetry of the space group. Of each Friedel pair that is not in the expanded list, one is in ``missing``
    int32 [m, 3], or in ``absent`` int32 [a, 3] if it is a systematic absence.
    """

    hkl: np.ndarray
    symmetry: Symmetry
    cell: gemmi.UnitCell
    finest: float
    missing: np.ndarray
    absent: np.ndarray

    @classmethod
    def around(cls, hkl: np.ndarray, grid: ReflectionGrid, symmetry: Symmetry, cell: tuple[float, ...]) -> Sphere:
        """Compare a merged list and its expansion with all reflections of ``cell`` [A, deg]."""
        import gemmi

        fitted = symmetry.fitted(cell)
        finest = float(fitted.calculate_1_d2_array(hkl).max())
        possible = 4.0 / 3.0 * math.pi * fitted.volume * finest ** 1.5
        listed = 2 * len(symmetry.point_group) * len(hkl)
        if possible > _MAX_SPARSE_SPHERE and listed * _SPARSE < possible:
            raise ConfigError("structure_factors.grid", f"got reflections to {finest ** -0.5:.4g} A, of which {listed} "
                              f"of {possible:.3g} are listed, less than one in {_SPARSE}; the cell or an index is "
                              "wrong")
        # A reflection exactly at the resolution limit may be unlisted by rounding and does not count as missing.
        half = gemmi.make_miller_array(fitted, gemmi.SpaceGroup("P 1"), (finest * (1.0 - _ROUNDING)) ** -0.5)
        unlisted = half[~grid.holds(half)]
        absent = symmetry.operations.systematic_absences(unlisted)
        return cls(hkl, symmetry, fitted, finest, unlisted[~absent], unlisted[absent])

    def shells(self) -> tuple[Shell, ...]:
        """Numbers of listed and possible unique reflections in shells of equal volume.

        0 0 0 and systematic absences are not counted; symmetry and Friedel mates count once.
        """
        counted = ~self.symmetry.operations.systematic_absences(self.hkl) & self.hkl.any(axis=1)
        listed, missing = (self.cell.calculate_1_d2_array(_unique(hkl, self.symmetry))
                           for hkl in (self.hkl[counted], self.missing))
        return _shells(listed, missing, self.finest)

    def enter_absences(self, grid: ReflectionGrid) -> None:
        """Set every systematic absence to the resolution of the list to 0 in the grid."""
        inside = self.absent[grid.box.contains(self.absent)]
        for mates in (inside, -inside):
            grid.values.reshape(-1)[grid.box.keys(mates)] = 0.0


def _unique(hkl: np.ndarray, symmetry: Symmetry) -> np.ndarray:
    """One of each set of symmetry and Friedel mates among indices int32 [n, 3]."""
    if not len(hkl):
        return hkl
    _, first = np.unique(IndexBox.around(hkl, symmetry).first_of_orbit(hkl, symmetry, friedel=True), return_index=True)
    return hkl[first]


def _shells(listed: np.ndarray, missing: np.ndarray, finest: float) -> tuple[Shell, ...]:
    """Shells of equal volume from 1 / d^2 [1/A^2] of the listed and missing unique reflections."""
    both = np.concatenate([listed, missing])
    if not len(both):
        return ()
    edges = np.linspace(float(both.min()) ** 1.5, finest ** 1.5, SHELLS + 1) ** (2.0 / 3.0)
    edges[0], edges[-1] = 0.0, np.inf
    bounds = [float(both.min()) ** -0.5, *(edges[1:-1] ** -0.5).tolist(), finest ** -0.5]
    counts, gaps = np.histogram(listed, edges)[0], np.histogram(missing, edges)[0]
    return tuple(Shell(bounds[i], bounds[i + 1], int(counts[i]), int(counts[i] + gaps[i]))
                 for i in range(SHELLS) if counts[i] + gaps[i])
