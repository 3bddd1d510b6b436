#!/usr/bin/env python3
"""Random experiments in mixed and single precision against double, and the worst error for each number of cells.

    python scripts/fuzz_precision.py [--count N] [--seed S] [--numpy SHARE]

A command line is drawn as in fuzz_parity.py, over the table of flags, of either semantics, with up to 5,000 cells along
an axis or a sample of up to 1 mm, and rendered by the backend cpu in the three precisions. Errors are shares of the
largest pixel of the image in double precision. A line beyond the bound of `cubragg.engine.accuracy` is printed; exit
status 1 if there is any. Of a share of the lines the image in double precision is compared with NumPy's as well.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shlex
import tempfile
from collections import defaultdict
from pathlib import Path

import fuzz_parity
import numpy as np

from cubragg import units
from cubragg.cli.build import build
from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.parser import parse
from cubragg.crystallography.shapes import SHAPES
from cubragg.engine.accuracy import error_bound, out_of_range
from cubragg.engine.culling import largest_factor
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.errors import CubraggError
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan, make_plan
from cubragg.plan.workspace import Workspace

MOST_SAMPLES = 3_000_000
#: Upper ends of the ranges of N that the table has rows for: the largest number of cells along an axis.
RANGES = (20, 100, 200, 1000, 5000, 10**9)
PRECISIONS = ("mixed", "single")
#: Image and mask files need the C program, and a file of sources lies in the folder.
LEFT_OUT = ("-img", "-mask")


def draw_words(rng: random.Random) -> list[str]:
    """Return a random command line, without a flag that reads an image."""
    groups = [group for group in fuzz_parity.draw_line(rng) if group[0] not in (*LEFT_OUT, *_SIZES)]
    groups += _cells(rng)
    if rng.random() < 0.4:
        groups.append(("--semantics", "physical"))
        if rng.random() < 0.1:
            groups.append(("--crystal-shape", "gauss_star"))
    return [word for group in groups for word in group]


_SIZES = ("-N", "-Na", "-Nb", "-Nc", "-xtalsize", "-samplesize", "-sample_x", "-sample_y", "-sample_z", "-sample_thick",
          "-sample_width", "-sample_height", "-beamsize")


def _cells(rng: random.Random) -> list[tuple[str, ...]]:
    kind = rng.random()
    if kind < 0.6:
        return [("-N", _number(rng))]
    if kind < 0.85:
        return [("-Na", _number(rng)), ("-Nb", _number(rng)), ("-Nc", _number(rng))]
    return [("-xtalsize", f"{10 ** rng.uniform(-5, 0):.6f}")]


def _number(rng: random.Random) -> str:
    return str(round(10 ** rng.uniform(0, 3.7)))


def affordable(plan: Plan) -> bool:
    """Return whether the image is small enough to be rendered a few times."""
    pixels = sum(panel.pixel_count for panel in plan.panels)
    layers = max((panel.layers.count for panel in plan.panels), default=1)
    return 0 < pixels * plan.samples * layers <= MOST_SAMPLES


def error_of_maximum(plan: Plan, image: np.ndarray, double: np.ndarray) -> float:
    """Return the largest difference as a share of the largest pixel; inf where only one is finite.

    Of an image darker than 1e-12 of the theoretical peak it is a share of that. Pixels in the direct beam of a round
    crystal are left out: there the closed form cancels in double precision (specs/culling.md).
    """
    finite = np.isfinite(double)
    if not np.array_equal(image[~finite], double[~finite], equal_nan=True):
        return np.inf
    compared = finite & ~_in_direct_beam(plan) if plan.crystal_shape == "round" else finite
    error = np.abs(image[compared].astype(float) - double[compared].astype(float)).max(initial=0.0)
    largest = max(float(np.abs(double[compared].astype(float)).max(initial=0.0)), 1e-12 * _peak(plan))
    return float(error / largest) if largest > 0.0 else np.inf if error > 0.0 else 0.0


def _in_direct_beam(plan: Plan) -> np.ndarray:
    """Return the pixels [slow, fast] with a sample within 1e-3 of a fringe of the direct beam."""
    found = np.zeros(plan.shape, dtype=bool)
    longest = max(np.linalg.norm(plan.cell_axes.reshape(-1, 3, 3), axis=2).max(axis=0) * plan.cells)
    for panel in plan.panels:
        slow, fast = np.indices(panel.shape).reshape(2, -1).astype(float)
        for sub in range(plan.oversample**2):
            places = SubPixels(plan, panel, fast, slow, 0, *divmod(sub, plan.oversample), Workspace(fast.size))
            for incident, wavelength in zip(plan.sources.incident.tolist(), plan.sources.wavelength_m.tolist(),
                                            strict=True):
                q = places.scattering(tuple(incident), wavelength)
                found[panel.window] |= (np.linalg.norm(q, axis=0) * longest < 1e-3).reshape(panel.shape)
    return found


def _peak(plan: Plan) -> float:
    """Return the photons of a pixel at a node of the largest F, without polarization [photons]."""
    if plan.rules.running or not plan.panels:
        return 0.0
    amplitude = largest_factor(plan) * SHAPES[plan.crystal_shape].peak * plan.block.count
    omega = max(panel.area / max(panel.close_distance**2, 1e-12) for panel in plan.panels)
    return units.THOMSON_CROSS_SECTION_M2 * plan.fluence * amplitude**2 * omega


def main() -> None:
    """Draw, render, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="experiments (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the lines (default 1)")
    parser.add_argument("--numpy", type=float, default=0.1, help="share of them that NumPy renders too (default 0.1)")
    options = parser.parse_args()
    worst: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    beyond = rendered = number = compared = out = 0
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        fuzz_parity.write_lists(Path(name))
        while rendered < options.count:
            number += 1
            rng = random.Random(f"{options.seed} {number}")
            words = draw_words(rng)
            try:
                plan = make_plan(build(parse(words)).experiment)
            except (CommandLineError, CubraggError):
                continue
            if not affordable(plan):
                continue
            rendered += 1
            double = HostEngine(plan).render(1)
            if rng.random() < options.numpy:
                compared += 1
                if error_of_maximum(plan, NumpyEngine(plan).render(1), double) > 1e-7:
                    beyond += 1
                    print(f"NumPy and cpu differ: {shlex.join(words)}", flush=True)
            if out_of_range(plan):
                out += 1
                continue
            row = next(row for row, end in enumerate(RANGES) if max(plan.cells) <= end)
            for precision in PRECISIONS:
                engine = HostEngine(plan, precision)
                error = error_of_maximum(plan, engine.render(1), double)
                bound = error_bound(plan, precision, engine.culling.tile)
                worst[precision, row].append((error, bound))
                if not error <= bound:
                    beyond += 1
                    print(f"{precision} N {max(plan.cells):g}: {error:.2g}, bound {bound:.2g}: "
                          f"{options.seed} {number} {shlex.join(words)}", flush=True)
    print(f"\n{rendered} experiments, {compared} of them with NumPy, {out} in double precision only, "
          f"{beyond} beyond the bound\n")
    print(f"{'largest N':>14}{'images':>8}" + "".join(f"{precision + ' worst':>16}{'of its bound':>14}{'bound':>10}"
                                                      for precision in PRECISIONS))
    for row, end in enumerate(RANGES):
        if worst["mixed", row]:
            print(f"{f'up to {end:g}':>14}{len(worst['mixed', row]):8}" + "".join(
                f"{max(errors)[0]:16.2g}{max(error / bound for error, bound in errors):14.2g}"
                f"{max(bound for _, bound in errors):10.2g}" for errors in (worst[p, row] for p in PRECISIONS)))
    raise SystemExit(beyond > 0)


if __name__ == "__main__":
    main()
