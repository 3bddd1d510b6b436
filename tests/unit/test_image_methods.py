"""What users do with an image: counts, reflections, pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest

import cubragg as cb


@pytest.fixture(scope="module")
def image() -> cb.Image:
    experiment = cb.Experiment(
        cb.Crystal(cell=(40, 50, 60, 90, 90, 90), cells=(12, 12, 12)), cb.StructureFactors(default_F=300.0),
        cb.Beam(wavelength_A=1.0, fluence=1e26),
        cb.Detector(distance_mm=100, pixel_size_mm=0.2, fast_pixels=90, slow_pixels=70))
    return cb.simulate(experiment, backend="numpy")


def test_counts_are_poisson_draws_around_the_photons(image):
    draws = np.array([image.counts(seed) for seed in range(400)])
    assert (draws.dtype, draws.shape[1:]) == (np.int32, image.photons.shape)
    error = np.sqrt(np.maximum(image.photons, 1e-3) / len(draws))
    assert (np.abs(draws.mean(axis=0) - image.photons) < 6.0 * error + 0.05).all()
    chi2 = ((draws - image.photons) ** 2 / np.maximum(image.photons, 1.0))[:, image.photons > 1.0].mean()
    assert chi2 == pytest.approx(1.0, abs=0.02)


def test_the_seed_decides_the_counts(image):
    np.testing.assert_array_equal(image.counts(seed=3), image.counts(seed=3))
    assert (image.counts(seed=3) != image.counts(seed=4)).any()


def test_counts_beyond_32_bits_are_refused(image):
    from dataclasses import replace

    with pytest.raises(cb.FormatError, match=r"pixel .* fast.*2147483647"):
        replace(image, photons=image.photons * np.float32(1e12)).counts()


def test_reflections_add_up_to_the_image(image):
    table = image.reflections(min_photons=1e-6)
    assert len(table) > 10
    assert table.photons.sum() == pytest.approx(image.photons.sum(dtype=float), rel=1e-4)
    np.testing.assert_array_equal(table.hkl, cb.predict(image.experiment, min_photons=1e-6, backend="numpy").hkl)


def test_columns_of_the_reflection_table(image):
    table = image.reflections()
    columns = table.as_dict()
    assert {len(column) for column in columns.values()} == {len(table)}
    np.testing.assert_array_equal(np.column_stack([columns[name] for name in "hkl"]), table.hkl)
    assert columns["direct_beam"].dtype == bool
    frame = pytest.importorskip("pandas").DataFrame(columns)
    assert table.to_pandas().equals(frame)


def test_the_notebook_picture_is_a_png_of_the_image(image):
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(image._repr_png_())))
    assert picture.shape == image.photons.shape
    brightest = np.unravel_index(image.photons.argmax(), image.photons.shape)
    assert picture[brightest] == picture.min()  # dark spots on white


def test_methods_and_precisions_that_do_not_exist(image):
    for call, keyword in ((cb.simulate, {"method": "guessed"}), (cb.predict, {"method": "guessed"}),
                          (cb.predict, {"precision": "single"})):
        name, value = next(iter(keyword.items()))
        with pytest.raises(cb.ConfigError, match=f"{name}.*{value}.*accepted"):
            call(image.experiment, **keyword)
