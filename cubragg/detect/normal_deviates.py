"""Gaussian deviates from counter-based random numbers, with the same bits on every platform.

Box-Muller: two deviates from two uniform ones. Logarithm, sine and cosine are polynomials evaluated in a fixed order,
so that no library decides their last bits.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from cubragg.detect.poisson import logarithm
from cubragg.device.host_build import available_cores, call_host, load
from cubragg.device.kernel_source import host_text
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.philox import Effect, key_of, random_blocks, uniform_of

#: dtype of `struct NormalsParams` of `kernels/normal_deviates.cuh`.
NORMALS_PARAMS = np.dtype([("key", np.uint32, 2), ("effect", np.uint32), ("shot", np.uint32), ("draw", np.uint32),
                           ("first_pair", np.uint32), ("origin", np.uint32), ("end", np.uint32)])
#: Pairs of a block on the CPU.
_HOST_BLOCK = 256

#: Taylor coefficients of sin(x) / x and cos(x) in x^2, the highest power first, for |x| <= pi / 4.
_SINE = (-1 / 1307674368000, 1 / 6227020800, -1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0)
_COSINE = (1 / 20922789888000, -1 / 87178291200, 1 / 479001600, -1 / 3628800, 1 / 40320, -1 / 720, 1 / 24, -0.5, 1.0)
#: Indices that are drawn at once.
_BLOCK = 2**16


def normal_image(shape: tuple[int, ...], seed: int, shot: int, effect: Effect, draw: int = 0, *, first: int = 0,
                 threads: int | None = None, backend: str = "auto") -> np.ndarray:
    """Deviates of all pixels of an image [slow, fast], those of `normals` for their indices, from ``first`` on.

    Computed by a kernel on the CPU with ``threads`` (``None``: all cores), or in NumPy with the backend ``numpy`` and
    where there is no C++ compiler.
    """
    count = math.prod(shape)
    if backend != "numpy":
        try:
            function = load(host_text("normal_deviates_host.cpp", Path(__file__).parent),
                            (f"-DTILE_FAST={_HOST_BLOCK}", "-DTILE_SLOW=1")).host_draw_normals
        except (BackendUnavailable, KernelBuildError):
            pass
        else:
            function.restype = None
            params, deviates = np.zeros((), dtype=NORMALS_PARAMS), np.empty(count)
            for name, value in (("key", key_of(seed)), ("effect", effect), ("shot", shot), ("draw", draw),
                                ("first_pair", first // 2), ("origin", first), ("end", first + count)):
                params[name] = value
            blocks = -(-(first % 2 + count) // (2 * _HOST_BLOCK))
            call_host(function, (blocks, 1), threads or available_cores(), (params, deviates))
            return deviates.reshape(shape)
    return normals(seed, shot, effect, np.arange(first, first + count), draw).reshape(shape)


def normals(seed: int, shot: int, effect: Effect, index: np.ndarray, draw: int = 0) -> np.ndarray:
    """Deviates of mean 0 and variance 1, float64 of the shape of ``index``; see `philox.random_words`.

    The two neighbours 2 i and 2 i + 1 are the two deviates of a pair.
    """
    flat = np.asarray(index, dtype=np.int64).ravel()
    found = np.empty(flat.size)
    for start in range(0, flat.size, _BLOCK):
        part = flat[start:start + _BLOCK]
        first, last = (int(part.min()) // 2, int(part.max()) // 2) if part.size else (0, 0)
        if last - first < part.size:  # a dense range: each pair is computed once
            pairs = _pairs(seed, shot, effect, np.arange(first, last + 1), draw)
            found[start:start + _BLOCK] = pairs.T.ravel()[part - 2 * first]
        else:
            pairs = _pairs(seed, shot, effect, part // 2, draw)
            found[start:start + _BLOCK] = np.where(part % 2 == 0, pairs[0], pairs[1])
    return found.reshape(np.shape(index))


def _pairs(seed: int, shot: int, effect: Effect, pair: np.ndarray, draw: int) -> np.ndarray:
    """Pairs of deviates, float64 [2, n]."""
    words = random_blocks(seed, shot, effect, pair, draw)
    return normal_pairs(uniform_of(words[0], words[1]), uniform_of(words[2], words[3]))


def normal_pairs(u: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Pairs of deviates, float64 [2, n], from pairs of uniform deviates in (0, 1]."""
    radius = np.sqrt(-2.0 * logarithm(u))
    # A quadrant, and a remainder of at most pi / 4.
    quarter = np.floor(4.0 * turn + 0.5)
    x = (4.0 * turn - quarter) * (np.pi / 2.0)
    z = x * x
    sine, cosine = x * _horner(z, _SINE), _horner(z, _COSINE)
    quadrant = quarter.astype(np.int64) % 4
    swap = quadrant % 2 == 1
    across, along = np.where(swap, cosine, sine), np.where(swap, sine, cosine)
    return np.stack([radius * np.where((quadrant == 1) | (quadrant == 2), -along, along),
                     radius * np.where(quadrant >= 2, -across, across)])


def _horner(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    result = np.full(x.shape, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result
