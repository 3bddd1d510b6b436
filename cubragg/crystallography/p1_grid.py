"""A unique list of reflections becomes the whole of reciprocal space: merging, expansion to P1, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.crystallography.symmetry import IndexBox, Symmetry
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    import gemmi

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

    def holds(self, hkl: np.ndarray) -> np.ndarray:
        """Whether the values at indices [n, 3] are known, bool [n]."""
        values = self.values.reshape(-1).take(self.box.keys(hkl), mode="clip")
        return self.box.contains(hkl) & ~np.isnan(values)

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
    for rotation in symmetry.point_group:
        values[box.keys(hkl, rotation)] = amplitudes
    # The key of -h counts from the other end.
    half = box.size // 2
    lower, upper = values[:half + 1], values[half:][::-1]
    gaps = np.isnan(lower), np.isnan(upper)
    np.copyto(lower, upper, where=gaps[0])
    np.copyto(upper, lower, where=gaps[1])
    return ReflectionGrid(box, values.reshape(box.shape))


class Sphere(NamedTuple):
    """Reciprocal space down to the resolution of a list, against what the list holds.

    ``hkl`` int32 [n, 3] is the merged list (`merge`) and ``finest`` its largest 1 / d^2 [1/A^2] in ``cell``, freed of
    misfit. Of each Friedel pair that is not in its expansion one is in ``missing`` int32 [m, 3], or in ``absent``
    int32 [a, 3] if it is a systematic absence.
    """

    hkl: np.ndarray
    symmetry: Symmetry
    cell: gemmi.UnitCell
    finest: float
    missing: np.ndarray
    absent: np.ndarray

    @classmethod
    def around(cls, hkl: np.ndarray, grid: ReflectionGrid, symmetry: Symmetry, cell: tuple[float, ...]) -> Sphere:
        """For a merged list and its expansion; ``cell``: a, b, c [A], alpha, beta, gamma [deg]."""
        import gemmi

        fitted = symmetry.fitted(cell)
        finest = float(fitted.calculate_1_d2_array(hkl).max())
        # What lies on the very limit may have been left out by rounding: not listed, it is not missed.
        half = gemmi.make_miller_array(fitted, gemmi.SpaceGroup("P 1"), (finest * (1.0 - _ROUNDING)) ** -0.5)
        unlisted = half[~grid.holds(half)]
        absent = symmetry.operations.systematic_absences(unlisted)
        return cls(hkl, symmetry, fitted, finest, unlisted[~absent], unlisted[absent])

    def shells(self) -> tuple[Shell, ...]:
        """What is listed and what could be, by shells of equal volume.

        0 0 0 and systematic absences are not counted; symmetry and Friedel mates are one reflection.
        """
        counted = ~self.symmetry.operations.systematic_absences(self.hkl) & self.hkl.any(axis=1)
        listed, missing = (self.cell.calculate_1_d2_array(_unique(hkl, self.symmetry))
                           for hkl in (self.hkl[counted], self.missing))
        return _shells(listed, missing, self.finest)

    def enter_absences(self, grid: ReflectionGrid) -> None:
        """Write 0 into the grid for every systematic absence down to the resolution of the list."""
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
    """Shells of equal volume, from 1 / d^2 [1/A^2] of unique reflections."""
    both = np.concatenate([listed, missing])
    if not len(both):
        return ()
    edges = np.linspace(float(both.min()) ** 1.5, finest ** 1.5, SHELLS + 1) ** (2.0 / 3.0)
    edges[0], edges[-1] = 0.0, np.inf
    bounds = [float(both.min()) ** -0.5, *(edges[1:-1] ** -0.5).tolist(), finest ** -0.5]
    counts, gaps = np.histogram(listed, edges)[0], np.histogram(missing, edges)[0]
    return tuple(Shell(bounds[i], bounds[i + 1], int(counts[i]), int(counts[i] + gaps[i]))
                 for i in range(SHELLS) if counts[i] + gaps[i])
