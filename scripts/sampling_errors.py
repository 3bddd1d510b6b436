#!/usr/bin/env python3
"""Measures the error of spot sums of random experiments: chosen samples, and samples that are given too coarse.

For each experiment a row of a table: number of orientations and sub-pixels, error that the plan expects, and the
measured one, the root mean square difference of the per-reflection sums from those of a finer sampling over their root
mean square. The finer one has 3 times the spindle steps, up to 8 times the domains and 1 more sub-pixel.

    python scripts/sampling_errors.py [--count 12] [--seed 1] [--steps N]
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random

import numpy as np

import cubragg as cb
from cubragg.crystallography.orientations import misset_angles, random_orientations
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.plan.sample_choice import conditions_of
from cubragg.plan.sum_error import sum_error
from cubragg.reflections.predict import reflection_table

Sums = dict[tuple[int, int, int], float]


def random_experiment(rng: random.Random, steps: int | None) -> cb.Experiment:
    """A crystal in a random orientation, with or without mosaicity, divergence and bandwidth; a still or a rotation."""
    cells = tuple(rng.randint(8, 20) for _ in range(3))
    misset, = misset_angles(random_orientations(1, rng.randrange(10**6)))
    osc = rng.choice([None, 0.1, 0.2, 0.5, 1.0])
    crystal = cb.Crystal(cell=(rng.uniform(40, 80), rng.uniform(40, 80), rng.uniform(40, 80), 90, 90, 90), cells=cells,
                         misset_deg=misset, shape=rng.choice(["square", "gauss"]),
                         mosaicity_deg=rng.choice([None, None, 0.05, 0.2]))
    spread = rng.random() < 0.3 and crystal.mosaicity_deg is None
    beam = cb.Beam(wavelength_A=rng.uniform(0.8, 1.5), fluence=1e26, bandwidth=1e-3 if spread else 0.0,
                   divergence_mrad=0.5 if spread else None)
    detector = cb.Detector(distance_mm=60.0, pixel_size_mm=0.15, fast_pixels=128, slow_pixels=128, convention="xds",
                           orgx=rng.uniform(-250.0, 350.0), orgy=rng.uniform(-250.0, 350.0))
    return cb.Experiment(crystal, cb.StructureFactors(100.0), beam, detector,
                         cb.Goniometer(rng.uniform(0, 90), osc, phi_steps=steps if osc else None),
                         cb.Sampling(dmin_A=1.2))


def finer(experiment: cb.Experiment, plan: Plan) -> cb.Experiment:
    """The experiment with more samples."""
    crystal = experiment.crystal
    if plan.domain_count > 1:
        crystal = dataclasses.replace(crystal, mosaic_domains=min(max(8 * plan.domain_count, 512), 2048))
    goniometer = experiment.goniometer
    if plan.phi.width > 0.0:
        fine_steps = make_plan(dataclasses.replace(experiment, goniometer=dataclasses.replace(
            goniometer, phi_steps=None))).phi.count
        goniometer = dataclasses.replace(goniometer, phi_steps=3 * fine_steps)
    return dataclasses.replace(experiment, crystal=crystal, goniometer=goniometer, sampling=dataclasses.replace(
        experiment.sampling, oversample=plan.oversample + 1))


def sums(plan: Plan) -> Sums:
    """Photons of each reflection that is neither cut nor in the direct beam."""
    table = reflection_table(plan, min_photons=0.0)
    whole = (table.flags & 2) == 0
    return {tuple(hkl): photons for hkl, photons in zip(table.hkl[whole].tolist(), table.photons[whole].tolist(),
                                                        strict=True) if any(hkl)}


def error(found: Sums, exact: Sums) -> float:
    """Root mean square difference over root mean square of the exact sums."""
    square = sum((found.get(hkl, 0.0) - photons)**2 for hkl, photons in exact.items())
    return math.sqrt(square / sum(photons**2 for photons in exact.values()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="number of experiments")
    parser.add_argument("--seed", type=int, default=1, help="seed of the experiments")
    parser.add_argument("--steps", type=int, help="spindle steps of rotations, in place of those that are chosen")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    print(f"{'osc':>5}{'shape':>8}{'sigma':>7}{'beam':>6}{'steps':>7}{'domains':>9}{'sub':>5}{'spots':>7}"
          f"{'expected %':>12}{'measured %':>12}")
    measured = []
    for _ in range(given.count):
        experiment = random_experiment(rng, given.steps)
        plan = make_plan(experiment)
        exact = sums(make_plan(finer(experiment, plan)))
        measured.append(100.0 * error(sums(plan), exact))
        expected = 100.0 * sum_error(conditions_of(plan), plan.phi.count, plan.domain_count, max(len(plan.parts), 1))
        crystal = experiment.crystal
        print(f"{experiment.goniometer.osc_deg or 0.0:5g}{crystal.shape:>8}{crystal.mosaicity_deg or 0.0:7g}"
              f"{'yes' if plan.spreads.of_beam else 'no':>6}{plan.phi.count:7}{plan.domain_count:9}{plan.oversample:5}"
              f"{len(exact):7}{expected:12.3f}{measured[-1]:12.3f}", flush=True)
    print(f"rms {np.sqrt(np.mean(np.square(measured))):.3f} %, largest {max(measured):.3f} %")


if __name__ == "__main__":
    main()
