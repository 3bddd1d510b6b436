"""nanoBragg's Gaussian spots: Na Nb Nc exp(-fudge R / 0.63), R = |dh a* + dk b* + dl c*|^2 (Na Nb Nc)^2 [A^-2]."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import Buffers, CoherentBlock, falling_exponential
from cubragg.crystallography.shapes.nanobragg_radius import NanobraggRadius
from cubragg.crystallography.shapes.shape_gauss import GAUSS_WIDTH, Gauss


class NanobraggGauss(NanobraggRadius):
    """What ``gauss`` is in nanobragg semantics."""

    name, setting = "nanobragg_gauss", "gauss"
    words = "Gaussian spots"
    unit_integral = Gauss.unit_integral
    term_ns: ClassVar = {"double": 4.4, "mixed": 3.1, "single": 2.5}
    term_instructions: ClassVar = {"double": (152, 84), "mixed": (63, 24), "single": (54, 0)}

    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """Return the closed form; 0 where the exponential underflows."""
        cells = block.cells
        exponent = self.radius_sqr(index, whole, block, work)
        np.divide(exponent, GAUSS_WIDTH, out=exponent)
        np.multiply(exponent, block.fudge, out=exponent)
        return falling_exponential(cells[0] * cells[1] * cells[2], exponent, work)

    def cutoff(self, decay: float) -> float:
        """0.63 times the decay."""
        return decay * GAUSS_WIDTH


SHAPE = NanobraggGauss()
