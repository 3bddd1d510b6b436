"""Times of the CUDA backend: kernels, images, stills, series; registers, and the fraction of the issue rate."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.workloads import REFLECTIONS, stills, workloads, write_reflections
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.crystallography.orientations import random_orientations
from cubragg.crystallography.shapes import SHAPES
from cubragg.device.cuda_device import auto_precision, kernel_module, single_to_double
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.experiment.experiment import Experiment
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.batch import render_many, render_series

Rows = list[dict[str, Any]]
#: Name of a row -> workload of `benchmarks.workloads` and tolerance of culling.
TIMED = {"W1": ("W1", 0.0), "W2": ("W2", 0.0), "W3": ("W3-whole", 0.0), "W3 culled": ("W3-whole", 1e-8),
         "R16 culled": ("R16-whole", 1e-8)}
#: Lanes of a multiprocessor that an instruction is issued to in a clock cycle.
_LANES = 128


def _experiment(name: str, quick: bool) -> Experiment:
    """A workload, with reflections that are written once."""
    folder = Path(tempfile.gettempdir(), f"cubragg-gpu-check-{os.getpid()}-{quick}")
    if not (folder / REFLECTIONS).exists():
        folder.mkdir(exist_ok=True)
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


def kernels(device: int, runs: int, quick: bool) -> Rows:
    """Times of kernels (CUDA events), of images on the host, and of a new engine with its image [s]."""
    rows = []
    for name, (workload, cull) in TIMED.items():
        plan = make_plan(_experiment(workload, quick))
        for precision in PRECISIONS:
            engine = CudaEngine(plan, precision, device, cull=cull)
            engine.render()
            seconds = []
            whole = timed(lambda engine=engine, seconds=seconds: (engine.render(), seconds.append(
                engine.kernel_seconds)), runs)
            fresh = timed(lambda plan=plan, precision=precision, cull=cull: CudaEngine(
                plan, precision, device, cull=cull).render(), 1)
            rows.append({"workload": name, "precision": precision, "kernel_s": statistics.median(seconds),
                         "kernel_min_s": min(seconds), "render_s": whole, "set_up_and_render_s": fresh,
                         **_rates(plan, engine, precision, device, statistics.median(seconds))})
    return rows


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


def registers(device: int, runs: int, quick: bool) -> Rows:
    """Registers, local and shared bytes of the kernels of the workloads, as the driver loaded them."""
    rows = []
    for name, (workload, cull) in TIMED.items():
        plan = make_plan(_experiment(workload, quick))
        for precision in PRECISIONS:
            variant = CudaEngine(plan, precision, device, cull=cull).variant
            function = kernel_module(variant.shape, variant.defines(), device).get_function("render")
            rows.append({"workload": name, "precision": precision, "registers": function.num_regs,
                         "local_bytes": function.local_size_bytes, "shared_bytes": function.shared_size_bytes,
                         "binary_version": function.binary_version})
    return rows


def images(device: int, runs: int, quick: bool) -> Rows:
    """Stills, to the host and on the device, and a rotation series: images a second, in the device's own precision."""
    count, rows = stills(quick).images // (1 if quick else 4), []
    still = _experiment("stills", quick)
    angles = random_orientations(count + 1, seed=1)
    for on_device in (False, True):
        made = render_many(still, angles, backend="cuda", device=device, on_device=on_device)
        rows.append({"what": f"stills{' on the device' * on_device}", **_rate(made, count)})
    series = render_series(_experiment("W3-whole", quick), 11, backend="cuda", device=device, cull=1e-8)
    rows.append({"what": "series of W3, culled", **_rate(series, 10)})
    return [{**row, "precision": auto_precision(device)} for row in rows]


def _rate(made: Any, count: int) -> dict[str, Any]:
    next(made)
    start = time.perf_counter()
    done = sum(1 for _ in islice(made, count))
    return {"images": done, "images_per_s": done / (time.perf_counter() - start)}


def c_program(device: int, runs: int, quick: bool) -> Rows:
    """The C program's render loop with one thread [s] on W1 and W2, where NB_C_BIN names it: W3 would take minutes."""
    program = os.environ.get("NB_C_BIN")
    if program is None:
        return [{"workload": "W1", "note": "NB_C_BIN is not set"}]
    rows = []
    for name in ("W1", "W2"):
        command = [program, *workloads(quick)[name].flags.split(), "-nonoise", "-nopgm", "-noprogress"]

        def whole(*extra: str, command: list[str] = command) -> float:
            with tempfile.TemporaryDirectory() as folder:
                return timed(lambda: subprocess.run([*command, *extra], cwd=folder, check=True,
                                                    stdout=subprocess.DEVNULL,
                                                    env={**os.environ, "OMP_NUM_THREADS": "1"}), 1)
        rows.append({"workload": name, "c_one_thread_s": whole() - whole("-roi", "0", "0", "0", "0")})
    return rows


#: Stages of the timing, in order.
STAGES: dict[str, Callable[[int, int, bool], Rows]] = {
    "registers": registers, "kernels": kernels, "images": images, "c": c_program}


def nvidia_smi() -> str:
    """Power limit and clocks, of which times depend; empty without the program."""
    try:
        query = "--query-gpu=name,driver_version,power.limit,clocks.max.sm"
        return subprocess.run(["nvidia-smi", query, "--format=csv"], capture_output=True, text=True, check=False,
                              cwd=ROOT).stdout.strip()
    except OSError:
        return ""
