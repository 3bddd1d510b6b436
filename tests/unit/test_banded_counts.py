"""Counts drawn in bands of rows are those of whole images, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.shard import Work
from cubragg.dataset.shot import Shot
from cubragg.dataset.write_settings import WriteSettings
from cubragg.detect.banded_counts import BandedCounts
from cubragg.detect.exposure import Exposure, PanelArea
from cubragg.detect.response_chain import detected_counts
from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
from cubragg.engine.host.host_engine import HostEngine
from cubragg.run import banded_rendering

pytestmark = pytest.mark.requirement("AT-NOISE-007")

SHAPE = (61, 47)
MASK = np.random.default_rng(2).random(SHAPE) < 0.9

RESPONSES = {
    "ideal": cb.Response(), "cutoff": cb.Response(count_cutoff=9), "scale": cb.Response(gain=2.5, pedestal=10.0),
    "flicker": cb.Response(flicker=0.1), "cloud": cb.Response(charge_cloud_um=20.0),
    "flat field": cb.Response(efficiency_sigma=0.05, flat_field_sigma=0.02),
    "dead time": cb.Response(dead_time_ns=1e6), "chips": cb.Response(chips=((10, 9), (1, 2)), dead_time_ns=1e6),
    "bad pixels": cb.Response(dead_fraction=0.05, hot_fraction=0.05, noisy_fraction=0.1, noisy_sigma=3.0,
                              count_cutoff=1000),
    "integrating": cb.Response("integrating", gain_sigma=0.2, readout_sigma=0.5, pedestal_sigma=0.3, pedestal=20.0),
    "gains": cb.Response("integrating", gain_stages=((20.0, 0.1), (1000.0, 2.0)), flicker=0.02, count_cutoff=900),
    "light": cb.Response("integrating", psf="gauss", psf_fwhm_um=90.0, charge_cloud_um=10.0, readout_sigma=1.0),
    "noisify": cb.Response(order="noisify", flicker=0.02, flat_field_sigma=0.03, psf="fiber", psf_fwhm_um=60.0)}


@pytest.mark.parametrize("live", [None, MASK], ids=["all pixels", "a mask"])
@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_draws_the_same_counts_in_bands(name, live):
    response = RESPONSES[name]
    assert BandedCounts.suits(response)
    photons = (10.0 ** np.random.default_rng(1).uniform(-2.0, 3.0, SHAPE)).astype(np.float32)
    if live is not None:
        photons[~live] = 0.0
    panels = [PanelArea((slice(0, 30), slice(0, 47)), (75.0, 75.0)),
              PanelArea((slice(30, 61), slice(0, 47)), (172.0, 172.0))]
    exposure = Exposure(panels, live, 0.1, 7, 3, threads=2)
    expected = detected_counts(photons, response, exposure)
    banded = BandedCounts(response, replace(exposure, threads=1), SHAPE)
    for first, end in ((0, 1), (1, 8), (8, 40), (40, 61)):
        banded.add(first, photons[first:end].copy())
    counts = banded.counts()
    assert counts.dtype == expected.dtype
    np.testing.assert_array_equal(counts, expected)


def test_counts_beyond_32_bits_in_one_band():
    photons = np.full(SHAPE, 3.0)
    photons[50, 5] = 1e10
    for response in (cb.Response(), cb.Response(count_cutoff=100)):
        exposure = Exposure([], None, 1.0, 7, 3)
        banded = BandedCounts(response, exposure, SHAPE)
        for first in range(0, 61, 20):
            banded.add(first, photons[first:first + 20])
        expected = detected_counts(photons, response, exposure)
        assert banded.counts().dtype == expected.dtype
        np.testing.assert_array_equal(banded.counts(), expected)


def test_a_point_spread_of_expected_photons_needs_the_image():
    assert not BandedCounts.suits(cb.Response(psf="gauss", psf_fwhm_um=90.0))


def shot(**parts: object) -> cb.Experiment:
    return cb.Experiment(**{
        "crystal": cb.Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0),
                              block_size_um=0.1, size_mm=0.02, mosaicity_deg=0.3, mosaic_domains=3, shape="gauss"),
        "structure_factors": cb.StructureFactors(100.0), "beam": cb.Beam(1.0, flux=1e11, exposure_s=0.1,
                                                                         beamsize_mm=0.02),
        "detector": cb.Detector(distance_mm=60.0, pixel_size_mm=0.8, fast_pixels=47, slow_pixels=61),
        "goniometer": cb.Goniometer(0.0, 0.5, phi_steps=3), "sampling": cb.Sampling(oversample=1, mask=MASK),
        "background": cb.Background(water_um=50.0, air_mm=(0.0, 20.0)), **parts})


#: The method sampled renders a crystal with a size in parts, which are added as images: a block in a beam of 0.1 um.
BLOCK = {"crystal": cb.Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0),
                               cells=(20, 18, 15), shape="gauss"),
         "structure_factors": cb.StructureFactors(1000.0), "beam": cb.Beam(1.0, fluence=3e23, beamsize_mm=1e-4)}
SHOTS = {"water and air": shot(), "a region": shot(sampling=cb.Sampling(oversample=1, roi=(5, 40, 7, 55))),
         "a given background": shot(background=cb.Background(constant=2.5)),
         "a beam stop": shot(beamstop=cb.BeamStop(size_mm=3.0, distance_mm=20.0)),
         "chips": shot(response=cb.Response(chips=((10, 9), (1, 2)))),
         "no background": shot(background=cb.Background())}


@pytest.mark.parametrize("method", ["analytic", "sampled"])
@pytest.mark.parametrize("name", SHOTS)
def test_a_shot_is_counted_as_it_is_rendered(name, method, monkeypatch):
    experiment = SHOTS[name] if method == "analytic" else replace(SHOTS[name], **BLOCK)
    image = cb.simulate(experiment, method=method, backend="cpu")
    expected = image.counts(5)
    spots = cb.simulate(replace(experiment, background=cb.Background()), method=method, backend="cpu").photons
    assert np.count_nonzero(spots > 3.0 * np.sqrt(np.maximum(image.photons, 1.0))) >= 3  # not noise alone
    for engine in (AnalyticHostEngine, HostEngine):
        monkeypatch.setattr(engine, "render", None)  # an image of photons would be an error
    for pixels, threads in ((1, 1), (47 * 20, 2)):
        monkeypatch.setattr(banded_rendering, "_BAND_PIXELS", pixels)
        found = cb.simulate_counts(experiment, 5, method=method, backend="cpu", threads=threads)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("changed", [{}, {"response": cb.Response(psf="gauss", psf_fwhm_um=900.0)},
                                     {"semantics": "nanobragg", "crystal": cb.Crystal((50.0,) * 3 + (90.0,) * 3),
                                      "background": cb.Background()},
                                     {"detector": cb.Detector.named("jungfrau4m", 200.0), "sampling": cb.Sampling(
                                         oversample=1, roi=(0, 400, 0, 100))}])
def test_what_needs_an_image_has_the_same_counts(changed):
    experiment = shot(**changed)
    expected = cb.simulate(experiment, backend="cpu").counts(5)
    np.testing.assert_array_equal(cb.simulate_counts(experiment, 5, backend="cpu"), expected)


@pytest.mark.parametrize("truth", [(), ("h5",)], ids=["without truth", "with truth"])
def test_the_shots_of_a_data_set(truth, tmp_path):
    """A data set has the counts of its shots' images, whether photons are kept for the truth or not."""
    h5py = pytest.importorskip("h5py")
    stills = cb.Stills(shot(), n=1, seed=4)
    stills.write(tmp_path / "set", truth=truth, workers=1)
    with h5py.File(tmp_path / "set" / "shard-00000.nxs") as file:
        pixels = file["/entry/data/data"][0]
    expected = stills[0].image.counts(4)
    np.testing.assert_array_equal(stills[0].counts, expected)
    np.testing.assert_array_equal(np.where(MASK, pixels, 0), expected)


def test_a_data_set_without_truth_holds_no_image_of_photons(tmp_path, monkeypatch):
    monkeypatch.setattr(Shot, "image", property(lambda shot: pytest.fail("photons became an image")))
    monkeypatch.setattr(AnalyticHostEngine, "render", None)
    record = Work(cb.Stills(shot(), n=1, seed=4), WriteSettings(truth=()), tmp_path).compute(0)
    assert record["photons"] > 0
