"""The detector's response: closed forms, noisify's images, and what the command line makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import cubragg as cb
from cubragg.cli.response_terms import response_of, terms_of
from cubragg.detect.charge_steps import counted_fraction
from cubragg.detect.exposure import Exposure, PanelArea
from cubragg.detect.noisify_spread import noisify_spread
from cubragg.detect.normal_deviates import normal_image, normals
from cubragg.detect.point_spread import spread
from cubragg.detect.response_chain import bad_pixels, detected_counts, sensitivity
from cubragg.philox import Effect
from cubragg.plan.make_plan import make_plan
from support.command import invoke

WHOLE = Exposure([], None, 1.0, 0, 0)
DATA = np.load(Path(__file__).parents[1] / "data" / "noisify.npz")


def detected(photons: np.ndarray, response: cb.Response, *, seed: int = 1, shot: int = 0, exposure_s: float = 1.0,
             pixel_um: float = 100.0, live: np.ndarray | None = None, backend: str = "auto") -> np.ndarray:
    slow, fast = photons.shape
    panels = [PanelArea((slice(0, slow), slice(0, fast)), (pixel_um, pixel_um))]
    return detected_counts(photons, response, Exposure(panels, live, exposure_s, seed, shot, backend))


def flat(mean: float, edge: int = 400) -> np.ndarray:
    return np.full((edge, edge), mean, dtype=np.float32)


# Gaussian deviates


def test_normals_are_normal():
    drawn = normals(3, 2, Effect.READOUT, np.arange(400_000))
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert stats.kurtosis(drawn) == pytest.approx(0.0, abs=0.03)
    assert np.corrcoef(drawn[::2], drawn[1::2])[0, 1] == pytest.approx(0.0, abs=0.01)
    assert abs(stats.pearsonr(drawn[::2] ** 2, drawn[1::2] ** 2).statistic) < 0.01


def test_a_normal_is_a_function_of_its_index():
    drawn = normals(3, 2, Effect.READOUT, np.arange(1000))
    some = np.array([[999, 3], [4, 500]])
    np.testing.assert_array_equal(normals(3, 2, Effect.READOUT, some), drawn[some])
    for other in (normals(4, 2, Effect.READOUT, np.arange(1000)), normals(3, 1, Effect.READOUT, np.arange(1000)),
                  normals(3, 2, Effect.GAIN, np.arange(1000)), normals(3, 2, Effect.READOUT, np.arange(1000), draw=1)):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.12


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (70, 301)])
def test_the_kernel_draws_the_bits_of_numpy(shape):
    found = normal_image(shape, 2**40 + 7, 3, Effect.READOUT, 5, threads=2)
    np.testing.assert_array_equal(found.ravel(), normals(2**40 + 7, 3, Effect.READOUT, np.arange(found.size), 5))


# Point spread


@pytest.mark.parametrize(("psf", "name", "width"), [("gauss", "gauss_80", 0.8), ("fiber", "fiber_60", 0.6)])
def test_noisifys_point_spread(psf, name, width):
    """noisify truncates to whole counts. It keeps what leaves a fiber over the edges and spreads the rest its way."""
    found = spread(DATA["psf_input"].astype(float), psf, (width, width))
    inside = np.s_[20:-20, 20:-20] if psf == "fiber" else np.s_[4:-4, 4:-4]
    excess = (found - DATA[name])[inside]
    margin = 1e-5 if psf == "gauss" else 0.04
    assert excess.min() > -margin
    assert excess.max() < 1.0 + margin


@pytest.mark.parametrize(("psf", "name", "width"), [("gauss", "gauss_80", 0.8), ("fiber", "fiber_60", 0.6)])
def test_noisifys_point_spread_in_its_own_order_up_to_the_edges(psf, name, width):
    """noisify truncates to whole counts, and adds in single precision."""
    excess = noisify_spread(DATA["psf_input"].astype(float), psf, (width, width)) - DATA[name]
    assert excess.min() > -2e-3
    assert excess.max() < 1.0 + 2e-3


@pytest.mark.parametrize("psf", ["gauss", "fiber"])
@pytest.mark.parametrize("width", [0.5, 1.5, 6.0])
def test_a_point_spread_keeps_photons_and_has_its_width(psf, width):
    point = np.zeros((401, 401))
    point[200, 200] = 1e6
    found = spread(point, psf, (width, width))
    assert found.sum() == pytest.approx(1e6, rel=1e-9)
    if width > 5.0:  # pixels resolve it
        row = found[200] / found[200, 200]
        half = np.interp(0.5, row[220:200:-1], np.arange(20, 0, -1))
        assert 2.0 * half == pytest.approx(width, rel=0.03)


def test_a_point_spread_by_transforms_is_the_sum_of_its_weights():
    rng = np.random.default_rng(2)
    image = rng.random((70, 1500))
    wide = spread(image, "gauss", (30.0, 12.0))  # by transforms
    from cubragg.detect.point_spread import _along, _gauss_weights

    direct = _along(_along(image, _gauss_weights(30.0), 1), _gauss_weights(12.0), 0)
    np.testing.assert_allclose(wide, direct, atol=1e-12)


# Counting detectors


def test_an_ideal_response_is_poisson():
    photons = np.linspace(0, 30, 10_000, dtype=np.float32).reshape(100, 100)
    from cubragg.detect.counting import draw_counts

    found = detected(photons, cb.Response(), seed=5, shot=2)
    np.testing.assert_array_equal(found, draw_counts(photons, seed=5, shot=2))


@pytest.mark.parametrize(("model", "law"), [("paralyzable", lambda n, x: n * math.exp(-x)),
                                            ("nonparalyzable", lambda n, x: n / (1 + x))])
@pytest.mark.parametrize("rate", [1e4, 1e6, 4e6])
def test_dead_time(model, law, rate):
    found = detected(flat(rate * 0.1), cb.Response(dead_time_ns=120.0, dead_time=model), exposure_s=0.1)
    assert found.dtype == np.int32
    assert found.mean() == pytest.approx(law(rate * 0.1, rate * 120e-9), rel=2e-4)


def test_lost_charge():
    """Without charge sharing nothing is lost; a wide cloud is lost at corners: 1 - 4 of the integral by Monte Carlo."""
    assert counted_fraction((1e-6, 1e-6), 0.5) == pytest.approx(1.0, abs=1e-6)
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 200_000))
    sigma = 0.1
    share = [[(stats.norm.cdf((k + 1 - u) / sigma) - stats.norm.cdf((k - u) / sigma)) for k in (-1, 0, 1)]
             for u in (x, y)]
    counted = sum((one * other > 0.5).mean() for one in share[0] for other in share[1])
    assert counted_fraction((sigma, sigma), 0.5) == pytest.approx(counted, abs=0.002)
    found = detected(flat(1000.0), cb.Response(charge_cloud_um=10.0))
    assert found.mean() == pytest.approx(1000.0 * counted, rel=0.003)


def test_sensitivity_and_flat_field():
    """Counts written have the mean of the photons and the variance of raw / sensitivity^2; errors are fixed."""
    response = cb.Response("integrating", efficiency_sigma=0.1, flat_field_sigma=0.02, calibration_seed=9)
    shots = np.array([detected(flat(1e5, 60), response, shot=shot) for shot in range(200)])
    expected = 1e5 * sensitivity(flat(1, 60), response, WHOLE) / (sensitivity(flat(1, 60), response, WHOLE))
    pixel_means = shots.mean(axis=0)
    assert pixel_means.std() / expected.mean() == pytest.approx(0.02, rel=0.05)
    exact = replace(response, flat_field_sigma=0.0)
    found = np.array([detected(flat(1e4, 60), exact, shot=shot) for shot in range(400)])
    efficiency = sensitivity(flat(1, 60), exact, WHOLE)
    assert found.mean() == pytest.approx(1e4, rel=1e-4)
    np.testing.assert_allclose(found.var(axis=0).mean(), (1e4 / efficiency).mean(), rtol=0.01)
    other = detected(flat(1e5, 60), replace(response, calibration_seed=10))
    assert abs(np.corrcoef(other.ravel(), pixel_means.ravel())[0, 1]) < 0.06


def test_flicker_is_that_of_a_shot():
    means = [detected(flat(1e6, 40), cb.Response(flicker=0.05), shot=shot).mean() / 1e6 for shot in range(300)]
    assert np.std(means) == pytest.approx(0.05, rel=0.15)
    assert np.mean(means) == pytest.approx(1.0, abs=0.01)


def test_bad_pixels():
    response = cb.Response(dead_fraction=0.01, hot_fraction=0.002, noisy_fraction=0.05, noisy_sigma=30.0,
                           count_cutoff=5000)
    photons = flat(100.0, 300)
    bad = bad_pixels(photons.shape, response)
    for kind, fraction in ((1, 0.01), (2, 0.002), (3, 0.05)):
        assert np.mean(bad == kind) == pytest.approx(fraction, rel=0.25)
    one, other = detected(photons, response, shot=0), detected(photons, response, shot=1)
    for found in (one, other):
        assert (found[bad == 1] == 0).all()
        assert (found[bad == 2] == 5000).all()
        assert found[bad == 3].std() == pytest.approx(math.sqrt(900 + 100), rel=0.1)
        assert found[bad == 0].var() == pytest.approx(100.0, rel=0.05)
    with pytest.raises(cb.ConfigError, match=r"bad_pixels.*3 x 2.*300"):
        detected(photons, cb.Response(bad_pixels=np.zeros((2, 3))))


def test_the_cutoff_is_the_largest_count():
    assert detected(flat(1e6, 20), cb.Response(count_cutoff=65535)).max() == 65535


def test_frames_of_32_bits_are_not_cut_off():
    photons = flat(1e5, 20)
    ideal = detected(photons, cb.Response())
    assert (detected(photons, cb.Response(count_cutoff=2**32 - 2)) == ideal).all()


# Chips


def test_edges_of_eiger_chips():
    """Edge pixels are two pixels wide: each pair of virtual pixels has equal counts, or they differ by one."""
    response = cb.Response(chips=((8, 8), (2, 2)))
    found = detected(flat(1000.0, 18), response)
    for pair in ((7, 8), (9, 10)):
        assert np.abs(found[:7, pair[0]] - found[:7, pair[1]]).max() <= 1
        assert np.abs(found[pair[0], :7] - found[pair[1], :7]).max() <= 1
    shots = np.array([detected(flat(1000.0, 18), response, shot=shot) for shot in range(400)])
    assert shots[:, :7, 7].var() == pytest.approx(500.0, rel=0.1)  # half of a count of 2000
    assert shots[:, :7, :7].var() == pytest.approx(1000.0, rel=0.1)
    assert shots.mean() == pytest.approx(1000.0, rel=1e-3)


def test_edges_of_pilatus_chips():
    """Edge pixels are one and a half pixels wide: the middle virtual pixel has a third of both."""
    response = cb.Response(chips=((4, 100), (1, 1)))
    shots = np.array([detected(flat(3000.0, 9), response, shot=shot) for shot in range(2000)])
    assert shots.mean(axis=(0, 1)) == pytest.approx([3000.0] * 9, rel=3e-3)
    left, middle, right = shots[:, 0, 3], shots[:, 0, 4], shots[:, 0, 5]
    np.testing.assert_allclose(middle, left / 2 + right / 2, atol=1.5)  # the outer ones have two thirds
    assert left.var() == pytest.approx(4 / 9 * 4500, rel=0.1)
    faint = np.array([detected(flat(2.0, 9), response, shot=shot) for shot in range(2000)])
    assert faint[:, :, 3:6].sum(axis=2).mean() == pytest.approx(6.0, rel=0.02)
    assert faint[:, :, 3:6].sum(axis=2).var() == pytest.approx(6.0, rel=0.05)


def test_chips_are_those_of_modules():
    """A gap between two modules starts the chips anew."""
    live = np.ones((8, 37), dtype=bool)
    live[:, 18:19] = False
    found = detected(flat(1000.0, 37)[:8], cb.Response(chips=((8, 8), (2, 2))), live=live)
    for first in (7, 9, 19 + 7, 19 + 9):
        assert np.abs(found[:, first] - found[:, first + 1]).max() <= 1
    assert np.abs(found[:, 17] - found[:, 16]).max() > 1  # the edge of a module has no neighbour
    assert (found[:, 18] == 0).all()


# Integrating detectors


def test_variances_of_an_integrating_detector():
    """Var = gain^2 (n (1 + sigma^2) + readout^2) + rounding."""
    response = cb.Response("integrating", gain=20.0, gain_sigma=0.3, readout_sigma=2.0, pedestal=50.0)
    found = detected(flat(40.0), response)
    assert found.mean() == pytest.approx(20.0 * 40.0 + 50.0, rel=1e-3)
    assert found.var() == pytest.approx(400.0 * (40.0 * 1.09 + 4.0) + 1 / 12, rel=0.02)


def test_neighbours_of_drawn_photons_are_correlated():
    """Photons are drawn first and spread then: the variance is n times the sum of squared weights."""
    weights = spread(np.pad([[1.0]], 20), "gauss", (1.5, 1.5))
    found = detected(flat(400.0), cb.Response("integrating", psf="gauss", psf_fwhm_um=150.0, gain=50.0))[20:-20, 20:-20]
    assert found.var() == pytest.approx(2500.0 * 400.0 * (weights**2).sum(), rel=0.03)
    neighbours = np.corrcoef(found[:, :-1].ravel(), found[:, 1:].ravel())[0, 1]
    assert neighbours == pytest.approx((weights[:, :-1] * weights[:, 1:]).sum() / (weights**2).sum(), abs=0.01)
    before = detected(flat(400.0), cb.Response(psf="gauss", psf_fwhm_um=150.0))  # of expected photons
    assert before[20:-20, 20:-20].var() == pytest.approx(400.0, rel=0.03)


def test_gain_stages():
    response = cb.Response("integrating", gain=100.0, gain_stages=((10.0, 0.1), (1000.0, 5.0)))
    low, high, above = (detected(flat(mean), response) for mean in (2.0, 500.0, 5000.0))
    assert low.var() == pytest.approx(1e4 * (2.0 + 0.01), rel=0.02)
    assert high.var() == pytest.approx(1e4 * (500.0 + 25.0), rel=0.02)
    assert above.mean() == pytest.approx(1e5, rel=1e-3)
    assert above.var() == pytest.approx(1e4 * 25.0, rel=0.02)


def test_pedestal_errors_are_fixed():
    response = cb.Response("integrating", gain=100.0, pedestal_sigma=0.5)
    one, other = (detected(flat(0.0), response, shot=shot) for shot in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert one.std() == pytest.approx(50.0, rel=0.02)


def test_noisifys_order():
    """Calibration before counting, flicker of each pixel, and what noisify adds: variance and mean by its formulas."""
    response = cb.Response(order="noisify", flicker=0.02, flat_field_sigma=0.03, gain=4.0, pedestal=40.0,
                           readout_sigma=3.0)
    found = detected(flat(1000.0, 800), response)
    assert found.mean() == pytest.approx(4.0 * 1000.0 + 40.0 - 0.5, rel=1e-3)  # truncated
    assert found.var() == pytest.approx(16.0 * (1000.0 + 1000.0**2 * (0.02**2 + 0.03**2) + 9.0), rel=0.02)


#: Expected photons, and mean, variance and excess kurtosis of 512 x 512 pixels of noisify (bl831/nanoBragg, 2026-07),
#: with -adc 40 but in the first.
NOISIFY = {
    "counting": ({}, [
        (0.1, 0.1, 0.100376, 10.0), (5.0, 4.9989, 4.96723, 0.2), (13.0, 13.0014, 12.9979, 0.08),
        (300.0, 300.0096, 301.24, 0.0), (2e5, 200000.77, 200352.0, 0.0)]),
    "flicker": ({"flicker": 0.02, "pedestal": 40.0}, [
        (0.1, 40.0995, 0.0998282, 10.1), (5.0, 44.9954, 5.00466, 0.2), (13.0, 53.0099, 13.1038, 0.08),
        (300.0, 340.0001, 337.135, 0.0), (2e5, 200054.4779, 16131900.0, 0.0)]),
    "calibration": ({"flat_field_sigma": 0.03, "pedestal": 40.0}, [
        (0.1, 40.0997, 0.0994759, 9.9), (5.0, 45.0016, 5.04202, 0.2), (13.0, 52.9951, 13.1521, 0.07),
        (300.0, 339.9822, 379.582, 0.0), (2e5, 200031.0773, 36098300.0, 0.0)]),
    "gain and 3 counts of read-out noise": ({"gain": 2.5, "readout_sigma": 3.0 / 2.5, "pedestal": 40.0}, [
        (0.1, 39.7435, 9.76153, 0.05), (5.0, 51.997, 40.1773, 0.14), (13.0, 72.0003, 90.3175, 0.07),
        (300.0, 789.5266, 1891.83, 0.0), (2e5, 500041.4325, 1252240.0, 0.0)]),
    "all": ({"flicker": 0.02, "flat_field_sigma": 0.03, "gain": 2.5, "readout_sigma": 3.0 / 2.5, "pedestal": 40.0}, [
        (0.1, 39.7488, 9.69422, 0.05), (5.0, 52.0042, 40.368, 0.13), (13.0, 72.0035, 91.7867, 0.06),
        (300.0, 789.5101, 2626.32, 0.0), (2e5, 500021.512, 324963000.0, 0.0)]),
}


@pytest.mark.parametrize("name", NOISIFY)
def test_noisifys_statistics(name):
    """Mean and variance of each level within four standard deviations of the difference of two such images."""
    settings, levels = NOISIFY[name]
    pixels = 512 * 512
    for number, (expected, mean, variance, kurtosis) in enumerate(levels):
        found = detected(flat(expected, 512), cb.Response(order="noisify", **settings), seed=number + 1).astype(float)
        assert abs(found.mean() - mean) < 4.0 * math.sqrt(2.0 * variance / pixels)
        assert abs(found.var() / variance - 1.0) < 4.0 * math.sqrt(2.0 * (2.0 + kurtosis) / pixels)


# Every effect


def test_a_region_backend_and_threads_change_no_count():
    response = cb.Response("integrating", psf="fiber", psf_fwhm_um=80.0, gain=3.0, gain_sigma=0.1, readout_sigma=1.0,
                           efficiency_sigma=0.03, flat_field_sigma=0.01, dead_fraction=0.01, noisy_fraction=0.01)
    photons = np.random.default_rng(1).gamma(1.0, 20.0, (90, 110)).astype(np.float32)
    numpy_counts = detected(photons, response, backend="numpy")
    np.testing.assert_array_equal(numpy_counts, detected(photons, response))
    assert (detected(photons, response, shot=1) != numpy_counts).mean() > 0.5
    assert (detected(photons, response, seed=2) != numpy_counts).mean() > 0.5


@pytest.mark.parametrize(("settings", "where"), [
    ({"kind": "film"}, "kind"), ({"psf": "box", "psf_fwhm_um": 1}, "psf"), ({"psf": "gauss"}, "psf"),
    ({"readout_sigma": 1.0}, "readout_sigma"), ({"kind": "integrating", "dead_time_ns": 5}, "dead_time_ns"),
    ({"kind": "integrating", "gain_stages": ((5, 1), (3, 1))}, "gain_stages"), ({"gain": 0.0}, "gain"),
    ({"dead_fraction": 0.6, "hot_fraction": 0.5}, "dead_fraction"), ({"bad_pixels": [[4]]}, "bad_pixels"),
    ({"chips": ((2, 2), (1, 1))}, "chips"), ({"flicker": float("nan")}, "flicker"),
    ({"count_cutoff": 0}, "count_cutoff")])
def test_settings_that_no_detector_has(settings, where):
    with pytest.raises(cb.ConfigError) as error:
        cb.Response(**settings)
    assert error.value.where == f"response.{where}"


# Presets, experiments, the command line


def test_presets():
    assert cb.Response.preset("pilatus6m").count_cutoff == 2**20 - 1
    assert cb.Response.preset("eiger4m").chips == ((256, 256), (2, 2))
    assert cb.Response.preset("jungfrau4m") == cb.Response("integrating", chips=((256, 256), (2, 2)))
    agipd = cb.Response.preset("agipd", energy_eV=12000.0)
    (largest, noise), = agipd.gain_stages
    assert (largest, noise) == (pytest.approx(1e4), pytest.approx(1.0 / 12.0))
    assert agipd.count_cutoff == 10000  # so that files and programs know which pixels are full
    assert cb.Response.preset("epix10k", 8000.0).gain_stages[0] == pytest.approx((11000.0, 245 / 8000))
    for name, largest, noise_eV in (("cspad", 350, 1000), ("CSPAD-low", 2700, 3500)):  # as LCLS lists them, for 8 keV
        cspad = cb.Response.preset(name, 8000.0)
        assert cspad.gain_stages == ((largest, noise_eV / 8000.0),)
        assert cspad.count_cutoff == largest
    with pytest.raises(cb.ConfigError, match="energy"):
        cb.Response.preset("agipd")
    with pytest.raises(cb.ConfigError, match="nearest"):
        cb.Response.preset("pilatos6m")


def test_the_taper_of_an_adsc_detector_falls_off_as_was_measured():
    """Far away as 27 um / (2 pi r^3) per um^2 (Holton, Nielsen and Frankel 2012)."""
    response = cb.Response.preset("adsc-q315")
    pixel, image = 51.3, np.zeros((201, 201))
    image[100, 100] = 1.0
    spreads = spread(image, response.psf, (response.psf_fwhm_um / pixel,) * 2)
    far = np.array([20, 40, 60])
    expected = 27.0 / (2.0 * np.pi * (far * pixel) ** 3) * pixel**2
    # Differences: what is further away than the weights reach is spread evenly.
    assert np.diff(spreads[100, 100 + far]) == pytest.approx(np.diff(expected), rel=0.02)


def named(**parts: object) -> cb.Experiment:
    return cb.Experiment(cb.Crystal(cell=(50, 50, 50, 90, 90, 90)), cb.StructureFactors(default_F=1.0),
                         **{"detector": cb.Detector.named("pilatus100k", distance_mm=100), **parts})


def test_a_named_detector_brings_its_response():
    assert named().detector_response() == cb.Response.preset("pilatus100k")
    assert named(response=cb.Response()).detector_response() == cb.Response()
    assert named(semantics="nanobragg").detector_response() == cb.Response()
    with pytest.raises(cb.ConfigError, match="--semantics physical"):
        named(semantics="nanobragg", response=cb.Response())


def test_a_response_is_written_and_read():
    for response in (None, cb.Response(), cb.Response("integrating", psf="fiber", psf_fwhm_um=70, gain_stages=((5, 1),),
                                                      bad_pixels=np.eye(3), chips=((9, 8), (2, 0)))):
        one = named(response=response)
        assert cb.Experiment.from_toml(one.to_toml()) == one


def test_counts_of_an_image_are_those_of_its_response():
    one = named(background=cb.Background(constant=10.0), response=cb.Response("integrating", gain=2.0, pedestal=7.0))
    image = cb.simulate(one, backend="numpy")
    assert image.counts(seed=1).mean() == pytest.approx(27.0, abs=0.1)
    assert image.photons.mean() == pytest.approx(10.0, abs=1e-3)


@pytest.mark.parametrize(("sigma", "pedestal", "words"), [
    (3.0, 0.0, ("noise of 6 counts", "pedestal of 0", "pedestal=24")), (3.0, 24.0, ()), (0.06, 0.0, ()),
    (0.5, 2.0, ("pedestal=4",))])
def test_counts_below_zero_that_files_do_not_keep(sigma, pedestal, words):
    one = named(response=cb.Response("integrating", gain=2.0, readout_sigma=sigma, pedestal=pedestal))
    found = [line for line in make_plan(one).warnings if "counts below 0" in line]
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)


def test_overloads_do_not_stop_a_run(tmp_path):
    one = named(background=cb.Background(constant=3e9), response=cb.Response())
    cb.simulate(one, backend="numpy").save(tmp_path / "a.cbf")
    assert cb.read(tmp_path / "a.cbf").pixels.max() == 2**31 - 1


LINE = "simulate -default_F 1 -cell 50 50 50 90 90 90 -detpixels 40 -pixel 1 --background constant=5 --quiet "


def test_a_response_on_the_line(tmp_path):
    line = f"{LINE} -semantics physical -seed 1 --cbffile {tmp_path}/a.cbf --response "
    assert invoke(f"{line} kind=integrating,gain=10,pedestal=3,readout-sigma=0.5").exit_code == 0
    assert cb.read(tmp_path / "a.cbf").counts().mean() == pytest.approx(53.0, abs=2.0)
    assert invoke(f"{line} pilatus6m,dead-fraction=0.5").exit_code == 0
    assert (cb.read(tmp_path / "a.cbf").counts() == 0).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("terms", [
    "kind=counting", "kind=counting,chips=60:97:1:1,count-cutoff=1048575,dead-time=120,dead-time-model=nonparalyzable",
    "kind=integrating,psf=fiber,psf-fwhm=41.3867,gain=2.5", "kind=integrating,gain-stages=10:0.1/1000:3"])
def test_terms_of_a_response(terms):
    response = response_of(terms, 12000.0, "--response")
    assert set(terms_of(response).split(",")) == set(terms.split(","))
    assert response_of(terms_of(response), 12000.0, "--response") == response


@pytest.mark.parametrize(("terms", "fields"), [
    ("psf=gauss,psf-fwhm=80", "psf=gauss,psf_fwhm_um=80"), ("charge-cloud=20", "charge_cloud_um=20"),
    ("dead-time=120", "dead_time_ns=120")])
def test_fields_of_python_are_terms_as_well(terms, fields):
    assert response_of(fields, 12000.0, "--response") == response_of(terms, 12000.0, "--response") != cb.Response()


@pytest.mark.parametrize(("flags", "keyword"), [
    ("--response ideal", "--semantics physical"), ("-semantics physical --response pilatos6m", "nearest"),
    ("-semantics physical --response gain=x", "number"), ("-semantics physical --response gian=2", "gain"),
    ("-semantics physical --response readout-sigma=2", "integrating"),
    ("-semantics physical --response bad-pixels=no.tif", "no.tif")])
def test_bad_responses_on_the_line(flags, keyword, tmp_path):
    line = LINE if "physical" in flags else LINE.replace("--background constant=5 ", "")
    result = invoke(f"{line} {flags} -floatfile {tmp_path}/f.bin")
    assert result.exit_code == 2
    assert keyword in result.stderr
    assert not (tmp_path / "f.bin").exists()
