#!/usr/bin/env python3
"""Random experiments in mixed and single precision against double, and the worst error for each number of cells.

    python scripts/fuzz_precision.py [--count N] [--seed S] [--numpy SHARE]

A command line is drawn as in fuzz_parity.py, over the table of flags, of either semantics, with up to 5,000 cells along
an axis or a sample of up to 1 mm, and rendered by the backend cpu in the three precisions. Errors are shares of the
maximum of the image in double precision; where that exceeds the bound of `cubragg.engine.accuracy`, of the maximum with
all fringes at their crests. A line beyond the bound is printed; exit status 1 if there is any. Of a share of the lines
the image in double precision is compared with NumPy's as well.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shlex
import tempfile
from collections import defaultdict
from pathlib import Path
from unittest import mock

import numpy as np
from fuzzing import command_lines

from cubragg import units
from cubragg.cli.build import build
from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.parser import parse
from cubragg.crystallography.shapes import SHAPES, CoherentBlock
from cubragg.engine.accuracy import double_only, error_bound
from cubragg.engine.culling import largest_factor
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.errors import CubraggError
from cubragg.plan.make_plan import make_plan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

MOST_SAMPLES = 3_000_000
#: Upper ends of the ranges of N that the table has rows for: the largest number of cells along an axis.
RANGES = (20, 100, 200, 1000, 5000, 10**9)
PRECISIONS = ("mixed", "single")
#: Image and mask files need the C program, and a file of sources lies in the folder.
LEFT_OUT = ("-img", "-mask")


def draw_words(rng: random.Random) -> list[str]:
    """Return a random command line, without a flag that reads an image."""
    groups = [group for group in command_lines.draw_line(rng) if group[0] not in (*LEFT_OUT, *_SIZES)]
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


def largest_error(plan: Plan, image: np.ndarray, double: np.ndarray) -> tuple[float, float]:
    """Return the largest difference from the image in double precision and the largest pixel of that [photons].

    The difference is inf where only one is finite. Pixels in the direct beam of a round crystal are left out: there the
    closed form cancels in double precision (specs/backends.md).
    """
    finite = np.isfinite(double)
    if not np.array_equal(image[~finite], double[~finite], equal_nan=True):
        return np.inf, 0.0
    compared = finite & ~_in_direct_beam(plan) if plan.crystal_shape == "nanobragg_round" else finite
    expected = double[compared].astype(float)
    return (float(np.abs(image[compared].astype(float) - expected).max(initial=0.0)),
            float(np.abs(expected).max(initial=0.0)))


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


def _least_maximum(plan: Plan) -> float:
    """Return the photons of a pixel in a term of 1e-12 of the theoretical peak, without polarization."""
    amplitude = largest_factor(plan) * SHAPES[plan.crystal_shape].peak * plan.block.count
    omega = max((panel.area / max(abs(panel.close_distance), 1e-6) ** 2 for panel in plan.panels), default=0.0)
    return 1e-12 * units.THOMSON_CROSS_SECTION_M2 * plan.fluence * amplitude**2 * omega


def _maximum_at_crests(plan: Plan) -> float:
    """Return the maximum of the image whose fringes are all at their crests [photons]."""
    crests = {"square": _square_crests, "round": _round_crests, "nanobragg_round": _round_crests}.get(
        plan.crystal_shape)
    if crests is None:
        return 0.0
    with mock.patch.object(type(SHAPES[plan.crystal_shape]), "amplitude", crests):
        return float(np.nanmax(np.abs(NumpyEngine(plan).render(2)), initial=0.0))


def _square_crests(_: object, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: object) -> np.ndarray:
    least = 1.0 / np.array(block.cells)[:, None]
    crests: np.ndarray = (1.0 / np.maximum(np.abs(np.sin(np.pi * (index - whole))), least)).prod(axis=0)
    return crests


def _round_crests(_: object, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: object) -> np.ndarray:
    cells = np.array(block.cells)
    x_sqr = np.pi**2 * block.fudge * (((index - whole) * cells[:, None]) ** 2).sum(axis=0)
    crests: np.ndarray = cells.prod() * SHAPES["round"].peak / np.maximum(x_sqr / (3.0 * np.sqrt(1.0 + 1.0 / np.maximum(
        x_sqr, 1e-12))), 1.0)
    return crests


def main() -> None:
    """Draw, render, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="experiments (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the lines (default 1)")
    parser.add_argument("--numpy", type=float, default=0.1, help="share of them that NumPy renders too (default 0.1)")
    options = parser.parse_args()
    worst: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    beyond = rendered = number = compared = double_alone = at_crests = 0
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        command_lines.write_lists(Path(name))
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
                error, maximum = largest_error(plan, NumpyEngine(plan).render(1), double)
                if error > 1e-7 * maximum:
                    beyond += 1
                    print(f"NumPy and cpu differ: {shlex.join(words)}", flush=True)
            if double_only(plan):
                double_alone += 1
                continue
            row = next(row for row, end in enumerate(RANGES) if max(plan.cells) <= end)
            for precision in PRECISIONS:
                engine = HostEngine(plan, precision)
                error, maximum = largest_error(plan, engine.render(1), double)
                maximum = max(maximum, _least_maximum(plan))
                bound = error_bound(plan, precision, engine.culling.tile)
                if error > bound * maximum:
                    at_crests += 1
                    maximum = max(maximum, _maximum_at_crests(plan))
                worst[precision, row].append((error / maximum if error else 0.0, bound))
                if not error <= bound * maximum:
                    beyond += 1
                    print(f"{precision} N {max(plan.cells):g}: {error / maximum:.2g}, bound {bound:.2g}: "
                          f"{options.seed} {number} {shlex.join(words)}", flush=True)
    print(f"\n{rendered} experiments, {compared} of them with NumPy, {double_alone} in double precision only, "
          f"{at_crests} images compared with their maximum at crests, {beyond} beyond the bound\n")
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
