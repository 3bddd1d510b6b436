"""Times of the CUDA backend: kernels, images, stills, series; registers, and the fraction of the issue rate."""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import cubragg as cb
from benchmarks.machine import ROOT, Setup
from benchmarks.machine import programs as named_programs
from benchmarks.measure import RunFailedError, theirs
from benchmarks.measure import Setting as RunSetting
from benchmarks.workloads import REFLECTIONS, stills, workloads, write_reflections
from cubragg.background.background_map import background_map
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.crystallography.orientations import random_orientations
from cubragg.crystallography.shapes import SHAPES
from cubragg.detect.counting import draw_counts
from cubragg.device.cuda_device import auto_precision, kernel_module, single_to_double
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.select import METHODS, select_backend
from cubragg.engine.variant import PRECISIONS
from cubragg.experiment.experiment import Experiment
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.banded_rendering import counts_as_rendered
from cubragg.run.batch import render_many, render_series
from cubragg.run.detection import counts_of
from cubragg.run.render import with_background

Rows = list[dict[str, Any]]
#: Name of a row -> workload of `benchmarks.workloads` and tolerance of culling.
TIMED = {"W1": ("W1", 0.0), "W2": ("W2", 0.0), "W3": ("W3-whole", 0.0), "W3 culled": ("W3-whole", 1e-8),
         "R16 culled": ("R16-whole", 1e-8)}
#: Of the reflections; it is removed when the process ends.
_FOLDER = tempfile.TemporaryDirectory(prefix="cubragg-gpu-check-")
#: Lanes of a multiprocessor that an instruction is issued to in a clock cycle.
_LANES = 128


def _experiment(name: str, quick: bool) -> Experiment:
    """A workload, with reflections that are written once."""
    folder = Path(_FOLDER.name)
    if not (folder / REFLECTIONS).exists():
        write_reflections(folder / REFLECTIONS, quick)
    flags = stills(quick).flags if name == "stills" else workloads(quick)[name].flags
    words = [str(folder / word) if word == REFLECTIONS else word for word in flags.split()]
    return build(parse(tuple(words))).experiment


def timed(call: Callable[[], Any], runs: int) -> float:
    """Median wall time [s]."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def kernels(setup: Setup) -> Rows:
    """Times of kernels (CUDA events), of images on the host, and of a new engine with its image [s]."""
    rows: Rows = []
    for name, (workload, cull) in TIMED.items():
        plan = make_plan(_experiment(workload, setup.quick))
        for precision in PRECISIONS:
            row = {"workload": name, "precision": precision}
            try:
                rows.append({**row, **_times(plan, precision, cull, setup)})
            except Exception as error:  # others may be measured
                rows.append({**row, "note": f"{type(error).__name__}: {error}", "right": False})
    return rows


def _times(plan: Plan, precision: str, cull: float, setup: Setup) -> dict[str, Any]:
    """Return the times of a plan in a precision."""
    engine = CudaEngine(plan, precision, setup.device, cull=cull)
    engine.render()
    seconds: list[float] = []
    whole = timed(lambda: (engine.render(), seconds.append(engine.kernel_seconds)), setup.runs)
    fresh = timed(lambda: CudaEngine(plan, precision, setup.device, cull=cull).render(), 1)
    kernel = statistics.median(seconds)
    return {"kernel_s": kernel, "kernel_min_s": min(seconds), "render_s": whole, "set_up_and_render_s": fresh,
            **_rates(plan, engine, precision, setup.device, kernel)}


def _rates(plan: Plan, engine: CudaEngine, precision: str, device: int, seconds: float) -> dict[str, Any]:
    """Samples a second, and the least time by issued instructions (or those in double precision) over the time."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(device)
    clock = 1e3 * cupy.cuda.runtime.deviceGetAttribute(cupy.cuda.runtime.cudaDevAttrClockRate, device)
    samples = plan.samples * sum(panel.pixel_count for panel in plan.panels)
    evaluated = samples * (engine.culling.kept_fraction or 1.0) if engine.culling.culled else samples
    instructions, doubles = SHAPES[plan.crystal_shape].term_instructions[precision]
    slots = max(instructions, doubles * single_to_double(device))
    floor = evaluated * slots / (_LANES * properties["multiProcessorCount"] * clock)
    return {"culled": engine.culling.culled, "gsamples_per_s": samples / seconds / 1e9, "floor_s": floor,
            "of_floor": floor / seconds}


def registers(setup: Setup) -> Rows:
    """Registers, local and shared bytes of the kernels of the workloads, as the driver loaded them."""
    import cupy

    rows = []
    for name, (workload, cull) in TIMED.items():
        plan = make_plan(_experiment(workload, setup.quick))
        for precision in PRECISIONS:
            variant = CudaEngine(plan, precision, setup.device, cull=cull).variant
            with cupy.cuda.Device(setup.device):
                function = kernel_module(variant.shape, variant.defines(), setup.device).get_function("render")
                rows.append({"workload": name, "precision": precision, "registers": function.num_regs,
                             "local_bytes": function.local_size_bytes, "shared_bytes": function.shared_size_bytes,
                             "binary_version": function.binary_version})
    return rows


def images(setup: Setup) -> Rows:
    """Stills, to the host and on the device, and a rotation series: images a second, in the device's own precision."""
    count, rows = stills(setup.quick).images // (1 if setup.quick else 4), []
    still, device = _experiment("stills", setup.quick), setup.device
    angles = random_orientations(count + 1, seed=1)
    for on_device in (False, True):
        made = render_many(still, angles, backend="cuda", device=device, on_device=on_device)
        rows.append({"what": f"stills{' on the device' * on_device}", **_rate(made, count)})
    series = render_series(_experiment("W3-whole", setup.quick), 11, backend="cuda", device=device, cull=1e-8)
    rows.append({"what": "series of W3, culled", **_rate(series, 10)})
    return [{**row, "precision": auto_precision(device)} for row in rows]


def counting(setup: Setup) -> Rows:
    """Counts of an image of 16 megapixels with a background, in the device's own precision [s].

    In the kernels that render; in steps on the device, with the image of photons in its memory: rendered, background
    added, counted; and on the host, as counts of photons that were asked for. ``device_s`` is without the copy of the
    counts to the host.
    """
    rows = []
    for method in METHODS:
        shot = _counted(method, setup.quick)
        plan = make_plan(shot, method)
        selected = select_backend(plan, "cuda", device=setup.device)
        engine: Any = selected.engine
        seconds: list[float] = []
        counts_as_rendered(shot, plan, engine, seed=1)
        whole = timed(lambda shot=shot, plan=plan, engine=engine, seconds=seconds: (
            counts_as_rendered(shot, plan, engine, seed=1), seconds.append(engine.kernel_seconds)), setup.runs)
        of_host = timed(lambda shot=shot, plan=plan, engine=engine: counts_of(
            with_background(shot, plan, engine.render()), shot, plan, seed=1), 1)  # seconds without a C++ compiler
        rows += [{"what": f"{method}, {how}", "precision": selected.precision, **row} for how, row in (
            ("in the kernels", {"device_s": statistics.median(seconds), "whole_s": whole}),
            ("in steps", _in_steps(shot, plan, engine, setup)), ("on the host", {"whole_s": of_host}))]
    return rows


def _counted(method: str, quick: bool) -> Experiment:
    """A rotation image of a crystal of 20 um, or a still of one block, behind water and air."""
    whole = {"block_size_um": 1.0, "size_mm": 0.02, "mosaicity_deg": 0.1} if method == "analytic" else {
        "block_size_um": 0.02}
    detector = cb.Detector.named("eiger2-16m", 200.0)
    if quick:
        detector = cb.Detector(distance_mm=200.0, pixel_size_mm=0.8, fast_pixels=60, slow_pixels=50)
    return cb.Experiment(
        cb.Crystal(cell=(79.0, 79.0, 38.0, 90.0, 90.0, 90.0), misset_deg=(10.0, 20.0, 30.0), shape="gauss", **whole),
        cb.StructureFactors(100.0), cb.Beam(1.0, flux=1e12, exposure_s=0.01, beamsize_mm=0.02), detector,
        cb.Goniometer(0.0, 0.1 if method == "analytic" else 0.0),
        background=cb.Background(water_um=50.0, air_mm=(0.0, 30.0)))


def _in_steps(shot: Experiment, plan: Plan, engine: Any, setup: Setup) -> dict[str, float]:
    """Times of an image of photons in the memory of the device that becomes counts there."""
    import cupy

    with cupy.cuda.Device(setup.device):
        background = cupy.asarray(background_map(plan, shot.background, shot.beam.photons()))

        def steps() -> Any:
            (photons,) = engine.images([plan], on_device=True)
            photons += background
            counts = draw_counts(photons, seed=1)
            cupy.cuda.get_current_stream().synchronize()
            return counts

        steps()
        return {"device_s": timed(steps, setup.runs), "whole_s": timed(lambda: steps().get(), setup.runs)}


def sets(setup: Setup) -> Rows:
    """Data sets with files, in one process: images a second, CPU time of one [s], and the stage that takes longest."""
    missing = [name for name in ("gemmi", "hdf5plugin", "PIL", "tomli_w") if importlib.util.find_spec(name) is None]
    if missing:
        return [{"what": "data sets", "note": f"not timed: {', '.join(missing)} not installed"}]
    import bench_data_sets  # reads atoms, with gemmi

    images, dmin, detectors = 160, 1.8, [cb.Detector.named("eiger2-1m", 100.0), cb.Detector(
        distance_mm=100.0, pixel_size_mm=0.1, fast_pixels=1024, slow_pixels=1024)]
    if setup.quick:
        small = cb.Detector(distance_mm=100.0, pixel_size_mm=1.6, fast_pixels=64, slow_pixels=64)
        images, dmin, detectors = 8, 4.0, [small, small]
    rotated, still = (bench_data_sets.experiment(detector, dmin) for detector in detectors)
    rows = []
    for what, data in (("sweep of an EIGER2 1M", cb.Sweep(rotated, images, 0.1, backend="cuda")),
                       ("stills of 1024 x 1024 pixels", cb.Stills(still, images, seed=1, backend="cuda"))):
        cpu, wall, stages = bench_data_sets.measured(data, 1, setup.device)
        longest = max(stages, key=lambda name: stages[name])
        rows.append({"what": f"{what}, with files", "images": images, "images_per_s": 1.0 / wall, "cpu_s": cpu,
                     "longest": f"{longest} {stages[longest]:.0%}"})
    return rows


def _rate(made: Any, count: int) -> dict[str, Any]:
    next(made)
    start = time.perf_counter()
    done = sum(1 for _ in islice(made, count))
    return {"images": done, "images_per_s": done / (time.perf_counter() - start)}


def programs(setup: Setup) -> Rows:
    """Other programs on W1 and W2 with one thread, less the same on one pixel [s]; W3 would take the C program minutes.

    They are named by the variables of `machine.PROGRAMS`; nvcc compiles nanoBraggCUDA from the files that
    NB_CUDA_SOURCES lists.
    """
    with tempfile.TemporaryDirectory() as folder:
        commands, absent = named_programs()
        rows: Rows = [{"program": sentence.partition(":")[0], "note": sentence.partition(": ")[2]}
                      for sentence in absent]
        sources = os.environ.get("NB_CUDA_SOURCES")
        if sources and "nanoBraggCUDA" not in commands:
            note = _compiled(sources.split(os.pathsep), f"{folder}/nanoBraggCUDA", setup.seconds_left)
            rows = [row for row in rows if row["program"] != "nanoBraggCUDA"]
            if note:
                rows.append({"program": "nanoBraggCUDA", "note": note})
            else:
                commands["nanoBraggCUDA"] = [f"{folder}/nanoBraggCUDA"]
        for name, command in commands.items():
            for workload in ("W1", "W2"):
                try:
                    took = theirs(command, workloads(setup.quick)[workload].flags, RunSetting(folder, 1))
                except (RunFailedError, OSError) as error:
                    rows.append({"program": name, "workload": workload, "note": str(error)})
                else:
                    rows.append({"program": name, "workload": workload, "render_s": took["render_s"],
                                 "process_s": took["process_s"]})
    return rows


def _compiled(sources: list[str], program: str, seconds: float) -> str:
    """Compile a program with nvcc; return why that was not possible, or nothing."""
    folders = [str(Path(os.environ[name], "bin")) for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    nvcc = shutil.which("nvcc", path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if nvcc is None:
        return "nvcc, which would compile NB_CUDA_SOURCES, is not installed"
    try:
        ended = subprocess.run([nvcc, "-O3", "-arch=native", "-o", program, *sources, "-lm"], capture_output=True,
                               text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"nvcc ended after {seconds:.0f} s, the rest of --limit"
    if ended.returncode == 0:
        return ""
    lines = (ended.stdout + ended.stderr).strip().splitlines() or [f"exit status {ended.returncode}"]
    return f"nvcc: {lines[-1]}"


#: Stages of the timing.
STAGES: dict[str, Callable[[Setup], Rows]] = {
    "registers": registers, "kernels": kernels, "images": images, "counting": counting, "sets": sets,
    "programs": programs}


def nvidia_smi() -> str:
    """Power limit and clocks, of which times depend; empty without the program."""
    try:
        query = "--query-gpu=name,driver_version,power.limit,clocks.max.sm"
        return subprocess.run(["nvidia-smi", query, "--format=csv"], capture_output=True, text=True, check=False,
                              cwd=ROOT).stdout.strip()
    except OSError:
        return ""
