"""Flat spots in index space: Na Nb Nc where fudge sum (dh N)^2 < 0.63^2, else 0.

Source: nanoBragg.c before December 2023, simtbx of cctbx.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import Buffers, CoherentBlock, RadialShape, index_radius_sqr

TOPHAT_RADIUS_SQR = 0.3969
#: Volume of a ball of that radius.
BALL = 4.0 / 3.0 * math.pi * TOPHAT_RADIUS_SQR ** 1.5


class Tophat(RadialShape):
    """Flat spots, ellipsoids in index space."""

    name = setting = "tophat"
    semantics = ("physical",)
    words = "tophat spots"
    compact = True
    unit_integral = BALL
    term_ns: ClassVar = {"double": 1.0, "mixed": 1.0, "single": 0.6}
    term_instructions: ClassVar = {"double": (60, 39), "mixed": (55, 24), "single": (48, 0)}

    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """Return Na Nb Nc inside the radius, 0 outside."""
        cells = block.cells
        radius = index_radius_sqr(index, whole, cells, work)
        inside = np.multiply(radius, block.fudge, out=radius) < TOPHAT_RADIUS_SQR
        return np.multiply(inside, cells[0] * cells[1] * cells[2], out=radius)

    def cutoff(self, decay: float) -> float:
        """The radius."""
        return TOPHAT_RADIUS_SQR


SHAPE = Tophat()
