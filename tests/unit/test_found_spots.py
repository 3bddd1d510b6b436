"""Spots that are found in an image, to be marked."""

from __future__ import annotations

import numpy as np
import pytest

from cubragg.view.found_spots import found_spots


def planted(background: float, photons: float, sigma_px: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image of 200 x 150 pixels, and the positions of its 20 spots, fast and slow."""
    rng = np.random.default_rng(8)
    places = np.array([(15.0 + 40.0 * (number % 4) + rng.uniform(0, 5), 12.0 + 28.0 * (number // 4) + rng.uniform(0, 5))
                       for number in range(20)])
    slow, fast = np.mgrid[:150, :200] + 0.5
    expected = np.full((150, 200), background)
    for x, y in places:
        expected += photons / (2 * np.pi * sigma_px**2) * np.exp(-((fast - x)**2 + (slow - y)**2) / (2 * sigma_px**2))
    return rng.poisson(expected).astype(float), places


@pytest.mark.requirement("AT-PIC-015")
@pytest.mark.parametrize(("background", "photons"), [(10.0, 400.0), (0.0, 40.0), (1000.0, 4000.0)])
def test_planted_spots_are_found_where_they_are(background, photons):
    image, places = planted(background, photons)
    spots = found_spots(image.astype(np.float32), None, 100)
    assert spots.hkl is None
    found = np.stack([spots.fast_px, spots.slow_px], axis=1)
    apart = np.hypot(*(found[:, None] - places[None]).transpose(2, 0, 1))
    assert apart.min(axis=0).max() < 0.5
    assert len(found) == 20


@pytest.mark.requirement("AT-PIC-015")
@pytest.mark.parametrize("background", [0.1, 3.0, 500.0])
def test_noise_alone_has_hardly_any(background):
    """Above mean + 6 sqrt(mean) + 4, a Poisson deviate has a chance below 2e-8: of 3e6 pixels, hardly one."""
    noise = np.random.default_rng(9).poisson(background, (1500, 2000)).astype(float)
    assert len(found_spots(noise, None, 10**6).fast_px) < 3


def test_masked_pixels_and_the_direct_beam_are_no_spots():
    image, places = planted(10.0, 400.0)
    slow, fast = np.mgrid[:150, :200] + 0.5
    masked = np.hypot(fast - places[0, 0], slow - places[0, 1]) < 5
    beam = np.hypot(fast - places[1, 0], slow - places[1, 1]) < 5
    spots = found_spots(np.where(masked, np.nan, image), beam, 100)
    assert len(spots.fast_px) == 18
    assert len(found_spots(image, None, 5).fast_px) == 5
    assert len(found_spots(np.full((20, 20), np.nan), None, 5).fast_px) == 0
    assert len(found_spots(np.zeros((3, 2)), None, 5).fast_px) == 0


def test_the_brightest_come_first():
    image, places = planted(10.0, 400.0)
    image[int(places[7, 1]), int(places[7, 0])] += 3000.0
    spots = found_spots(image, None, 1)
    assert np.hypot(spots.fast_px[0] - places[7, 0], spots.slow_px[0] - places[7, 1]) < 1.0


def test_spots_do_not_depend_on_the_strips_of_rows(monkeypatch):
    image, _ = planted(10.0, 400.0)
    found = []
    for rows in (256, 40, 7):
        monkeypatch.setattr("cubragg.view.found_spots._STRIP", rows)
        found.append(found_spots(image, None, 100))
    for spots in found[1:]:
        np.testing.assert_allclose(spots[:2], found[0][:2], rtol=1e-9)
