"""Structure factors at Miller indices: the nearest reflection, or tricubic interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from cubragg.experiment.structure_factors import StructureFactors
from cubragg.plan.workspace import Workspace


def bordered(grid: np.ndarray, border: float, dtype: DTypeLike = np.float64, *, scale: float = 1.0,
             squared: bool = True) -> np.ndarray:
    """The grid [h, k, l] in one layer of ``border``, over ``scale``, squared: in double, and rounded to ``dtype`` last.

    Plane by plane, so that nothing but the result takes memory.
    """
    table = np.empty([size + 2 for size in grid.shape], dtype=dtype)
    values = np.empty(grid.shape[1:])

    def prepared(plane: np.ndarray | float) -> np.ndarray:
        np.divide(plane, scale, out=values)
        return np.multiply(values, values, out=values) if squared else values

    edge = prepared(border)[0, 0].astype(dtype)
    for axis in range(3):
        np.moveaxis(table, axis, 0)[[0, -1]] = edge
    for inner, plane in zip(table[1:-1, 1:-1, 1:-1], grid, strict=True):
        inner[...] = prepared(plane)
    return table


class StructureFactorTable:
    """Amplitudes on a grid, and ``default_F`` around it.

    For many lookups `build` lays a table in which a lookup is a clamp. Before, values are
    looked up in the grid itself, to the same bits. ``constant`` is the squared amplitude
    where there is no grid, else ``None``.
    """

    def __init__(self, factors: StructureFactors) -> None:
        self.constant = None if factors.grid is not None else factors.default_F * factors.default_F
        if factors.grid is None:
            return
        self._grid, self._default_F = factors.grid, factors.default_F
        self._origin = np.array(factors.origin, dtype=np.float64)[:, None]
        self._shape = [size + 2 for size in factors.grid.shape]
        self._last = np.array(self._shape, dtype=np.float64)[:, None] - 1.0
        self._squares: np.ndarray | None = None

    def build(self) -> None:
        """Lay the table, unless that was done."""
        if self.constant is None and self._squares is None:
            self._squares = bordered(self._grid, self._default_F).reshape(-1)

    def nearest_f2(self, whole: np.ndarray, work: Workspace) -> np.ndarray:
        """F^2 [n] at whole indices [3, n], which are destroyed."""
        np.subtract(whole, self._origin - 1.0, out=whole)
        np.maximum(whole, 0.0, out=whole)
        np.minimum(whole, self._last, out=whole)
        if self._squares is None:
            return self._squares_in_grid(whole)
        flat = whole[0]
        for axis in (1, 2):
            np.multiply(flat, float(self._shape[axis]), out=flat)
            np.add(flat, whole[axis], out=flat)
        result = work.take("squares", 0, whole.shape[1])
        return np.take(self._squares, flat.astype(np.intp), out=result, mode="clip")

    def _squares_in_grid(self, place: np.ndarray) -> np.ndarray:
        """F^2 [n] at places [3, n] of the table."""
        inside = np.all((place > 0.0) & (place < self._last), axis=0)
        factors = np.full(place.shape[1], self._default_F)
        factors[inside] = self._grid[tuple(place[:, inside].astype(np.intp) - 1)]
        return factors * factors

    def leaves_grid(self, index: np.ndarray) -> np.ndarray:
        """bool [n]: the 4 x 4 x 4 neighbourhood of a fractional index [3, n] is not inside the grid."""
        low = self._origin
        size = np.array(self._grid.shape, dtype=np.float64)[:, None]
        return np.any((index - low + 3.0 > size) | (index - 2.0 < low), axis=0)

    def interpolated(self, index: np.ndarray) -> np.ndarray:
        """F [n] at fractional indices [3, n]: Lagrange cubic along l, then k, then h.

        Meant for indices inside the grid. Others, of samples that do not count (cut by dmin, lattice
        factor 0), get a number without meaning from clamped places.
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
    """Numerator and denominator of the four Lagrange weights on floor - 1 .. floor + 2."""
    node = [floor - 1.0, floor, floor + 1.0, floor + 2.0]
    parts = []
    for i in range(4):
        a, b, c = (node[j] for j in range(4) if j != i)
        parts.append(((x - a) * (x - b) * (x - c), (node[i] - a) * (node[i] - b) * (node[i] - c)))
    return parts


def _sum_weighted(parts: list[tuple[np.ndarray, np.ndarray]], values: list[np.ndarray]) -> np.ndarray:
    terms = [above * value / below for (above, below), value in zip(parts, values, strict=True)]
    return terms[0] + terms[1] + terms[2] + terms[3]
