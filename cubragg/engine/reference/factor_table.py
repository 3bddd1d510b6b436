"""Structure factors at Miller indices: of the nearest reflection, or by tricubic interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cubragg.experiment.structure_factors import StructureFactors
from cubragg.plan.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def bordered(grid: np.ndarray, border: float, dtype: DTypeLike = np.float64, *, scale: float = 1.0,
             squared: bool = True) -> np.ndarray:
    """Return the grid [h, k, l] padded with one layer of ``border``, divided by ``scale`` and squared.

    Computed in double precision, then rounded to ``dtype``; plane by plane, to use little memory beyond the result.
    """
    padded = np.empty([size + 2 for size in grid.shape], dtype=dtype)
    values = np.empty(grid.shape[1:])

    def prepared(plane: np.ndarray | float) -> np.ndarray:
        np.divide(plane, scale, out=values)
        return np.multiply(values, values, out=values) if squared else values

    edge = prepared(border)[0, 0].astype(dtype)
    for axis in range(3):
        np.moveaxis(padded, axis, 0)[[0, -1]] = edge
    for inner, plane in zip(padded[1:-1, 1:-1, 1:-1], grid, strict=True):
        inner[...] = prepared(plane)
    return padded


#: Points of the largest F2 grid that is computed.
_MOST_POINTS = 2**26


class StructureFactorTable:
    """Amplitudes on a grid, with ``default_F`` outside it.

    `build` computes the F2 grid, padded with ``default_F``, which makes many lookups faster. Without it, values are
    looked up in the grid of amplitudes, with the same bits. ``constant`` is F^2 if there is no grid, else ``None``.
    """

    def __init__(self, factors: StructureFactors) -> None:
        self.constant = None if factors.grid is not None else factors.default_F * factors.default_F
        if factors.grid is None:
            return
        self._grid, self._default_F = factors.grid, factors.default_F
        self._origin = np.array(factors.origin, dtype=np.float64)[:, None]
        self._shape = [size + 2 for size in factors.grid.shape]
        self._last = np.array(self._shape, dtype=np.float64)[:, None] - 1.0
        self._f2_grid: np.ndarray | None = None

    def build(self) -> None:
        """Compute the F2 grid, unless it exists, or would take more than 512 MiB beside the amplitudes."""
        if self.constant is None and self._f2_grid is None and self._grid.size <= _MOST_POINTS:
            self._f2_grid = bordered(self._grid, self._default_F).reshape(-1)

    def nearest_f2(self, whole: np.ndarray, work: Workspace) -> np.ndarray:
        """Return F^2 [n] at whole indices [3, n]; overwrites the indices."""
        np.subtract(whole, self._origin - 1.0, out=whole)
        np.maximum(whole, 0.0, out=whole)
        np.minimum(whole, self._last, out=whole)
        if self._f2_grid is None:
            return self._f2_without_grid(whole)
        flat = whole[0]
        for axis in (1, 2):
            np.multiply(flat, float(self._shape[axis]), out=flat)
            np.add(flat, whole[axis], out=flat)
        result = work.take("f2", 0, whole.shape[1])
        return np.take(self._f2_grid, flat.astype(np.intp), out=result, mode="clip")

    def _f2_without_grid(self, index: np.ndarray) -> np.ndarray:
        """Return F^2 [n] at indices [3, n] of the padded grid, from the grid of amplitudes."""
        inside = np.all((index > 0.0) & (index < self._last), axis=0)
        factors = np.full(index.shape[1], self._default_F)
        factors[inside] = self._grid[tuple(index[:, inside].astype(np.intp) - 1)]
        return factors * factors

    def leaves_grid(self, index: np.ndarray) -> np.ndarray:
        """Return bool [n]: whether the 4 x 4 x 4 nodes around fractional indices [3, n] extend beyond the grid."""
        low = self._origin
        size = np.array(self._grid.shape, dtype=np.float64)[:, None]
        return np.any((index - low + 3.0 > size) | (index - 2.0 < low), axis=0)

    def interpolated(self, index: np.ndarray) -> np.ndarray:
        """Return F [n] at fractional indices [3, n]: Lagrange cubic along l, then k, then h.

        Indices outside the grid, of samples whose term is ignored (cut by dmin, lattice amplitude 0), are clamped;
        their values are meaningless.
        """
        floor = np.floor(index)
        weights = [_lagrange(index[axis], floor[axis]) for axis in range(3)]
        corner = floor - 1.0 - self._origin
        h, k, l = ([np.clip(corner[axis] + i, 0, size - 1).astype(np.intp) for i in range(4)]  # noqa: E741
                   for axis, size in enumerate(self._grid.shape))
        along_h = []
        for i in range(4):
            along_k = []
            for j in range(4):
                line = [self._grid[h[i], k[j], l[m]] for m in range(4)]
                along_k.append(_sum_weighted(weights[2], line))
            along_h.append(_sum_weighted(weights[1], along_k))
        return _sum_weighted(weights[0], along_h)


def _lagrange(x: np.ndarray, floor: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return numerators and denominators of the four Lagrange weights on floor - 1 .. floor + 2."""
    node = [floor - 1.0, floor, floor + 1.0, floor + 2.0]
    parts = []
    for i in range(4):
        a, b, c = (node[j] for j in range(4) if j != i)
        parts.append(((x - a) * (x - b) * (x - c), (node[i] - a) * (node[i] - b) * (node[i] - c)))
    return parts


def _sum_weighted(parts: list[tuple[np.ndarray, np.ndarray]], values: list[np.ndarray]) -> np.ndarray:
    terms = [above * value / below for (above, below), value in zip(parts, values, strict=True)]
    return terms[0] + terms[1] + terms[2] + terms[3]
