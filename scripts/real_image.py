#!/usr/bin/env python3
"""Simulate a measured image and compare both: radial means, histograms of counts, and a picture.

    python scripts/real_image.py IMAGE [--photons N] [--model FILE] [--crystal-size MM] [--mosaicity DEG] [--png FILE]

IMAGE is a file of any format that cubragg reads, with its geometry in the header (.gz and .bz2 too). The amounts of
water and of air are fitted to its radial mean, whose spots are left out, for ``--photons`` on the crystal; the crystal
is that of MODEL (atoms; the shipped one by default) in a random orientation. Prints tables in Markdown; the picture
has the measured image on the left and the simulated one on the right of the beam.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np

import cubragg
from cubragg.background.background_map import background_map
from cubragg.crystallography.atomic_factors import structure_factors
from cubragg.io.atoms import read_model
from cubragg.plan.make_plan import make_plan
from cubragg.view.colours import Style
from cubragg.view.png import write_png
from cubragg.view.resolution import beam_spot, image_resolution

SCRIPTS = Path(__file__).resolve().parent
if str(SCRIPTS) not in sys.path:
    sys.path.append(str(SCRIPTS))

from processing.tables import table  # noqa: E402

MODEL = SCRIPTS.parent / "cubragg" / "examples" / "helix_bundle.pdb"
#: Edges of rings [A], and those of them that are fitted: not the shadow of the beam stop.
EDGES_A = (30.0, 20.0, 12.0, 8.0, 6.0, 5.0, 4.5, 4.0, 3.6, 3.2, 2.9, 2.5, 2.2, 2.0, 1.8, 1.6, 1.5)
COUNTS = (0, 1, 2, 3, 4, 6, 8, 12, 20, 50, 100, 1000)
#: Pixels this many standard deviations above the mean of their ring are spots.
SPOT = 4.0


def without_spots(values: np.ndarray) -> float:
    """The mean of counts without the pixels of spots."""
    kept = values
    for _ in range(10):
        mean = float(kept.mean())
        kept = values[values <= mean + SPOT * np.sqrt(mean) + 1.0]
    return float(kept.mean())


def simulated(measured: cubragg.FileImage, given: argparse.Namespace, rings: list[np.ndarray], means: np.ndarray
              ) -> tuple[np.ndarray, cubragg.Background]:
    """Counts [slow, fast] of a simulation with the geometry of a measured image, and the background that was fitted."""
    model = read_model(given.model)
    hkl, amplitudes = structure_factors(model, EDGES_A[-1]).expanded().rows()
    bragg = hkl.any(axis=1)
    experiment = measured.experiment.complete(
        cubragg.StructureFactors.from_list(hkl[bragg], amplitudes[bragg]),
        cubragg.Crystal(cell=model.cell, misset_seed=1, block_size_um=1.0, size_mm=given.crystal_size,
                        mosaicity_deg=given.mosaicity, shape="gauss"))
    beam = dataclasses.replace(experiment.beam, flux=given.photons, exposure_s=1.0, beamsize_mm=given.crystal_size)
    experiment = dataclasses.replace(experiment, beam=beam)
    plan = make_plan(experiment, "analytic")
    units = [cubragg.Background(water_um=1.0), cubragg.Background(air_mm=(0.0, 1.0))]
    columns = [[float(unit[ring].mean()) for ring in rings] for unit in (
        background_map(plan, one, given.photons) for one in units)]
    matrix = np.array(columns).T / np.sqrt(means)[:, None]
    water_um, air_mm = np.maximum(np.linalg.lstsq(matrix, np.sqrt(means), rcond=None)[0], 0.0).tolist()
    background = cubragg.Background(water_um=water_um, air_mm=(0.0, air_mm))
    image = cubragg.simulate(dataclasses.replace(experiment, background=background), method="analytic")
    return image.counts(seed=1), background


def comparison(measured: cubragg.FileImage, given: argparse.Namespace) -> tuple[str, np.ndarray]:
    """The tables, and both images side by side."""
    scene = measured.scene()
    if scene is None:
        raise cubragg.ConfigError("IMAGE", f"got {given.image}, whose header has no geometry")
    d = image_resolution(scene.panels, scene.frame, scene.wavelength_A)
    pixels = measured.pixels
    live = (pixels >= 0) & (np.ones(pixels.shape, bool) if measured.mask is None else measured.mask)
    rings = [live & (d <= high) & (d > low) for high, low in itertools.pairwise(EDGES_A)]
    shown = [place for place, ring in enumerate(rings) if ring.sum() > 500]
    means = np.array([without_spots(pixels[rings[place]]) for place in shown])
    counts, background = simulated(measured, given, [rings[place] for place in shown], means)
    rows = []
    for place, mean in zip(shown, means, strict=True):
        ring = rings[place]
        real, ours = pixels[ring], counts[ring]
        rows.append((f"{EDGES_A[place]:g} to {EDGES_A[place + 1]:g}", int(ring.sum()), f"{mean:.3g}",
                     f"{without_spots(ours):.3g}", f"{np.var(real[real <= mean + SPOT * mean**0.5 + 1]) / mean:.2f}",
                     f"{np.var(ours[ours <= mean + SPOT * mean**0.5 + 1]) / without_spots(ours):.2f}",
                     f"{np.quantile(real, 0.999):.0f}", f"{np.quantile(ours, 0.999):.0f}"))
    inside = np.logical_or.reduce([rings[place] for place in shown])
    histogram = []
    for low, high in zip(COUNTS, (*COUNTS[1:], np.inf), strict=True):
        parts = [int(((one >= low) & (one < high)).sum()) for one in (pixels[inside], counts[inside])]
        name = f"{low}" if high == low + 1 else f"{low} and more" if np.isinf(high) else f"{low} to {high - 1}"
        histogram.append((name, *parts))
    text = [f"Fitted: {background.water_um:.0f} um of water, {background.air_mm[1]:.0f} mm of air, for "
            f"{given.photons:.3g} photons.",
            table(("d [A]", "pixels", "mean", "simulated", "variance / mean", "simulated", "99.9 %", "simulated"),
                  rows),
            table(("counts", "pixels", "simulated"), histogram)]
    spot = beam_spot(scene.panels, scene.frame)
    centre = pixels.shape[1] // 2 if spot is None else round(spot.fast_px)
    both = np.where(np.arange(pixels.shape[1]) < centre, pixels, np.where(live, counts, -1))
    return "\n\n".join(text), both


def main() -> int:
    """Print the tables, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--photons", type=float, default=1e10)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--crystal-size", type=float, default=0.02)
    parser.add_argument("--mosaicity", type=float, default=0.1)
    parser.add_argument("--png", type=Path)
    given = parser.parse_args()
    measured = cubragg.read(given.image)
    if not isinstance(measured, cubragg.FileImage):
        print(f"{given.image}: this is no image", file=sys.stderr)
        return 2
    text, both = comparison(measured, given)
    print(text)
    if given.png is not None:
        write_png(given.png, np.maximum(both, 0).astype(np.float32), Style(scale="log"), both >= 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
