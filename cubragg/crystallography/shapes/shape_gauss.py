"""Gaussian spots in index space: Na Nb Nc exp(-fudge sum (dh N)^2 / 0.63).

Source: nanoBragg.c before December 2023, simtbx and diffBragg of cctbx.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import (
    Buffers,
    CoherentBlock,
    RadialShape,
    falling_exponential,
    index_radius_sqr,
)

#: Makes spots as wide at half height as those of a parallelepiped.
GAUSS_WIDTH = 0.63


class Gauss(RadialShape):
    """Gaussian spots as wide as the block's in index space."""

    name = setting = "gauss"
    semantics = ("physical",)
    words = "Gaussian spots"
    compact = True
    unit_integral = (0.5 * math.pi * GAUSS_WIDTH) ** 1.5
    term_ns: ClassVar = {"double": 3.5, "mixed": 2.4, "single": 1.9}
    term_instructions: ClassVar = {"double": (138, 69), "mixed": (57, 24), "single": (50, 0)}

    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """Return the closed form; 0 where the exponential underflows."""
        cells = block.cells
        exponent = index_radius_sqr(index, whole, cells, work)
        np.divide(exponent, GAUSS_WIDTH, out=exponent)
        np.multiply(exponent, block.fudge, out=exponent)
        return falling_exponential(cells[0] * cells[1] * cells[2], exponent, work)

    def cutoff(self, decay: float) -> float:
        """0.63 times the decay."""
        return decay * GAUSS_WIDTH


SHAPE = Gauss()
