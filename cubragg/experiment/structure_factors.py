"""Structure factors: amplitudes on a dense grid over the bounding box of their indices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg import checks
from cubragg.bounds import LARGEST
from cubragg.crystallography.p1_grid import check_grid, expand, merge
from cubragg.crystallography.symmetry import named_group
from cubragg.errors import ConfigError
from cubragg.experiment.panel import same_arrays
from cubragg.experiment.settings_repr import settings_repr

if TYPE_CHECKING:
    import gemmi
    from numpy.typing import ArrayLike


class FactorFile(NamedTuple):
    """File that structure factors were read from, or computed from: of atoms, to a resolution [A].

    Its path and SHA-256, the column and space group as given, and the symbol of its space group; ``None``: it has none.
    """

    path: str
    sha256: str
    column: str | None = None
    space_group: str | None = None
    dmin_A: float | None = None
    symbol: str | None = None


@dataclass(frozen=True, eq=False)
class StructureFactors:
    """Structure factor amplitudes |F| on a grid.

    Attributes
    ----------
    default_F
        Amplitude of every reflection outside the grid [electrons].
    grid
        float64 [h, k, l] amplitudes [electrons], or ``None``.
    origin
        h, k, l of the first grid point.
    F000
        Amplitude of 0 0 0 [electrons], which is not scattering but part of the beam: 0 in physical semantics unless it
        is given. In nanobragg semantics 0 0 0 is a reflection as any other.
    file
        The file that they were read from, or ``None``; it is not compared.
    """

    default_F: float = 0.0
    grid: np.ndarray | None = None
    origin: tuple[int, int, int] = (0, 0, 0)
    file: FactorFile | None = None
    F000: float | None = None

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self, ("grid", "file"))
        checks.number("structure_factors.default_F", "default_F", self.default_F, "electrons")
        checks.vector("structure_factors.origin", "h, k, l", self.origin)
        for index in self.origin:
            checks.integer("structure_factors.origin", "h, k, l", index)
        checks.number("structure_factors.F000", "F000", self.F000, "electrons", optional=True)
        if self.grid is not None:
            # A read-only view: the grid can be too large to copy.
            try:
                grid = np.ascontiguousarray(self.grid, dtype=np.float64).view()
            except (TypeError, ValueError):
                raise ConfigError("structure_factors.grid", f"got {self.grid!r:.60}; amplitudes must be real numbers"
                                  ) from None
            if grid.ndim != 3 or grid.size == 0:
                raise ConfigError("structure_factors.grid", f"got an array of shape {grid.shape}; "
                                  "the grid must be [h, k, l] and not empty")
            if not max(-grid.min(), grid.max()) <= LARGEST:  # NaN is not
                raise ConfigError("structure_factors.grid", f"got NaN, inf or more than {LARGEST:g}; amplitudes must "
                                  "be finite")
            grid.setflags(write=False)
            object.__setattr__(self, "grid", grid)
        elif self.default_F == 0.0:
            raise ConfigError("structure_factors.default_F", "no structure factors: the image would be empty; give "
                              "a list (-hkl) or a default_F other than 0")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StructureFactors):
            return NotImplemented
        return same_arrays(self.grid, other.grid) and (
            self.default_F, self.origin, self.F000) == (other.default_F, other.origin, other.F000)

    def without_direct_beam(self) -> StructureFactors:
        """Return the structure factors with `F000`, or 0, at 0 0 0; the grid is copied if it has another value there.

        Without a grid, one of the single point 0 0 0 is added.
        """
        F000 = self.F000 or 0.0
        if self.grid is None:
            return self if self.default_F == F000 else replace(self, grid=np.full((1, 1, 1), F000))
        point = tuple(-low for low in self.origin)
        if not all(0 <= index < size for index, size in zip(point, self.grid.shape, strict=True)):
            return self if self.default_F == F000 else self._extended().without_direct_beam()
        if self.grid[point] == F000:
            return self
        grid = self.grid.copy()
        grid[point] = F000
        return replace(self, grid=grid)

    def _extended(self) -> StructureFactors:
        """Return the same on a grid that holds 0 0 0."""
        assert self.grid is not None
        before = [max(low, 0) for low in self.origin]
        after = [max(1 - low - size, 0) for low, size in zip(self.origin, self.grid.shape, strict=True)]
        grid = np.pad(self.grid, tuple(zip(before, after, strict=True)), constant_values=self.default_F)
        h, k, l = (low - more for low, more in zip(self.origin, before, strict=True))  # noqa: E741
        return replace(self, grid=grid, origin=(h, k, l))

    @classmethod
    def from_list(cls, hkl: ArrayLike, amplitudes: ArrayLike, default_F: float = 0.0, *,
                  space_group: str | int | gemmi.SpaceGroup | None = None) -> StructureFactors:
        """Return the structure factors of a list of reflections.

        Parameters
        ----------
        hkl
            Indices [n, 3], whole numbers.
        amplitudes
            |F| [n], in electrons.
        default_F
            Amplitude of reflections that are not in the list [electrons].
        space_group
            Symbol, number, or gemmi's object: the list is expanded to all symmetry and Friedel mates. If only one of
            two Friedel mates is listed, both get its amplitude; equivalent rows are averaged, and systematic absences
            are 0. ``None``: the list is used as it is, so it must contain all mates; the last of several equal indices
            is used.

        Raises
        ------
        ConfigError
            For indices that are not whole numbers, amplitudes that are not finite, an unknown space group, and a box
            of indices that is too large.
        """
        indices, values = _checked_list(hkl, amplitudes)
        checks.number("structure_factors.default_F", "default_F", default_F, "electrons")
        if space_group is not None:
            return cls(float(default_F), *_expanded(indices, values, float(default_F), space_group))
        # By columns, which is ten times faster than NumPy's minimum over rows of three.
        low, high = (np.array([of(column) for column in indices.T]) for of in (np.min, np.max))
        shape = [int(b) - int(a) + 1 for a, b in zip(low, high, strict=True)]
        check_grid([(int(a), int(b)) for a, b in zip(low, high, strict=True)], len(indices))
        grid = np.full(shape, float(default_F))
        grid[tuple((indices - low).T)] = values
        return cls(float(default_F), grid, (int(low[0]), int(low[1]), int(low[2])))

    def at(self, hkl: np.ndarray) -> np.ndarray:
        """Return the amplitudes [n], in electrons, of integer indices [n, 3]."""
        amplitudes = np.full(len(hkl), float(self.default_F))
        if self.grid is not None:
            point = hkl - np.array(self.origin)
            inside = np.all((point >= 0) & (point < self.grid.shape), axis=1)
            amplitudes[inside] = self.grid[tuple(point[inside].T)]
        return amplitudes


def _checked_list(hkl: ArrayLike, amplitudes: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return integer indices [n, 3] and float64 amplitudes [n] of a list of reflections.

    Raises
    ------
    ConfigError
        If they are not.
    """
    indices = np.asarray(hkl)
    try:
        values = np.asarray(amplitudes, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError("structure_factors.grid", f"got amplitudes of type {np.asarray(amplitudes).dtype}; they must "
                          "be real numbers") from None
    if indices.ndim != 2 or indices.shape[1] != 3 or len(indices) == 0 or values.shape != (len(indices),):
        given = f"{len(values)} amplitudes" if values.ndim == 1 else f"amplitudes of shape {values.shape}"
        raise ConfigError("structure_factors.grid", f"got indices of shape {indices.shape} and {given}; a list needs "
                          "n >= 1 rows of h k l and n amplitudes")
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise ConfigError("structure_factors.grid", f"got {'NaN' if np.isnan(values[row]) else values[row]} in row "
                          f"{row} of the amplitudes, which must be finite; leave out reflections without a value")
    if indices.dtype.kind not in "iu":
        if indices.dtype.kind != "f" or not (indices == np.round(indices)).all():
            raise ConfigError("structure_factors.grid", f"got indices of type {indices.dtype} that are not whole "
                              "numbers; h, k, l must be")
        indices = indices.astype(np.int64)
    return indices, values


def _expanded(hkl: np.ndarray, amplitudes: np.ndarray, default_F: float, space_group: str | int | gemmi.SpaceGroup
              ) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Return the grid of the symmetry and Friedel mates of a list, and the indices of its first point."""
    symmetry = named_group(str(space_group) if isinstance(space_group, str | int) else space_group.xhm())
    merged = merge(hkl, np.abs(amplitudes), symmetry)
    absent = symmetry.operations.systematic_absences(merged.hkl)
    grid = expand(merged.hkl, np.where(absent, 0.0, merged.values), symmetry)
    if default_F != 0.0:
        values = grid.values.reshape(-1)
        missing = np.flatnonzero(np.isnan(values))
        values[missing[symmetry.operations.systematic_absences(grid.box.hkl(missing))]] = 0.0
    return grid.filled(default_F)
