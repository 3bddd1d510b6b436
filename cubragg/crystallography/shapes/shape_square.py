"""A parallelepiped: product of sin(pi N h) / sin(pi h). Source: nanoBragg.c (sincg).

Computed at dh, which lies in [-1/2, 1/2], with a polynomial sine: NumPy's own sine costs eight times as much.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import Buffers, CoherentBlock, CrystalShape

#: sin(pi x) = x P(x^2) on |x| <= 1/2, Chebyshev fit of 8 terms: relative error 4.5e-16.
_SINPI = (3.1415926535897927, -5.1677127800497855, 2.5501640398618677, -0.599264528825224,
          0.08214587881631043, -0.0073703643265304155, 0.0004659870158043378, -2.113362735205297e-05)
#: Replaces an exact 0 in a quotient of sines: small enough to vanish beside any rounded index, large enough that three
#: of them multiply without underflow.
_TINY = 1e-100


def _sinpi(x: np.ndarray, work: Buffers) -> np.ndarray:
    """sin(pi x) for |x| <= 1/2."""
    square, result = work.take("square", *x.shape), work.take("sine", *x.shape)
    np.multiply(x, x, out=square)
    np.multiply(square, _SINPI[-1], out=result)
    for coefficient in _SINPI[-2:0:-1]:
        np.add(result, coefficient, out=result)
        np.multiply(result, square, out=result)
    np.add(result, _SINPI[0], out=result)
    return np.multiply(result, x, out=result)


class Square(CrystalShape):
    """The parallelepiped."""

    name = setting = "square"
    fringes = True
    words = "parallelepiped"
    separable = True
    term_ns: ClassVar = {"double": 3.2, "mixed": 1.9, "single": 1.5}
    term_instructions: ClassVar = {"double": (130, 98), "mixed": (102, 24), "single": (94, 0)}

    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """Product of sin(N pi h) / sin(pi h), without its sign [n].

        ``index``, ``whole`` [rows, n] for ``block.cells`` [rows]. Denominator and numerator of an axis are the rows of
        one array, so that each step of the polynomial is one call for both.
        """
        count = index.shape[1]
        angles, product = (work.take(name, 2, count) for name in ("angles", "product"))
        below, above = angles
        turns = work.take("turns", 0, count)
        for row, cells in enumerate(block.cells):
            np.subtract(index[row], whole[row], out=below)
            np.add(below, _TINY, out=below)
            np.multiply(below, cells, out=above)
            np.subtract(above, np.rint(above, out=turns), out=above)
            sines = _sinpi(angles, work)
            if row == 0:
                product[:] = sines
            else:
                np.multiply(product, sines, out=product)
        return np.divide(product[1], product[0], out=product[1])

    def factors_along(self, hkl: tuple[float, ...], block: CoherentBlock) -> tuple[float, ...]:
        """sin(pi N h) / sin(pi h) along each axis, at the indices themselves as in the C program."""
        def along(x: float, n: float) -> float:
            return (math.sin(x * n) / math.sin(x) if x != 0.0 else n) if n > 1.0 else 1.0

        return tuple(along(math.pi * index, n) for index, n in zip(hkl, block.cells, strict=True))

    def metric(self, block: CoherentBlock) -> np.ndarray:
        """Return that of the main lobe."""
        return np.diag(np.square(block.cells))

    def width_sqr(self, block: CoherentBlock, share: float) -> float:
        """Return that of the main lobe: half an index beyond its first zero."""
        return 1.0

    def integral(self, block: CoherentBlock) -> float:
        """Return Na Nb Nc."""
        return block.count

    def weakening(self, gap: np.ndarray, block: CoherentBlock) -> np.ndarray:
        """Product of (N sin(pi g))^2, at least 1 along each axis."""
        cells = np.array(block.cells)[:, None, None]
        factors: np.ndarray = np.maximum((cells * np.sin(np.pi * gap)) ** 2, 1.0)
        return factors.prod(axis=0)


SHAPE = Square()
