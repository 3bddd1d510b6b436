"""Miller indices of samples, for blocks of samples in NumPy. Lattice amplitudes: `crystallography.shapes`.

Source: nanoBragg.c; `specs/core-physics.md`.
"""

from __future__ import annotations

import numpy as np

from cubragg.plan.workspace import Workspace


def miller_indices(vectors: np.ndarray, q: np.ndarray, work: Workspace) -> np.ndarray:
    """Fractional indices [rows, n] of cell vectors [rows, 3] and scattering vectors q [3, n].

    Summed x, y, z in this order: a matrix product could round otherwise, and
    differently at the ends of a block.
    """
    rows, count = len(vectors), q.shape[1]
    index, term = work.take("index", rows, count), work.take("term", rows, count)
    np.multiply(vectors[:, 0:1], q[0], out=index)
    for axis in (1, 2):
        np.multiply(vectors[:, axis:axis + 1], q[axis], out=term)
        np.add(index, term, out=index)
    return index


def nearest(index: np.ndarray, work: Workspace) -> np.ndarray:
    """Nearest whole index, ceil(h - 1/2): a half rounds down."""
    whole = work.take("whole", *index.shape)
    np.subtract(index, 0.5, out=whole)
    return np.ceil(whole, out=whole)
