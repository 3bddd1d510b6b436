"""Numbers of each spot that its pixels are computed from: the record `Spot` of `kernels/spot.cuh`.

`specs/analytic.md`, sections 2 and 3. The standardized deviations w.delta, delta = q - G, are linear in the position of
a sample, f and s pixels from the ray, but for the curvature of the sphere:

    w.delta = (w_f f + w_s s - w_k (rho - 1)) / rho - w_0,    rho = |X| / |X0|
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.engine.analytic.second_order import DIVERGENCE, MONOMIALS

#: Least speed of a node per |G|; slower ones (on the spindle) count as moving this fast across it.
_LEAST_SPEED = 1e-9
#: Path of a node: none in a still; a segment shorter than `SHORTEST` deviations, evaluated at its middle; longer.
NO_PATH, SHORT_PATH, LONG_PATH = range(3)
SHORTEST = 0.25
#: Second-order terms: left out; they change the deviation along the path by little; by more than `STRONG`.
STRAIGHT, BENT, STRONGLY_BENT = range(3)
STRONG = 0.25

_FIRST = [("amplitude", "f8"), ("fast_min", "i4"), ("fast_max", "i4"), ("slow_min", "i4"), ("slow_max", "i4"),
          ("subpixels", "i4"), ("fast_first", "i4"), ("fast_last", "i4"), ("slow_first", "i4"), ("slow_last", "i4"),
          ("bent", "i4"), ("path", "i4"), ("widest", "i4")]
_NUMBERS = [("offset", 2), ("towards", 2), ("square", 3), ("rows", (3, 4)), ("wavelength", 3), ("radial", 3),
            ("sag", MONOMIALS), ("bend", (3, MONOMIALS)), ("divergence", DIVERGENCE), ("ends", 2),
            ("direction", (3, 3)), ("solid_angle", 1), ("depths", 2), ("outline", 5)]


def record(real: str) -> np.dtype:
    """Return the structured type of a spot with numbers of type ``real`` (f8 or f4)."""
    numbers = [(name, real, shape) if shape != 1 else (name, real) for name, shape in _NUMBERS]
    return np.dtype([*_FIRST, *numbers], align=True)


class Frames(NamedTuple):
    """Orthonormal axes with the path last, and the covariance factored in them.

    Attributes
    ----------
    standard
        float64 [n, 3, 3], rows u with W = sum u u^T; u1 and u2 are perpendicular to the path.
    determinant
        Square root of the determinant of the covariance [n] [1/A^3].
    pace
        Standardized deviations along the path per angle [n] [1/rad]: sqrt(v^T W v).
    """

    standard: np.ndarray
    determinant: np.ndarray
    pace: np.ndarray


def perpendicular(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors [n, 3] perpendicular to unit vectors and to each other."""
    helper = np.zeros_like(direction)
    helper[np.arange(len(direction)), np.argmin(np.abs(direction), axis=1)] = 1.0
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first, axis=1)[:, None]
    return first, np.cross(direction, first)


def frames_of(covariance: np.ndarray, velocity: np.ndarray, length: np.ndarray) -> Frames:
    """Return the factored covariance [n, 3, 3] of nodes of lengths |G| [n] that move with ``velocity`` [n, 3].

    Cholesky's factor in axes with the path last: the first two rows of its inverse are those of the distribution
    projected along the path, so that nothing cancels.
    """
    speed = np.linalg.norm(velocity, axis=1)
    least = _LEAST_SPEED * length
    slow = speed < least
    direction = np.where(slow[:, None], np.array([1.0, 0.0, 0.0]), velocity / np.maximum(speed, least)[:, None])
    axes = np.stack([*perpendicular(direction), direction], axis=1)
    c = axes @ covariance @ axes.transpose(0, 2, 1)
    d1 = np.sqrt(c[:, 0, 0])
    l21, l31 = c[:, 1, 0] / d1, c[:, 2, 0] / d1
    d2 = np.sqrt(c[:, 1, 1] - l21 * l21)
    l32 = (c[:, 2, 1] - l31 * l21) / d2
    d3 = np.sqrt(c[:, 2, 2] - l31 * l31 - l32 * l32)
    inverse = np.zeros_like(c)
    inverse[:, 0, 0], inverse[:, 1, 1], inverse[:, 2, 2] = 1.0 / d1, 1.0 / d2, 1.0 / d3
    inverse[:, 1, 0] = -l21 / (d1 * d2)
    inverse[:, 2, 1] = -l32 / (d2 * d3)
    inverse[:, 2, 0] = (l21 * l32 - l31 * d2) / (d1 * d2 * d3)
    return Frames(inverse @ axes, d1 * d2 * d3, np.maximum(speed, least) / d3)
