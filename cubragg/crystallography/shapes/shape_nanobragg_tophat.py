"""nanoBragg's flat spots: Na Nb Nc where fudge R < 0.63^2, R = |dh a* + dk b* + dl c*|^2 (Na Nb Nc)^2 [A^-2]."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import Buffers, CoherentBlock
from cubragg.crystallography.shapes.nanobragg_radius import NanobraggRadius
from cubragg.crystallography.shapes.shape_tophat import BALL, TOPHAT_RADIUS_SQR


class NanobraggTophat(NanobraggRadius):
    """What ``tophat`` is in nanobragg semantics."""

    name, setting = "nanobragg_tophat", "tophat"
    words = "tophat spots"
    unit_integral = BALL
    term_ns: ClassVar = {"double": 1.4, "mixed": 1.1, "single": 0.6}
    term_instructions: ClassVar = {"double": (75, 54), "mixed": (61, 24), "single": (52, 0)}

    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """Return Na Nb Nc inside the radius, 0 outside."""
        cells = block.cells
        radius = self.radius_sqr(index, whole, block, work)
        inside = np.multiply(radius, block.fudge, out=radius) < TOPHAT_RADIUS_SQR
        return np.multiply(inside, cells[0] * cells[1] * cells[2], out=radius)

    def cutoff(self, decay: float) -> float:
        """The radius."""
        return TOPHAT_RADIUS_SQR


SHAPE = NanobraggTophat()
