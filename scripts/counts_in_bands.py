#!/usr/bin/env python3
"""Compare counts drawn in bands with counts of an image of photons: time and memory, each in a process of its own.

    python scripts/counts_in_bands.py [--threads N] [--repeats N]

Prints a Markdown table: the shortest time of an image (rendering, water and air, counts), and the memory that it takes
at most above what the process had before, the map of the background included.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import cubragg
from cubragg.background.background_map import background_map
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.engine.part_sum import render_plan
from cubragg.engine.select import Method, select_backend
from cubragg.io.atoms import read_model
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.detection import counts_of
from cubragg.run.render import with_background

SCRIPTS = Path(__file__).resolve().parent
if str(SCRIPTS) not in sys.path:
    sys.path.append(str(SCRIPTS))

from processing.tables import table  # noqa: E402

MODEL = SCRIPTS.parent / "cubragg" / "examples" / "helix_bundle.pdb"
CASES: tuple[tuple[str, Method], ...] = (("eiger2-16m", "analytic"), ("eiger2-16m", "sampled"),
                                         ("pilatus6m", "analytic"))
_MB = 1024.0


def experiment(detector: str, method: str) -> cubragg.Experiment:
    """A rotation image of a crystal of 50 um; a still of a single block for the method sampled."""
    model = read_model(MODEL)
    hkl, amplitudes = structure_factors(model, 2.0).expanded().rows()
    bragg = hkl.any(axis=1)
    whole = {"block_size_um": 1.0, "size_mm": 0.05, "mosaicity_deg": 0.1} if method == "analytic" else {
        "block_size_um": 0.02}
    return cubragg.Experiment(
        cubragg.Crystal(cell=model.cell, misset_seed=1, shape="gauss", **whole),  # type: ignore[arg-type]
        cubragg.StructureFactors.from_list(hkl[bragg], amplitudes[bragg]),
        cubragg.Beam(1.0, flux=1e12, exposure_s=0.01, beamsize_mm=0.05), cubragg.Detector.named(detector, 200.0),
        cubragg.Goniometer(0.0, 0.1 if method == "analytic" else 0.0),
        background=cubragg.Background(water_um=50.0, air_mm=(0.0, 30.0)))


def counts_of_an_image(shot: cubragg.Experiment, plan: Plan, threads: int) -> np.ndarray:
    """Counts of an image of photons that is held as a whole."""
    photons = render_plan(select_backend(plan, "cpu").engine, plan, threads, None, prepared=True)
    return counts_of(with_background(shot, plan, photons), shot, plan, seed=1, threads=threads)


def memory(name: str) -> float:
    """A memory of this process [MB], by its name in ``/proc/self/status``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / _MB


def measured(detector: str, method: Method, in_bands: bool, threads: int, repeats: int) -> dict[str, float]:
    """Time [s] and memory [MB] of the counts of a shot, and their sum."""
    shot = experiment(detector, method)
    plan = make_plan(shot, method)
    background_map(plan, shot.background, shot.beam.photons())
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory begins anew
    before, seconds, total = memory("VmRSS"), [], 0
    for _ in range(repeats):
        start = time.perf_counter()
        counts = (cubragg.simulate_counts(shot, 1, backend="cpu", threads=threads, method=method, plan=plan)
                  if in_bands else counts_of_an_image(shot, plan, threads))
        seconds.append(time.perf_counter() - start)
        total = int(counts.sum())
        del counts
    return {"seconds": min(seconds), "memory": memory("VmHWM") - before, "counts": total}


def main() -> int:
    """Print the table, or measure one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        detector, method, way = given.case
        print(json.dumps(measured(detector, method, way == "bands", given.threads, given.repeats)))
        return 0
    rows = []
    for detector, method in CASES:
        image, bands = (json.loads(subprocess.run(
            [sys.executable, __file__, "--case", detector, method, way, "--threads", str(given.threads), "--repeats",
             str(given.repeats)], check=True, capture_output=True, text=True).stdout) for way in ("image", "bands"))
        if image["counts"] != bands["counts"]:
            print(f"{detector} {method}: the counts differ", file=sys.stderr)
            return 1
        rows.append((detector, method, f"{1e3 * image['seconds']:.0f}", f"{1e3 * bands['seconds']:.0f}",
                     f"{image['memory']:.0f}", f"{bands['memory']:.0f}"))
    print(table(("detector", "method", "image [ms]", "bands [ms]", "image [MB]", "bands [MB]"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
