"""An ellipsoid: Na Nb Nc sqrt(pi / 6) 3 (sin x / x - cos x) / x^2, x = pi sqrt(fudge sum (dh N)^2).

Source: nanoBragg.c (sinc3). The root keeps the integral: a sphere has pi / 6 of the volume of its cube. Near a node the
difference cancels, and its series is summed: sum of (-1)^k 6 (k + 1) / (2 k + 3)! x^(2 k).
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from cubragg.crystallography.shapes.crystal_shape import Buffers, CoherentBlock, RadialShape, index_radius_sqr

PEAK = 0.723601254558268
#: x^2 below which the series is summed; its first term that is left out is 2e-18 there.
SERIES_BELOW = 0.0625
_SERIES = (-1 / 172972800, 1 / 1330560, -1 / 15120, 1 / 280, -1 / 10, 1.0)


class Round(RadialShape):
    """The ellipsoid."""

    name = setting = "round"
    semantics = ("physical",)
    fringes = True
    words = "ellipsoid"
    peak = PEAK
    unit_integral = 1.0
    term_ns: ClassVar = {"double": 3.4, "mixed": 2.1, "single": 1.6}
    term_instructions: ClassVar = {"double": (196, 101), "mixed": (110, 24), "single": (103, 0)}

    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """The closed form, near a node its series."""
        cells = block.cells
        x = index_radius_sqr(index, whole, cells, work)
        np.multiply(x, block.fudge, out=x)
        np.multiply(np.sqrt(x, out=x), np.pi, out=x)
        sinc3 = self.sinc3(x, work)
        return np.multiply(sinc3, cells[0] * cells[1] * cells[2] * PEAK, out=sinc3)

    def sinc3(self, x: np.ndarray, work: Buffers) -> np.ndarray:
        """3 (sin x / x - cos x) / x^2; x may be changed."""
        near = x * x < SERIES_BELOW
        square = x[near] * x[near]
        x[near] = 1.0
        result = closed_sinc3(x, work)
        series = np.full_like(square, _SERIES[0])
        for coefficient in _SERIES[1:]:
            series = square * series + coefficient
        result[near] = series
        return result

    def width_sqr(self, block: CoherentBlock, share: float) -> float:
        """Return that of the rings, which fall off alike on all sides and hold more photons than streaks do."""
        return math.sqrt(9.0 / (0.1 * share)) / (math.pi * math.pi * max(block.fudge, 1e-30))

    def weakening(self, gap: np.ndarray, block: CoherentBlock) -> np.ndarray:
        """x^6 / (9 (1 + x^2)), at least 1: |sin x / x - cos x| <= sqrt(1 + 1 / x^2)."""
        cells = np.array(block.cells)[:, None, None]
        x = np.pi**2 * block.fudge * ((cells * gap) ** 2).sum(axis=0)
        weaker: np.ndarray = np.maximum(x * x * x / (9.0 * (1.0 + x)), 1.0)
        return weaker


def closed_sinc3(x: np.ndarray, work: Buffers) -> np.ndarray:
    """3 (sin x / x - cos x) / x^2 [n] of x > 0, in ``work``."""
    result, part = work.take("sine", 0, len(x)), work.take("part", 0, len(x))
    np.divide(np.sin(x, out=result), x, out=result)
    np.subtract(result, np.cos(x, out=part), out=result)
    np.multiply(result, 3.0, out=result)
    return np.divide(result, np.multiply(x, x, out=part), out=result)


SHAPE = Round()
