"""Counts that the kernels of a GPU draw as they render are those of images of photons, to the bit.

A stand-in for cupy runs the kernels on the CPU; `tests/ptx` runs NVRTC's code of them.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

import cubragg as cb
from cubragg.dataset.shard import Work
from cubragg.dataset.write_settings import WriteSettings
from cubragg.detect.epilogue import CountsInKernels, PhotonMaps
from cubragg.detect.exposure import Exposure
from cubragg.device import cuda_device
from cubragg.device.host_build import find_compiler
from cubragg.engine.cuda import device_maps, launch_jobs
from cubragg.engine.cuda.analytic_cuda_engine import AnalyticCudaEngine
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.cuda.split_engine import SplitCudaEngine
from cubragg.errors import CubraggError
from cubragg.plan.make_plan import make_plan
from support.cupy_stand_in import Cupy
from support.experiments import Hung, hang
from support.marks import slow_after

pytestmark = pytest.mark.requirement("AT-NOISE-008")

MASK = np.random.default_rng(2).random((61, 47)) < 0.9
METHODS = ["analytic", "sampled"]


@pytest.fixture(autouse=True)
def cupy(monkeypatch):
    """A cupy with two GPUs whose kernels run on the CPU; the first launch is of one row of tiles."""
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(launch_jobs, "_FIRST_SAMPLES", 0.0)
    cuda_device.kernel_module.cache_clear()
    device_maps._UPLOADED.clear()
    module = Cupy(runs=True)
    monkeypatch.setitem(sys.modules, "cupy", module)
    yield module
    cuda_device.kernel_module.cache_clear()
    device_maps._UPLOADED.clear()


def shot(**parts: object) -> cb.Experiment:
    """47 x 61 pixels, a still of one block with water and air."""
    return cb.Experiment(**{
        "crystal": cb.Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0),
                              cells=(20, 18, 15), shape="gauss"),
        "structure_factors": cb.StructureFactors(100.0), "beam": cb.Beam(1.0, flux=1e11, exposure_s=0.1,
                                                                         beamsize_mm=0.02),
        "detector": cb.Detector(distance_mm=60.0, pixel_size_mm=0.8, fast_pixels=47, slow_pixels=61),
        "goniometer": cb.Goniometer(0.0, 0.5, phi_steps=3), "sampling": cb.Sampling(oversample=1, mask=MASK),
        "background": cb.Background(water_um=50.0, air_mm=(0.0, 20.0)), **parts})


def bright(**parts: object) -> cb.Experiment:
    """The same in a beam of several pixels; spots have tens to thousands of photons, the background about one."""
    beam = cb.Beam(1.0, fluence=2.5e12, beamsize_mm=2.0, direct_fraction=parts.pop("direct", 0.0))
    return shot(**{"beam": beam, "structure_factors": cb.StructureFactors(3.5e8), **parts})


SHOTS = {
    "water and air": bright(), "water alone": bright(sampling=cb.Sampling(oversample=1, dmin_A=60.0)),
    "a region": bright(sampling=cb.Sampling(oversample=1, roi=(5, 40, 7, 55))),
    "a given background": bright(background=cb.Background(constant=2.5)),
    "the direct beam": bright(direct=3e-4),
    "a beam stop": bright(beamstop=cb.BeamStop(size_mm=1.0, distance_mm=50.0), direct=3e-4),
    "no background": bright(background=cb.Background())}
RESPONSES = {
    "cutoff": cb.Response(count_cutoff=9), "flicker": cb.Response(flicker=0.1, count_cutoff=2**32 - 2),
    "cloud": cb.Response(charge_cloud_um=20.0), "scale": cb.Response(gain=2.5, pedestal=10.0),
    "flat field": cb.Response(efficiency_sigma=0.3, flat_field_sigma=0.02, flicker=0.05, charge_cloud_um=10.0),
    "chips": cb.Response(chips=((10, 9), (1, 2)), dead_time_ns=1e6, count_cutoff=900),
    "integrating": cb.Response("integrating", gain_sigma=0.2, readout_sigma=0.5, psf="gauss", psf_fwhm_um=900.0,
                               efficiency_sigma=0.05),
    "noisify": cb.Response(order="noisify", flicker=0.3, flat_field_sigma=0.5, psf="fiber", psf_fwhm_um=60.0)}


def check(experiment: cb.Experiment, monkeypatch: pytest.MonkeyPatch, **how: object) -> np.ndarray:
    """Compare the counts with those of the image of photons of a GPU; they are drawn without it."""
    expected = cb.simulate(experiment, backend="cuda", **how).counts(5)
    with monkeypatch.context() as without:
        for engine in (AnalyticCudaEngine, CudaEngine, SplitCudaEngine):
            without.setattr(engine, "render", None)
        found = cb.simulate_counts(experiment, 5, backend="cuda", **how)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
    return expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SHOTS)
def test_a_shot_is_counted_as_it_is_rendered(cupy, name, method, monkeypatch):
    counts = check(SHOTS[name], monkeypatch, method=method)
    assert counts.max() > (10 if name != "water alone" else 0)
    assert ({"count"} if method == "sampled" else {"count_spots", "count_background"}) <= {
        entry for entry, *_ in cupy.launches}


def test_the_direct_beam_is_seen():
    """It, and what passes the beam stop, are in several pixels of the shots above."""
    counts = {name: cb.simulate_counts(SHOTS[name], 5, backend="cuda", method="analytic")
              for name in ("water and air", "the direct beam", "a beam stop")}
    added, passed = (counts[name] - counts["water and air"] for name in ("the direct beam", "a beam stop"))
    assert np.count_nonzero(added > 50) > 3
    assert np.count_nonzero((passed > 5) & (passed < 0.9 * added)) > 2


@pytest.mark.parametrize("method", slow_after(1, METHODS))
@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_that_of_an_image(name, method, monkeypatch):
    check(bright(response=RESPONSES[name]), monkeypatch, method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("devices", [None, [0, 1]], ids=["one GPU", "two GPUs"])
def test_panels_of_different_responses(devices, method, monkeypatch):
    """Two panels with a gap between them, one of them masked in part; of pixels of two sizes, so that they lose other
    shares of photons."""
    mask = np.random.default_rng(3).random((30, 20)) < 0.8
    panels = [Hung(20, 30, 0.8, 0.8, (0.0, 0.0, 0.0), mask=mask),
              Hung(25, 40, 0.8, 0.4, (20.0, 0.0, 0.0), offset=(22, 5))]
    experiment = hang(bright(sampling=cb.Sampling(oversample=1)), panels)
    experiment = replace(experiment, response=cb.Response(charge_cloud_um=60.0, efficiency_sigma=0.1))
    counts = check(experiment, monkeypatch, method=method, devices=devices)
    assert counts[:, 20:22].max() == 0
    assert counts[:, :20].max() > 5
    assert counts[:, 22:].max() > 5


@pytest.mark.parametrize("precision", ["mixed", "single"])
def test_other_precisions(precision, monkeypatch):
    check(bright(), monkeypatch, precision=precision)
    if precision == "single":
        check(bright(), monkeypatch, precision=precision, method="analytic")


def test_tiles_whose_terms_are_left_out(monkeypatch):
    """Culling leaves out all orientations of most tiles, whose background is counted."""
    sharp = replace(bright().crystal, cells=(200, 180, 150))
    check(bright(crystal=sharp), monkeypatch, cull=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_several_devices(cupy, method, monkeypatch):
    """Each of two GPUs renders bands of rows, and has the maps of the whole image."""
    check(bright(), monkeypatch, devices=[1, 0], method=method)
    check(SHOTS["a region"], monkeypatch, devices=[0, 1], method=method)
    assert set(cupy.launched_on) == {0, 1}


def test_row_bands():
    plan = make_plan(bright())
    engine = CudaEngine(plan, "double", memory_bytes=4000)
    drawn = CountsInKernels(cb.Response(), Exposure([], MASK, 0.1, 5, 0), PhotonMaps())
    expected = cb.simulate_counts(bright(background=cb.Background()), 5, backend="cuda", precision="double")
    np.testing.assert_array_equal(engine.render_counts(drawn.epilogue), expected)


@pytest.mark.parametrize("method", METHODS)
def test_counts_beyond_32_bits_take_an_image(method):
    """A mean that may give more than 2^31 - 1 counts is seen, and the counts are those of doubles, cut off."""
    for response in (cb.Response(count_cutoff=10**6), cb.Response()):
        experiment = bright(response=response, beam=cb.Beam(1.0, fluence=3e22, beamsize_mm=2.0))
        image = cb.simulate(experiment, backend="cuda", method=method)
        assert image.photons.max() > 2**31
        if response.count_cutoff:
            found = cb.simulate_counts(experiment, 5, backend="cuda", method=method)
            np.testing.assert_array_equal(found, image.counts(5))
            assert found.max() == 10**6
        else:
            with pytest.raises(cb.FormatError):
                cb.simulate_counts(experiment, 5, backend="cuda", method=method)


@pytest.mark.parametrize("changed", [
    {"response": cb.Response(psf="gauss", psf_fwhm_um=900.0)}, {"sampling": cb.Sampling(oversample=1, water_um=50.0)},
    {"crystal": replace(shot().crystal, block_size_um=0.1, cells=(1, 1, 1), size_mm=0.02)},
    {"semantics": "nanobragg", "background": cb.Background()}], ids=["point spread", "water", "parts", "nanobragg"])
def test_what_takes_an_image(changed):
    method = "sampled" if "crystal" in changed or "semantics" in changed else "analytic"
    experiment = shot(**changed)
    expected = cb.simulate(experiment, backend="cuda", method=method).counts(5)
    np.testing.assert_array_equal(cb.simulate_counts(experiment, 5, backend="cuda", method=method), expected)


def test_maps_that_do_not_fit_take_an_image(cupy, monkeypatch):
    expected = cb.simulate(bright(), backend="cuda", method="analytic").counts(5)
    cupy.free = 2**20
    np.testing.assert_array_equal(cb.simulate_counts(bright(), 5, backend="cuda", method="analytic"), expected)
    monkeypatch.setattr(AnalyticCudaEngine, "render", None)
    with pytest.raises(TypeError):
        cb.simulate_counts(bright(), 5, backend="cuda", method="analytic")


@pytest.mark.parametrize("truth", [(), ("h5",)], ids=["without truth", "with truth"])
def test_the_shots_of_a_data_set(cupy, truth, tmp_path):
    """A worker counts as it renders where it has no truth to write; the background is uploaded once."""
    stills = cb.Stills(bright(), n=3, seed=4, backend="cuda")
    work = Work(stills, WriteSettings(truth=truth, shard=3), tmp_path)
    work.compute(0)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "shard-00000.nxs") as file:
        pixels = file["/entry/data/data"][:]
    entries = {entry for entry, *_ in cupy.launches} - {"bound_spots", "fill_spots"}
    assert entries == ({"render_spots"} if truth else {"count_spots", "count_background"})
    for number in range(3):
        np.testing.assert_array_equal(np.where(MASK, pixels[number], 0), stills[number].image.counts(4))
    if not truth:
        assert len(device_maps._UPLOADED[0]) == 1
