"""Spots of nanoBragg since December 2023: round in reciprocal space, and (Na Nb Nc)^2 / A^2 times as sharp.

The C program multiplies a squared distance in 1/A^2 by the square of a number of cells: the width of spots depends on
the unit of length, and shrinks with the volume of a block in place of its edge.
"""

from __future__ import annotations

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import Buffers, CoherentBlock, ReciprocalShape, star_radius_sqr

#: (Na Nb Nc)^2 / V [A^-3] from which a warning is given.
_SHARP = 10.0


class NanobraggRadius(ReciprocalShape):
    """A shape of nanobragg semantics with that radius."""

    semantics = ("nanobragg",)
    compact = True

    def length(self, block: CoherentBlock) -> float:
        """Return Na Nb Nc, which nanoBragg.c takes for a length [A]."""
        return block.count

    def radius_sqr(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """|dh a* + dk b* + dl c*|^2 (Na Nb Nc)^2 [A^-2] at indices [3, n], in the C program's order, in ``work``."""
        radius, cells = star_radius_sqr(index, whole, block.stars, work), block.cells
        for n in (cells[0], cells[0], cells[1], cells[1], cells[2], cells[2]):
            radius *= n
        return radius

    def warning(self, block: CoherentBlock) -> str:
        """That spots hold nearly no photons."""
        if not block.fudge > 0.0 or not block.count ** 2 / block.volume > _SHARP:
            return ""
        return (f"nanoBragg narrows {self.setting} spots by (Na Nb Nc)^2 in 1/A^2: each reflection keeps "
                f"{self.integral(block) / block.count:.2g} of its photons and can fall between the samples of pixels, "
                "so that the image has nearly none; --semantics physical makes spots as wide as the crystal does")
