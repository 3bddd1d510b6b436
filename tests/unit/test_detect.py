"""Counts: rounding, clipping and noise."""

from __future__ import annotations

import numpy as np
import pytest

from cubragg.detect.nanobragg_images import int_image, noise_image, pgm_image
from cubragg.detect.noise import noise_counts

ROI = (1, 3, 0, 1)


def image(*rows):
    return np.array(rows, dtype=np.float32)


@pytest.mark.requirement("AT-IO-006")
def test_int_image_scales_clips_and_rounds_inside_the_region():
    counts, scale = int_image(image([9, 0, 1.25, 1e9], [9, -50, 2, 3]), 2.0, 40.0, ROI)
    assert scale == 2.0
    np.testing.assert_array_equal(counts, [[0, 40, 43, 65535], [0, 0, 44, 46]])


def test_infinite_pixels_saturate():
    overflown = image([np.inf, 1.0])
    region = (0, 1, 0, 0)
    assert int_image(overflown, None, 40.0, region)[0].tolist() == [[65535, 40]]
    assert pgm_image(overflown, 2.0, 1.0, 1.0, region)[0].tolist() == [[255, 2]]
    assert noise_image(noise_counts(overflown, region, 1), 40.0, region)[2] == 1


@pytest.mark.parametrize(("peak", "scale"), [(110.0, 500.0), (0.0, 1.0)])
def test_autoscale(peak, scale):
    assert int_image(image([0, peak], [0, 0]), None, 0.0, (0, 1, 0, 1))[1] == scale


def test_pgm_image():
    gray, scale = pgm_image(image([9, 0, 1.99, 1e9], [9, 1, 2, 3]), None, 7.0, 25.0, ROI)
    assert scale == 2.0
    np.testing.assert_array_equal(gray, [[0, 0, 3, 255], [0, 2, 4, 6]])
    assert pgm_image(image([1], [1]), None, 7.0, 0.0, (0, 0, 0, 1))[1] == 7.0


@pytest.mark.requirement("AT-NOISE-003")
@pytest.mark.parametrize("rng", ["philox", "reference"])
@pytest.mark.parametrize("mean", [0.0, 0.3, 5.0, 11.9, 12.0, 80.0, 3e4, 9.9e5])
def test_noise_has_the_mean_and_variance_of_poisson(rng, mean):
    size = 20_000 if rng == "philox" else 4_000
    counts = noise_counts(np.full((1, size), mean, dtype=np.float32), (0, size - 1, 0, 0), 11, rng)
    assert (counts >= 0).all()
    np.testing.assert_array_equal(counts, np.floor(counts))
    sigma = np.sqrt(mean)
    assert counts.mean() == pytest.approx(mean, abs=5 * sigma / np.sqrt(size) + 1e-12)
    assert counts.var() == pytest.approx(mean, rel=0.15, abs=1e-12)


@pytest.mark.requirement("AT-NOISE-002")
def test_reference_noise_above_a_million_is_gaussian_and_not_whole():
    counts = noise_counts(np.full((1, 2000), 4e6, dtype=np.float32), (0, 1999, 0, 0), 5, "reference")
    assert counts.mean() == pytest.approx(4e6, abs=5 * 2000 / np.sqrt(2000))
    assert counts.std() == pytest.approx(2000.0, rel=0.1)


@pytest.mark.requirement("AT-NOISE-003")
@pytest.mark.parametrize("rng", ["philox", "reference"])
def test_same_seed_same_noise(rng):
    means = np.linspace(0, 300, 40, dtype=np.float32).reshape(2, 20)
    first, second, other = (noise_counts(means, (0, 19, 0, 1), seed, rng) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_means_beyond_any_format():
    assert np.isfinite(noise_counts(image([1e30, 1.0]), (0, 1, 0, 0), 1)).all()


@pytest.mark.requirement("AT-NOISE-003")
def test_noise_image_counts_overloads():
    counts = np.array([[7.0, 1.0, 65495.0, 65496.0]])
    noisy, photons, overloads = noise_image(counts, 40.0, (1, 3, 0, 0))
    np.testing.assert_array_equal(noisy, [[0, 41, 65535, 65535]])
    assert (photons, overloads) == (130992.0, 1)
