"""Philox 4x32-10, and the random numbers of pixels, shots and effects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cubragg.errors import ConfigError
from cubragg.philox import Effect, philox, random_blocks, random_words, uniforms
from support.messages import refusal

#: Lines "philox4x32 10" of tests/kat_vectors of Random123 (github.com/DEShawResearch/random123): counter, key, block.
KNOWN_ANSWERS = """
00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
""".strip().splitlines()


@pytest.mark.parametrize("line", KNOWN_ANSWERS)
def test_known_answers(line):
    words = np.array([int(word, 16) for word in line.split()], dtype=np.uint32)
    np.testing.assert_array_equal(philox(words[:4], words[4:6]), words[6:])
    many = np.repeat(words[:4, np.newaxis], 6, axis=1).reshape(4, 2, 3)
    np.testing.assert_array_equal(philox(many, words[4:6]), np.repeat(words[6:], 6).reshape(4, 2, 3))


def test_the_layout_of_counter_and_key():
    seed, shot, index, draw = 0x0123456789ABCDEF, 77, 4 * 1000 + 2, 5
    key = (0x89ABCDEF, 0x01234567)
    shared = philox(np.array([1000, 5, Effect.HOT, 77], dtype=np.uint32), key)
    assert random_words(seed, shot, Effect.HOT, index, draw) == shared[2]
    own = philox(np.array([index, 5 + 2**31, Effect.HOT, 77], dtype=np.uint32), key)
    np.testing.assert_array_equal(random_blocks(seed, shot, Effect.HOT, index, draw), own)


@pytest.mark.parametrize("index", [np.arange(24).reshape(4, 6), np.array([7, 2, 3]), np.array([9, 4_000_000_000, 1]),
                                   np.zeros((0, 3), dtype=np.uint32)], ids=["dense", "part", "sparse", "none"])
def test_words_belong_to_indices(index):
    words = random_words(3, 1, Effect.GAIN, index, 0)
    assert (words.dtype, words.shape) == (np.uint32, index.shape)
    for place in np.ndindex(index.shape):
        assert words[place] == random_words(3, 1, Effect.GAIN, index[place], 0)


def test_uniform_deviates():
    index = np.arange(200_000)
    drawn = uniforms(5, 0, Effect.READOUT, index)
    assert drawn.min() > 0.0
    assert drawn.max() <= 1.0
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    high, low = (random_words(5, 0, Effect.READOUT, index, draw) for draw in (0, 1))
    np.testing.assert_allclose(drawn, (high * 2.0**32 + low + 0.5) / 2.0**64, rtol=1e-15)


@pytest.mark.parametrize("other", [
    {"seed": 1}, {"seed": 2**32}, {"shot": 1}, {"effect": Effect.READOUT}, {"draw": 1}, {"index": 1}, {"index": 4}])
def test_numbers_of_another_seed_shot_effect_draw_or_pixel_are_independent(other):
    """Chi-square of 16 x 16 classes of pairs of deviates."""
    count = 100_000
    numbers = {"seed": 0, "shot": 0, "effect": Effect.PHOTONS, "index": 0, "draw": 0}
    first, second = (uniforms(index=np.arange(count) + of.pop("index"), **of) for of in (
        dict(numbers), numbers | other))
    table = np.histogram2d(first, second, bins=16, range=((0.0, 1.0), (0.0, 1.0)))[0]
    assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_effects_have_numbers_of_their_own():
    assert len({int(effect) for effect in Effect}) == len(Effect.__members__)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True])
def test_seeds_out_of_range(seed):
    with refusal(ConfigError, "seed", str(seed), "0 to 2^64 - 1"):
        uniforms(seed, 0, Effect.PHOTONS, [0])
