"""The CUDA renderer's host side, against a stand-in for cupy.

The stand-in runs the kernels' source as the C++ compiler makes it, but keeps CUDA's order: what
is queued on a stream runs when somebody waits for it, new memory holds rubbish, and a launch
takes its struct at once and its arrays later. What a real GPU does is tested in tests/gpu.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types

import numpy as np
import pytest

from cubragg import BackendUnavailable, ConfigError, CubraggError, simulate
from cubragg.device import cuda_device
from cubragg.device.cuda_device import auto_precision, describe_devices, device_count
from cubragg.device.host_build import find_compiler
from cubragg.engine import kernel_params
from cubragg.engine.cuda import launch_jobs
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.cull_cost_model import TILES
from cubragg.engine.culling import Culling
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.select import select_backend
from cubragg.engine.variant import TILE
from cubragg.errors import KernelBuildError
from cubragg.plan.make_plan import make_plan
from cubragg.run.batch import render_many
from support.cuda_experiments import experiments
from support.cupy_stand_in import (
    Array,
    CompileException,
    CUDADriverError,
    CUDARuntimeError,
    Cupy,
    DynamicLibNotFoundError,
    Event,
    Kernel,
    OutOfMemoryError,
    Stream,
    current_stream,
    is_pinned,
)
from support.experiments import small_experiment
from support.marks import slow_after
from support.messages import refusal, states


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """No kernel from a test before, and a first launch of one row of tiles, so that small images have several."""
    monkeypatch.setattr(launch_jobs, "_FIRST_SAMPLES", 0.0)
    cuda_device.kernel_module.cache_clear()
    yield
    cuda_device.kernel_module.cache_clear()


@pytest.fixture
def cupy(monkeypatch):
    """A cupy whose kernels do nothing."""
    module = Cupy(runs=False)
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.fixture
def running_cupy(monkeypatch):
    """A cupy whose kernels run on the CPU."""
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    module = Cupy(runs=True)
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def message(call) -> str:
    with pytest.raises(CubraggError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What there is


@pytest.mark.requirement("AT-BAK-005")
def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailable):
        device_count()
    for call in (device_count, lambda: CudaEngine(make_plan(small_experiment())),
                 lambda: simulate(small_experiment(), backend="cuda")):
        states(message(call), "backend cuda", "", "cupy", "not installed", "pip install 'cubragg[cuda12]'")


@pytest.mark.requirement("AT-BAK-005")
@pytest.mark.parametrize(("source", "named"), [
    ("raise ImportError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12: cannot open"),
    ("import not_there_at_all", "No module named 'not_there_at_all'"),
    ("raise ImportError('''\n=====\nFailed to import CuPy.\n\nIf you installed CuPy via wheels, ...\n\n"
     "Original error:\n  ImportError: libnccl.so.2: too old\n=====''')", "ImportError: libnccl.so.2: too old"),
])
def test_a_broken_cupy_is_distinguished_from_none(tmp_path, monkeypatch, source, named):
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(source + "\n")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    text = message(device_count)
    assert named in text
    states(text, "backend cuda", "", "cupy", "import")


@pytest.mark.requirement("AT-BAK-005")
def test_no_driver(cupy):
    def fail():
        raise CUDARuntimeError(35, "cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    cupy.cuda.runtime.getDeviceCount = fail
    for call in (device_count, describe_devices, auto_precision, lambda: CudaEngine(make_plan(small_experiment())),
                 lambda: simulate(small_experiment(), backend="cuda")):
        states(message(call), "backend cuda", "", "no device", "cudaErrorInsufficientDriver: CUDA driver")
    assert select_backend(make_plan(small_experiment()), "auto").backend in ("cpu", "numpy")


@pytest.mark.requirement("AT-BAK-005")
def test_no_device(cupy):
    cupy.devices = 0
    states(message(device_count), "backend cuda", "", "no device", "driver")


def test_device_numbers(cupy):
    plan = make_plan(small_experiment())
    states(message(lambda: CudaEngine(plan, device=2)), "backend cuda", "device 2", "0 to 1")
    with refusal(ConfigError, "device", "-1", "0"):
        CudaEngine(plan, device=-1)
    with refusal(ConfigError, "precision", "half"):
        CudaEngine(plan, "half")


@pytest.mark.parametrize(("ratio", "precision"), [(2, "mixed"), (32, "single"), (64, "single")])
def test_devices_and_their_precision(cupy, ratio, precision):
    cupy.ratio = ratio
    assert auto_precision(1) == precision
    assert [tuple(device) for device in describe_devices()] == [
        (number, "Stand-in", 2 * 10**9, "9.0", ratio) for number in (0, 1)]


# What goes wrong


@pytest.mark.requirement("AT-BAK-005")
def test_out_of_memory_where_an_array_is_allocated(cupy):
    def fail(shape, dtype):
        raise OutOfMemoryError("Out of memory allocating 1,024 bytes")
    cupy.empty = fail
    states(message(lambda: CudaEngine(make_plan(small_experiment()))), "backend cuda", "device 0", "memory", "1.00",
           "2.00 GB")


@pytest.mark.parametrize(("error", "keyword"), [
    (CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory"), "memory"),
    (CUDADriverError(2, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"), "memory"),
    (CUDADriverError(719, "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"), "CUDA_ERROR_LAUNCH_FAILED"),
])
def test_errors_of_a_launch(cupy, error, keyword):
    def fail(number):
        raise error
    cupy.at_launch = fail
    renderer = CudaEngine(make_plan(small_experiment()))
    states(message(renderer.render), "backend cuda", "device 0", keyword)


@pytest.mark.requirement("AT-BAK-005")
@pytest.mark.parametrize(("log", "first_error"), [
    ('lattice.cuh(102): error: identifier "x" is undefined\n    x\n    ^\n\n1 error detected in "a.cu".\n',
     'lattice.cuh:102: identifier "x" is undefined'),
    ("render.cu(9): warning #177-D: unused\nparams.cuh(3): error #20-D: no\n", "params.cuh:3: no"),
    ('a.cu(1): catastrophic error: could not open source file "cmath"\n', 'a.cu:1: could not open source file "cmath"'),
    ("nvrtc: error: invalid value for --gpu-architecture (-arch)\n",
     "nvrtc: error: invalid value for --gpu-architecture (-arch)"),
    ("", ""),
])
def test_a_kernel_that_does_not_compile(cupy, log, first_error):
    def fail(entry):
        raise CompileException(log)
    cupy.RawModule = lambda code, options: types.SimpleNamespace(get_function=fail)
    for _ in range(2):
        with refusal(KernelBuildError, "backend cuda", first_error, "NVRTC", "compile"):
            CudaEngine(make_plan(small_experiment()))


def test_no_nvrtc(cupy):
    def fail(entry):
        raise DynamicLibNotFoundError('Failure finding "libnvrtc.so": No such file\n  listdir("/usr/lib"):\n')
    cupy.RawModule = lambda code, options: types.SimpleNamespace(get_function=fail)
    states(message(lambda: CudaEngine(make_plan(small_experiment()))), "backend cuda", "", "NVRTC", "not found",
           "pip install 'cubragg[cuda12]'")


def test_a_kernel_is_compiled_once_for_each_variant_and_device(cupy):
    compiled = []
    make = cupy.RawModule
    cupy.RawModule = lambda code, options: compiled.append(options) or make(code, options)
    plan = make_plan(small_experiment())
    for precision, device in (("mixed", 0), ("mixed", 0), ("double", 0), ("mixed", 1), ("mixed", 1)):
        CudaEngine(plan, precision, device)
    assert len(compiled) == 3
    assert all("-std=c++17" in options for options in compiled)


# Bands and launches


@pytest.mark.requirement("AT-BAK-003")
@pytest.mark.parametrize("roi", [None, (3, 60, 5, 190), (0, 0, 199, 199), (0, 63, 8, 15)])
@pytest.mark.parametrize("memory_bytes", [0, 40_000, 10**9])
@pytest.mark.parametrize("milliseconds", [0.01, 30.0, 10_000.0])
def test_bands_and_launches_cover_all_rows_exactly_once(cupy, roi, memory_bytes, milliseconds):
    cupy.milliseconds = milliseconds
    plan = make_plan(small_experiment(detector={"fast_pixels": 64, "slow_pixels": 200}, sampling={"roi": roi}))
    CudaEngine(plan, memory_bytes=memory_bytes).render()
    height = TILE[1]
    slow_min, slow_max = plan.roi[2:]
    rows = [row for _, first, count, _ in cupy.launches for row in range(first, first + count)]
    assert rows == list(range(-(-(slow_max - slow_min + 1) // height)))
    first_rows = {first_row for *_, first_row in cupy.launches}
    assert all((first_row - slow_min) % height == 0 for first_row in first_rows)
    assert (len(first_rows) > 1) == (memory_bytes < 10**9 and len(rows) > 3)
    if milliseconds > 1e3:
        assert all(count == 1 for _, _, count, _ in cupy.launches)


def test_launches_grow_at_most_eightfold(cupy):
    cupy.milliseconds = 0.001
    plan = make_plan(small_experiment(detector={"fast_pixels": 16, "slow_pixels": 8000}))
    CudaEngine(plan, memory_bytes=10**9).render()
    counts = [count for _, _, count, _ in cupy.launches]
    assert counts[0] == 1
    assert [after / before for before, after in itertools.pairwise(counts[:-1])] == [8.0] * (len(counts) - 2)
    assert len(counts) > 3


@pytest.mark.parametrize(("oversample", "rows"), [(1, 25), (100, 3)])
def test_the_first_launch_has_a_bounded_number_of_samples(cupy, monkeypatch, oversample, rows):
    monkeypatch.setattr(launch_jobs, "_FIRST_SAMPLES", 2e7)
    cupy.milliseconds = 1e4
    plan = make_plan(small_experiment(detector={"fast_pixels": 64, "slow_pixels": 200},
                                      sampling={"oversample": oversample}))
    CudaEngine(plan, memory_bytes=10**9).render()
    first, *others = [count for _, _, count, _ in cupy.launches]
    assert first == rows == min(int(2e7 / (64 * TILE[1] * oversample**2)), 25)
    assert set(others) <= {1}


@pytest.mark.parametrize("on_device", [False, True])
def test_memory_is_used_after_the_work_of_the_caller(running_cupy, monkeypatch, on_device):
    """What the caller has queued may still read memory that it has freed, and that the engine has now."""
    order, run, upload = [], Kernel.run, Array.set
    monkeypatch.setattr(Kernel, "run", lambda self, *args: order.append("kernel") or run(self, *args))
    engine = CudaEngine(make_plan(small_experiment()), "double")

    def observed(self, array, stream=None):
        upload(self, array, stream)
        (stream or current_stream()).queue.append(lambda: order.append("upload"))
    monkeypatch.setattr(Array, "set", observed)
    current_stream().queue.append(lambda: order.append("caller"))
    list(engine.images([engine._plan], on_device=on_device))
    assert order[0] == "caller"
    assert {"upload", "kernel"} <= set(order)


def test_arguments_are_checked_before_a_launch(cupy, monkeypatch):
    renderer = CudaEngine(make_plan(small_experiment()), "mixed")
    renderer._arrays.f2_grid = renderer._arrays.f2_grid.astype(np.float64)
    with pytest.raises(TypeError, match="f2_grid is float64; it must be float32"):
        renderer.render()
    assert not cupy.launches
    renderer = CudaEngine(make_plan(small_experiment()), "mixed")
    renderer._arrays._sources = renderer._arrays._sources[:, :3]
    with pytest.raises(ValueError, match="sources"):
        renderer.render()
    assert not cupy.launches


def test_progress_rises_to_the_whole(cupy):
    plan = make_plan(small_experiment(detector={"fast_pixels": 40, "slow_pixels": 100}))
    calls = []
    CudaEngine(plan, memory_bytes=0).render(progress=lambda done, total: calls.append((done, total)))
    cupy.milliseconds = 1e6
    CudaEngine(plan).render(progress=lambda done, total: calls.append((done, total)))
    assert {total for _, total in calls} == {4000}
    assert calls.count((4000, 4000)) == 2
    done = [count for count, _ in calls]
    assert done[1:] == sorted(done[1:])
    assert len(done) > 5


def test_an_interrupt_waits_for_what_is_under_way(cupy):
    def interrupt(number):
        if number == 5:
            raise KeyboardInterrupt
    streams = []
    make = cupy.cuda.Stream
    cupy.cuda.Stream = lambda non_blocking: streams.append(make()) or streams[-1]
    cupy.at_launch = interrupt
    plan = make_plan(small_experiment(detector={"fast_pixels": 40, "slow_pixels": 100}))
    renderer = CudaEngine(plan, memory_bytes=0)
    with pytest.raises(KeyboardInterrupt):
        renderer.render()
    assert len(streams) == 2
    assert not any(stream.queue for stream in streams)


# The image


@pytest.mark.requirement("AT-BAK-003")
@pytest.mark.parametrize("memory_bytes", [None, 12_000, 4_000])
@pytest.mark.parametrize("name", experiments())
def test_image_is_that_of_the_cpu(running_cupy, name, memory_bytes):
    plan = make_plan(experiments()[name])
    cpu, cuda = HostEngine(plan, "double"), CudaEngine(plan, "double", memory_bytes=memory_bytes)
    expected = cpu.render()
    np.testing.assert_array_equal(cuda.render().view(np.uint32), expected.view(np.uint32))
    assert cuda.interpolation_stopped_at == cpu.interpolation_stopped_at
    assert (cuda.interpolation_stopped_at is not None) == (name in ("interpolation", "panels"))
    assert cuda.kernel_seconds > 0.0
    np.testing.assert_array_equal(cuda.render().view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("precision", ["mixed", "single"])
def test_image_of_other_precisions(running_cupy, precision):
    plan = make_plan(experiments()["plain"])
    expected = HostEngine(plan, precision).render()
    np.testing.assert_array_equal(CudaEngine(plan, precision).render(), expected)


@pytest.mark.parametrize("memory_bytes", [None, 12_000])
@pytest.mark.parametrize("name", slow_after(1, ["mask and phi 0", "interpolation", "nearest"]))
def test_culled_image_is_that_of_the_cpu(running_cupy, name, memory_bytes):
    plan = make_plan(experiments()[name])
    culling = Culling(True, TILES["cuda"][0], 1e-3)
    cuda = CudaEngine(plan, "single", memory_bytes=memory_bytes, culling=culling)
    cpu = HostEngine(plan, "single", culling=culling)
    np.testing.assert_array_equal(cuda.render().view(np.uint32), cpu.render().view(np.uint32))
    assert cuda.interpolation_stopped_at == cpu.interpolation_stopped_at


def test_a_culled_batch(running_cupy):
    experiment, culling = experiments()["nearest"], Culling(True, TILES["cuda"][0], 1e-3)
    plans = [make_plan(dataclasses.replace(experiment, crystal=dataclasses.replace(
        experiment.crystal, misset_deg=(10.0 * number, -5.0, 3.0)))) for number in range(4)]
    images = list(CudaEngine(plans[0], "single", culling=culling).images(plans))
    for image, plan in zip(images, plans, strict=True):
        np.testing.assert_array_equal(image, HostEngine(plan, "single", culling=culling).render())


@pytest.mark.requirement("AT-PANEL-007")
def test_panels_share_tables_and_buffers(cupy, monkeypatch):
    tables, slots, calls = [], [], []
    table, stream = kernel_params.f2_grid_of, cupy.cuda.Stream
    monkeypatch.setattr(kernel_params, "f2_grid_of", lambda *args: tables.append(args) or table(*args))
    cupy.cuda.Stream = lambda non_blocking: slots.append(stream()) or slots[-1]
    experiment = experiments()["panels without a mask"]
    image = CudaEngine(make_plan(experiment)).render(progress=lambda done, total: calls.append((done, total)))
    assert image.shape == (53, 35)
    assert (len(tables), len(slots)) == (1, 2)
    assert {total for _, total in calls} == {16 * 30 + 19 * 50 + 16 * 20 + 30 * 2}
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize("on_device", [False, True])
def test_no_panel_to_render(cupy, on_device):
    experiment = experiments()["panels"]
    gap = dataclasses.replace(experiment, sampling=dataclasses.replace(experiment.sampling, roi=(16, 17, 4, 9)))
    for image in render_many(gap, np.zeros((2, 3)), backend="cuda", on_device=on_device):
        assert image.photons.shape == (53, 35)
        assert not np.asarray(image).any()
    assert not cupy.launches


def test_structure_factors_larger_than_the_memory(running_cupy):
    experiment = experiments()["nearest"]
    plan = make_plan(experiment)
    small, large = CudaEngine(plan, "double", memory_bytes=2000), CudaEngine(plan, "double", memory_bytes=10**7)
    assert small.f2_grid_on_host
    assert not large.f2_grid_on_host
    np.testing.assert_array_equal(small.render(), large.render())

    def fail(size):
        raise CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory")
    running_cupy.cuda.PinnedMemory = fail
    states(message(lambda: CudaEngine(plan, "double", memory_bytes=2000)), "device 0", "", "page-locked", "memory")


@pytest.mark.parametrize("name", ["mask and phi 0", "interpolation", "panels"])
@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("memory_bytes", [None, 12_000, 4_000])
def test_batches(running_cupy, monkeypatch, name, on_device, memory_bytes):
    experiment = experiments()[name]
    angles = [(10.0 * number, -5.0, 3.0 + number) for number in range(5)]
    make = CudaEngine.__init__
    monkeypatch.setattr(CudaEngine, "__init__", lambda self, plan, precision, device, cull: make(
        self, plan, precision, device, memory_bytes, cull))
    images = list(render_many(experiment, angles, backend="cuda", precision="double", on_device=on_device))
    assert all(isinstance(image.photons, Array) == on_device for image in images)
    for image, misset in zip(images, angles, strict=True):
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset)
        plan = make_plan(dataclasses.replace(experiment, crystal=crystal))
        np.testing.assert_array_equal(np.asarray(image).view(np.uint32), HostEngine(plan).render().view(np.uint32))


def test_images_in_page_locked_memory(running_cupy):
    """A few are; a view keeps its image, and what is dropped is given to later images. Rows outside are 0."""
    plan = make_plan(small_experiment(sampling={"roi": (3, 20, 6, 15)}))
    engine, expected = CudaEngine(plan, "double"), HostEngine(plan).render()
    images = [engine.render() for _ in range(6)]
    assert [is_pinned(image) for image in images] == [True] * 4 + [False] * 2
    for image in images:
        np.testing.assert_array_equal(image.view(np.uint32), expected.view(np.uint32))
    kept = images[0][5:, 2:].T
    images.clear()
    del image
    assert [is_pinned(image) for image in [engine.render() for _ in range(4)]] == [True] * 3 + [False]
    np.testing.assert_array_equal(kept, expected[5:, 2:].T)


def test_no_page_locked_memory_for_an_image(running_cupy):
    plan = make_plan(small_experiment())
    engine, expected = CudaEngine(plan, "double"), HostEngine(plan).render()
    allocate, size = running_cupy.cuda.alloc_pinned_memory, expected.nbytes

    def fail_once(count):
        if count == size:
            running_cupy.cuda.alloc_pinned_memory = allocate
            raise CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory")
        return allocate(count)
    running_cupy.cuda.alloc_pinned_memory = fail_once
    image = engine.render()
    assert not is_pinned(image)
    np.testing.assert_array_equal(image.view(np.uint32), expected.view(np.uint32))


def test_a_batch_is_one_image_ahead_and_uploads_once(cupy, monkeypatch):
    tables = []
    original = kernel_params.f2_grid_of
    monkeypatch.setattr(kernel_params, "f2_grid_of", lambda *args: tables.append(args) or original(*args))
    images = render_many(small_experiment(), np.zeros((10, 3)), backend="cuda")
    assert not cupy.launches
    started = []
    for _ in range(10):
        next(images)
        started.append(sum(first == 0 for _, first, _, _ in cupy.launches))
    assert started == [2, 3, 4, 5, 6, 7, 8, 9, 10, 10]
    assert next(images, None) is None
    assert len(tables) == 1


def test_the_stand_in_has_no_name_that_cupy_lacks():
    real = pytest.importorskip("cupy")

    def check(ours: types.SimpleNamespace, theirs) -> None:
        for name, value in vars(ours).items():
            assert hasattr(theirs, name), name
            if isinstance(value, types.SimpleNamespace):
                check(value, getattr(theirs, name))

    check(Cupy(runs=False).cuda, real.cuda)
    for name in ("ndarray", "empty", "zeros", "asarray", "ascontiguousarray", "from_dlpack", "RawModule",
                 "get_default_memory_pool"):
        assert hasattr(real, name)
    for ours, theirs in ((Stream, real.cuda.Stream), (Event, real.cuda.Event), (Array, real.ndarray)):
        for name in vars(ours):
            assert name.startswith("_") or hasattr(theirs, name) or name == "done", name
    for name in ("num_regs", "local_size_bytes", "shared_size_bytes", "binary_version"):
        assert hasattr(Kernel, name)
        assert hasattr(real.RawKernel, name)
    for name in vars(Array(1, np.float32)):
        assert name.startswith("_") or hasattr(real.ndarray, name), name
    assert real.cuda.runtime.cudaDevAttrSingleToDoublePrecisionPerfRatio == 87
    assert hasattr(real.cuda.MemoryPointer, "memset_async")
    assert {"free_bytes", "used_bytes", "get_limit"} <= set(dir(real.cuda.MemoryPool))
    assert issubclass(real.cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(real.cuda.runtime.CUDARuntimeError, RuntimeError)


def test_cupy_without_a_driver():
    """What a machine without a GPU really says."""
    real = pytest.importorskip("cupy")
    if real.is_available():
        pytest.skip("there is a device")
    states(message(lambda: CudaEngine(make_plan(small_experiment()))), "backend cuda", "", "no device", "cudaError")
