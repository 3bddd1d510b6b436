"""Integrals of the normal density, with relative accuracy in both tails; twins of `kernels/normal.cuh`."""

from __future__ import annotations

import math

import numpy as np

#: Chebyshev fit of (1 + x) M(x), x >= 0, as a polynomial in t = (x - 4) / (x + 4); M(x) = Q(x) / n(x) is Mills' ratio
#: of the upper tail Q to the density n. Relative error 5e-15.
_MILLS = (
    1.1832619145678016, -0.2423996705218981, 0.03509188023520894, 0.0716904812081262, -0.08070800969753687,
    0.04495912892944394, -0.012539103330216182, -0.0007159494001326219, 0.0017418464293345959,
    -0.00023671026269698038, -0.00022020449028206928, 5.3296160491908235e-05, 3.412600494622455e-05,
    -8.669971714570168e-06, -6.490618583347254e-06, 1.1096983184638083e-06, 1.3129259133128625e-06,
    -8.478889162251738e-08, -2.2580873793251234e-07, 2.912001496236088e-10, 2.2439904109511173e-08,
)
_SCALE = 4.0
#: Beyond this the density is 0 in double precision.
_FAR = 40.0
INVERSE_ROOT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)


def mills(x: np.ndarray) -> np.ndarray:
    """Return Mills' ratio Q(x) / n(x) of the normal distribution [n], x >= 0."""
    t = (x - _SCALE) / (x + _SCALE)
    result = np.full_like(t, _MILLS[-1])
    for coefficient in _MILLS[-2::-1]:
        result *= t
        result += coefficient
    return result / (1.0 + x)


def density(x: np.ndarray) -> np.ndarray:
    """Return the normal density [n]."""
    return INVERSE_ROOT_TWO_PI * np.exp(-0.5 * x * x)


def between(low: np.ndarray, high: np.ndarray, at_low: np.ndarray, at_high: np.ndarray) -> np.ndarray:
    """Return the probability [n] between two points, low <= high, from the densities at both."""
    tail_low = at_low * mills(np.minimum(np.abs(low), _FAR))
    tail_high = at_high * mills(np.minimum(np.abs(high), _FAR))
    return np.where(low > 0.0, tail_low - tail_high, np.where(high < 0.0, tail_high - tail_low,
                                                              1.0 - tail_low - tail_high))
