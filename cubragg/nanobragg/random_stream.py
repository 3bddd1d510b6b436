"""The random number generator of nanoBragg.c, and its random rotations.

Source: ran1 ("minimal standard" Lehmer generator with a Bays-Durham shuffle,
Numerical Recipes 2nd ed. section 7.1) and mosaic_rotation_umat of nanoBragg.c;
`specs/noise.md` describes both.
"""

from __future__ import annotations

import math

import numpy as np

from cubragg.crystallography.vectors import Matrix, Vector

_MULTIPLIER = 16807
_MODULUS = 2147483647
_TABLE_SIZE = 32
_SHUFFLE_DIVISOR = 1 + (_MODULUS - 1) // _TABLE_SIZE
_WARM_UP = 8
_LARGEST_DEVIATE = float(np.float32(1.0 - 1.2e-7))

#: Largest seed for which the state of the generator is not zero.
MAX_SEED = _MODULUS - 1


class ReferenceStream:
    """The C program's uniform deviates for a seed >= 0; 0 is the same as 1."""

    def __init__(self, seed: int) -> None:
        self._state = max(seed, 1)
        for _ in range(_WARM_UP):
            self._step()
        table = [self._step() for _ in range(_TABLE_SIZE)]
        self._table = table[::-1]
        self._output = self._table[0]

    def _step(self) -> int:
        self._state = self._state * _MULTIPLIER % _MODULUS
        return self._state

    def uniform(self) -> float:
        """Next deviate in [0, 1), a single-precision number."""
        entry = self._output // _SHUFFLE_DIVISOR
        self._output = self._table[entry]
        self._table[entry] = self._step()
        return min(float(np.float32(self._output * (1.0 / _MODULUS))), _LARGEST_DEVIATE)

    def uniforms(self, count: int) -> list[float]:
        """The next ``count`` deviates; the same numbers as ``count`` single calls, faster."""
        powers = np.empty(count, dtype=np.int64)
        filled = min(count, 1)
        powers[:filled] = _MULTIPLIER
        while filled < count:
            # state_{n+k} = 16807^k state_n, so the number of known powers doubles at each pass.
            more = min(filled, count - filled)
            powers[filled:filled + more] = powers[:more] * int(powers[filled - 1]) % _MODULUS
            filled += more
        states = (powers * self._state % _MODULUS).tolist()
        table, output = self._table, self._output
        drawn = []
        for state in states:
            entry = output // _SHUFFLE_DIVISOR
            output = table[entry]
            table[entry] = state
            drawn.append(output)
        if states:
            self._state = states[-1]
        self._output = output
        deviates = (np.array(drawn, dtype=np.float64) * (1.0 / _MODULUS)).astype(np.float32)
        return np.minimum(deviates.astype(np.float64), _LARGEST_DEVIATE).tolist()


def rotation_matrix(stream: ReferenceStream, spread_rad: float) -> Matrix:
    """A random rotation by at most ``spread_rad``, from three deviates.

    The C function has the spread as float and calls powf; each of these
    roundings to single precision is repeated, since they move peaks by 1e-7.
    The power of NumPy scalars is the C library's powf, which is not always
    correctly rounded: in 1 of 1400 draws the rounded double power differs.
    """
    r1, r2, r3 = (2.0 * stream.uniform() - 1.0 for _ in range(3))
    in_plane = math.sqrt(1.0 - r2 * r2)
    power = np.float32(1.0 - r3 * r3) ** np.float32(1.0 / 3.0)
    angle = float(np.float32(spread_rad) * power)
    v1, v2, v3 = in_plane * math.sin(math.pi * r1), in_plane * math.cos(math.pi * r1), r2

    c, s = math.cos(angle), math.sin(angle)
    versine = 1.0 - c
    xy, xz, yz = versine * v1 * v2, versine * v1 * v3, versine * v2 * v3
    return (
        c + versine * (v1 * v1), xy - s * v3, xz + s * v2,
        xy + s * v3, c + versine * (v2 * v2), yz - s * v1,
        xz - s * v2, yz + s * v1, c + versine * (v3 * v3),
    )


def misset_angles(matrix: Matrix) -> Vector:
    """Rotation angles about x, y, z [rad] of a rotation matrix (umat2misset of the C program)."""
    rows = []
    for row in (matrix[0:3], matrix[3:6], matrix[6:9]):
        for _ in range(2):  # the C program normalises the rows twice
            length = math.sqrt(row[0] * row[0] + row[1] * row[1] + row[2] * row[2])
            row = (row[0] / length, row[1] / length, row[2] / length)
        rows.append(row)
    (uxx, uxy, _), (uyx, uyy, _), (uzx, uzy, uzz) = rows
    if uzx * uzx < 1.0:
        return (math.atan2(uzy, uzz), math.atan2(-uzx, math.sqrt(uzy * uzy + uzz * uzz)), math.atan2(uyx, uxx))
    return (math.atan2(1.0, 1.0) * 4.0, math.atan2(1.0, 1.0) * 2.0, math.atan2(uxy, -uyy))


def random_misset(seed: int) -> Vector:
    """Misset angles [rad] of ``-misset random``, with a spread of 90 *radians* as in the C program."""
    return misset_angles(rotation_matrix(ReferenceStream(seed), 90.0))
