#!/usr/bin/env python3
"""Time cubragg on named workloads, against the C program where NB_C_BIN names one.

    python scripts/bench.py [W1 W1b W2 ...] [--threads N] [--runs N] [--json FILE]

Every run is a process of its own, cubragg and the C program in turn; a ratio comes from
neighbouring runs, so that a machine that changes its speed does not enter. Set-up, render
and peak memory of cubragg are measured inside its process. Of the C program the render loop
is the whole process less the same process on one pixel (set-up and files).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMON = "-distance 100 -pixel 0.1 -oversample 1"
CRYSTAL = "-cell 79 79 38 90 90 90 -lambda 1 -default_F 100"
WORKLOADS = {
    "W1": f"-default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 {COMMON} -detpixels 1024",
    "W1b": f"-default_F 100 -cell 100 100 100 90 90 90 -lambda 6.2 -N 5 {COMMON} -detpixels 2048",
    "W2": f"{CRYSTAL} -N 20 -mosaic 0.5 -mosaic_domains 50 -phi 1 -osc 1 -phisteps 4 {COMMON} -detpixels 1024",
    "large": f"{CRYSTAL} -N 20 -mosaic 0.5 -mosaic_domains 10 -distance 400 -pixel 0.1 -oversample 2 -detpixels 4096",
    "start": f"{CRYSTAL} -N 5 {COMMON} -detpixels 1",
}
DEFAULT = ["W1", "W1b", "W2", "start"]

CHILD = """
import json, resource, sys, time
begin = time.perf_counter()
from cubragg.cli.build import build
from cubragg.cli.legacy import parse
from cubragg.render.plan import make_plan
from cubragg.render.render import render
arguments, threads = json.loads(sys.argv[1])
plan = make_plan(build(parse(arguments)).experiment)
ready = time.perf_counter()
image = render(plan, threads=threads)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([ready - begin, image.seconds, peak, image.backend]))
"""


def ours(arguments: list[str], threads: int | None, folder: str) -> dict[str, float]:
    """One run of cubragg: set-up, render and whole process [s], peak memory [MB]."""
    start = time.perf_counter()
    output = subprocess.run([sys.executable, "-c", CHILD, json.dumps([arguments, threads])], cwd=folder, check=True,
                            capture_output=True, text=True).stdout
    setup, rendering, peak, _ = json.loads(output)
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


def measure(name: str, threads: int | None, runs: int, program: str | None) -> dict[str, object]:
    """Medians over the runs of one workload, and the ratio of each pair of runs."""
    arguments = WORKLOADS[name].split()
    cores = threads or os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        ours(arguments, threads, folder)  # fills caches of the operating system
        mine, others = [], []
        for _ in range(runs):
            mine.append(ours(arguments, threads, folder))
            if program is not None and name != "start":
                others.append(theirs(program, arguments, cores, folder))
    row: dict[str, object] = {key: statistics.median(run[key] for run in mine) for key in mine[0]}
    row |= {"workload": name, "threads": cores, "runs": runs, "flags": WORKLOADS[name]}
    if others:
        ratios = [other / run["render_s"] for other, run in zip(others, mine, strict=True)]
        row |= {"c_render_s": statistics.median(others), "ratio": statistics.median(ratios),
                "ratio_min": min(ratios), "ratio_max": max(ratios)}
    return row


def table(rows: list[dict[str, object]]) -> str:
    """The rows as Markdown."""
    lines = ["| workload | threads | set-up s | render s | process s | peak MB | C render s | C / cubragg (min-max) |",
             "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        ratio = "{ratio:.2f} ({ratio_min:.2f}-{ratio_max:.2f})".format(**row) if "ratio" in row else ""
        other = "{c_render_s:.3f}".format(**row) if "ratio" in row else ""
        lines.append("| {workload} | {threads} | {setup_s:.3f} | {render_s:.3f} | {process_s:.3f} | {peak_MB:.0f} "
                     .format(**row) + f"| {other} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=DEFAULT, help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--threads", type=int, default=1, help="threads of both programs (0: all cores; default 1)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each workload (default 3)")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    program = os.environ.get("NB_C_BIN")
    rows = []
    for name in options.workloads:
        print(f"{name}: {WORKLOADS[name]}", file=sys.stderr)
        rows.append(measure(name, options.threads or None, options.runs, program))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"C program: {'given' if program else 'none (set NB_C_BIN)'}")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
