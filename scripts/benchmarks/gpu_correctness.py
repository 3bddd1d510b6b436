"""Checks of the CUDA backend: images and counts of a GPU against the C program's and the CPU's.

Each returns a list of rows with the key ``right``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import cubragg as cb
from benchmarks.machine import ROOT, Setup
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.detect.counting import draw_counts
from cubragg.device.cuda_device import device_count
from cubragg.engine.accuracy import error_bound
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.cuda.analytic_cuda_engine import AnalyticCudaEngine
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.cuda.device_spots import SpotKernels
from cubragg.engine.cull_cost_model import TILES
from cubragg.engine.culling import Culling, obstacle
from cubragg.engine.select import select_backend
from cubragg.engine.variant import PRECISIONS, TILE
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.banded_rendering import counts_as_rendered
from cubragg.run.batch import render_many
from support.experiments import Hung, hang, random_experiment, small_experiment
from support.golden_set import arguments, cases, reference

#: Bounds as fractions of the image's maximum, up to 200 cells along an axis.
BOUNDS = {"double": 2e-7, "mixed": 5e-6, "single": 5e-5}
#: Longest times of `pytest tests/gpu` and of a tool of compute-sanitizer [s], and most failures that are named.
_LONGEST_TESTS_S, _LONGEST_TOOL_S, _FAILURES = 240.0, 60.0, 12
Rows = list[dict[str, Any]]


def of_maximum(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest value; NaN where only one of them is finite."""
    finite = np.isfinite(expected)
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return float("nan")
    difference = np.abs(got[finite].astype(np.float64) - expected[finite])
    return float(difference.max(initial=0.0) / (np.abs(expected[finite]).max(initial=0.0) or 1.0))


def on_cpu(plan: Plan) -> np.ndarray:
    """The image in double precision of the kernels on the CPU, or without a C++ compiler of NumPy."""
    try:
        return select_backend(plan, "cpu", "double").engine.render()
    except (BackendUnavailable, KernelBuildError):
        return select_backend(plan, "numpy", "double").engine.render()


def _row(what: str, precision: str, errors: list[float], bound: float, **more: Any) -> dict[str, Any]:
    worst = max(errors, key=lambda error: np.inf if np.isnan(error) else error)
    return {"what": what, "precision": precision, "images": len(errors), "worst": worst, "bound": bound, **more,
            "right": worst <= bound}


def golden(setup: Setup) -> Rows:
    """The golden set, every image in three precisions, rendered twice with the same bits."""
    errors: dict[str, dict[str, float]] = {precision: {} for precision in PRECISIONS}
    repeated: dict[str, int] = dict.fromkeys(PRECISIONS, 0)
    notes: dict[str, dict[str, str]] = {precision: {} for precision in PRECISIONS}
    for case_id, case in list(cases().items())[::30 if setup.quick else 1]:
        plan = make_plan(build(parse(arguments(case))).experiment)
        places, expected = reference(case_id)
        for precision in PRECISIONS:
            try:
                engine = CudaEngine(plan, precision, setup.device)
                image = engine.render()
                repeated[precision] += engine.render().tobytes() == image.tobytes()
            except Exception as error:  # one variant of the kernels; others may be right
                errors[precision][case_id], notes[precision]["note"] = np.nan, f"{case_id}: {error}"
            else:
                errors[precision][case_id] = of_maximum(image.ravel()[places], expected)
    rows = [_row("golden set", precision, list(found.values()), BOUNDS[precision],
                 which=max(found, key=lambda case: np.inf if np.isnan(found[case]) else found[case]),
                 equal_again=repeated[precision], **notes[precision]) for precision, found in errors.items()]
    return [{**row, "right": row["right"] and row["equal_again"] == row["images"]} for row in rows]


def forced_culling(setup: Setup) -> Rows:
    """Golden images with every tile selecting its orientations, against those without."""
    chosen = ("f-hkl-mat", "f-round_xtal", "f-gauss_xtal", "f-tophat_spots", "f-mosaic-phi", "f-div-range", "f-curved",
              "f-thick-steps1", "f-interpolate-inrange", "p020-comprehensive")
    errors: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for case_id in chosen[::4 if setup.quick else 1]:
        plan = make_plan(build(parse(arguments(cases()[case_id]))).experiment)
        assert not obstacle(plan)
        for precision in PRECISIONS:
            plain, culled = (CudaEngine(plan, precision, setup.device, culling=Culling(on, TILES["cuda"][0])).render()
                             for on in (False, True))
            errors[precision].append(of_maximum(culled, plain))
    return [_row("every tile culls", precision, found, 0.0 if precision == "double" else BOUNDS[precision])
            for precision, found in errors.items()]


def panels(setup: Setup) -> Rows:
    """Detectors of several panels, masked and tilted, also in row bands of a few kB."""
    mask = np.random.default_rng(2).random((30, 40)) < 0.7
    placed = (Hung(40, 30, 0.2, 0.2, (0.03, 0.0, 1.0), (1.0, 0.05, 0.02), (-0.05, 1.0, 0.0), mask=mask),
              Hung(50, 60, 0.2, 0.1, (10.0, 0.0, 0.0), offset=(45, 0)))
    rows = []
    for semantics in ("nanobragg", "physical"):
        plan = make_plan(hang(small_experiment(semantics=semantics), placed))
        expected = on_cpu(plan)
        for precision in PRECISIONS:
            whole = CudaEngine(plan, precision, setup.device).render()
            bands = CudaEngine(plan, precision, setup.device, memory_bytes=4000).render()
            rows.append(_row(f"panels, {semantics}", precision, [of_maximum(whole, expected)], BOUNDS[precision],
                             bands_equal=bands.tobytes() == whole.tobytes()))
            rows[-1]["right"] &= rows[-1]["bands_equal"]
    return rows


def batches(setup: Setup) -> Rows:
    """Batches to the host and on the device, to the bit of single images; and two renders of one engine."""
    experiment = small_experiment(semantics="physical")
    angles = [(10.0 * number, -5.0, 3.0 + number) for number in range(6)]
    rows = []
    for precision in PRECISIONS:
        alone = [cb.simulate(dataclasses.replace(experiment, crystal=dataclasses.replace(
            experiment.crystal, misset_deg=misset)), backend="cuda", precision=precision, device=setup.device).photons
            for misset in angles]
        for on_device in (False, True):
            images = render_many(experiment, angles, backend="cuda", precision=precision, device=setup.device,
                                 on_device=on_device)
            equal = [np.asarray(image).tobytes() == single.tobytes()
                     for image, single in zip(images, alone, strict=True)]
            rows.append({"what": f"batch{' on the device' * on_device}", "precision": precision, "images": len(equal),
                         "equal": sum(equal), "right": all(equal)})
    return rows


def devices(setup: Setup) -> Rows:
    """Images, and the row bands of one image, on all GPUs of the machine, to the bit of one."""
    if device_count() == 1:
        return [{"what": "several GPUs", "note": "this machine has one", "right": True}]
    experiment = small_experiment(detector={"fast_pixels": 60, "slow_pixels": 400}, semantics="physical")
    angles = [(10.0 * number, -5.0, 3.0 + number) for number in range(4 * device_count())]
    rows = []
    for precision in PRECISIONS:
        single = list(render_many(experiment, angles, backend="cuda", precision=precision, device=setup.device))
        several = list(render_many(experiment, angles, precision=precision, devices="all"))
        bands = [cb.simulate(image.experiment, precision=precision, devices="all") for image in single[:2]]
        rows += [_equal(f"images on {device_count()} GPUs", precision, several, single),
                 _equal(f"row bands on {device_count()} GPUs", precision, bands, single[:2])]
    spots = _spots_in_closed_form()
    for precision in ("double", "single"):
        one, split = (cb.simulate(spots, precision=precision, method="analytic", devices=numbers)
                      for numbers in ([setup.device], "all"))
        rows.append(_equal(f"row bands of spots in closed form on {device_count()} GPUs", precision, [split], [one]))
    return rows


def _equal(what: str, precision: str, images: list[cb.Image], expected: list[cb.Image]) -> dict[str, Any]:
    equal = [image.photons.tobytes() == one.photons.tobytes() for image, one in zip(images, expected, strict=True)]
    return {"what": what, "precision": precision, "images": len(equal), "equal": sum(equal), "right": all(equal)}


def physical(setup: Setup) -> Rows:
    """Random experiments in physical semantics against the CPU, within the bound of each."""
    fractions: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(3 if setup.quick else 24):
        experiment = random_experiment(seed, "physical")
        plan = make_plan(experiment)
        expected = on_cpu(plan)
        # Samples on an edge, of a flat spot or at dmin, may fall on its other side in less than double precision.
        edges = plan.dmin > 0.0 or plan.interpolate or plan.crystal_shape == "tophat"
        for precision in PRECISIONS[:1] if edges else PRECISIONS:
            image = cb.simulate(experiment, backend="cuda", precision=precision, device=setup.device).photons
            bound = BOUNDS["double"] if precision == "double" else error_bound(plan, precision, TILE)
            fractions[precision].append(of_maximum(image, expected) / bound)
    return [_row("random, physical: of the bound", precision, found, 1.0)
            for precision, found in fractions.items() if found]


def analytic(setup: Setup) -> Rows:
    """Spots in closed form against the CPU: their constants, and images."""
    plan = make_plan(_spots_in_closed_form(), "analytic")
    expected = on_cpu(plan)
    rows = [_row("constants of spots", precision, [_of_constants(plan, precision, setup)], BOUNDS[precision])
            for precision in ("double", "single")]
    return rows + [_row("spots in closed form", precision, [
        of_maximum(AnalyticCudaEngine(plan, precision, setup.device).render(), expected)], BOUNDS[precision])
        for precision in ("double", "single")]


def _of_constants(plan: Plan, precision: str, setup: Setup) -> float:
    """Largest difference of spots' constants from NumPy's, over the largest of a kind; NaN if whole numbers differ."""
    import cupy

    worst, listed = 0.0, SpotList(plan, "numpy")
    with cupy.cuda.Device(setup.device), cupy.cuda.Stream(non_blocking=True) as stream:
        kernels = SpotKernels(cupy, setup.device, precision, stream)
        on_device = [spots.records.get(stream=stream) for spots in kernels.spots_of(listed)]
    for found, panel in zip(on_device, listed.panels, strict=True):
        records = found.view(record(spot_kernel.real_type(precision)))
        if len(records) != len(panel):
            return float("nan")
        for name in records.dtype.names:
            one, other = records[name], panel.records[name]
            if one.dtype.kind == "i" and not np.array_equal(one, other):
                return float("nan")
            # Products of a direction with a step are of the size of the step, also where they are 0.
            scale = np.sqrt(panel.records["square"].max()) if name == "towards" else np.abs(other).max()
            worst = max(worst, float(np.abs(one - other).max() / (scale or 1.0)))
    return worst


def _spots_in_closed_form() -> cb.Experiment:
    return small_experiment(crystal={"shape": "gauss", "mosaicity_deg": 0.2}, goniometer={"osc_deg": 0.5},
                            semantics="physical")


def response(setup: Setup) -> Rows:
    """Counts drawn on the GPU, which are the CPU's to the bit, from arrays of both precisions."""
    import cupy

    means = np.random.default_rng(1).gamma(0.3, 200.0, (300, 400))
    rows = []
    for dtype in (np.float32, np.float64):
        given = means.astype(dtype)
        with cupy.cuda.Device(setup.device):
            drawn = draw_counts(cupy.asarray(given), seed=5).get()
        equal = np.array_equal(drawn, draw_counts(given, seed=5, backend="numpy"))
        rows.append({"what": "counts", "precision": np.dtype(dtype).name, "images": 1, "equal": int(equal),
                     "right": equal})
    return rows


def counts(setup: Setup) -> Rows:
    """Counts that kernels draw as they render, to the bit of those of images of photons of the same GPU."""
    beam = {"fluence": 2.5e12, "beamsize_mm": 2.0, "direct_fraction": 3e-4}
    shot = small_experiment(crystal={"shape": "gauss", "cells": (20, 18, 15)}, beam=beam,
                            structure_factors={"default_F": 6e8},
                            detector={"fast_pixels": 200, "slow_pixels": 150}, goniometer={"osc_deg": 0.5},
                            sampling={"mask": np.random.default_rng(0).random((150, 200)) < 0.9}, semantics="physical")
    shot = dataclasses.replace(shot, background=cb.Background(water_um=50.0, air_mm=(0.0, 20.0)),
                               beamstop=cb.BeamStop(size_mm=1.0, distance_mm=50.0))
    responses = [cb.Response(count_cutoff=1000), cb.Response(flicker=0.1, charge_cloud_um=20.0, efficiency_sigma=0.2),
                 cb.Response(order="noisify", flicker=0.1, flat_field_sigma=0.1),
                 cb.Response("integrating", readout_sigma=0.5, efficiency_sigma=0.1)]
    rows = []
    for method, precisions in (("sampled", PRECISIONS), ("analytic", ("double", "single"))):
        for precision in precisions:
            equal = []
            for response in responses:
                answering = dataclasses.replace(shot, response=response)
                expected = cb.simulate(answering, backend="cuda", precision=precision, device=setup.device,
                                       method=method).counts(5)
                plan = make_plan(answering, method)
                engine = select_backend(plan, "cuda", precision, setup.device).engine
                # None, where the kernels have not drawn them, is wrong.
                found = counts_as_rendered(answering, plan, engine, seed=5)
                equal.append(found is not None and np.array_equal(found, expected))
            rows.append({"what": f"counts in the kernel, {method}", "precision": precision, "images": len(equal),
                         "equal": sum(equal), "right": all(equal)})
    return rows


def gpu_tests(setup: Setup) -> Rows:
    """`pytest tests/gpu`, where pytest is installed; a part of them is enough for ``quick``."""
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("hypothesis") is None:
        return [{"what": "pytest tests/gpu", "note": "pytest and hypothesis are not installed", "right": True}]
    # Without the project's options, which need pytest-xdist.
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider",
               *(["-n", "4"] if importlib.util.find_spec("xdist") else []), str(ROOT / "tests" / "gpu"),
               *(["-k", "test_panels or test_kernel_time or test_a_device"] if setup.quick else [])]
    row = _process("pytest tests/gpu", command, min(setup.seconds_left, _LONGEST_TESTS_S))
    # Without any that passed, all were skipped.
    return [{**row, "right": row["right"] and " passed" in row["note"]}]


def sanitizer(setup: Setup) -> Rows:
    """A small image of each precision and method under compute-sanitizer, where it is installed."""
    program = shutil.which("compute-sanitizer")
    if program is None:
        return [{"what": "compute-sanitizer", "note": "not installed", "right": True}]
    # Without CuPy's pool, in which an access beyond an array is one to another.
    code = ("import cupy; cupy.cuda.set_allocator(None)\n"
            "from support.experiments import small_experiment; from cubragg import simulate\n"
            "for precision in ('double', 'mixed', 'single'):\n"
            f"    simulate(small_experiment(), backend='cuda', precision=precision, device={setup.device})\n"
            "spots = small_experiment(crystal={'shape': 'gauss'}, semantics='physical')\n"
            f"simulate(spots, backend='cuda', precision='double', method='analytic', device={setup.device})")
    return [_process(f"compute-sanitizer {tool}", [program, "--tool", tool, "--error-exitcode", "3", sys.executable,
                                                   "-c", code], min(setup.seconds_left, _LONGEST_TOOL_S))
            for tool in ("memcheck", "racecheck", "initcheck")]


def _process(what: str, command: list[str], seconds: float) -> dict[str, Any]:
    """The end of a process as a row; it finds the modules that this one finds, also those of ``--wheels``."""
    paths = [path for path in sys.path if path and path != str(ROOT / "scripts")]
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds,
                               env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        last = (said if isinstance(said, str) else said.decode(errors="replace")).strip().splitlines()[-1:]
        return {"what": what, "note": "; ".join([f"not at its end after {seconds:.0f} s", *last]), "right": False}
    lines = (ended.stdout + ended.stderr).strip().splitlines() or [""]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"what": what, "note": "; ".join([lines[-1], *failed[:_FAILURES]]), "right": ended.returncode == 0}


#: Stages of the check.
STAGES: dict[str, Callable[[Setup], Rows]] = {
    "golden": golden, "culling": forced_culling, "panels": panels, "batches": batches, "devices": devices,
    "physical": physical, "analytic": analytic, "response": response, "counts": counts,
    "tests": gpu_tests, "sanitizer": sanitizer}


def wrong(results: dict[str, Any]) -> Iterator[str]:
    """What is outside its bounds, of the results of stages."""
    for stage, rows in results.items():
        yield from (f"{stage}: {row.get('what', row.get('workload'))} {row.get('precision', '')}".rstrip()
                    for row in rows if not row.get("right", True))
