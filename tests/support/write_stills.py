"""Writes stills to a folder: ``write_stills.py FOLDER [--workers N] [--shots N] [--seed N] [--slow] [--failing]
[--hold] [--format FORMAT] [--truth KIND,...]``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cubragg as cb
from cubragg.dataset.production import State, Stopped
from cubragg.errors import CubraggError
from support.experiments import small_experiment

#: Small images, of a background that keeps them from compressing to nothing.
BASE = dataclasses.replace(
    small_experiment(semantics="physical", detector={"fast_pixels": 60, "slow_pixels": 50, "pixel_size_mm": 0.2}),
    background=cb.Background(constant=1000.0))


def fractions(shots: int) -> dict[str, list[float]]:
    """Fractions of bad pixels of which only those of shot 3 have a sum above 1: no two of them are the largest."""
    others = [(0.45, 0.4, 0.0), (0.45, 0.0, 0.4), (0.0, 0.4, 0.4), (0.45, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 0.4),
              (0.0, 0.0, 0.0)]
    rows = [(0.4, 0.35, 0.35) if shot == 3 else others[(shot - (shot > 3)) % 7] for shot in range(shots)]
    names = ("dead_fraction", "hot_fraction", "noisy_fraction")
    return {f"response.{name}": list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def stills(shots: int, seed: int = 7, slow: bool = False, failing: bool = False) -> cb.Stills:
    """Stills with varying cell and wavelength; slow ones take a quarter of a second each, and shot 3 may fail."""
    vary = {"crystal.cell": cb.normal(0.002, relative=True), "beam.wavelength_A": cb.normal(1.5, 0.002)}
    experiment = BASE
    if slow:
        experiment = dataclasses.replace(BASE, sampling=cb.Sampling(oversample=70))
    if failing:
        experiment = dataclasses.replace(experiment, response=cb.Response())
        vary |= {name: cb.table(column) for name, column in fractions(shots).items()}
    return cb.Stills(experiment, shots, seed=seed, vary=vary, method="sampled")


def main() -> None:
    """Write the set; exit status 1 for an error in a line, 128 and the signal where one stopped it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    for name, default in (("workers", 1), ("shots", 20), ("seed", 7), ("shard", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("slow", "failing", "overwrite", "new", "hold"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--format", default="nxmx")
    parser.add_argument("--truth", default="refl,h5")
    given = parser.parse_args()
    data = stills(given.shots, given.seed, given.slow, given.failing)
    print("ready", flush=True)

    def report(state: State) -> None:
        print(f"done {state.done}", flush=True)
        if given.hold and state.record is not None:
            time.sleep(3600.0)

    try:
        summary = data.write(given.folder, workers=given.workers, shard=given.shard, format=given.format,
                             truth=given.truth.split(","), overwrite=given.overwrite,
                             resume=not given.new, report=report)
    except Stopped as stop:
        print(f"stopped: {stop.outcome}", flush=True)
        sys.exit(128 + stop.number)
    except (CubraggError, OSError) as error:
        print(f"error: {error}", flush=True)
        sys.exit(1)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
