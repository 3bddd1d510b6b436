"""nanoBragg's ellipsoid: that of `shape_round` by the closed form alone.

Beside a node the closed form cancels: x below 1e-7 gives any amplitude, and the images of nanoBragg.c have it.
"""

from __future__ import annotations

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import Buffers
from cubragg.crystallography.shapes.shape_round import Round, closed_sinc3


class NanobraggRound(Round):
    """What ``round`` is in nanobragg semantics."""

    name, setting = "nanobragg_round", "round"
    semantics = ("nanobragg",)

    def sinc3(self, x: np.ndarray, work: Buffers) -> np.ndarray:
        """The closed form, 1 at a node; x may be changed."""
        at_node = x == 0.0
        x[at_node] = 1.0
        result = closed_sinc3(x, work)
        result[at_node] = 1.0
        return result


SHAPE = NanobraggRound()
