"""Every random effect of a detector: its distribution, its independence of the others, and what it depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import cubragg as cb
from cubragg.background.ice_rings import _spot_density
from cubragg.detect.charge_steps import _heads
from cubragg.detect.exposure import Exposure, PanelArea
from cubragg.detect.response_chain import _rounded_at_random, bad_pixels, detected_counts
from cubragg.philox import Effect
from cubragg.run.detection import counts_of

EDGE = 160
PIXELS = EDGE * EDGE
#: Probability below which a deviation is no chance.
LEAST = 1e-3


def counts(mean: float, response: cb.Response, seed: int = 11, shot: int = 0, edge: int = EDGE) -> np.ndarray:
    """Counts of a flat image."""
    panels = [PanelArea((slice(0, edge), slice(0, edge)), (100.0, 100.0))]
    photons = np.full((edge, edge), mean, dtype=np.float32)
    return detected_counts(photons, response, Exposure(panels, None, 1.0, seed, shot)).astype(np.float64)


def flicker(seed: int, shot: int) -> np.ndarray:
    """The deviate of each of many shots; the photons of a shot of 1e12 are sharper than the flicker by 2e4."""
    return np.array([counts(1e12, cb.Response(flicker=0.02), seed, 1000 * shot + number, 1)[0, 0]
                     for number in range(400)]) / 1e12 / 0.02 - 50.0


def read_out(seed: int, shot: int) -> np.ndarray:
    return counts(0.0, cb.Response("integrating", gain=1e4, readout_sigma=2.0), seed, shot) / 2e4


def signal_spread(seed: int, shot: int) -> np.ndarray:
    """What the spread of single photons' signals adds to the same photons."""
    plain, spread = (counts(50.0, cb.Response("integrating", gain=1e5, gain_sigma=sigma), seed, shot)
                     for sigma in (0.0, 0.1))
    photons = np.maximum(plain, 1.0) / 1e5
    return (spread - plain) / (1e4 * np.sqrt(photons))


def noisy_pixels(seed: int, shot: int) -> np.ndarray:
    """The noise of noisy pixels, on enough photons that none is below 0."""
    plain, noisy = (counts(1e8, cb.Response(noisy_fraction=fraction, noisy_sigma=1e6), seed, shot)
                    for fraction in (0.0, 0.999_999))
    return (noisy - plain) / 1e6


def pedestal_errors(seed: int, shot: int) -> np.ndarray:
    return counts(0.0, cb.Response("integrating", gain=1e4, pedestal_sigma=0.5, calibration_seed=seed), 1, shot) / 5e3


def flat_field_errors(seed: int, shot: int) -> np.ndarray:
    plain, wrong = (counts(1e9, cb.Response(flat_field_sigma=sigma, calibration_seed=seed), 1, shot)
                    for sigma in (0.0, 0.02))
    return (plain / wrong - 1.0) / 0.02


def sensitivities(seed: int, shot: int) -> np.ndarray:
    """Of pixels with 1e12 photons, whose raw counts the flat field does not hide in noisify's order."""
    return (counts(1e12, cb.Response(order="noisify", flat_field_sigma=0.03, calibration_seed=seed), 1, shot)
            / 1e12 - 1.0) / 0.03


DRAWN: dict[str, Callable[[int, int], np.ndarray]] = {
    "read-out": read_out, "signals of single photons": signal_spread, "noisy pixels": noisy_pixels}
FIXED: dict[str, Callable[[int, int], np.ndarray]] = {
    "pedestal": pedestal_errors, "flat field": flat_field_errors, "calibration": sensitivities}


@pytest.mark.parametrize("name", [*DRAWN, *FIXED, "flicker"])
def test_deviates_are_normal(name):
    drawn = {**DRAWN, **FIXED, "flicker": flicker}[name](5, 0).ravel()
    assert stats.kstest(drawn, "norm").pvalue > LEAST


@pytest.mark.parametrize("name", [*DRAWN, "flicker"])
def test_deviates_of_shots_and_seeds_are_independent(name):
    draw = {**DRAWN, "flicker": flicker}[name]
    first = draw(5, 0).ravel()
    for other in (draw(5, 1), draw(6, 0)):
        assert stats.pearsonr(first, other.ravel()).pvalue > LEAST
    np.testing.assert_array_equal(draw(5, 0).ravel(), first)


@pytest.mark.parametrize("name", FIXED)
def test_what_is_fixed_for_a_detector_is_the_same_in_every_shot(name):
    first, later, other = (FIXED[name](*which).ravel() for which in ((5, 0), (5, 7), (6, 0)))
    np.testing.assert_allclose(first, later, atol=2e-3)  # the photons differ
    assert stats.pearsonr(first, other).pvalue > LEAST


def test_effects_of_a_pixel_are_independent():
    photons = (counts(50.0, cb.Response(), 5) - 50.0).ravel()
    drawn = [photons, *(draw(5, 0).ravel() for draw in (*DRAWN.values(), *FIXED.values()))]
    # The calibration of noisify and the error of a flat field are draws of one effect; both are in the list.
    together = np.corrcoef(drawn)
    np.fill_diagonal(together, 0.0)
    assert np.abs(together).max() < 4.5 / np.sqrt(PIXELS)
    # Nor are neighbouring pixels correlated.
    for values in drawn:
        image = values.reshape(EDGE, EDGE)
        assert abs(np.corrcoef(image[:, :-1].ravel(), image[:, 1:].ravel())[0, 1]) < 4.5 / np.sqrt(PIXELS)


def test_bad_pixels_have_their_fractions():
    response = cb.Response(dead_fraction=0.01, hot_fraction=0.02, noisy_fraction=0.05, count_cutoff=10)
    found = np.bincount(bad_pixels((500, 500), response).ravel(), minlength=4)
    assert stats.chisquare(found, 250_000 * np.array([0.92, 0.01, 0.02, 0.05])).pvalue > LEAST
    others = [bad_pixels((500, 500), replace(response, calibration_seed=seed)).ravel() for seed in (1, 2)]
    assert stats.chi2_contingency(np.histogram2d(*others, bins=4)[0]).pvalue > LEAST


def test_dead_time_rounds_with_the_probability_of_the_rest():
    exposure = Exposure([], None, 1.0, 3, 2)
    for value in (0.03, 7.5, 1000.9):
        rounded = _rounded_at_random(np.full((300, 300), value), exposure, Effect.DEAD_TIME)
        up = int((rounded == np.floor(value) + 1.0).sum())
        assert stats.binomtest(up, 90_000, value % 1.0).pvalue > LEAST
        assert set(np.unique(rounded)) <= {np.floor(value), np.floor(value) + 1.0}


@pytest.mark.parametrize("photons", [1, 7, 32, 33, 200])
def test_photons_of_a_wide_pixel_are_divided_binomially(photons):
    exposure = Exposure([], None, 1.0, 3, 2)
    heads = _heads(np.full(40_000, float(photons)), np.arange(40_000), exposure)
    law = stats.binom(photons, 0.5)
    edges = np.unique(law.ppf(np.linspace(0.001, 0.999, 12)))
    observed = np.bincount(np.searchsorted(edges, heads), minlength=len(edges) + 1)
    expected = 40_000 * np.diff(np.concatenate([[0.0], law.cdf(edges), [1.0]]))
    keep = expected > 5.0
    assert stats.chisquare(np.append(observed[keep], observed[~keep].sum() + 1e-9),
                           np.append(expected[keep], expected[~keep].sum() + 1e-9)).pvalue > LEAST


def test_grains_of_ice_are_exponential_and_evenly_spread():
    """Spots so narrow that few overlap: their integrals, and their places."""
    density = _spot_density(1e-4, 100, 4, 0)
    seen = np.flatnonzero(density > 1e-6 * density.max())
    spots = np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1)
    places = np.array([spot.mean() for spot in spots]) / len(density)
    strengths = np.array([density[spot].sum() for spot in spots])
    assert 95 <= len(spots) <= 101  # one may be cut in two where the azimuth starts
    assert stats.kstest(places, "uniform").pvalue > LEAST
    assert stats.kstest(strengths / strengths.mean(), "expon").pvalue > LEAST
    for other in (_spot_density(1e-4, 100, 4, 1), _spot_density(1e-4, 100, 5, 0)):  # another ring, another seed
        assert abs(np.corrcoef(density, other)[0, 1]) < 0.1


#: Responses of which each pixel depends on no other.
POINTWISE = {
    "counting": {"dead_time_ns": 1e4, "efficiency_sigma": 0.05, "flat_field_sigma": 0.01, "flicker": 0.05,
                 "dead_fraction": 0.02, "hot_fraction": 0.02, "noisy_fraction": 0.02, "noisy_sigma": 5.0,
                 "count_cutoff": 500},
    "integrating": {"efficiency_sigma": 0.05, "flat_field_sigma": 0.01, "flicker": 0.05, "gain": 3.0, "gain_sigma": 0.2,
                    "gain_stages": ((20.0, 0.5), (200.0, 2.0)), "pedestal_sigma": 0.3, "pedestal": 10.0,
                    "dead_fraction": 0.02, "noisy_fraction": 0.02, "noisy_sigma": 5.0, "count_cutoff": 500},
}


@pytest.mark.parametrize("kind", POINTWISE)
def test_threads_backends_and_regions_change_no_count(kind):
    response = cb.Response(kind, **POINTWISE[kind])
    experiment = cb.Experiment(
        cb.Crystal(cell=(50, 50, 50, 90, 90, 90)), cb.StructureFactors(default_F=1.0), cb.Beam(exposure_s=0.01),
        cb.Detector(distance_mm=100, fast_pixels=90, slow_pixels=70, pixel_size_mm=0.1), response=response)
    image = cb.simulate(experiment)
    photons = np.random.default_rng(1).gamma(0.5, 60.0, (70, 90)).astype(np.float32)
    whole = counts_of(photons, experiment, image.plan, seed=2, shot=3, threads=1)
    assert len(np.unique(whole)) > 100
    for backend, threads in (("cpu", 2), ("cpu", 5), ("numpy", None)):
        np.testing.assert_array_equal(whole, counts_of(photons, experiment, image.plan, seed=2, shot=3,
                                                       backend=backend, threads=threads))
    part = cb.simulate(replace(experiment, sampling=cb.Sampling(roi=(13, 77, 5, 61))))
    region = np.s_[5:62, 13:78]
    inside = np.zeros_like(photons)
    inside[region] = photons[region]
    found = counts_of(inside, part.experiment, part.plan, seed=2, shot=3)
    np.testing.assert_array_equal(found[region], whole[region])
    assert not np.delete(found.ravel(), np.ravel_multi_index(np.mgrid[region].reshape(2, -1), found.shape)).any()
