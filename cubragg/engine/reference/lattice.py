"""Lattice factors of a crystal of Na x Nb x Nc cells, for blocks of samples in NumPy.

Each works on Miller indices as float64 [3, n] and gives the amplitude [n]. Square
crystals work on the fractional index reduced to [-1/2, 1/2] and a polynomial sine:
NumPy's own sine costs eight times as much. Source: nanoBragg.c (sincg, sinc3);
`specs/core-physics.md`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cubragg.crystallography.vectors import Vector
from cubragg.plan.workspace import Workspace

#: sin(pi x) = x P(x^2) on |x| <= 1/2, Chebyshev fit of 8 terms: relative error 4.5e-16.
_SINPI = (3.1415926535897927, -5.1677127800497855, 2.5501640398618677, -0.599264528825224,
          0.08214587881631043, -0.0073703643265304155, 0.0004659870158043378, -2.113362735205297e-05)
#: Stands in for an exact 0 in a quotient of sines: small enough to vanish beside any rounded index,
#: large enough that three of them multiply without underflow.
_TINY = 1e-100
_ROUND_XTAL_VOLUME = 0.723601254558268  #: sqrt of the volume ratio of sphere and cube
_GAUSS_WIDTH = 0.63
_EXPONENTIAL_IS_0 = -745.2
_TOPHAT_RADIUS_SQR = 0.3969


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


def _sinpi(x: np.ndarray, work: Workspace) -> np.ndarray:
    """sin(pi x) for |x| <= 1/2."""
    square, result = work.take("square", *x.shape), work.take("sine", *x.shape)
    np.multiply(x, x, out=square)
    np.multiply(square, _SINPI[-1], out=result)
    for coefficient in _SINPI[-2:0:-1]:
        np.add(result, coefficient, out=result)
        np.multiply(result, square, out=result)
    np.add(result, _SINPI[0], out=result)
    return np.multiply(result, x, out=result)


def square(index: np.ndarray, whole: np.ndarray, cells: np.ndarray, work: Workspace) -> np.ndarray:
    """Product of sin(N pi h) / sin(pi h), without its sign [n].

    ``index``, ``whole`` [rows, n], ``cells`` [rows, 1]. Denominators and numerators lie in one
    array, so that each step of the polynomial is one call for all of them.
    """
    rows, count = index.shape
    angles = work.take("angles", 2 * rows, count)
    below, above = angles[:rows], angles[rows:]
    np.subtract(index, whole, out=below)
    np.add(below, _TINY, out=below)
    np.multiply(below, cells, out=above)
    turns = work.take("term", rows, count)
    np.rint(above, out=turns)
    np.subtract(above, turns, out=above)
    sines = _sinpi(angles, work).reshape(2, rows, count)
    for row in range(1, rows):
        np.multiply(sines[:, 0], sines[:, row], out=sines[:, 0])
    return np.divide(sines[1, 0], sines[0, 0], out=sines[1, 0])


def _hkl_radius_sqr(fraction: np.ndarray, cells: Vector) -> np.ndarray:
    """(h - h0)^2 Na^2 + ..., in the C program's order."""
    terms = [part * part * n * n for part, n in zip(fraction, cells, strict=True)]
    return terms[0] + terms[1] + terms[2]


def _reciprocal_radius_sqr(fraction: np.ndarray, cells: Vector, reciprocal: np.ndarray) -> np.ndarray:
    """|(h - h0) a* + ...|^2 (Na Nb Nc)^2 [A^-2]; ``reciprocal`` [3, 3] holds a*, b*, c* [1/A]."""
    star = [fraction[0] * reciprocal[0, i] + fraction[1] * reciprocal[1, i] + fraction[2] * reciprocal[2, i]
            for i in range(3)]
    radius = star[0] * star[0] + star[1] * star[1] + star[2] * star[2]
    for n in (cells[0], cells[0], cells[1], cells[1], cells[2], cells[2]):
        radius *= n
    return radius


def _round(fraction: np.ndarray, cells: Vector, reciprocal: np.ndarray, fudge: float) -> np.ndarray:
    x = np.pi * np.sqrt(_hkl_radius_sqr(fraction, cells) * fudge)
    at_node = x == 0.0
    x[at_node] = 1.0
    sinc3 = 3.0 * (np.sin(x) / x - np.cos(x)) / (x * x)
    sinc3[at_node] = 1.0
    return cells[0] * cells[1] * cells[2] * _ROUND_XTAL_VOLUME * sinc3


def _gauss(fraction: np.ndarray, cells: Vector, reciprocal: np.ndarray, fudge: float) -> np.ndarray:
    exponent = -(_reciprocal_radius_sqr(fraction, cells, reciprocal) / _GAUSS_WIDTH * fudge)
    # Most samples are so far from a node that their exponential is 0: to know that costs a seventh of computing it.
    near = np.flatnonzero(~(exponent < _EXPONENTIAL_IS_0))
    amplitude = np.zeros_like(exponent)
    amplitude[near] = np.exp(exponent[near])
    return cells[0] * cells[1] * cells[2] * amplitude


def _tophat(fraction: np.ndarray, cells: Vector, reciprocal: np.ndarray, fudge: float) -> np.ndarray:
    radius = _reciprocal_radius_sqr(fraction, cells, reciprocal)
    return cells[0] * cells[1] * cells[2] * (radius * fudge < _TOPHAT_RADIUS_SQR)


#: Shape -> amplitude from (fraction [3, n], cells, reciprocal vectors [3, 3], fudge).
COMPACT: dict[str, Callable[[np.ndarray, Vector, np.ndarray, float], np.ndarray]] = {
    "round": _round, "gauss": _gauss, "tophat": _tophat,
}
