"""Time the method analytic against the sampled one and the C program.

    python scripts/analytic_bench.py [--sampled] [--c-program] [WORKLOAD ...]
    python scripts/analytic_bench.py --sweeps

Workloads are those of scripts/bench.py in physical semantics: W3-whole (20 domains x 5 steps x 4 sub-pixels), R16-whole
(50 x 10 x 4). One thread, double precision; CPU time, which other programs do not enter, the least of 7 runs. Whole
calls include the plan. With ``--sampled`` the sampled method is timed too, once, with culling as by default; that takes
minutes. With ``--c-program`` the C program that NB_C_BIN names renders the band of the workload (W3: 96 of 2,463
columns), twice; its time, less that of one pixel, is multiplied with the pixels of the image over those of the band.

With ``--sweeps`` a row is a rotation series: CPU time for finding the reflections of an image, alone and in the series
(the last images over their number, the least of 3 runs); in the series with the constants of its spots, by NumPy and by
kernels on one thread; and rendering the spots, in double and single precision.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads wait busily
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmarks.cpu_time import least
from benchmarks.workloads import workloads, write_reflections

from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.engine.analytic.model_of_plan import model_of
from cubragg.engine.analytic.passing import passing_of
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
from cubragg.engine.select import select_backend
from cubragg.experiment.experiment import Experiment
from cubragg.plan.image_series import ImageSeries
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.render import simulate

#: Images of a series before those that are timed, and those.
WARM, SERIES = 2, 8
_LYSOZYME = "-default_F 50 -cell 79.1 79.1 37.9 90 90 90 -misset 10 20 30 --block-size 1 -lambda 1"
_VIRUS = "-default_F 50 -cell 340 350 360 90 90 90 -misset 10 20 30 --block-size 1 -lambda 1 -dmin 2.5"
#: Rotation series by name: flags of the first image.
SWEEPS = {
    "lysozyme, Pilatus 6M, 0.1 deg": f"{_LYSOZYME} --detector pilatus6m -distance 200 -osc 0.1 --mosaicity 0.05",
    "lysozyme, Pilatus 6M, 0.5 deg": f"{_LYSOZYME} --detector pilatus6m -distance 200 -osc 0.5 --mosaicity 0.05",
    "lysozyme, EIGER2 1M, 0.1 deg": f"{_LYSOZYME} --detector eiger2-1m -distance 100 -osc 0.1 --mosaicity 0.05",
    "lysozyme, EIGER2 16M, 0.1 deg": f"{_LYSOZYME} --detector eiger2-16m -distance 150 -osc 0.1 --mosaicity 0.05",
    "virus 340 350 360 A, EIGER2 16M, 0.1 deg":
        f"{_VIRUS} --detector eiger2-16m -distance 400 -osc 0.1 --mosaicity 0.02",
}


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


def time_sweep(name: str, experiment: Experiment) -> str:
    """A row of the table of sweeps."""
    step = experiment.goniometer.osc_deg
    plans = [make_plan(dataclasses.replace(experiment, goniometer=dataclasses.replace(
        experiment.goniometer, phi_deg=experiment.goniometer.phi_deg + number * step)), "analytic")
        for number in range(WARM + SERIES)]

    def spots(series: ImageSeries | None, find: Callable[[Plan], object]) -> float:
        """CPU time of the spots of an image."""
        fresh = [dataclasses.replace(plan, series=series) for plan in plans]
        for plan in fresh[:WARM]:
            find(plan)
        start = time.process_time()
        for plan in fresh[WARM:]:
            find(plan)
        return (time.process_time() - start) / SERIES

    def reflections(plan: Plan) -> object:
        model = model_of(plan)
        return [passing_of(plan, model, channel) for channel in model.channels]

    count = np.mean([sum(map(len, SpotList(plan).panels)) for plan in plans])
    def constants(backend: str) -> Callable[[Plan], object]:
        return lambda plan: SpotList(plan, backend).panels

    cases = ((reflections, None), (reflections, ImageSeries()), (constants("numpy"), ImageSeries()),
             (constants("cpu"), ImageSeries()))
    times = [min(spots(together, find) for _ in range(3)) for find, together in cases]
    for precision in ("double", "single"):
        engine = AnalyticHostEngine(plans[-1], precision)
        times.append(least(functools.partial(engine.render, 1))[0])
    return f"| {name} | {count:.0f} | {' | '.join(f'{1e3 * seconds:.1f}' for seconds in times)} |"


def main(arguments: list[str]) -> None:
    """Print the table."""
    if "--sweeps" in arguments:
        w3 = workloads()["W3-whole"].flags
        print("| sweep | spots | reflections: alone, ms | in series, ms | with constants of NumPy, ms | of kernels, ms "
              f"| render, ms | in single precision, ms |\n|{' --- |' * 8}")
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            write_reflections(Path("random.hkl"))
            for name, flags in {"W3, 0.1 deg": w3, "W3, 0.5 deg": w3.replace("-osc 0.1", "-osc 0.5"), **SWEEPS}.items():
                job = build(parse(f"{flags} --semantics physical".split()))
                print(time_sweep(name, job.experiment), flush=True)
        return
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
