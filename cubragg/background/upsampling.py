"""Cubic interpolation of a smooth map between every eighth pixel."""

from __future__ import annotations

import numpy as np

#: Pixels from point to point.
STEP = 8


def coarse_places(count: int) -> np.ndarray:
    """Return the places of the points that `upsampled` needs along an edge of ``count`` pixels, float64 [m]."""
    return STEP * (np.arange(-(-count // STEP) + 3) - 1.0)


def upsampled(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the map [slow, fast] of a shape from its values at `coarse_places` along both edges, by cubic polynomials
    through four points."""
    slow, fast = shape
    rows = _along_rows(np.ascontiguousarray(coarse.T), slow)
    return _along_rows(np.ascontiguousarray(rows.T), fast)


def _along_rows(coarse: np.ndarray, count: int) -> np.ndarray:
    """Return values [n, count] from those at the places [n, m]."""
    cells = coarse.shape[1] - 3
    fine = np.empty((coarse.shape[0], cells, STEP), dtype=coarse.dtype)
    for phase in range(STEP):
        x = phase / STEP
        weights = np.array((-x * (x - 1) * (x - 2) / 6, (x + 1) * (x - 1) * (x - 2) / 2, -(x + 1) * x * (x - 2) / 2,
                            (x + 1) * x * (x - 1) / 6), dtype=coarse.dtype)
        fine[:, :, phase] = sum(weight * coarse[:, place:place + cells] for place, weight in enumerate(weights))
    return fine.reshape(len(coarse), -1)[:, :count]
