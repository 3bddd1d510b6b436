"""Figures of agreement, peaks and their assignment, structural similarity, resampling."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubragg.compare.metrics import ShapesDiffer, compare_images, correlation, resampled
from cubragg.compare.peaks import Peak, assign, find_peaks, match_peaks
from cubragg.compare.ssim import ssim
from cubragg.errors import ConfigError
from support.messages import refusal


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(4).gamma(0.5, 20.0, (40, 30))


def test_equal_images(noise):
    found = compare_images(noise, noise.copy())
    assert (found.pixels, found.correlation, found.mse, found.rmse, found.max_difference) == (1200, 1.0, 0.0, 0.0, 0.0)
    assert (found.sum_ratio, found.matched_fraction, found.max_peak_distance) == (1.0, 1.0, 0.0)
    assert found.ssim == pytest.approx(1.0, abs=1e-12)
    assert found.sum_a == found.sum_b == noise.sum()


@pytest.mark.requirement("AT-TOOLS-001")
def test_figures_worked_by_hand():
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 8.0]])
    found = compare_images(a, b)
    assert (found.mse, found.rmse, found.max_difference, found.max_difference_at) == (4.0, 2.0, 4.0, (1, 1))
    assert (found.max_difference_of_max, found.max_a, found.max_b) == (0.5, 4.0, 8.0)
    assert (found.sum_a, found.sum_b, found.sum_ratio) == (10.0, 14.0, 10.0 / 14.0)
    assert found.correlation == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-15)


def test_order_changes_the_sign_of_nothing(noise):
    other = noise * 1.5 + 2.0
    there, back = compare_images(noise, other), compare_images(other, noise)
    assert (there.correlation, there.mse, there.ssim) == (back.correlation, back.mse, back.ssim)
    assert there.sum_ratio == pytest.approx(1.0 / back.sum_ratio, rel=1e-15)
    assert there.correlation == pytest.approx(1.0, abs=1e-14)


def test_constant_images():
    zero, one = np.zeros((4, 5)), np.ones((4, 5))
    same = compare_images(zero, zero)
    assert (same.correlation, same.ssim, same.sum_ratio, same.max_difference_of_max, same.pairs) == (1, 1, 1, 0, ())
    assert math.isnan(same.mean_peak_distance)
    apart = compare_images(one, zero)
    assert math.isnan(apart.correlation)
    assert math.isnan(apart.sum_ratio)
    assert math.isnan(apart.max_difference_of_max)
    assert apart.ssim < 0.001
    assert math.isnan(correlation(np.arange(3.0), np.full(3, 1e9)))
    assert apart.to_dict()["correlation"] is None
    json.dumps(apart.to_dict(), allow_nan=False)


def test_pixels_that_are_not_finite_are_left_out_and_counted(noise):
    other = noise.copy()
    noise[3, 4] = noise[5, 6] = np.nan
    other[5, 6], other[7, 8] = np.nan, np.inf
    found = compare_images(noise, other)
    assert (found.not_finite_a, found.not_finite_b, found.not_finite_apart, found.pixels) == (2, 2, 2, 1197)
    assert (found.correlation, found.max_difference, found.sum_ratio) == (1.0, 0.0, 1.0)


def test_mask_and_region(noise):
    other = noise.copy()
    other[2, 3] += 1e6
    mask = np.ones(noise.shape, dtype=bool)
    mask[2, 3] = False
    assert compare_images(noise, other, mask=mask).max_difference == 0.0
    region = compare_images(noise, other, roi=(3, 10, 2, 20))
    assert (region.pixels, region.max_difference_at) == (8 * 19, (3, 2))
    assert compare_images(noise, other, roi=(4, 29, 0, 39)).max_difference == 0.0


def test_peaks_keep_the_places_of_the_whole_image():
    image = np.zeros((20, 20))
    image[12, 15] = 5.0
    assert compare_images(image, image, roi=(10, 19, 10, 19)).peaks_a == (Peak(15.0, 12.0, 5.0),)


@pytest.mark.parametrize(("a", "b", "options", "error", "says"), [
    (np.ones((3, 4)), np.ones((4, 3)), {}, ShapesDiffer,
     ("compare", "4 x 3", "3 x 4 pixels", "shape")),
    (np.ones((3, 4)), np.ones((3, 4)), {"mask": np.ones((2, 2), dtype=bool)}, ShapesDiffer,
     ("compare", "2 x 2 pixels", "mask", "4 x 3")),
    (np.ones(3), np.ones(3), {}, ConfigError,
     ("compare", "(3,)", "image a", "shape")),
    (np.ones((1, 1)), np.ones((1, 0)), {}, ConfigError,
     ("compare", "(1, 0)", "image b", "shape")),
    (np.ones((3, 4)), np.full((3, 4), np.nan), {}, ConfigError,
     ("compare", "", "finite")),
    (np.ones((3, 4)), np.ones((3, 4)), {"roi": (0, 4, 0, 2)}, ConfigError,
     ("roi", "0 4 0 2", "0 3 0 2")),
    (np.ones((3, 4)), np.ones((3, 4)), {"roi": (2, 1, 0, 2)}, ConfigError,
     ("roi", "2 1 0 2", "0 3 0 2", "minimum")),
])
def test_what_cannot_be_compared(a, b, options, error, says):
    with refusal(error, *says):
        compare_images(a, b, **options)


# peaks

def test_peaks_of_a_known_image():
    image = np.zeros((30, 30))
    image[4, 5], image[20, 21], image[10, 3] = 100.0, 50.0, 4.0
    assert find_peaks(image) == [Peak(5.0, 4.0, 100.0), Peak(21.0, 20.0, 50.0)]
    assert find_peaks(image, fraction=0.01)[2] == Peak(3.0, 10.0, 4.0)
    assert find_peaks(image, most=1) == [Peak(5.0, 4.0, 100.0)]


def test_pixels_that_tie_share_a_peak():
    image = np.zeros((9, 9))
    image[4, 4], image[4, 5] = 7.0, 7.0 * (1.0 - 1e-7)
    assert find_peaks(image) == [Peak(4.5, 4.0, 7.0)]


def test_equal_peaks_at_the_limit_are_all_kept():
    image = np.zeros((21, 21))
    image[2::4, 2::4] = 3.0
    assert len(find_peaks(image, most=7)) == 25


def test_no_peaks_in_a_flat_image_and_on_a_slope():
    assert find_peaks(np.full((5, 5), 3.0)) == []
    slope = np.add.outer(np.arange(50.0), np.arange(50.0))
    assert find_peaks(slope) == [Peak(49.0, 49.0, 98.0)]
    gentle = 1.0 + 1e-7 * slope
    assert len(find_peaks(gentle)) <= 1


def test_many_candidates_are_cut_to_the_strongest(noise):
    large = np.random.default_rng(1).random((300, 300))
    peaks = find_peaks(large, most=10)
    assert len(peaks) == 10
    assert peaks[0].value == large.max()


@pytest.mark.requirement("AT-TOOLS-001")
def test_matching_prefers_number_then_distance():
    a = [Peak(0.0, 0.0, 1.0), Peak(3.0, 0.0, 1.0)]
    b = [Peak(3.5, 0.0, 1.0), Peak(7.0, 0.0, 1.0)]
    # The nearest pair alone would leave the others alone.
    assert [(pair.a, pair.b) for pair in match_peaks(a, b, radius=4.0)] == [(a[0], b[0]), (a[1], b[1])]
    assert [(pair.a, pair.b) for pair in match_peaks(a, b, radius=1.0)] == [(a[1], b[0])]
    assert match_peaks(a, [], radius=1.0) == []
    assert match_peaks(a, [Peak(90.0, 90.0, 1.0)]) == []


@pytest.mark.requirement("AT-TOOLS-001")
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_assignment_is_the_best_of_all(rows, columns, seed):
    cost = np.random.default_rng(seed).integers(0, 20, (rows, columns)).astype(float)
    got = assign(cost)
    assert len({i for i, _ in got}) == len({j for _, j in got}) == len(got) == min(rows, columns)
    short = cost if rows <= columns else cost.T
    best = min(sum(short[i, j] for i, j in enumerate(order))
               for order in itertools.permutations(range(short.shape[1]), short.shape[0]))
    assert sum(cost[i, j] for i, j in got) == best


def test_assignment_agrees_with_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    cost = np.random.default_rng(0).random((60, 75))
    rows, columns = optimize.linear_sum_assignment(cost)
    assert assign(cost) == list(zip(rows.tolist(), columns.tolist(), strict=True))


# structural similarity and resampling

def test_ssim_by_its_definition(noise):
    """One window, summed by hand as in equation 13."""
    a, b = noise[:11, :11], noise[:11, :11] * 0.9 + 3.0
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weight = np.outer(line, line) / line.sum() ** 2
    span = max(a.max(), b.max()) - min(a.min(), b.min())
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
    var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
    covariance = (weight * (a - mean_a) * (b - mean_b)).sum()
    expected = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)
                / ((mean_a ** 2 + mean_b ** 2 + c1) * (var_a + var_b + c2)))
    assert ssim(a, b) == pytest.approx(expected, rel=1e-12)


def test_ssim_of_large_and_of_tiny_images(noise):
    tall = np.tile(noise, (20, 1))
    assert ssim(tall, tall) == pytest.approx(1.0, abs=1e-12)
    assert ssim(tall, tall[::-1]) < 0.5
    assert ssim(noise[:2, :3], noise[:2, :3]) == pytest.approx(1.0, abs=1e-12)
    assert ssim(noise + 1e9, noise + 1e9) == pytest.approx(1.0, abs=1e-12)


def test_ssim_agrees_with_scikit_image(noise):
    metrics = pytest.importorskip("skimage.metrics")
    other = noise + np.random.default_rng(0).normal(0.0, 3.0, noise.shape)
    span = max(noise.max(), other.max()) - min(noise.min(), other.min())
    expected = metrics.structural_similarity(noise, other, data_range=span, gaussian_weights=True, sigma=1.5,
                                             use_sample_covariance=False)
    assert ssim(noise, other) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(20, 15), (80, 60), (7, 31), (40, 30), (1, 1)])
def test_resampling_keeps_the_sum(noise, shape):
    assert resampled(noise, shape).shape == shape
    assert resampled(noise, shape).sum() == pytest.approx(noise.sum(), rel=1e-12)


def test_resampling_by_whole_factors_adds_blocks(noise):
    np.testing.assert_allclose(resampled(noise, (20, 10)), noise.reshape(20, 2, 10, 3).sum(axis=(1, 3)), rtol=1e-14)
    np.testing.assert_array_equal(resampled(noise, noise.shape), noise)
    np.testing.assert_allclose(resampled(np.array([[6.0]]), (2, 3)), np.ones((2, 3)))
