"""Time the truth of an image beside the image, in one run.

    python scripts/truth_bench.py [WORKLOAD ...] [--backends cpu numpy] [--precision double] [--runs 3]

Prints for each workload and backend CPU times with one thread, the least of some runs: of the image, of the image with
its reflections of at least a photon, and what these cost, also in a pass of their own after the image. Workloads: a
still and a rotation of 1 deg of Gaussian blocks (the default of data sets), the same of parallelepipeds, in both
semantics, and a still of the default of ``cubragg stills``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads wait busily

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmarks.cpu_time import least

import cubragg as cb
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.experiment.experiment import Experiment
from cubragg.io.atoms import read_model

MODEL = Path(__file__).resolve().parents[1] / "cubragg" / "examples" / "helix_bundle.pdb"
CELLS, PIXELS, STEPS = 20, {"cpu": 512, "numpy": 128}, 20


def experiments(pixels: int) -> dict[str, Experiment]:
    """The workloads by name."""
    model = read_model(MODEL)
    hkl, amplitudes = structure_factors(model, 2.0).expanded().rows()
    bragg = hkl.any(axis=1)
    factors = cb.StructureFactors.from_list(hkl[bragg], amplitudes[bragg])
    detector = cb.Detector(distance_mm=100.0, pixel_size_mm=0.1, fast_pixels=pixels, slow_pixels=pixels)

    def of(shape: str, osc_deg: float, semantics: str) -> Experiment:
        crystal = cb.Crystal(cell=model.cell, misset_deg=(10.0, 20.0, 30.0), cells=(CELLS,) * 3, shape=shape,
                             mosaic_spread_deg=0.2, mosaic_domains=20,
                             size_mm=0.02 if semantics == "physical" else None)
        turning = cb.Goniometer(0.0, osc_deg, phi_steps=STEPS) if osc_deg else cb.Goniometer()
        # nanobragg semantics has one coherent block.
        beam = cb.Beam(wavelength_A=1.0, fluence=1e24 if semantics == "physical" else 1e29)
        return cb.Experiment(crystal, factors, beam, detector, turning, cb.Sampling(oversample=1), semantics)

    found = {f"{name}, {shape}, {semantics}": of(shape, osc_deg, semantics) for shape in ("gauss", "square")
             for name, osc_deg in (("still", 0.0), ("1 deg", 1.0)) for semantics in ("nanobragg", "physical")}
    if pixels == PIXELS["cpu"]:  # NumPy takes minutes
        crystal = cb.Crystal(cell=model.cell, misset_deg=(10.0, 20.0, 30.0), block_size_um=1.0, size_mm=0.02,
                             mosaicity_deg=0.1, shape="gauss")
        beam = cb.Beam(wavelength_A=1.0, flux=1e13, exposure_s=0.01, beamsize_mm=0.04)
        corner = cb.Detector(distance_mm=100.0, pixel_size_mm=0.075, fast_pixels=128, slow_pixels=128,
                             beam_centre_mm=(-20.0, -20.0))
        found["default still, 128 x 128"] = cb.Experiment(crystal, factors, beam, corner)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*")
    parser.add_argument("--backends", nargs="+", default=["cpu", "numpy"])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print(f"| {'workload':<32} | backend | image ms | with truth ms | truth / image | own pass / image | "
          "reflections |\n"
          f"{'|---' * 7}|")
    for backend in given.backends:
        for name, experiment in experiments(PIXELS[backend]).items():
            if given.workloads and not any(word in name for word in given.workloads):
                continue

            def render(reflections: bool = False, experiment: Experiment = experiment, backend: str = backend
                       ) -> cb.Image:
                return cb.simulate(experiment, backend=backend, precision=given.precision, threads=1, method="sampled",
                                   reflections=reflections)

            def both(render: Callable[[bool], cb.Image] = render) -> cb.ReflectionTable:
                return cb.predict(render(True), threads=1)

            try:
                image = render()  # compiles
                cb.predict(image, backend=backend, threads=1), both()
            except cb.ConfigError as error:
                print(f"| {name:<32} | {backend:<7} | {error}")
                continue
            image_s, image = least(render, given.runs)
            both_s, table = least(both, given.runs)
            pass_s, _ = least(lambda image=image, backend=backend: cb.predict(image, backend=backend, threads=1),
                              given.runs)
            print(f"| {name:<32} | {backend:<7} | {1e3 * image_s:8.1f} | {1e3 * both_s:13.1f} | "
                  f"{(both_s - image_s) / image_s:13.2f} | {pass_s / image_s:16.2f} | {len(table):11} |", flush=True)


if __name__ == "__main__":
    main()
