"""Miller indices of blocks of samples. Lattice amplitudes are in `crystallography.shapes`.

Source: nanoBragg.c; `specs/core-physics.md`.
"""

from __future__ import annotations

import numpy as np

from cubragg.plan.workspace import Workspace


def miller_indices(cell_axes: np.ndarray, q: np.ndarray, work: Workspace) -> np.ndarray:
    """Return fractional indices [rows, n] for cell axes [rows, 3] [m] and scattering vectors q [3, n] [1/m].

    Products are summed in the order x, y, z: the rounding of a matrix product depends on the library, and on the
    position in the block.
    """
    rows, count = len(cell_axes), q.shape[1]
    index, term = work.take("index", rows, count), work.take("term", rows, count)
    np.multiply(cell_axes[:, 0:1], q[0], out=index)
    for axis in (1, 2):
        np.multiply(cell_axes[:, axis:axis + 1], q[axis], out=term)
        np.add(index, term, out=index)
    return index


def nearest(index: np.ndarray, work: Workspace) -> np.ndarray:
    """Return the nearest whole indices, ceil(h - 1/2); halves are rounded down."""
    whole = work.take("whole", *index.shape)
    np.subtract(index, 0.5, out=whole)
    return np.ceil(whole, out=whole)
