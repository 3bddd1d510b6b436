#!/usr/bin/env python3
"""Check and time the CUDA backend on this machine's GPU: one command, under five minutes.

    python scripts/gpu_check.py [--device N] [--out FOLDER] [--runs N] [--skip-benchmark]

Renders the golden set in three precisions against the C program's images, compares the backends on the benchmark's
workloads, checks that two runs, and images in bands, are equal to the bit, times kernels (CUDA events) and whole
renders of W1, W2 and W3 (1, 200 and 400 samples per pixel), and batches; prints tables and writes one JSON that carries
the device's name. NB_C_BIN may name the C program: then its render loop is timed on W1 and W2 with one thread. Without
a device: one line, exit status 1; also 1 if anything is outside its bounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# This folder last: it holds a module of the name of one in the standard library, profile.
SCRIPTS = ROOT / "scripts"
sys.path = [str(ROOT), str(ROOT / "tests"),
            *(entry for entry in sys.path if Path(entry).resolve() != SCRIPTS), str(SCRIPTS)]

from benchmarks.machine import commit  # noqa: E402

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors, __version__  # noqa: E402
from cubragg.cli.build import build  # noqa: E402
from cubragg.cli.parser import parse  # noqa: E402
from cubragg.device.cuda_device import DeviceDescription, auto_precision, describe_devices  # noqa: E402
from cubragg.device.host_build import available_cores  # noqa: E402
from cubragg.engine.cuda.cuda_engine import CudaEngine  # noqa: E402
from cubragg.engine.host.host_engine import HostEngine  # noqa: E402
from cubragg.engine.variant import PRECISIONS  # noqa: E402
from cubragg.errors import CubraggError  # noqa: E402
from cubragg.plan.plan import Plan, make_plan  # noqa: E402
from cubragg.run.batch import render_many  # noqa: E402
from support.golden_set import arguments, cases, reference  # noqa: E402

#: Bounds as shares of the image's maximum, up to 200 cells along an axis: performance.md, section 7.
BOUNDS = {"double": 2e-7, "mixed": 5e-6, "single": 5e-5}
BATCH = 32


def workloads(scale: int = 1) -> dict[str, Experiment]:
    """W1, W2 and W3 of performance.md; ``scale`` divides the numbers of pixels."""
    w1 = Experiment(Crystal(cell=(100.0, 100.0, 100.0, 90.0, 90.0, 90.0), cells=(5, 5, 5)), StructureFactors(100.0),
                    Beam(wavelength_A=6.2), _detector(1024 // scale, 1024 // scale, 0.1, 100.0),
                    sampling=Sampling(oversample=1), semantics="nanobragg")
    crystal = Crystal(cell=(79.0, 79.0, 38.0, 90.0, 90.0, 90.0), cells=(20, 20, 20), mosaic_spread_deg=0.5,
                      mosaic_domains=50)
    w2 = Experiment(crystal, StructureFactors(100.0), Beam(wavelength_A=1.0),
                    _detector(1024 // scale, 1024 // scale, 0.1, 100.0), Goniometer(1.0, 1.0, phi_steps=4),
                    Sampling(oversample=1), "nanobragg")
    w3 = Experiment(replace(crystal, cells=(100, 100, 100), mosaic_spread_deg=0.1, mosaic_domains=20),
                    _list_to_1_8_angstrom(), Beam(wavelength_A=1.0),
                    _detector(2463 // scale, 2527 // scale, 0.172, 200.0), Goniometer(0.1, 0.1, phi_steps=5),
                    Sampling(oversample=2, interpolate=False), "nanobragg")
    return {"W1": w1, "W2": w2, "W3": w3}


def _detector(fast: int, slow: int, pixel_mm: float, distance_mm: float) -> Detector:
    return Detector(fast_pixels=fast, slow_pixels=slow, pixel_size_mm=pixel_mm, distance_mm=distance_mm)


def _list_to_1_8_angstrom() -> StructureFactors:
    """Random amplitudes of a 79 x 79 x 38 A cell to 1.8 A, 0 beyond."""
    h, k, l = np.ogrid[-43:44, -43:44, -21:22]  # noqa: E741
    inside = (h / 79.0) ** 2 + (k / 79.0) ** 2 + (l / 38.0) ** 2 <= 1.8**-2
    amplitudes = np.random.default_rng(1).uniform(0.0, 300.0, inside.shape)
    return StructureFactors(0.0, np.where(inside, amplitudes, 0.0), (-43, -43, -21))


def share_of_maximum(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest value; not a number where only one of them is finite."""
    finite = np.isfinite(expected)
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return float("nan")
    difference = np.abs(got[finite].astype(np.float64) - expected[finite])
    return float(difference.max(initial=0.0) / (np.abs(expected[finite]).max(initial=0.0) or 1.0))


# Correctness


def golden(device: int) -> dict[str, Any]:
    """The golden set: of each precision the worst case, and the cases outside the bound."""
    worst = dict.fromkeys(PRECISIONS, ("", 0.0))
    outside: dict[str, list[str]] = {precision: [] for precision in PRECISIONS}
    for case_id, case in cases().items():
        plan = make_plan(build(parse(arguments(case))).experiment)
        places, expected = reference(case_id)
        for precision in PRECISIONS:
            image = CudaEngine(plan, precision, device).render()
            error = share_of_maximum(image.ravel()[places], expected)
            if not error <= BOUNDS[precision]:
                outside[precision].append(case_id)
            if not error <= worst[precision][1]:
                worst[precision] = case_id, error
    return {precision: {"cases": len(cases()), "worst": worst[precision][1], "worst_case": worst[precision][0],
                        "bound": BOUNDS[precision], "outside": outside[precision]} for precision in PRECISIONS}


def equality(experiments: dict[str, Experiment], device: int) -> list[dict[str, Any]]:
    """Each workload on cuda against the CPU's kernels in double; two runs, and bands, to the bit."""
    rows = []
    for name, experiment in experiments.items():
        plan = make_plan(experiment)
        expected = HostEngine(plan).render()
        for precision in PRECISIONS:
            renderer = CudaEngine(plan, precision, device)
            image = renderer.render()
            bands = CudaEngine(plan, precision, device, memory_bytes=4 * image.size).render()
            error = share_of_maximum(image, expected)
            rows.append({"workload": name, "precision": precision, "error": error,
                         "correlation_short_of_1": 1.0 - float(np.corrcoef(image.ravel(), expected.ravel())[0, 1]),
                         "runs_equal": renderer.render().tobytes() == image.tobytes(),
                         "bands_equal": bands.tobytes() == image.tobytes(),
                         "right": error <= BOUNDS[precision]})
    return rows


# Speed


def timed(call: Callable[[], Any], runs: int) -> float:
    """Median wall time [s]."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def benchmark(experiments: dict[str, Experiment], device: int, runs: int) -> list[dict[str, Any]]:
    """Kernel and whole times of each workload and precision, beside the CPU's [s]."""
    rows = []
    for name, experiment in experiments.items():
        plan = make_plan(experiment)
        samples = plan.samples * plan.shape[0] * plan.shape[1]
        c_seconds = c_program_seconds(name, experiment)
        for precision in PRECISIONS:
            renderer = CudaEngine(plan, precision, device)
            renderer.render()
            kernels, whole = [], []
            for _ in range(runs):
                start = time.perf_counter()
                renderer.render()
                whole.append(time.perf_counter() - start)
                kernels.append(renderer.kernel_seconds)

            def afresh(plan: Plan = plan, precision: str = precision) -> None:
                CudaEngine(plan, precision, device).render()

            cpu = HostEngine(plan, precision)
            cpu.render()
            cpu_seconds = timed(lambda renderer=cpu: renderer.render(), 1 if name == "W3" else 3)
            kernel = statistics.median(kernels)
            rows.append({
                "workload": name, "precision": precision, "samples": samples,
                "kernel_s": kernel, "kernel_min_s": min(kernels), "render_s": statistics.median(whole),
                "set_up_and_render_s": timed(afresh, 3), "gsamples_per_s": samples / kernel / 1e9,
                "cpu_s": cpu_seconds, "cpu_threads": available_cores(), "cpu_over_kernel": cpu_seconds / kernel,
                "c_one_thread_s": c_seconds, "c_over_kernel": c_seconds and c_seconds / kernel})
    return rows


def c_program_seconds(name: str, experiment: Experiment) -> float | None:
    """The C program's render loop with one thread [s]: the whole process less the same on one pixel."""
    program = os.environ.get("NB_C_BIN")
    if program is None or name == "W3":  # W3 would take it four minutes
        return None
    crystal, sampling = experiment.crystal, experiment.sampling
    flags = ["-default_F", "100", "-cell", *map(str, crystal.cell or ()), "-N", str(crystal.cells[0]), "-lambda",
             str(experiment.beam.wavelength_A), "-distance", "100", "-pixel", "0.1", "-oversample",
             str(sampling.oversample), "-detpixels", str(experiment.detector.shape()[0]), "-nonoise", "-nopgm",
             "-noprogress"]
    if name == "W2":
        flags += ["-mosaic", "0.5", "-mosaic_domains", "50", "-phi", "1", "-osc", "1", "-phisteps", "4"]

    def whole(*extra: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return timed(lambda: subprocess.run([program, *flags, *extra], cwd=folder, check=True,
                                                stdout=subprocess.DEVNULL,
                                                env={**os.environ, "OMP_NUM_THREADS": "1"}), 1)
    return whole() - whole("-roi", "0", "0", "0", "0")


def batches(experiments: dict[str, Experiment], device: int) -> list[dict[str, Any]]:
    """Images per second of `render_many`, to the host and on the device, in the device's own precision."""
    rows = []
    angles = [(number * 1.7, 5.0, -number * 0.3) for number in range(BATCH)]
    for name in ("W1", "W2"):
        for on_device in (False, True):
            images = render_many(experiments[name], angles, backend="cuda", device=device, on_device=on_device)
            next(images)
            start = time.perf_counter()
            count = sum(1 for _ in images)
            seconds = time.perf_counter() - start
            rows.append({"workload": name, "precision": auto_precision(device), "on_device": on_device, "images": count,
                         "images_per_s": count / seconds})
    return rows


# Report


def table(title: str, columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Print rows as Markdown; ``columns`` are keys with the formats of their values."""
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        cells = ("" if row[key] is None else format(row[key], form) for key, form in columns.items())
        print(f"| {' | '.join(cells)} |")


def main() -> int:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=int, default=0, help="number of the GPU (default 0)")
    parser.add_argument("--out", type=Path, default=ROOT / "specs" / "benchmarks", help="folder of the JSON")
    parser.add_argument("--runs", type=int, default=7, help="runs of which the median is reported (default 7)")
    parser.add_argument("--scale", type=int, default=1, help="divide the workloads' pixels along each side by this")
    parser.add_argument("--skip-benchmark", action="store_true", help="check only")
    options = parser.parse_args()
    start = time.perf_counter()
    try:
        devices = describe_devices()
        if not 0 <= options.device < len(devices):
            raise CubraggError(f"backend cuda: got device {options.device}; this machine has {len(devices)}")
    except CubraggError as error:
        print(error, file=sys.stderr)
        return 1
    device = devices[options.device]
    result = check(device, options)
    result["seconds"] = time.perf_counter() - start
    options.out.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9]+", "-", device.name).strip("-").lower()
    path = options.out / f"gpu-{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{path}: {'all right' if result['right'] else 'NOT RIGHT'}, {result['seconds']:.0f} s")
    return 0 if result["right"] else 1


def check(device: DeviceDescription, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, printed on the way."""
    import cupy

    experiments = workloads(options.scale)
    result: dict[str, Any] = {
        "device": device._asdict(), "cubragg": __version__, "commit": commit(), "cupy": cupy.__version__,
        "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(), "driver": cupy.cuda.runtime.driverGetVersion(),
        "python": platform.python_version(), "machine": platform.platform(), "cores": available_cores(),
        "command": " ".join([Path(sys.executable).name, "scripts/gpu_check.py", *sys.argv[1:]]), "scale": options.scale}
    print(f"{device.name}, {device.memory_bytes / 2**30:.0f} GiB, compute capability {device.compute_capability}, "
          f"double:single 1:{device.single_to_double}; cubragg {__version__} ({result['commit']})")
    result["golden"] = golden(device.number)
    table("Golden set: largest difference from the C program / maximum",
          {"precision": "", "cases": "", "worst": ".1e", "worst_case": "", "bound": ".0e", "failed": ""},
          [{"precision": precision, "failed": len(row["outside"]), **row}
           for precision, row in result["golden"].items()])
    result["equality"] = equality(experiments, device.number)
    table("Workloads: largest difference from the CPU's kernels in double / maximum; equal to the bit",
          {"workload": "", "precision": "", "error": ".1e", "correlation_short_of_1": ".0e", "runs_equal": "",
           "bands_equal": ""}, result["equality"])
    result["right"] = (not any(row["outside"] for row in result["golden"].values()) and all(
        row["right"] and row["runs_equal"] and row["bands_equal"] for row in result["equality"]))
    if not options.skip_benchmark:
        result["benchmark"] = benchmark(experiments, device.number, options.runs)
        table("Times [s]; cpu is the backend cpu on all cores, c the C program's loop on one",
              {"workload": "", "precision": "", "kernel_s": ".6f", "gsamples_per_s": ".1f",
               "render_s": ".5f", "set_up_and_render_s": ".4f", "cpu_s": ".3f", "cpu_over_kernel": ".0f",
               "c_one_thread_s": ".3f", "c_over_kernel": ".0f"}, result["benchmark"])
        result["batches"] = batches(experiments, device.number)
        table("Batches", {"workload": "", "precision": "", "on_device": "", "images": "", "images_per_s": ".0f"},
              result["batches"])
    return result


if __name__ == "__main__":
    sys.exit(main())
