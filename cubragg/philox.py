"""Counter-based random numbers: Philox 4x32-10, and which of its words belongs to which pixel and effect.

A random number is a function of (seed, shot, effect, index, draw), so that it depends neither on the order in which
pixels are computed nor on threads, region or backend. Philox turns a counter of four 32-bit words into a block of four
random words, under a key of two:

=========  ====================================================================================================
key        0: low, 1: high 32 bits of the seed, 0 to 2^64 - 1
counter 0  index // 4 (a word an index: `random_words`), or the index (a block an index: `random_blocks`)
counter 1  draw, 0 to 2^31 - 1; plus 2^31 where an index has a block of its own
counter 2  effect, a number of `Effect`
counter 3  shot: the number of the image in its series or data set, from 0; 0 for what is fixed for a detector
=========  ====================================================================================================

An index is the pixel's place in the whole image of the detector, slow * width + fast, for effects of pixels; other
effects number their modules, grains or parameters. Four neighbours share the block of a draw, each takes one word.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11,
doi:10.1145/2063384.2063405. `kernels/philox.cuh` has the same functions for kernels.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from cubragg.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_OWN_BLOCK = 2**31
MAX_SEED = 2**64 - 1


class Effect(IntEnum):
    """What a random number is for. Numbers of effects are never changed, since they would change images."""

    PHOTONS = 0  # counting noise
    READOUT = 1
    GAIN = 2  # of single photons
    FLICKER = 3  # of the source, or of the whole image
    CALIBRATION = 4  # errors of the flat field
    DEAD = 5
    HOT = 6
    NOISY = 7
    CHARGE_SHARING = 8
    POINT_SPREAD = 9
    PEDESTAL = 10
    DEAD_TIME = 11
    ICE = 12
    ORIENTATION = 32  # of the crystal, for data sets
    PARAMETERS = 33  # distributions of other parameters of data sets
    MOSAICITY = 34


def philox(counter: np.ndarray, key: npt.ArrayLike) -> np.ndarray:
    """Random words uint32 [4, ...] of the counters uint32 [4, ...] under a key of two 32-bit words.

    Examples
    --------
    >>> [hex(word) for word in philox(np.zeros(4, dtype=np.uint32), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    a, b, c, d = (word.astype(np.uint64) for word in counter)
    low, high = (int(word) for word in np.asarray(key, dtype=np.uint32))
    for _ in range(_ROUNDS):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = ((second >> _32) ^ b ^ np.uint64(low), second & _MASK,
                      (first >> _32) ^ d ^ np.uint64(high), first & _MASK)
        low, high = (low + _WEYL[0]) % 2**32, (high + _WEYL[1]) % 2**32
    return np.stack([a, b, c, d]).astype(np.uint32)


def key_of(seed: int) -> tuple[int, int]:
    """The key of a seed: its low and its high 32 bits.

    Raises
    ------
    ConfigError
        For a seed that is not a whole number from 0 to 2^64 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= MAX_SEED:
        raise ConfigError("seed", f"got {seed!r}; a seed is a whole number from 0 to 2^64 - 1")
    return int(seed) % 2**32, int(seed) // 2**32


def random_words(seed: int, shot: int, effect: Effect, index: npt.ArrayLike, draw: int) -> np.ndarray:
    """Random words uint32, of the shape of ``index``: one for each index.

    Parameters
    ----------
    seed, shot, effect, draw
        The numbers of the table above, the same for all indices.
    index
        Whole numbers from 0 to 2^32 - 1, of any shape.

    Raises
    ------
    ConfigError
        For a seed out of range.
    """
    index = np.asarray(index, dtype=np.uint32)
    if index.size == 0:
        return np.zeros(index.shape, dtype=np.uint32)
    first, last = int(index.min()) // 4, int(index.max()) // 4
    key = key_of(seed)
    if last - first < index.size:  # a dense range: each block is computed once
        words = philox(_counter(np.arange(first, last + 1, dtype=np.uint32), draw, effect, shot), key)
        return words.T.reshape(-1)[index - np.uint32(4 * first)]
    words = philox(_counter(index // np.uint32(4), draw, effect, shot), key)
    return np.take_along_axis(words, (index % np.uint32(4))[np.newaxis].astype(np.intp), axis=0)[0]


def random_blocks(seed: int, shot: int, effect: Effect, index: npt.ArrayLike, draw: int) -> np.ndarray:
    """Random words uint32 [4, ...]: four for each index, independent of those of `random_words`; see there."""
    return philox(_counter(np.asarray(index, dtype=np.uint32), draw + _OWN_BLOCK, effect, shot), key_of(seed))


def uniforms(seed: int, shot: int, effect: Effect, index: npt.ArrayLike, draw: int = 0) -> np.ndarray:
    """Uniform deviates float64 in (0, 1], of the shape of ``index``; see `random_words`.

    They are (64 random bits + 1/2) / 2^64, rounded to double precision: the smallest is 2^-65, and small ones have
    all 53 bits. Draw number ``draw`` uses the words number 2 draw (high bits) and 2 draw + 1 (low bits).
    """
    return uniform_of(random_words(seed, shot, effect, index, 2 * draw),
                      random_words(seed, shot, effect, index, 2 * draw + 1))


def uniform_of(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """The uniform deviates float64 in (0, 1] of two arrays of random words."""
    return high * 2.0**-32 + (low + 0.5) * 2.0**-64


def _counter(first: np.ndarray, draw: int, effect: Effect, shot: int) -> np.ndarray:
    """Counters uint32 [4, ...], from the first words of counters."""
    counter = np.empty((4, *first.shape), dtype=np.uint32)
    for place, word in enumerate((first, draw, effect, shot)):
        counter[place] = word
    return counter
