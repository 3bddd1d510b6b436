"""Structure factors at Miller indices: the nearest reflection, or tricubic interpolation."""

from __future__ import annotations

import numpy as np

from cubragg.experiment.structure_factors import StructureFactors
from cubragg.render.lattice import Workspace


class StructureFactorTable:
    """Amplitudes on a grid with one layer of ``default_F`` around it, so that a lookup is a clamp.

    ``constant`` is the squared amplitude where there is no grid, else ``None``.
    """

    def __init__(self, factors: StructureFactors) -> None:
        self.constant = None if factors.grid is not None else factors.default_F * factors.default_F
        if factors.grid is None:
            return
        self._grid = factors.grid
        self._origin = np.array(factors.origin, dtype=np.float64)[:, None]
        padded = np.pad(factors.grid, 1, constant_values=factors.default_F)
        self._shape = padded.shape
        self._squares = (padded * padded).reshape(-1)
        self._last = np.array(padded.shape, dtype=np.float64)[:, None] - 1.0

    def nearest_squares(self, whole: np.ndarray, work: Workspace) -> np.ndarray:
        """F^2 [n] at whole indices [3, n], which are destroyed."""
        np.subtract(whole, self._origin - 1.0, out=whole)
        np.maximum(whole, 0.0, out=whole)
        np.minimum(whole, self._last, out=whole)
        flat = whole[0]
        for axis in (1, 2):
            np.multiply(flat, float(self._shape[axis]), out=flat)
            np.add(flat, whole[axis], out=flat)
        result = work.take("squares", 0, whole.shape[1])
        return np.take(self._squares, flat.astype(np.intp), out=result, mode="clip")

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
