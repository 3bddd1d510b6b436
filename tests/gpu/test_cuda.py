"""The kernels on a real device: the bodies of tests/kernels/test_images.py, and what only a device can show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cubragg import (
    BackendUnavailable,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Sampling,
    StructureFactors,
    simulate,
)
from cubragg.cli.doctor import doctor
from cubragg.device import cuda_device
from cubragg.device.cuda_device import auto_precision, describe_devices, device_count
from cubragg.engine.cuda import launch_jobs
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.errors import KernelBuildError
from cubragg.plan.make_plan import make_plan
from cubragg.run.batch import render_many
from support.experiments import Hung, hang, large, random_grid, small_experiment
from support.golden_set import arguments, cases, reference
from support.image_bodies import *  # noqa: F403 - the tests of the shared bodies
from support.image_bodies import OF_MAXIMUM_IN_LESS, assert_double, precisions, share_of_maximum
from support.messages import refusal
from support.renders import rendered

every_precision = pytest.mark.parametrize("precision", PRECISIONS)


def equal_bits(one, other) -> bool:
    return one.tobytes() == other.tobytes()


@pytest.fixture
def renderer():
    """The kernels on the device."""
    return CudaEngine


@pytest.fixture
def backend():
    return "cuda"


# Against the C program and NumPy, beside the shared bodies


@pytest.mark.requirement("AT-BAK-001")
@pytest.mark.parametrize("case_id", cases())
def test_golden_double(case_id):
    places, expected = reference(case_id)
    _, image = rendered(tuple(arguments(cases()[case_id])), "cuda")
    assert_double(image.photons.ravel()[places], expected, case_id)


@precisions
@pytest.mark.parametrize("cells", [20, 200, 1000, 5000])
def test_error_against_cells(precision, cells):
    experiment = Experiment(
        Crystal(cell=(79, 79, 38, 90, 90, 90), cells=(cells,) * 3, mosaic_spread_deg=0.5, mosaic_domains=4),
        StructureFactors(100.0), detector=Detector(fast_pixels=1024, slow_pixels=1024),
        goniometer=Goniometer(1.0, 1.0, phi_steps=2), sampling=Sampling(oversample=1))
    plan = make_plan(experiment)
    error = share_of_maximum(CudaEngine(plan, precision).render(), CudaEngine(plan, "double").render())
    assert error <= OF_MAXIMUM_IN_LESS[precision]


# The same bits


def grid_experiment(**sampling) -> Experiment:
    mask = np.random.default_rng(4).random((600, 500)) < 0.9
    experiment = small_experiment(detector={"fast_pixels": 500, "slow_pixels": 600, "pixel_size_mm": 0.1},
                                  sampling={"mask": mask, **sampling}, crystal={"mosaic_spread_deg": 0.5,
                                                                                "mosaic_domains": 90})
    return dataclasses.replace(experiment, structure_factors=random_grid(np.random.default_rng(5), 12))


@every_precision
def test_two_runs_are_equal_to_the_bit(precision):
    plan = make_plan(grid_experiment())
    renderer = CudaEngine(plan, precision)
    image = renderer.render()
    assert equal_bits(renderer.render(), image)
    assert equal_bits(CudaEngine(plan, precision).render(), image)


@every_precision
@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("memory_bytes", [0, 300_000])
def test_bands_smaller_than_the_image_touch_no_bit(precision, interpolate, memory_bytes):
    plan = make_plan(grid_experiment(interpolate=interpolate))
    whole, bands = CudaEngine(plan, precision), CudaEngine(plan, precision, memory_bytes=memory_bytes)
    assert [len(engine._bands[0]) > 1 for engine in (whole, bands)] == [False, True]
    assert bands.f2_grid_on_host == (memory_bytes == 0)
    assert equal_bits(bands.render(), whole.render())


@every_precision
def test_launches_touch_no_bit(precision, monkeypatch):
    plan = make_plan(grid_experiment())
    expected = CudaEngine(plan, precision).render()
    monkeypatch.setattr(launch_jobs, "_FIRST_SAMPLES", 0.0)  # a launch for every row of tiles
    monkeypatch.setattr(launch_jobs, "_LAUNCH_S", 0.0)
    pixels_done = []
    assert equal_bits(CudaEngine(plan, precision).render(None, lambda done, total: pixels_done.append(done)), expected)
    assert len(pixels_done) > 10
    assert pixels_done == sorted(pixels_done)


# Batches


@every_precision
@pytest.mark.parametrize("interpolate", [False, True])
def test_render_many(precision, interpolate):
    import cupy

    experiment = dataclasses.replace(grid_experiment(interpolate=interpolate),
                                     goniometer=Goniometer(0.0, 1.0, phi_steps=3))
    # 66 orientations: more than the 64 that a block selects at a time.
    experiment = dataclasses.replace(experiment, crystal=dataclasses.replace(experiment.crystal, mosaic_domains=22))
    angles = [(7.0 * number, -3.0, 1.0 + number) for number in range(6)]
    settings = {"backend": "cuda", "precision": precision}
    on_host = list(render_many(experiment, angles, **settings))
    on_device = list(render_many(experiment, angles, on_device=True, **settings))
    for host, device, misset in zip(on_host, on_device, angles, strict=True):
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset)
        expected = simulate(dataclasses.replace(experiment, crystal=crystal), **settings).photons
        assert equal_bits(host.photons, expected)
        assert isinstance(device.photons, cupy.ndarray)
        assert equal_bits(cupy.from_dlpack(device.photons).get(), expected)


def test_an_abandoned_batch_leaves_the_device_usable():
    images = render_many(grid_experiment(), np.zeros((100, 3)), backend="cuda")
    first = next(images)
    images.close()
    again = next(render_many(grid_experiment(), np.zeros((1, 3)), backend="cuda"))
    assert equal_bits(first.photons, again.photons)


# What goes wrong, and the rest


def test_out_of_memory():
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + 4096)
    try:
        with refusal(BackendUnavailable, "backend cuda", "device 0", "memory"):
            CudaEngine(make_plan(grid_experiment()), memory_bytes=10**9).render()
    finally:
        pool.set_limit(size=0)
    assert CudaEngine(make_plan(grid_experiment())).render().any()


@pytest.fixture
def fresh_modules():
    """No kernels that were compiled before; and none of this test afterwards."""
    cuda_device.kernel_module.cache_clear()
    yield
    cuda_device.kernel_module.cache_clear()


@pytest.mark.usefixtures("fresh_modules")
def test_a_kernel_that_does_not_compile(monkeypatch):
    text = cuda_device.kernel_text("square")
    broken = text.replace("DEVICE void sines(", "DEVICE no_type sines(")
    monkeypatch.setattr(cuda_device, "kernel_text", lambda shape, name: broken)
    with pytest.raises(KernelBuildError, match=r"NVRTC .* shape_square\.cuh:\d+: "):
        CudaEngine(make_plan(small_experiment()))


def test_a_device_that_is_not_there():
    with refusal(BackendUnavailable, "backend cuda", f"device {device_count()}"):
        CudaEngine(make_plan(small_experiment()), device=device_count())


def test_devices():
    for device in describe_devices():
        assert device.name
        assert device.memory_bytes > 0
        assert auto_precision(device.number) == ("mixed" if device.single_to_double <= 2 else "single")
        image = simulate(small_experiment(), backend="cuda", device=device.number)
        assert (image.backend, image.precision) == ("cuda", auto_precision(device.number))


def test_kernel_time():
    renderer = CudaEngine(make_plan(grid_experiment()), "double")
    renderer.render()
    assert 0.0 < renderer.kernel_seconds < 60.0


def test_doctor():
    assert doctor() == 0


# Panels


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("memory_bytes", [None, 20_000])
def test_panels(on_device, memory_bytes):
    """Tilted panels, one masked, with both rules across pixels; and none that a region leaves out."""
    mask = np.random.default_rng(2).random((30, 40)) < 0.7
    panels = (Hung(40, 30, 0.2, 0.2, (0.03, 0.0, 1.0), (1.0, 0.05, 0.02), (-0.05, 1.0, 0.0), mask=mask),
              Hung(50, 60, 0.2, 0.1, (10.0, 0.0, 0.0), offset=(45, 0)),
              Hung(30, 10, 0.2, 0.2, (0.0, 12.0, 0.0), offset=(0, 70)))
    experiment = dataclasses.replace(
        hang(large(sampling={"interpolate": True}), panels),
        goniometer=Goniometer(0.0, 2.0, phi_steps=2), structure_factors=random_grid(np.random.default_rng(8), 5))
    sampling = dataclasses.replace(experiment.sampling, roi=(0, 94, 0, 65))
    plan = make_plan(dataclasses.replace(experiment, sampling=sampling))
    cuda, numpys = CudaEngine(plan, "double", memory_bytes=memory_bytes), NumpyEngine(plan)
    (image,) = cuda.images([plan], on_device=on_device)
    assert_double(image.get() if on_device else image, numpys.render(), "panels")
    assert cuda.interpolation_stopped_at == numpys.interpolation_stopped_at
