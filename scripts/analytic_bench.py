"""Time the method analytic against the sampled one and the C program.

    python scripts/analytic_bench.py [--sampled] [--c-program] [WORKLOAD ...]

Workloads are those of scripts/bench.py in physical semantics: W3-whole (20 domains x 5 steps x 4 sub-pixels), R16-whole
(50 x 10 x 4). One thread, double precision; CPU time, which other programs do not enter, the least of 7 runs. Whole
calls include the plan. With ``--sampled`` the sampled method is timed too, once, with culling as by default; that takes
minutes. With ``--c-program`` the C program that NB_C_BIN names renders the band of the workload (W3: 96 of 2,463
columns), twice; its time, less that of one pixel, is multiplied with the pixels of the image over those of the band.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads wait busily
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmarks.cpu_time import least
from benchmarks.workloads import workloads, write_reflections

from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
from cubragg.engine.select import select_backend
from cubragg.experiment.experiment import Experiment
from cubragg.plan.make_plan import make_plan
from cubragg.run.render import simulate


def c_seconds(name: str) -> float:
    """CPU time [s] of the C program for the whole image, from a band of it."""
    band = workloads()[name.removesuffix("-whole")]
    plan = make_plan(build(parse(f"{band.flags} --semantics physical".split())).experiment, "analytic")
    fast_min, fast_max, slow_min, slow_max = (int(number) for number in band.band.split()[1:])

    def run(roi: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([os.environ["NB_C_BIN"], *band.flags.split(), *roi.split(), "-floatfile", "c.bin", "-nonoise",
                        "-nopgm"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    pixels = (fast_max - fast_min + 1) * (slow_max - slow_min + 1)
    start = min(run("-roi 0 0 0 0") for _ in range(2))
    return start + (min(run(band.band) for _ in range(2)) - start) * plan.shape[0] * plan.shape[1] / pixels


def time_workload(name: str, experiment: Experiment, sampled: bool, c_program: bool) -> str:
    """A row of the table."""
    simulate(experiment, method="analytic", backend="cpu", threads=1)  # compiles
    whole, image = least(lambda: simulate(experiment, method="analytic", backend="cpu", threads=1))
    plan = make_plan(experiment, "analytic")

    engine = AnalyticHostEngine(plan)
    set_up, _ = least(lambda: SpotList(dataclasses.replace(plan)).panels)  # spots are kept with their plan
    render, _ = least(lambda: engine.render(1))
    truth, table = least(lambda: image.reflections(0.0))
    samples = sum(int(panel.samples.sum()) for panel in engine.spots)
    empty, _ = least(lambda: np.zeros(plan.shape, dtype=np.float32) + 1.0)
    row = [name, f"{len(table)}", f"{sum(int(panel.pixels.sum()) for panel in engine.spots)}", f"{samples}",
           f"{1e3 * set_up:.1f}", f"{1e3 * render:.1f}", f"{1e9 * render / samples:.1f}", f"{1e3 * whole:.0f}",
           f"{1e3 * truth:.0f}", f"{1e3 * empty:.1f}"]
    if sampled:
        all_of_it, _ = least(lambda: simulate(experiment, backend="cpu", threads=1), 1)
        sampling = select_backend(make_plan(experiment), "cpu").engine
        seconds, _ = least(lambda: sampling.render(1), 1)
        row += [f"{seconds:.2f}", f"{seconds / render:.0f}", f"{all_of_it / whole:.0f}"]
    if c_program:
        seconds = c_seconds(name)
        row += [f"{seconds:.0f}", f"{seconds / whole:.0f}", f"{seconds / render:.0f}"]
    return f"| {' | '.join(row)} |"


def main(arguments: list[str]) -> None:
    """Print the table."""
    names = [name for name in arguments if not name.startswith("-")] or ["W3-whole"]
    header = ["workload", "reflections", "pixels", "samples", "spots ms", "render ms", "ns/sample", "whole ms",
              "truth ms", "a pass ms"]
    if "--sampled" in arguments:
        header += ["sampled render s", "render ratio", "whole ratio"]
    if "--c-program" in arguments:
        header += ["C program s", "over whole", "over render"]
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_reflections(Path("random.hkl"))
        for name in names:
            job = build(parse(f"{workloads()[name].flags} --semantics physical".split()))
            print(time_workload(name, job.experiment, "--sampled" in arguments, "--c-program" in arguments), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
