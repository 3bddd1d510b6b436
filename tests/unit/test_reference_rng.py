"""The C program's random stream, against published and printed numbers."""

from __future__ import annotations

import math
import platform

import numpy as np
import pytest

from cubragg.nanobragg.random_stream import ReferenceStream, misset_angles, random_misset, rotation_matrix


def lehmer(state: int, steps: int) -> int:
    """The minimal standard generator by its definition."""
    return state * pow(16807, steps, 2147483647) % 2147483647


@pytest.mark.requirement("AT-NOISE-001")
def test_minimal_standard_generator():
    # Park and Miller (1988): from seed 1 the 10 000th state is 1043618065.
    assert lehmer(1, 10000) == 1043618065


@pytest.mark.requirement("AT-NOISE-001")
def test_first_deviate_by_hand():
    # 8 steps thrown away, steps 9..40 fill the table from entry 31 down, so entry 0 is step 40;
    # it picks the slot, and the deviate is that slot's entry.
    seed = 42
    slot = lehmer(seed, 40) // 67108864
    expected = np.float32(lehmer(seed, 40 - slot) / 2147483647)
    assert ReferenceStream(seed).uniform() == expected


@pytest.mark.requirement("AT-NOISE-001")
@pytest.mark.parametrize("seed", [0, 1, 12345678, 2147483646])
def test_many_at_once_are_the_same_numbers(seed):
    one, many = ReferenceStream(seed), ReferenceStream(seed)
    singles = [one.uniform() for _ in range(1500)]
    assert many.uniforms(1) + many.uniforms(0) + many.uniforms(700) + many.uniforms(799) == singles
    assert one.uniform() == many.uniform()


def test_seed_zero_counts_as_one():
    assert ReferenceStream(0).uniforms(5) == ReferenceStream(1).uniforms(5)


@pytest.mark.requirement("AT-NOISE-001")
def test_deviates_are_single_precision_below_one():
    drawn = np.array(ReferenceStream(7).uniforms(100_000))
    assert np.array_equal(drawn, drawn.astype(np.float32))
    assert drawn.min() >= 0.0
    assert drawn.max() < 1.0
    assert abs(drawn.mean() - 0.5) < 5 / math.sqrt(12 * drawn.size)


@pytest.mark.requirement("AT-CELL-006")
@pytest.mark.parametrize(("seed", "printed"), [
    (12345, (105.720755, -34.951318, -97.823571)),  # printed by the C program (golden set p024)
    # Likewise printed; here powf is not the nearest number to the power.
    pytest.param(704339, (-36.842039, 47.259871, 65.785038),
                 marks=pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the powf of glibc")),
])
def test_random_misset(seed, printed):
    assert [f"{math.degrees(angle):.6f}" for angle in random_misset(seed)] == [f"{angle:.6f}" for angle in printed]


@pytest.mark.requirement("AT-MOS-002")
@pytest.mark.parametrize("seed", range(1, 20))
def test_rotations_are_rotations_and_give_their_angles_back(seed):
    matrix = np.array(rotation_matrix(ReferenceStream(seed), 1.0)).reshape(3, 3)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    x, y, z = misset_angles(tuple(matrix.ravel()))
    about = [np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]]),
             np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]]),
             np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])]
    np.testing.assert_allclose(about[2] @ about[1] @ about[0], matrix, atol=1e-14)


@pytest.mark.requirement("AT-MOS-002")
def test_spread_bounds_the_angle():
    for seed in range(1, 50):
        matrix = np.array(rotation_matrix(ReferenceStream(seed), 0.01)).reshape(3, 3)
        assert math.acos(min((np.trace(matrix) - 1) / 2, 1.0)) <= 0.01 * (1 + 1e-6)
