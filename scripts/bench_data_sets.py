"""Times data sets end to end, with files: rendering, response, compression and writing.

    python scripts/bench_data_sets.py [--detectors eiger2-1m:100 pilatus6m:200] [--images 24] [--workers 2]

Prints for each detector the CPU time of an image, the wall time, their ratio to the CPU time divided by
the number of processes (1: nothing waits), images per second, and what the stages take. A second table has stills of
1024 x 1024 pixels with no and with three parameters that vary. All rows are of one run; nothing is asserted.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import cubragg as cb
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.production import State
from cubragg.io.atoms import read_model

MODEL = Path(__file__).resolve().parents[1] / "cubragg" / "examples" / "helix_bundle.pdb"


def experiment(detector: cb.Detector, dmin: float) -> cb.Experiment:
    """A crystal of 50 um in 1e10 photons, with water and air."""
    model = read_model(MODEL)
    hkl, amplitudes = structure_factors(model, dmin).expanded().rows()
    bragg = hkl.any(axis=1)
    return cb.Experiment(
        cb.Crystal(cell=model.cell, misset_deg=(10.0, 20.0, 30.0), block_size_um=0.5, size_mm=0.05, mosaicity_deg=0.05,
                   shape="gauss"),
        cb.StructureFactors.from_list(hkl[bragg], amplitudes[bragg]),
        cb.Beam(wavelength_A=1.0, flux=1e12, exposure_s=0.01, beamsize_mm=0.1), detector,
        background=cb.Background(water_um=50.0, air_mm=(10.0, 20.0)))


def measured(data: DataSet, workers: int, device: int | None = None) -> tuple[float, float, dict[str, float]]:
    """CPU and wall time of an image [s], without the start of the processes, and the share of each stage.

    With the number of a GPU there is one process.
    """
    states: list[State] = []
    with tempfile.TemporaryDirectory() as folder:
        data.write(Path(folder) / "set", workers=workers, devices=None if device is None else [device], truth=(),
                   shard=max(1, len(data) // (4 * workers)),
                   report=lambda state: states.append(dataclasses.replace(state)))
    records = [state.record for state in states if state.record is not None][workers:]
    shots = sum(record["count"] for record in records)
    first = [state for state in states if state.record is not None][workers - 1]
    last = states[-1]
    total = sum(last.stages.values())
    return (sum(record["cpu_seconds"] for record in records) / shots, (last.seconds - first.seconds) / shots,
            {name: seconds / total for name, seconds in last.stages.items() if seconds})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detectors", nargs="+", default=["eiger2-1m:100", "pilatus6m:200", "eiger2-16m:250"])
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print(f"{'detector':<14}{'CPU s':>8}{'wall s':>8}{'wall / (CPU / workers)':>24}{'images/s':>10}  stages")
    for named in given.detectors:
        name, distance = named.split(":")
        data = cb.Sweep(experiment(cb.Detector.named(name, float(distance)), 1.8), given.images, 0.1)
        cpu, wall, stages = measured(data, given.workers)
        shares = ", ".join(f"{stage} {share:.0%}" for stage, share in stages.items())
        print(f"{name:<14}{cpu:8.3f}{wall:8.3f}{wall / (cpu / given.workers):24.2f}{1.0 / wall:10.1f}  {shares}",
              flush=True)
    square = experiment(cb.Detector(distance_mm=100.0, pixel_size_mm=0.1, fast_pixels=1024, slow_pixels=1024), 1.8)
    vary = {"cell": cb.normal(0.002), "beam.wavelength_A": cb.normal(0.002), "beam.flux": cb.gamma(4.0, relative=True)}
    rates = []
    for parameters in ({}, vary):
        data = cb.Stills(square, given.images, seed=1, vary=parameters, threads=1)
        data[0].drawn_counts()
        start = time.process_time()
        for shot in data:
            shot.drawn_counts()
        rates.append(given.images / (time.process_time() - start))
    print(f"stills of 1024 x 1024 in memory, one thread: {rates[0]:.1f}/s of CPU time, with 3 parameters that vary "
          f"{rates[1]:.1f}/s ({rates[1] / rates[0]:.0%})")


if __name__ == "__main__":
    main()
