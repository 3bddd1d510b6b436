"""Images, and row bands of an image, on several GPUs: stand-ins that check what runs on which."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections import Counter

import numpy as np
import pytest

from cubragg import (
    Background,
    Beam,
    ConfigError,
    Crystal,
    CubraggError,
    Detector,
    Experiment,
    Goniometer,
    Sampling,
    Scatterer,
    StructureFactors,
    render_many,
    render_series,
    simulate,
)
from cubragg.device import cuda_device
from cubragg.device.host_build import find_compiler
from cubragg.engine.cuda.analytic_cuda_engine import AnalyticCudaEngine
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.cuda.device_threads import in_order, together
from cubragg.engine.cuda.row_bands import Share
from cubragg.engine.cuda.split_engine import SplitCudaEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.errors import BackendUnavailable
from cubragg.plan.make_plan import make_plan
from support.command import SMALL, invoke
from support.cuda_experiments import experiments
from support.cupy_stand_in import Array, Cupy
from support.experiments import Hung, hang, small_experiment
from support.marks import slow_after
from support.messages import refused, states

pytestmark = pytest.mark.requirement("AT-BAK-014")

DEVICES = 3
ANGLES = [(10.0 * number, -5.0, 3.0 + number) for number in range(9)]


@pytest.fixture(autouse=True)
def cupy(monkeypatch):
    """Three GPUs whose kernels run on the CPU; no thread is left at the end."""
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    cuda_device.kernel_module.cache_clear()
    module = Cupy(runs=True)
    module.devices = DEVICES
    monkeypatch.setitem(sys.modules, "cupy", module)
    before = threading.active_count()
    yield module
    assert threading.active_count() == before
    cuda_device.kernel_module.cache_clear()


@pytest.fixture
def all_busy(cupy):
    """The first launch on each device waits for those on the others, so that each renders an image."""
    started, seen = threading.Barrier(DEVICES), set()

    def at_launch(number):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            started.wait(timeout=20.0)
    cupy.at_launch = at_launch


def bits(image) -> bytes:
    return np.asarray(image).tobytes()


def single(experiment, **rendering) -> list[bytes]:
    """The images of one GPU."""
    return [bits(image) for image in render_many(experiment, ANGLES, backend="cuda", **rendering)]


# Images


@pytest.mark.parametrize("name", slow_after(1, ["mask and phi 0", "panels", "nearest"]))
@pytest.mark.parametrize("on_device", [False, True])
def test_images_are_those_of_one_gpu_in_order(cupy, all_busy, name, on_device):
    experiment = experiments()[name]
    cupy.at_launch, at_launch = None, cupy.at_launch
    expected = single(experiment, precision="single")
    cupy.at_launch = at_launch
    cupy.launched_on.clear()
    images = list(render_many(experiment, ANGLES, devices="all", precision="single", on_device=on_device))
    assert [image.shot for image in images] == list(range(len(ANGLES)))
    assert [image.experiment.crystal.misset_deg for image in images] == ANGLES
    assert {image.backend for image in images} == {"cuda"}
    assert set(cupy.launched_on) == {0, 1, 2}
    if on_device:
        assert all(isinstance(image.photons, Array) for image in images)
        assert {image.photons.device.id for image in images} == {0, 1, 2}
    assert [bits(image) for image in images] == expected


def test_listed_gpus_only(cupy):
    images = list(render_many(small_experiment(), ANGLES, devices=[2, 0]))
    assert [bits(image) for image in images] == single(small_experiment())
    launched = Counter(cupy.launched_on)
    assert set(launched) <= {0, 2}
    cupy.launched_on.clear()
    simulate(small_experiment(), devices=[1])
    assert set(cupy.launched_on) == {1}


def test_background_on_the_device_of_an_image():
    """What is added to images that stay on a GPU is added there."""
    water = Scatterer(np.array([[0.0, 2.6], [1.0, 2.0]]), 10.0)
    experiment = dataclasses.replace(small_experiment(semantics="physical"), background=Background(scatterers=(water,)))
    images = render_many(experiment, ANGLES, devices=[1, 2], on_device=True)
    assert [bits(image) for image in images] == [
        bits(image) for image in render_many(experiment, ANGLES, backend="cuda", on_device=True)]


@pytest.mark.parametrize("method", ["sampled", "analytic"])
def test_series(method):
    experiment = small_experiment(crystal={"shape": "gauss"}, semantics="physical")
    experiment = dataclasses.replace(experiment, goniometer=Goniometer(0.0, 0.5))
    series = list(render_series(experiment, 7, devices="all", method=method))
    assert [image.experiment.goniometer.phi_deg for image in series] == [0.5 * number for number in range(7)]
    assert [bits(image) for image in series] == [
        bits(image) for image in render_series(experiment, 7, backend="cuda", method=method)]


def test_a_failing_gpu_is_named(cupy):
    cupy.failing.add(1)
    images = render_many(small_experiment(), np.zeros((50, 3)), devices="all")
    with pytest.raises(CubraggError) as caught:
        list(images)
    states(str(caught.value), "backend cuda", "device 1", "failed", "cudaErrorIllegalAddress")


def test_an_abandoned_batch_ends_its_threads(cupy):
    images = render_many(small_experiment(), np.zeros((1000, 3)), devices="all")
    next(images)
    images.close()
    assert len(cupy.launches) < 500


def test_progress_of_images():
    calls = []
    experiment = small_experiment(detector={"fast_pixels": 32, "slow_pixels": 40})
    thread = threading.get_ident()
    list(render_many(experiment, ANGLES, devices="all",
                     progress=lambda done, total: calls.append((done, total, threading.get_ident()))))
    assert {(total, caller) for _, total, caller in calls} == {(32 * 40, thread)}
    assert calls.count((32 * 40, 32 * 40, thread)) >= 1


# Row bands


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", slow_after(4, ["mask and phi 0", "interpolation", "panels", "region", "nearest"]))
def test_row_bands_are_those_of_one_gpu(cupy, name, precision):
    experiment = experiments()[name]
    one = simulate(experiment, backend="cuda", precision=precision)
    cupy.launches.clear()
    cupy.launched_on.clear()
    image = simulate(experiment, devices="all", precision=precision)
    assert bits(image) == bits(one)
    assert image.warnings == one.warnings
    rendered = [device for (entry, *_), device in zip(cupy.launches, cupy.launched_on, strict=True)
                if entry == "render"]
    assert set(rendered) == {0, 1, 2}
    assert max(Counter(rendered).values()) <= -(-len(rendered) // DEVICES) + 1


@pytest.mark.parametrize("name", ["mask and phi 0", "panels"])
def test_a_share_is_stored_in_its_rows_only(name):
    plan = make_plan(experiments()[name])
    images = []
    for number in range(DEVICES):
        images.append(np.zeros(plan.shape, dtype=np.float32))
        CudaEngine(plan, "double", number, share=Share(number, DEVICES)).render(into=images[-1])
    assert (np.count_nonzero(images, axis=0) <= 1).all()
    assert bits(np.sum(images, axis=0)) == bits(CudaEngine(plan, "double").render())


def test_each_row_of_tiles_is_rendered_once(cupy):
    experiment = small_experiment(detector={"fast_pixels": 16, "slow_pixels": 1000})
    engine = SplitCudaEngine(make_plan(experiment), "single", [0, 1, 2])
    engine.render()
    rows = sorted(row for _, first, count, _ in cupy.launches for row in range(first, first + count))
    height = engine.culling.tile[1]
    assert rows == list(range(-(-1000 // height)))
    assert len(set(cupy.launched_on)) == DEVICES


def test_more_gpus_than_rows(cupy):
    """GPUs without a row render nothing."""
    experiment = small_experiment(detector={"fast_pixels": 20, "slow_pixels": 5})
    assert bits(simulate(experiment, devices="all")) == bits(simulate(experiment, backend="cuda"))
    image = np.zeros((5, 20), dtype=np.float32)
    engine = CudaEngine(make_plan(experiment), device=2, share=Share(2, 3))
    assert engine.render(into=image) is image
    assert not image.any()


def test_parts_of_a_crystal():
    """The image of a plan of several parts is the sum of theirs."""
    experiment = small_experiment(
        crystal={"size_mm": 0.1, "mosaicity_deg": 0.2}, semantics="physical", beam={"divergence_mrad": 3.0})
    plan = make_plan(experiment)
    assert len(plan.parts) > 1
    assert bits(simulate(experiment, devices="all")) == bits(simulate(experiment, backend="cuda"))


ANALYTIC = {
    "plain": {}, "region and mask": {"roi": (3, 55, 7, 83), "mask": np.random.default_rng(0).random((90, 60)) < 0.8},
    "water": {"water_um": 50.0}, "panels": {},
}


def spots_of_many_tiles(name: str) -> Experiment:
    """A rotation image of 60 x 90 pixels, whose spots are larger than a row band."""
    experiment = Experiment(
        Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0), cells=(9, 9, 9),
                shape="gauss", mosaicity_deg=0.5), StructureFactors(100.0), Beam(wavelength_A=1.0, fluence=1e24),
        Detector(distance_mm=80.0, pixel_size_mm=0.2, fast_pixels=60, slow_pixels=90), Goniometer(0.0, 0.5),
        Sampling(**ANALYTIC[name]), "physical")
    return experiment if name != "panels" else hang(
        experiment, [Hung(60, 40, 0.2, 0.2, (0.0, 10.0 * first / 45, 0.0), offset=(0, first)) for first in (0, 45)])


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("name", slow_after(2, ["panels", "region and mask", "plain", "water"]))
def test_one_image_of_the_method_analytic(cupy, name, precision):
    experiment = spots_of_many_tiles(name)
    one = simulate(experiment, backend="cuda", precision=precision, method="analytic")
    assert np.count_nonzero(one.photons) > 500
    cupy.launched_on.clear()
    calls = []
    image = simulate(experiment, devices="all", precision=precision, method="analytic",
                     progress=lambda done, total: calls.append((done, total)))
    assert bits(image) == bits(one)
    assert (image.backend, image.precision) == ("cuda", precision)
    assert set(cupy.launched_on) == {0, 1, 2}
    pixels = sum(panel.pixel_count for panel in one.plan.panels)
    assert calls[-1] == (pixels, pixels)


def test_a_share_of_the_method_analytic_has_the_spots_of_its_rows():
    plan = make_plan(spots_of_many_tiles("water"), "analytic")
    images = []
    for number in range(DEVICES):
        images.append(np.zeros(plan.shape, dtype=np.float32))
        AnalyticCudaEngine(plan, "double", number, share=Share(number, DEVICES)).render(into=images[-1])
    assert (np.count_nonzero(images, axis=0) == 1).all()
    assert bits(np.sum(images, axis=0)) == bits(AnalyticCudaEngine(plan, "double").render())


def test_precision_of_the_method_analytic(cupy):
    """The first GPU selects it, as for one; what one refuses, several refuse."""
    experiment = spots_of_many_tiles("plain")
    for cupy.ratio, precision in ((2, "double"), (32, "single")):
        assert simulate(experiment, devices=[1, 2], method="analytic").precision == precision
    with pytest.raises(ConfigError) as caught:
        simulate(experiment, devices=[0, 1], precision="mixed", method="analytic")
    states(str(caught.value), "precision", "mixed", "single")


def test_more_gpus_than_rows_of_spots():
    experiment = spots_of_many_tiles("plain")
    narrow = dataclasses.replace(experiment, sampling=Sampling(roi=(0, 59, 40, 44)))
    assert bits(simulate(narrow, devices="all", method="analytic")) == bits(
        simulate(narrow, backend="cuda", method="analytic"))


@pytest.mark.parametrize("method", ["sampled", "analytic"])
def test_a_failing_gpu_of_an_image_is_named(cupy, method):
    cupy.failing.add(2)
    with pytest.raises(CubraggError) as caught:
        simulate(small_experiment(detector={"fast_pixels": 32, "slow_pixels": 400}, crystal={"shape": "gauss"},
                                  semantics="physical"), devices="all", method=method)
    states(str(caught.value), "backend cuda", "device 2", "failed", "cudaErrorIllegalAddress")


def test_progress_of_an_image():
    calls = []
    experiment = small_experiment(detector={"fast_pixels": 32, "slow_pixels": 400})
    simulate(experiment, devices="all", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (32 * 400, 32 * 400)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


# What goes wrong


@pytest.mark.parametrize(("settings", "parts"), [
    ({"devices": [0, 9]}, ("backend cuda", "device 9", "devices 0 to 2")),
    ({"devices": [0, 1, 0]}, ("devices", "device 0", "twice")),
    ({"devices": []}, ("devices", "", "numbers")),
    ({"devices": "0,1"}, ("devices", "'0,1'", "numbers")),
    ({"devices": [-1]}, ("devices", "-1", "numbered")),
    ({"devices": [0, 1], "device": 1}, ("devices", "device 1", "omit")),
    ({"devices": "all", "backend": "cpu"}, ("devices", "cpu", "omit")),
    ({"devices": "all", "precision": "half"}, ("precision", "'half'", "single")),
])
def test_devices_that_are_refused(settings, parts):
    for call in (lambda: simulate(small_experiment(), **settings),
                 lambda: render_many(small_experiment(), ANGLES, **settings),
                 lambda: render_series(small_experiment(), 1, **settings)):
        with pytest.raises(CubraggError) as caught:
            call()
        states(str(caught.value), *parts)


def test_no_gpu(cupy):
    """There is no other backend for listed GPUs."""
    cupy.devices = 0
    for devices in ("all", [0]):
        with pytest.raises(BackendUnavailable, match="backend cuda: no device"):
            simulate(small_experiment(), devices=devices)


# The command


def test_images_of_a_command(cupy, all_busy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = f"{SMALL} -osc 1 --images 6 --quiet --precision single"
    assert invoke(f"{flags} --devices all -floatfile a.bin").exit_code == 0
    assert set(cupy.launched_on) == {0, 1, 2}
    cupy.at_launch = None
    assert invoke(f"{flags} --backend cuda -floatfile b.bin").exit_code == 0
    for number in range(1, 7):
        assert (tmp_path / f"a_{number:04d}.bin").read_bytes() == (tmp_path / f"b_{number:04d}.bin").read_bytes()


@pytest.mark.parametrize("method", ["", "--semantics physical --method analytic -gauss_xtal"])
def test_rows_of_a_command(cupy, tmp_path, monkeypatch, method):
    monkeypatch.chdir(tmp_path)
    flags = f"{SMALL} -detpixels 60 --quiet {method}"
    assert invoke(f"{flags} --devices 0,2 -floatfile a.bin").exit_code == 0
    assert set(cupy.launched_on) == {0, 2}
    assert invoke(f"{flags} --backend cuda -floatfile b.bin").exit_code == 0
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


@pytest.mark.parametrize(("flags", "status", "parts"), [
    ("--devices 0,9", 1, ("backend cuda", "device 9", "devices 0 to 2")),
    ("--devices 1,1", 2, ("--devices", "device 1", "twice")),
    ("--devices 0,x", 2, ("--devices", "'0,x'", "numbers")),
    ("--devices 0 --device 1", 2, ("--devices", "device 1", "omit")),
    ("--devices all --backend numpy", 2, ("--devices", "numpy", "omit")),
])
@pytest.mark.parametrize("images", ["", "--images 2 -osc 1"])
def test_a_command_refuses_devices(tmp_path, monkeypatch, flags, status, parts, images):
    monkeypatch.chdir(tmp_path)
    refused(invoke(f"{SMALL} {images} {flags} --quiet"), status, *parts)
    assert not list(tmp_path.iterdir())


# Threads


def test_errors_of_the_items_and_of_workers_come_in_order():
    def items():
        yield from range(5)
        raise ValueError("no item 5")

    def worker(taken, progress):
        for item in taken:
            progress(item, 10)
            yield 10 * item
    for workers in (1, 3):
        results = []
        with pytest.raises(ValueError, match="no item 5"):
            results.extend(in_order(items(), [worker] * workers, None))
        assert results == [0, 10, 20, 30, 40]


def test_calls_end_at_the_first_error():
    failed = threading.Event()

    def fails(progress):
        failed.set()
        raise ValueError("first")

    def long(progress):
        failed.wait(timeout=20.0)
        while True:
            progress(1, 2)
    with pytest.raises(ValueError, match="first"):
        together([long, fails], None, 2)
