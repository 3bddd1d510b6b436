"""The random stream of nanoBragg.c, and the rotations drawn from it.

Source: ran1 ("minimal standard" Lehmer generator with a Bays-Durham shuffle,
Numerical Recipes 2nd ed. section 7.1) and mosaic_rotation_umat of nanoBragg.c;
`specs/noise.md` states both in words.
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

#: Largest seed that leaves the generator a state other than zero.
MAX_SEED = _MODULUS - 1


class ReferenceStream:
    """Uniform deviates of the C program, from a seed >= 0 (0 counts as 1)."""

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
        slot = self._output // _SHUFFLE_DIVISOR
        self._output = self._table[slot]
        self._table[slot] = self._step()
        return min(float(np.float32(self._output * (1.0 / _MODULUS))), _LARGEST_DEVIATE)

    def uniforms(self, count: int) -> list[float]:
        """The next ``count`` deviates; the same numbers as ``count`` single calls, faster."""
        powers = np.empty(count, dtype=np.int64)
        filled = min(count, 1)
        powers[:filled] = _MULTIPLIER
        while filled < count:
            # state_{n+k} = 16807^k state_n, so the known powers double at each pass.
            more = min(filled, count - filled)
            powers[filled:filled + more] = powers[:more] * int(powers[filled - 1]) % _MODULUS
            filled += more
        states = (powers * self._state % _MODULUS).tolist()
        table, output = self._table, self._output
        drawn = []
        for state in states:
            slot = output // _SHUFFLE_DIVISOR
            output = table[slot]
            table[slot] = state
            drawn.append(output)
        if states:
            self._state = states[-1]
        self._output = output
        deviates = (np.array(drawn, dtype=np.float64) * (1.0 / _MODULUS)).astype(np.float32)
        return np.minimum(deviates.astype(np.float64), _LARGEST_DEVIATE).tolist()


def rotation_matrix(stream: ReferenceStream, spread_rad: float) -> Matrix:
    """A random rotation by at most ``spread_rad``, three draws.

    The C function takes the spread as float and calls powf: each of these
    single-precision roundings is repeated, since they move peaks by 1e-7.
    A NumPy scalar's power is the C library's powf, which is not always the
    nearest number: of 1 in 1400 draws the rounded double power is another.
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
    """The x, y, z rotation angles [rad] of a rotation matrix (umat2misset)."""
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
    """Angles [rad] of ``-misset random``: the spread is 90 *radians*, as in the C program."""
    return misset_angles(rotation_matrix(ReferenceStream(seed), 90.0))
