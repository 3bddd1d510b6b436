"""Gaussian spots round in reciprocal space: Na Nb Nc exp(-1.9 fudge |dh a* + dk b* + dl c*|^2 (Na Nb Nc V)^(2/3)).

The spots are spheres of the same size for every setting of the cell: a centred cell and its primitive one give the
same image. Source: a proposal to cctbx (pull request 985).
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import (
    Buffers,
    CoherentBlock,
    ReciprocalShape,
    falling_exponential,
    star_radius_sqr,
)

GAUSS_STAR_FALL = 1.9


class GaussStar(ReciprocalShape):
    """Gaussian spots of a block with as many cells, whatever their numbers along a, b, c."""

    name = setting = "gauss_star"
    semantics = ("physical",)
    words = "Gaussian spots, spheres"
    compact = True
    unit_integral = (0.5 * math.pi / GAUSS_STAR_FALL) ** 1.5
    term_ns: ClassVar = {"double": 3.4, "mixed": 5.0, "single": 4.2}
    term_instructions: ClassVar = {"double": (116, 71), "mixed": (63, 24), "single": (55, 0)}

    def length(self, block: CoherentBlock) -> float:
        """Edge of a cube of the block's volume [A]."""
        return (block.count * block.volume) ** (1.0 / 3.0)

    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """Return the closed form; 0 where the exponential underflows."""
        cells = block.cells
        exponent = star_radius_sqr(index, whole, block.stars * self.length(block), work)
        np.multiply(exponent, GAUSS_STAR_FALL, out=exponent)
        np.multiply(exponent, block.fudge, out=exponent)
        return falling_exponential(cells[0] * cells[1] * cells[2], exponent, work)

    def cutoff(self, decay: float) -> float:
        """The decay over 1.9."""
        return decay / GAUSS_STAR_FALL

    def kernel_numbers(self, block: CoherentBlock) -> tuple[float, ...]:
        """The edge [A]."""
        return (self.length(block),)


SHAPE = GaussStar()
