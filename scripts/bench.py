#!/usr/bin/env python3
"""Time cubragg on named workloads, against the C program where NB_C_BIN names one.

    python scripts/bench.py [W1 W1b W2 ...] [--backends numpy cpu:single ...] [--cull TOL ...] [--threads N] [--runs N]
                            [--json FILE]

Every run is a process of its own, cubragg and the C program in turn; a ratio comes from
neighbouring runs, so that a machine that changes its speed does not enter. Set-up, render
and peak memory of cubragg are measured inside its process. Of the C program the render loop
is the whole process less the same process on one pixel (set-up and files).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

COMMON = "-distance 100 -pixel 0.1 -oversample 1"
CRYSTAL = "-cell 79 79 38 90 90 90 -lambda 1"
ROTATION = ("-N 100 -mosaic 0.1 -mosaic_domains 20 -phi 0.1 -osc 0.1 -phisteps 5 -distance 200 -pixel 0.172 "
            "-oversample 2 -detpixels_f 2463 -detpixels_s 2527 -roi 0 2462 1104 1199")
WORKLOADS = {
    "W1": f"-default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 {COMMON} -detpixels 1024",
    "W1b": f"-default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 {COMMON} -detpixels 2048",
    "W2": f"-default_F 100 {CRYSTAL} -N 20 -mosaic 0.5 -mosaic_domains 50 -phi 1 -osc 1 -phisteps 4 {COMMON} "
          "-detpixels 1024",
    "W2-gauss": f"-default_F 100 {CRYSTAL} -N 20 -mosaic 0.5 -mosaic_domains 50 -phi 1 -osc 1 -phisteps 4 {COMMON} "
                "-detpixels 1024 -gauss_xtal",
    # 96 rows of a rotation image: the C program would take minutes for the whole.
    "W3": f"-hkl random.hkl {CRYSTAL} {ROTATION}",
    "large": f"-default_F 100 {CRYSTAL} -N 20 -mosaic 0.5 -mosaic_domains 10 -distance 400 -pixel 0.1 -oversample 2 "
             "-detpixels 4096",
    "start": f"-default_F 100 {CRYSTAL} -N 5 {COMMON} -detpixels 1",
}
DEFAULT = ["W1", "W1b", "W2", "start"]
NO_REFERENCE = ("large", "start")
RESOLUTION_A = 1.8

CHILD = """
import json, resource, sys, time
begin = time.perf_counter()
from cubragg.cli.build import build
from cubragg.cli.legacy import parse
from cubragg.render.plan import make_plan
from cubragg.render.backends import choose
from cubragg.render.culling import Culling
arguments, backend, precision, threads, cull = json.loads(sys.argv[1])
plan = make_plan(build(parse(arguments)).experiment)
ready = time.perf_counter()
chosen = choose(plan, backend, precision, cull=0.0 if cull == "off" else float(cull))
renderer = chosen.renderer
if cull == "off" and renderer.culling.culled:
    renderer = type(renderer)(plan, chosen.precision, culling=Culling())
start = time.perf_counter()
renderer.render(threads)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([ready - begin, seconds, peak]))
"""


def write_reflections(path: Path) -> None:
    """Random amplitudes of the 79 79 38 cell to RESOLUTION_A."""
    edges = (79.0, 79.0, 38.0)
    reach = [int(edge / RESOLUTION_A) for edge in edges]
    axes = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")
    inside = sum((axis / edge) ** 2 for axis, edge in zip(axes, edges, strict=True)) <= RESOLUTION_A**-2
    amplitudes = np.random.default_rng(1).uniform(1.0, 300.0, int(inside.sum()))
    np.savetxt(path, np.column_stack([axis[inside] for axis in axes] + [amplitudes]), fmt="%d %d %d %.3f")


def ours(arguments: list[str], backend: str, threads: int | None, folder: str, cull: str = "0") -> dict[str, float]:
    """One run of cubragg: set-up, render and whole process [s], peak memory [MB]."""
    name, _, precision = backend.partition(":")
    start = time.perf_counter()
    what = json.dumps([arguments, name, precision or "auto", threads, cull])
    output = subprocess.run([sys.executable, "-c", CHILD, what], cwd=folder, check=True, capture_output=True,
                            text=True).stdout
    setup, rendering, peak = json.loads(output)
    return {"setup_s": setup, "render_s": rendering, "process_s": time.perf_counter() - start, "peak_MB": peak}


def theirs(program: str, arguments: list[str], threads: int, folder: str) -> float:
    """Render loop of one run of the C program [s]."""
    def whole(extra: list[str]) -> float:
        start = time.perf_counter()
        subprocess.run([program, *arguments, "-floatfile", "c.bin", "-nonoise", "-nopgm", "-noprogress", *extra],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        return time.perf_counter() - start
    return whole([]) - whole(["-roi", "0", "0", "0", "0"])


def measure(name: str, backends: list[str], threads: int | None, runs: int, program: str | None,
            culls: Sequence[str] = ("0",)) -> list[dict[str, object]]:
    """Of one workload: a row for each backend and tolerance, medians over the runs, ratios of neighbouring runs."""
    arguments = WORKLOADS[name].split()
    cores = threads or os.cpu_count() or 1
    ways = list(itertools.product(backends, culls))
    mine: dict[tuple[str, str], list[dict[str, float]]] = {way: [] for way in ways}
    others: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        if "-hkl" in arguments:
            write_reflections(Path(folder) / "random.hkl")
        for backend, cull in ways:
            ours(arguments, backend, threads, folder, cull)  # compiles kernels, fills the operating system's caches
        for _ in range(runs):
            for backend, cull in ways:
                mine[backend, cull].append(ours(arguments, backend, threads, folder, cull))
            if program is not None and name not in NO_REFERENCE:
                others.append(theirs(program, arguments, cores, folder))
    return [_row(name, backend if cull == "0" else f"{backend} --cull {cull}", cores, mine[backend, cull], others)
            for backend, cull in ways]


def _row(name: str, backend: str, cores: int, mine: list[dict[str, float]], others: list[float]) -> dict[str, object]:
    row: dict[str, object] = {"workload": name, "backend": backend, "threads": cores, "runs": len(mine),
                              "flags": WORKLOADS[name]}
    row |= {key: statistics.median(run[key] for run in mine) for key in mine[0]}
    if others:
        ratios = [other / run["render_s"] for other, run in zip(others, mine, strict=True)]
        row |= {"c_render_s": statistics.median(others), "ratio": statistics.median(ratios),
                "ratio_min": min(ratios), "ratio_max": max(ratios)}
    return row


def table(rows: list[dict[str, object]]) -> str:
    """The rows as Markdown."""
    lines = ["| workload | backend | threads | set-up s | render s | process s | peak MB | C render s | "
             "C / cubragg (min-max) |", "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = "{ratio:.1f} ({ratio_min:.1f}-{ratio_max:.1f})".format(**row) if "ratio" in row else ""
        other = "{c_render_s:.3f}".format(**row) if "ratio" in row else ""
        lines.append("| {workload} | {backend} | {threads} | {setup_s:.3f} | {render_s:.4f} | {process_s:.3f} "
                     "| {peak_MB:.0f} ".format(**row) + f"| {other} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=DEFAULT, help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--backends", nargs="+", default=["numpy"], help="backend or backend:precision (default numpy)")
    parser.add_argument("--cull", nargs="+", default=["0"], help="tolerances, or off: not even terms of 0 are left out")
    parser.add_argument("--threads", type=int, default=1, help="threads of both programs (0: all cores; default 1)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each workload (default 3)")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    program = os.environ.get("NB_C_BIN")
    rows = list(itertools.chain.from_iterable(
        measure(name, options.backends, options.threads or None, options.runs, program, options.cull)
        for name in options.workloads))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"C program: {'given' if program else 'none (set NB_C_BIN)'}")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
